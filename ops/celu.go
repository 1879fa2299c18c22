package ops

import "math"

// celuOp is x, or alpha (e^(x/alpha) - 1) below zero.
var celuOp = &Operator{
	Name: "Celu", Since: 12,
	inputs: []input{data("X", floats)},
	attrs:  []attr{floatAttr("alpha", 1)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		alpha := c.float("alpha")
		unary{real: func(x float64) float64 {
			return max(0, x) + min(0, alpha*math.Expm1(x/alpha))
		}}.eval(c)
	},
}
