package ops

import "math"

// lrnOp divides each element by a power of the squares of neighbouring channels.
var lrnOp = &Operator{
	Name:   "LRN",
	inputs: []input{data("X", floats)},
	attrs:  []attr{floatAttr("alpha", 0.0001), floatAttr("beta", 0.75), floatAttr("bias", 1), noDefault("size", intKind).must()},
	infer:  sameAsFirst,
	eval: func(c *call) {
		x, size := c.input(0), c.int("size")
		if len(x.shape) < 2 || size < 1 {
			c.fail("the size is %d for data of shape %v; it must be positive, and the data have channels", size, x.shape)
		}
		v := c.floats(x)
		y := make([]float64, len(v))
		channels, inner := x.shape[1], product(x.shape[2:])
		alpha, beta, bias := c.float("alpha")/float64(size), c.float("beta"), c.float("bias")
		parallel(x.shape[0]*channels, func(i int) {
			channel := i % channels
			lo, hi := max(0, channel-(size-1)/2), min(channels-1, channel+size/2)
			for j := range inner {
				sum := 0.0
				for k := lo; k <= hi; k++ {
					s := v[(i-channel+k)*inner+j]
					sum += s * s
				}
				y[i*inner+j] = v[i*inner+j] / math.Pow(bias+alpha*sum, beta)
			}
		})
		c.set(0, c.from(x.dtype, x.shape, y))
	},
}
