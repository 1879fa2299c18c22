package ops

// sumOp is the sum of its inputs.
var sumOp = &Operator{
	Name: "Sum", Since: 6,
	inputs: []input{data("data_0", floats).many()},
	infer:  inferBroadcast,
	eval: pairwise{
		real: func(a, b float64) float64 { return a + b },
	}.variadic,
}
