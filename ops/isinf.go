package ops

import (
	"math"

	"lethe/model"
)

// isinfOp tells where there is an infinity.
var isinfOp = &Operator{
	Name: "IsInf", Since: 10,
	inputs: []input{data("X", floats|float8s)},
	attrs:  []attr{intAttr("detect_negative", 1), intAttr("detect_positive", 1)},
	infer:  func(f *inference) { f.set(0, model.Bool, f.input(0).shape) },
	eval: func(c *call) {
		out := c.make(model.Bool, c.input(0).shape)
		negative, positive := c.flag("detect_negative"), c.flag("detect_positive")
		for i, x := range c.floats(c.input(0)) {
			out.data.(vec[bool])[i] = positive && math.IsInf(x, 1) || negative && math.IsInf(x, -1)
		}
		c.set(0, out)
	},
}
