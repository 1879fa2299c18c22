package ops

// thresholdedreluOp is x above alpha, and 0 elsewhere.
var thresholdedreluOp = &Operator{
	Name: "ThresholdedRelu", Since: 10,
	inputs: []input{data("X", floats)},
	attrs:  []attr{floatAttr("alpha", 1)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		alpha := c.float("alpha")
		unary{real: func(x float64) float64 {
			if x > alpha {
				return x
			}
			return 0
		}}.eval(c)
	},
}
