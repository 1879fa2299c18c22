package ops

import "lethe/graph"

// lessorequalOp tells where a is at most b.
var lessorequalOp = &Operator{
	Name: "LessOrEqual", Since: 12,
	inputs: []input{data("A", numbers), data("B", numbers)},
	infer:  inferPredicate,
	eval: predicate{
		real:     func(a, b float64) bool { return a <= b },
		signed:   func(a, b int64) bool { return a <= b },
		unsigned: func(a, b uint64) bool { return a <= b },
		size: func(a, b graph.Dim) (value, known bool) {
			n, known := a.Sub(b).Int()
			return n <= 0, known
		},
	}.eval,
}
