package ops

import "lethe/graph"

// equalOp tells where a equals b.
var equalOp = &Operator{
	Name: "Equal", Since: 1,
	inputs: []input{data("A", numbers|bools|texts), data("B", numbers|bools|texts)},
	attrs:  legacyBroadcast,
	infer:  inferPredicate,
	eval: predicate{
		real:     func(a, b float64) bool { return a == b },
		signed:   func(a, b int64) bool { return a == b },
		unsigned: func(a, b uint64) bool { return a == b },
		truth:    func(a, b bool) bool { return a == b },
		text:     func(a, b string) bool { return a == b },
		size:     equalSizes,
	}.eval,
}

// equalSizes reports whether two sizes are equal, if that does not depend on
// what the symbols stand for.
func equalSizes(a, b graph.Dim) (value, known bool) {
	if n, ok := a.Sub(b).Int(); ok {
		return n == 0, true
	}
	for _, p := range [][2]graph.Dim{{a, b}, {b, a}} {
		if n, ok := p[0].Int(); ok && n <= 0 && p[1].Positive() {
			return false, true
		}
	}
	return false, false
}
