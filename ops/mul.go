package ops

import "lethe/graph"

// mulOp is a * b.
var mulOp = &Operator{
	Name: "Mul", Since: 1,
	inputs: []input{data("A", numbers), data("B", numbers)},
	attrs:  legacyBroadcast,
	infer:  inferBroadcast,
	eval: pairwise{
		real:     func(a, b float64) float64 { return a * b },
		signed:   func(a, b int64) int64 { return a * b },
		unsigned: func(a, b uint64) uint64 { return a * b },
		size:     graph.Dim.Mul,
	}.eval,
}
