package ops

// reluOp is x, or 0 below zero.
var reluOp = &Operator{
	Name: "Relu", Since: 1,
	inputs: []input{data("X", floats|signed)},
	infer:  sameAsFirst,
	eval: unary{
		real: func(x float64) float64 {
			if x < 0 {
				return 0
			}
			return x
		},
		signed: func(x int64) int64 { return max(0, x) },
	}.eval,
}
