package ops

import "math"

// seluOp is gamma x, or gamma alpha (e^x - 1) below zero.
var seluOp = &Operator{
	Name: "Selu", Since: 1,
	inputs: []input{data("X", floats)},
	attrs:  []attr{floatAttr("alpha", 1.67326319217681884765625), floatAttr("gamma", 1.05070102214813232421875)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		alpha, gamma := c.float("alpha"), c.float("gamma")
		unary{real: func(x float64) float64 {
			if x > 0 {
				return gamma * x
			}
			return gamma * alpha * math.Expm1(x)
		}}.eval(c)
	},
}
