package ops

import "lethe/model"

// matmulintegerOp is the product of matrices of small integers less their zero
// points, as int32.
var matmulintegerOp = &Operator{
	Name: "MatMulInteger", Since: 10,
	inputs: []input{data("A", bytes8), data("B", bytes8), constant("a_zero_point", bytes8).opt(), constant("b_zero_point", bytes8).opt()},
	infer:  func(f *inference) { f.set(0, model.Int32, f.matmulShape(f.input(0).shape, f.input(1).shape)) },
	eval: func(c *call) {
		a, b := c.lessZero(c.input(0), c.input(2), -2), c.lessZero(c.input(1), c.input(3), -1)
		c.set(0, c.asInt32(c.matmul(a, b)))
	},
}
