package ops

import "math"

// softsignOp is x / (1 + |x|).
var softsignOp = &Operator{
	Name:   "Softsign",
	inputs: []input{data("input", floats)},
	infer:  sameAsFirst,
	eval:   unary{real: func(x float64) float64 { return x / (1 + math.Abs(x)) }}.eval,
}
