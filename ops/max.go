package ops

import "lethe/graph"

// maxOp is the largest of its inputs, NaN if one is.
var maxOp = &Operator{
	Name: "Max", Since: 6,
	inputs: []input{data("data_0", numbers).many()},
	infer:  inferBroadcast,
	eval: pairwise{
		real:     maxReal,
		signed:   func(a, b int64) int64 { return max(a, b) },
		unsigned: func(a, b uint64) uint64 { return max(a, b) },
		size:     graph.Dim.Max,
	}.variadic,
}

func maxReal(a, b float64) float64 { return max(a, b) }
