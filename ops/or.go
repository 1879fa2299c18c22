package ops

// orOp is a or b.
var orOp = &Operator{
	Name: "Or", Since: 7,
	inputs: []input{data("A", bools), data("B", bools)},
	infer:  inferBroadcast,
	eval: pairwise{
		truth: func(a, b bool) bool { return a || b },
	}.eval,
}
