package ops

// reducesumsquareOp is the sum of squares.
var reducesumsquareOp = reduction{
	real:  sumSquares,
	empty: true,
	axes:  18,
}.operator("ReduceSumSquare")

func sumSquares(v []float64) float64 {
	s := 0.0
	for _, x := range v {
		s += x * x
	}
	return s
}
