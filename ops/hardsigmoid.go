package ops

// hardsigmoidOp is alpha x + beta, kept between 0 and 1.
var hardsigmoidOp = &Operator{
	Name: "HardSigmoid", Since: 1,
	inputs: []input{data("X", floats)},
	attrs:  []attr{floatAttr("alpha", 0.2), floatAttr("beta", 0.5)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		alpha, beta := c.float("alpha"), c.float("beta")
		unary{real: func(x float64) float64 {
			return max(0, min(1, alpha*x+beta))
		}}.eval(c)
	},
}
