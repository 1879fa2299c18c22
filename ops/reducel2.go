package ops

import "math"

// reducel2Op is the root of the sum of squares.
var reducel2Op = reduction{
	real:  func(v []float64) float64 { return math.Sqrt(sumSquares(v)) },
	empty: true,
	axes:  18,
}.operator("ReduceL2")
