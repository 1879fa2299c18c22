package ops

import "math"

// eluOp is x, or alpha (e^x - 1) below zero.
var eluOp = &Operator{
	Name: "Elu", Since: 1,
	inputs: []input{data("X", floats)},
	attrs:  []attr{floatAttr("alpha", 1)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		alpha := c.float("alpha")
		unary{real: func(x float64) float64 {
			if x < 0 {
				return alpha * math.Expm1(x)
			}
			return x
		}}.eval(c)
	},
}
