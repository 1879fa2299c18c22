package ops

// reducemeanOp is the mean.
var reducemeanOp = reduction{
	real:  func(v []float64) float64 { return sumOf(v) / float64(len(v)) },
	empty: true,
	axes:  18,
}.operator("ReduceMean")
