package ops

// swishOp is x * sigmoid(alpha x).
var swishOp = &Operator{
	Name: "Swish", Since: 24,
	inputs: []input{data("X", floats)},
	attrs:  []attr{floatAttr("alpha", 1)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		alpha := c.float("alpha")
		unary{real: func(x float64) float64 {
			return x * sigmoid(alpha*x)
		}}.eval(c)
	},
}
