package ops

import "math"

// powOp is a to the power of b. The result has the type of a.
var powOp = &Operator{
	Name: "Pow", Since: 1,
	inputs: []input{data("X", numbers), data("Y", numbers)},
	attrs:  legacyBroadcast,
	infer: func(f *inference) {
		inferBroadcast(f)
		f.out[0].dtype = f.input(0).dtype
	},
	eval: func(c *call) {
		c.align()
		x, y := c.input(0), c.input(1)
		shape := c.broadcastShape(x.shape, y.shape)
		if base, ok := x.Ints(); ok {
			if exponent, ok := y.Ints(); ok {
				c.set(0, c.intPower(x, shape, base, exponent, y.shape))
				return
			}
		}
		a, b := c.from64(x), c.from64(y)
		power := pairwise{real: math.Pow}.apply(c, a, b)
		c.set(0, c.from(x.dtype, shape, power.data.(vec[float64])))
	},
}

// from64 returns a tensor of numbers as float64.
func (c *call) from64(t *Tensor) *Tensor {
	return &Tensor{float64Type, t.shape, vec[float64](c.floats(t))}
}

func (c *call) intPower(x *Tensor, shape, base, exponent, shapeOfY []int) *Tensor {
	out := c.like(x, shape)
	pairs(shape, x.shape, shapeOfY, func(at, ia, ib, n, sa, sb int) {
		for i := range n {
			setInt(out, at+i, intPow(base[ia], exponent[ib]))
			ia += sa
			ib += sb
		}
	})
	return out
}

func intPow(x, n int) int {
	if n < 0 {
		switch x {
		case 1:
			return 1
		case -1:
			return 1 - 2*(n&1)
		}
		return 0
	}
	p := 1
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			p *= x
		}
		x *= x
	}
	return p
}

// setInt sets an element of an integer tensor.
func setInt(t *Tensor, i, x int) {
	switch d := t.data.(type) {
	case vec[int8]:
		d[i] = int8(x)
	case vec[int16]:
		d[i] = int16(x)
	case vec[int32]:
		d[i] = int32(x)
	case vec[int64]:
		d[i] = int64(x)
	case vec[uint8]:
		d[i] = uint8(x)
	case vec[uint16]:
		d[i] = uint16(x)
	case vec[uint32]:
		d[i] = uint32(x)
	case vec[uint64]:
		d[i] = uint64(x)
	}
}
