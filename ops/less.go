package ops

import "lethe/graph"

// lessOp tells where a is less than b.
var lessOp = &Operator{
	Name: "Less", Since: 1,
	inputs: []input{data("A", numbers), data("B", numbers)},
	attrs:  legacyBroadcast,
	infer:  inferPredicate,
	eval: predicate{
		real:     func(a, b float64) bool { return a < b },
		signed:   func(a, b int64) bool { return a < b },
		unsigned: func(a, b uint64) bool { return a < b },
		size: func(a, b graph.Dim) (value, known bool) {
			n, known := a.Sub(b).Int()
			return n < 0, known
		},
	}.eval,
}
