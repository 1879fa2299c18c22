package ops

// reduceprodOp is the product.
var reduceprodOp = reduction{
	real:     productOf[float64],
	signed:   productOf[int64],
	unsigned: productOf[uint64],
	empty:    true,
	axes:     18,
}.operator("ReduceProd")
