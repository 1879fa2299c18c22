package ops

// preluOp is x, or x times a slope below zero.
var preluOp = &Operator{
	Name: "PRelu", Since: 7,
	inputs: []input{data("X", numbers), weight("slope", numbers)},
	infer:  inferBroadcast,
	eval: pairwise{
		real: func(x, slope float64) float64 {
			if x < 0 {
				return x * slope
			}
			return x
		},
		signed: func(x, slope int64) int64 {
			if x < 0 {
				return x * slope
			}
			return x
		},
		unsigned: func(x, _ uint64) uint64 { return x },
	}.eval,
}
