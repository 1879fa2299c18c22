package ops

// globalmaxpoolOp is the largest element of each channel.
var globalmaxpoolOp = globalPool("GlobalMaxPool", func(_ *call, row []float64) float64 { return largestOf(row) })
