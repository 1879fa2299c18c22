package ops

// identityOp is its input.
var identityOp = &Operator{
	Name:   "Identity",
	inputs: []input{data("input", anything)},
	infer:  func(f *inference) { f.set(0, f.input(0).dtype, f.input(0).shape); f.out[0].value = f.input(0).value },
	eval:   func(c *call) { c.set(0, c.input(0)) },
}
