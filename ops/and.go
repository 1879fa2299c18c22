package ops

// andOp is a and b.
var andOp = &Operator{
	Name: "And", Since: 1,
	inputs: []input{data("A", bools), data("B", bools)},
	attrs:  legacyBroadcast,
	infer:  inferBroadcast,
	eval: pairwise{
		truth: func(a, b bool) bool { return a && b },
	}.eval,
}
