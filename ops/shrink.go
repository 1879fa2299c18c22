package ops

// shrinkOp brings what lies beyond lambd closer to zero by bias; the rest is 0.
var shrinkOp = &Operator{
	Name: "Shrink", Since: 9,
	inputs: []input{data("X", numbers)},
	attrs:  []attr{floatAttr("lambd", 0.5), floatAttr("bias", 0)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		limit, bias := c.float("lambd"), c.float("bias")
		shrink := func(x float64) float64 {
			switch {
			case x < -limit:
				return x + bias
			case x > limit:
				return x - bias
			}
			return 0
		}
		unary{
			real:     shrink,
			signed:   func(x int64) int64 { return int64(shrink(float64(x))) },
			unsigned: func(x uint64) uint64 { return uint64(shrink(float64(x))) },
		}.eval(c)
	},
}
