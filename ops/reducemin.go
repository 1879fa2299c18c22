package ops

import "math"

// reduceminOp is the smallest element.
var reduceminOp = reduction{
	real: smallestOf,
	signed: func(v []int64) int64 {
		m := int64(math.MaxInt64)
		for _, x := range v {
			m = min(m, x)
		}
		return m
	},
	unsigned: func(v []uint64) uint64 {
		m := uint64(math.MaxUint64)
		for _, x := range v {
			m = min(m, x)
		}
		return m
	},
	bools: true,
	empty: true,
	axes:  18,
}.operator("ReduceMin")
