package ops

// stringconcatOp joins strings.
var stringconcatOp = &Operator{
	Name: "StringConcat", Since: 20,
	inputs: []input{data("X", texts), data("Y", texts)},
	infer:  inferBroadcast,
	eval: func(c *call) {
		a, b := c.input(0), c.input(1)
		out := c.like(a, c.broadcastShape(a.shape, b.shape))
		zipSame(c, a.data.(vec[string]), a, b, out, func(a, b string) string { return a + b })
		c.set(0, out)
	},
}
