package ops

// argminOp is the index of the smallest element along an axis.
var argminOp = extreme("ArgMin", func(x, best float64) bool { return x < best })
