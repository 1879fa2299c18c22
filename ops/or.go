package ops

// orOp is a or b.
var orOp = &Operator{
	Name: "Or", Since: 1,
	inputs: []input{data("A", bools), data("B", bools)},
	attrs:  legacyBroadcast,
	infer:  inferBroadcast,
	eval: pairwise{
		truth: func(a, b bool) bool { return a || b },
	}.eval,
}
