package ops

// bitshiftOp shifts the bits of a by b. A shift by less than nothing leaves the
// sign alone.
var bitshiftOp = &Operator{
	Name: "BitShift", Since: 11,
	inputs: []input{data("X", integers), data("Y", integers)},
	attrs:  []attr{stringAttr("direction", "LEFT", "RIGHT").must()},
	infer:  inferBroadcast,
	eval: func(c *call) {
		if c.text("direction") == "LEFT" {
			pairwise{
				unsigned: func(a, b uint64) uint64 { return a << b },
				signed: func(a, b int64) int64 {
					if b < 0 {
						return 0
					}
					return a << b
				},
			}.eval(c)
			return
		}
		pairwise{
			unsigned: func(a, b uint64) uint64 { return a >> b },
			signed: func(a, b int64) int64 {
				if b < 0 {
					b = 63
				}
				return a >> b
			},
		}.eval(c)
	},
}
