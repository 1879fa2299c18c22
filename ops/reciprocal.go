package ops

// reciprocalOp is 1/x.
var reciprocalOp = realOp("Reciprocal", 1, func(x float64) float64 { return 1 / x })
