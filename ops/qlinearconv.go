package ops

import "lethe/model"

// qlinearconvOp is a convolution of quantized tensors, quantized again.
var qlinearconvOp = &Operator{
	Name: "QLinearConv", Since: 10,
	inputs: []input{data("x", bytes8), constant("x_scale", floats), constant("x_zero_point", bytes8),
		weight("w", bytes8), constant("w_scale", floats), constant("w_zero_point", bytes8),
		constant("y_scale", floats), constant("y_zero_point", bytes8), weight("B", set(model.Int32)).opt()},
	attrs: windowAttrs(intAttr("group", 1)),
	infer: func(f *inference) { f.set(0, f.input(7).dtype, f.convOf(f.input(0).shape, f.input(3).shape)) },
	eval: func(c *call) {
		x, w := c.lessZero(c.input(0), c.input(2), 1), c.lessZero(c.input(3), c.input(5), 0)
		var bias *Tensor
		if c.input(8) != nil {
			bias = c.from64(c.input(8))
		}
		y := c.scaled(c.conv(x, w, bias), c.scalar(1, 1))
		c.set(0, c.requantized(c.timesScale(y, c.input(4), 1), 6))
	},
}
