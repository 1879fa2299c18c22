package ops

// qlinearmatmulOp is the product of quantized matrices, quantized again.
var qlinearmatmulOp = &Operator{
	Name: "QLinearMatMul", Since: 10,
	inputs: []input{data("a", bytes8|float8s), constant("a_scale", floats), constant("a_zero_point", bytes8|float8s),
		data("b", bytes8|float8s), constant("b_scale", floats), constant("b_zero_point", bytes8|float8s),
		constant("y_scale", floats), constant("y_zero_point", bytes8|float8s)},
	infer: func(f *inference) { f.set(0, f.input(7).dtype, f.matmulShape(f.input(0).shape, f.input(3).shape)) },
	eval: func(c *call) {
		a, b := c.lessZero(c.input(0), c.input(2), -2), c.lessZero(c.input(3), c.input(5), -1)
		a, b = c.timesScale(a, c.input(1), -2), c.timesScale(b, c.input(4), -1)
		c.set(0, c.requantized(c.matmul(a, b), 6))
	},
}
