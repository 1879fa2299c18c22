package ops

import "math"

// reducemaxOp is the largest element.
var reducemaxOp = reduction{
	real: largestOf,
	signed: func(v []int64) int64 {
		m := int64(math.MinInt64)
		for _, x := range v {
			m = max(m, x)
		}
		return m
	},
	unsigned: func(v []uint64) uint64 {
		m := uint64(0)
		for _, x := range v {
			m = max(m, x)
		}
		return m
	},
	bools: true,
	empty: true,
	axes:  18,
}.operator("ReduceMax")
