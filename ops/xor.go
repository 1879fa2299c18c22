package ops

// xorOp is either a or b.
var xorOp = &Operator{
	Name: "Xor", Since: 1,
	inputs: []input{data("A", bools), data("B", bools)},
	attrs:  legacyBroadcast,
	infer:  inferBroadcast,
	eval: pairwise{
		truth: func(a, b bool) bool { return a != b },
	}.eval,
}
