package ops

// notOp negates.
var notOp = &Operator{
	Name:   "Not",
	inputs: []input{data("X", bools)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		x := c.input(0)
		out := c.like(x, x.shape)
		for i, b := range x.data.(vec[bool]) {
			out.data.(vec[bool])[i] = !b
		}
		c.set(0, out)
	},
}
