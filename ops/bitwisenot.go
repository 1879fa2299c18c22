package ops

// bitwisenotOp inverts all bits.
var bitwisenotOp = &Operator{
	Name: "BitwiseNot", Since: 18,
	inputs: []input{data("X", integers)},
	infer:  sameAsFirst,
	eval: unary{
		signed:   func(x int64) int64 { return ^x },
		unsigned: func(x uint64) uint64 { return ^x },
	}.eval,
}
