package ops

import (
	"math"
	"slices"

	"lethe/model"
)

// quantizelinearOp is x / scale + zero point, rounded to a small type: with one
// scale, one for each index of an axis, or one for each block of it.
var quantizelinearOp = &Operator{
	Name: "QuantizeLinear", Since: 10,
	inputs: []input{data("x", floats|set(model.Int32)), constant("y_scale", floats|set(model.Int32, model.Float8E8M0FNU)), constant("y_zero_point", quantized).opt()},
	attrs: []attr{intAttr("axis", 1).from(13), intAttr("saturate", 1).from(19), intAttr("block_size", 0).from(21),
		intAttr("output_dtype", 0).from(21), intAttr("precision", 0).from(23)},
	infer: func(f *inference) { f.set(0, f.quantizedType(f.input(2).dtype, f.given(2)), f.input(0).shape) },
	eval: func(c *call) {
		x := c.input(0)
		dtype := model.Uint8
		if c.input(2) != nil {
			dtype = c.input(2).dtype
		}
		dtype = c.quantizedType(dtype, c.input(2) != nil)
		scale, zero := c.perElement(c.input(1), x), []float64(nil)
		if c.input(2) != nil {
			zero = c.perElement(c.input(2), x)
		}
		v := c.floats(x)
		f, real := formats[dtype]
		lo, hi := intRange(dtype)
		for i := range v {
			if v[i] /= scale[i]; x.dtype != model.Float64 { // as a runtime divides
				v[i] = float64(float32(v[i]))
			}
			if real {
				v[i] = f.round(v[i], rounding{saturate: c.opset < 19 || c.flag("saturate"), mode: 'n'})
				continue
			}
			v[i] = math.RoundToEven(v[i])
			if zero != nil {
				v[i] += zero[i]
			}
			v[i] = min(max(v[i], lo), hi)
			if v[i] != v[i] {
				v[i] = 0
			}
		}
		c.set(0, c.from(dtype, x.shape, v))
	},
}

// quantizedType returns the type of the result of QuantizeLinear.
func (n *node) quantizedType(zero model.DType, given bool) model.DType {
	switch {
	case n.int("output_dtype") != 0:
		return n.elementType("output_dtype")
	case given:
		return zero
	}
	return model.Uint8
}

// intRange returns the smallest and the largest number of an integer type.
func intRange(dtype model.DType) (lo, hi float64) {
	switch dtype {
	case model.Int2:
		return -2, 1
	case model.Uint2:
		return 0, 3
	case model.Int4:
		return -8, 7
	case model.Uint4:
		return 0, 15
	case model.Int8:
		return math.MinInt8, math.MaxInt8
	case model.Uint8:
		return 0, math.MaxUint8
	case model.Int16:
		return math.MinInt16, math.MaxInt16
	case model.Uint16:
		return 0, math.MaxUint16
	}
	return math.MinInt32, math.MaxInt32
}

// perElement returns the scale or zero point of each element of x.
func (c *call) perElement(t, x *Tensor) []float64 {
	v := c.floats(t)
	out := make([]float64, x.Len())
	if t.Len() == 1 {
		for i := range out {
			out[i] = v[0]
		}
		return out
	}
	axis, block := 1, c.int("block_size")
	if c.has("axis") {
		axis = c.int("axis")
	}
	axis = c.axis(axis, len(x.shape))
	if block == 0 {
		inner := product(x.shape[axis+1:])
		if len(t.shape) != 1 || t.Len() != x.shape[axis] {
			c.fail("scales or zero points have shape %v, which does not fit data of shape %v along axis %d", t.shape, x.shape, axis)
		}
		for i := range out {
			out[i] = v[i/inner%len(v)]
		}
		return out
	}
	want := slices.Clone(x.shape)
	if block > 0 {
		want[axis] = (want[axis] + block - 1) / block
	}
	if block < 0 || !slices.Equal(t.shape, want) {
		c.fail("scales or zero points have shape %v, which does not fit data of shape %v in blocks of %d along axis %d", t.shape, x.shape, block, axis)
	}
	s := strides(t.shape)
	positions(x.shape, func(i int, pos []int) {
		at := 0
		for a, p := range pos {
			if a == axis {
				p /= block
			}
			at += p * s[a]
		}
		out[i] = v[at]
	})
	return out
}

func (n *node) realType(scale model.DType) model.DType {
	if n.int("output_dtype") != 0 {
		return n.elementType("output_dtype")
	}
	return scale
}

// timesScale multiplies by a scale, or by one for each index of an axis.
func (c *call) timesScale(t, scale *Tensor, axis int) *Tensor {
	s := c.from64(scale)
	if scale.Len() == 1 {
		return c.scaled(t, s.data.(vec[float64])[0])
	}
	if len(scale.shape) == 1 {
		shape := slices.Repeat([]int{1}, len(t.shape))
		shape[c.axis(axis, len(t.shape))] = scale.Len()
		s = c.reshaped(s, shape)
	}
	c.mustSpread(s, t)
	return mulOf.apply(c, t, s)
}

// requantized quantizes with the scale of an input and the zero point of the
// next one.
func (c *call) requantized(t *Tensor, scale int) *Tensor {
	dtype := c.input(scale + 1).dtype
	by, zero := c.scalar(scale, 1), c.scalar(scale+1, 0)
	lo, hi := intRange(dtype)
	v := c.floats(t)
	for i, x := range v {
		v[i] = min(max(math.RoundToEven(x/by)+zero, lo), hi)
	}
	return c.from(dtype, t.shape, v)
}
