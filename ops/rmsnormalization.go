package ops

import "math"

// rmsnormalizationOp divides all axes from one on by the root of the mean of
// squares.
var rmsnormalizationOp = &Operator{
	Name: "RMSNormalization", Since: 23,
	inputs: []input{data("X", floats), weight("scale", floats)},
	attrs:  []attr{intAttr("axis", -1), floatAttr("epsilon", 1e-5), intAttr("stash_type", 1)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		x := c.input(0)
		axis := c.axis(c.int("axis"), len(x.shape))
		n := product(x.shape[axis:])
		y := c.floats(x)
		epsilon := c.float("epsilon")
		parallel(len(y)/max(n, 1), func(i int) {
			row := y[i*n : (i+1)*n]
			by := 1 / math.Sqrt(sumSquares(row)/float64(n)+epsilon)
			for j := range row {
				row[j] *= by
			}
		})
		c.set(0, c.affine(x, y, c.input(1), nil))
	},
}
