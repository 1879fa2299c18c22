package ops

import "math"

// reducelogsumexpOp is the logarithm of the sum of exponentials.
var reducelogsumexpOp = reduction{
	real:  logSumExp,
	empty: true,
	axes:  18,
}.operator("ReduceLogSumExp")

func logSumExp(v []float64) float64 {
	top := largestOf(v)
	if math.IsInf(top, 0) {
		return top
	}
	s := 0.0
	for _, x := range v {
		s += math.Exp(x - top)
	}
	return top + math.Log(s)
}
