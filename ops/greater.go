package ops

import "lethe/graph"

// greaterOp tells where a is more than b.
var greaterOp = &Operator{
	Name: "Greater", Since: 1,
	inputs: []input{data("A", numbers), data("B", numbers)},
	attrs:  legacyBroadcast,
	infer:  inferPredicate,
	eval: predicate{
		real:     func(a, b float64) bool { return a > b },
		signed:   func(a, b int64) bool { return a > b },
		unsigned: func(a, b uint64) bool { return a > b },
		size: func(a, b graph.Dim) (value, known bool) {
			n, known := a.Sub(b).Int()
			return n > 0, known
		},
	}.eval,
}
