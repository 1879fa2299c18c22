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
			c.fail("size %d for data of shape %v", size, x.shape)
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

// lpnormalizationOp divides by the p-norm along an axis.
var lpnormalizationOp = &Operator{
	Name:   "LpNormalization",
	inputs: []input{data("input", floats)},
	attrs:  []attr{intAttr("axis", -1), intAttr("p", 2)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		x, p := c.input(0), c.int("p")
		if p != 1 && p != 2 {
			c.fail("p is %d, not 1 or 2", p)
		}
		c.alongAxes(x, []int{c.axis(c.int("axis"), len(x.shape))}, func(row []float64) {
			norm := math.Sqrt(sumSquares(row))
			if p == 1 {
				norm = 0
				for _, v := range row {
					norm += math.Abs(v)
				}
			}
			for i := range row {
				if norm == 0 {
					row[i] = 0
				} else {
					row[i] /= norm
				}
			}
		})
	},
}

// meanvariancenormalizationOp brings axes to mean 0 and variance 1.
var meanvariancenormalizationOp = &Operator{
	Name: "MeanVarianceNormalization", Since: 9,
	inputs: []input{data("X", floats)},
	attrs:  []attr{intsAttr("axes")},
	infer:  sameAsFirst,
	eval: func(c *call) {
		axes := c.ints("axes")
		if !c.has("axes") {
			axes = []int{0, 2, 3}
		}
		c.alongAxes(c.input(0), c.axes(axes, len(c.input(0).shape)), func(row []float64) { standardize(row, 1e-18) })
	},
}
