package ops

import "lethe/model"

// convintegerOp is a convolution of small integers less their zero points, as
// int32.
var convintegerOp = &Operator{
	Name: "ConvInteger", Since: 10,
	inputs: []input{data("x", bytes8), weight("w", bytes8), constant("x_zero_point", bytes8).opt(), constant("w_zero_point", bytes8).opt()},
	attrs:  windowAttrs(intAttr("group", 1)),
	infer:  func(f *inference) { f.set(0, model.Int32, f.convShape()) },
	eval: func(c *call) {
		x, w := c.lessZero(c.input(0), c.input(2), 1), c.lessZero(c.input(1), c.input(3), 0)
		c.set(0, c.asInt32(c.conv(x, w, nil)))
	},
}
