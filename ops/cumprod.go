package ops

// cumprodOp is the product of the elements up to each one along an axis.
var cumprodOp = cumulative("CumProd", 26, 1, func(a, b float64) float64 { return a * b })
