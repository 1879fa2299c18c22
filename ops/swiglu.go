package ops

// swigluOp is Swish of a gate, times b.
var swigluOp = &Operator{
	Name: "SwiGLU", Since: 28,
	inputs: []input{data("A", floats), data("B", floats)},
	attrs:  []attr{floatAttr("alpha", 1)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		alpha := c.float("alpha")
		c.mustSpread(c.input(1), c.input(0))
		pairwise{real: func(a, b float64) float64 { return a * sigmoid(alpha*a) * b }}.eval(c)
	},
}
