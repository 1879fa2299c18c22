package ops

// signOp is -1, 0 or 1.
var signOp = &Operator{
	Name: "Sign", Since: 9,
	inputs: []input{data("X", numbers)},
	infer:  sameAsFirst,
	eval: unary{
		real: func(x float64) float64 {
			switch {
			case x > 0:
				return 1
			case x < 0:
				return -1
			}
			return x
		},
		signed:   func(x int64) int64 { return min(1, max(-1, x)) },
		unsigned: func(x uint64) uint64 { return min(1, x) },
	}.eval,
}
