package ops

import (
	"math"
	"strconv"
	"strings"

	"lethe/graph"
	"lethe/model"
)

// castOp converts elements to another type.
var castOp = &Operator{
	Name: "Cast", Since: 6,
	inputs: []input{data("input", anything)},
	attrs: []attr{
		noDefault("to", graph.IntAttr).must(),
		intAttr("saturate", 1).from(19),
		stringAttr("round_mode", "up", "down", "nearest").from(24),
	},
	infer: func(f *inference) { f.set(0, f.elementType("to"), f.input(0).shape) },
	eval:  func(c *call) { c.set(0, c.cast(c.input(0), c.elementType("to"), c.castRounding())) },
}

func (c *call) castRounding() rounding {
	r := rounding{saturate: c.opset < 19 || c.flag("saturate"), mode: 'u'}
	if mode := c.text("round_mode"); mode != "" {
		r.mode = mode[0]
	}
	return r
}

// cast converts a tensor to another type. Real numbers become integers by
// leaving out the fraction, integers others by leaving out bits. saturate is
// about the 8-bit floating-point types alone.
func (c *call) cast(t *Tensor, to model.DType, r rounding) *Tensor {
	if t.dtype == to {
		return t
	}
	if _, dims := t.data.(vec[graph.Dim]); dims {
		if !indices.has(to) {
			c.unsupported("sizes that are not known as %v", to)
		}
		return &Tensor{to, t.shape, t.data}
	}
	out := c.make(to, t.shape)
	switch {
	case to == model.String:
		c.castToText(t, out)
		return out
	case t.dtype == model.String:
		return c.castFromText(t, out, r)
	}
	if v, ok := t.Ints(); ok && (integers | nibbles).has(to) {
		for i, x := range v {
			setInt(out, i, narrowInt(to, x))
		}
		return out
	}
	return c.castReal(c.floats(t), out, r)
}

func (c *call) castReal(v []float64, out *Tensor, r rounding) *Tensor {
	to := out.dtype
	switch d := out.data.(type) {
	case vec[float32]:
		if f, narrow := formats[to]; narrow {
			r.saturate = r.saturate && (float8s | tiny).has(to)
			for i, x := range v {
				d[i] = float32(f.round(x, r))
			}
			return out
		}
		narrowTo(d, v)
	case vec[float64]:
		copy(d, v)
	case vec[bool]:
		for i, x := range v {
			d[i] = x != 0
		}
	case vec[uint64]:
		for i, x := range v {
			if x >= 1<<63 {
				d[i] = uint64(min(x-1<<63, 1<<63-1024)) + 1<<63
			} else {
				d[i] = uint64(truncate(x))
			}
		}
	default:
		for i, x := range v {
			setInt(out, i, narrowInt(to, truncate(x)))
		}
	}
	return out
}

// truncate returns the integer part, the same on every machine: the nearest
// integer of 64 bits where there is none, and the smallest for NaN.
func truncate(x float64) int {
	switch {
	case x != x || x <= math.MinInt64:
		return math.MinInt64
	case x >= math.MaxInt64:
		return math.MaxInt64
	}
	return int(x)
}

// narrowInt keeps the bits of a type that is narrower than a byte.
func narrowInt(to model.DType, x int) int {
	switch to {
	case model.Int4:
		return int(int8(x<<4) >> 4)
	case model.Int2:
		return int(int8(x<<6) >> 6)
	case model.Uint4:
		return x & 15
	case model.Uint2:
		return x & 3
	}
	return x
}

func (c *call) castToText(t, out *Tensor) {
	d := out.data.(vec[string])
	switch v := t.data.(type) {
	case vec[bool]:
		for i, x := range v {
			d[i] = map[bool]string{true: "True", false: "False"}[x]
		}
	case vec[float32]:
		for i, x := range v {
			d[i] = realText(float64(x), 32)
		}
	case vec[float64]:
		for i, x := range v {
			d[i] = realText(x, 64)
		}
	case vec[uint64]:
		for i, x := range v {
			d[i] = strconv.FormatUint(x, 10)
		}
	default:
		ints, ok := t.Ints()
		if !ok {
			c.unsupported("%v as strings", t.dtype)
		}
		for i, x := range ints {
			d[i] = strconv.Itoa(x)
		}
	}
}

// realText is the shortest text that reads as x again, as Python writes it.
func realText(x float64, bits int) string {
	switch {
	case x != x:
		return "nan"
	case math.IsInf(x, 1):
		return "inf"
	case math.IsInf(x, -1):
		return "-inf"
	}
	size := math.Abs(x)
	if size != 0 && (size < 1e-4 || size >= 1e16) {
		return strconv.FormatFloat(x, 'e', -1, bits)
	}
	s := strconv.FormatFloat(x, 'f', -1, bits)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func (c *call) castFromText(t, out *Tensor, r rounding) *Tensor {
	v := t.data.(vec[string])
	if (integers | nibbles).has(out.dtype) {
		for i, s := range v {
			x, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
			if err != nil {
				c.fail("the string %q is not an integer", s)
			}
			setInt(out, i, narrowInt(out.dtype, int(x)))
		}
		return out
	}
	real := make([]float64, len(v))
	for i, s := range v {
		x, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil && !math.IsInf(x, 0) {
			c.fail("the string %q is not a number", s)
		}
		real[i] = x
	}
	return c.castReal(real, out, r)
}
