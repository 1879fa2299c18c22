package ops

// leakyreluOp is x, or alpha x below zero.
var leakyreluOp = &Operator{
	Name: "LeakyRelu", Since: 1,
	inputs: []input{data("X", floats)},
	attrs:  []attr{floatAttr("alpha", 0.01)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		alpha := c.float("alpha")
		unary{real: func(x float64) float64 {
			if x < 0 {
				return alpha * x
			}
			return x
		}}.eval(c)
	},
}
