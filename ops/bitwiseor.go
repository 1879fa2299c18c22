package ops

// bitwiseorOp has the bits of a or b.
var bitwiseorOp = &Operator{
	Name: "BitwiseOr", Since: 18,
	inputs: []input{data("A", integers), data("B", integers)},
	infer:  inferBroadcast,
	eval: pairwise{
		signed:   func(a, b int64) int64 { return a | b },
		unsigned: func(a, b uint64) uint64 { return a | b },
	}.eval,
}
