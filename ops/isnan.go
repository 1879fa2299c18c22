package ops

import "lethe/model"

// isnanOp tells where there is no number.
var isnanOp = &Operator{
	Name: "IsNaN", Since: 9,
	inputs: []input{data("X", floats|float8s)},
	infer:  func(f *inference) { f.set(0, model.Bool, f.input(0).shape) },
	eval: func(c *call) {
		out := c.make(model.Bool, c.input(0).shape)
		for i, x := range c.floats(c.input(0)) {
			out.data.(vec[bool])[i] = x != x
		}
		c.set(0, out)
	},
}
