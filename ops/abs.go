package ops

import "math"

// absOp is the absolute value.
var absOp = &Operator{
	Name: "Abs", Since: 1,
	inputs: []input{data("X", numbers)},
	infer:  sameAsFirst,
	eval: unary{
		real:     math.Abs,
		signed:   func(x int64) int64 { return max(x, -x) },
		unsigned: func(x uint64) uint64 { return x },
	}.eval,
}
