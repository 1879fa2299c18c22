package ops

// reducesumOp is the sum.
var reducesumOp = reduction{
	real:     sumOf[float64],
	signed:   sumOf[int64],
	unsigned: sumOf[uint64],
	empty:    true,
	axes:     13,
}.operator("ReduceSum")
