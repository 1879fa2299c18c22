package ops

import "math"

// reducelogsumOp is the logarithm of the sum.
var reducelogsumOp = reduction{
	real:  func(v []float64) float64 { return math.Log(sumOf(v)) },
	empty: true,
	axes:  18,
}.operator("ReduceLogSum")
