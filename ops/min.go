package ops

import "lethe/graph"

// minOp is the smallest of its inputs, NaN if one is.
var minOp = &Operator{
	Name: "Min", Since: 6,
	inputs: []input{data("data_0", numbers).many()},
	infer:  inferBroadcast,
	eval: pairwise{
		real:     minReal,
		signed:   func(a, b int64) int64 { return min(a, b) },
		unsigned: func(a, b uint64) uint64 { return min(a, b) },
		size:     graph.Dim.Min,
	}.variadic,
}

func minReal(a, b float64) float64 { return min(a, b) }
