package ops

import "math"

// reducel1Op is the sum of absolute values.
var reducel1Op = reduction{
	real: func(v []float64) float64 {
		s := 0.0
		for _, x := range v {
			s += math.Abs(x)
		}
		return s
	},
	empty: true,
	axes:  18,
}.operator("ReduceL1")
