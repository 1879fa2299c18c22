package ops

import "math"

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
