package ops

// bitshiftOp shifts the bits of a by b.
var bitshiftOp = &Operator{
	Name: "BitShift", Since: 11,
	inputs: []input{data("X", unsigned), data("Y", unsigned)},
	attrs:  []attr{stringAttr("direction", "LEFT", "RIGHT").must()},
	infer:  inferBroadcast,
	eval: func(c *call) {
		if c.text("direction") == "LEFT" {
			pairwise{unsigned: func(a, b uint64) uint64 { return a << b }}.eval(c)
			return
		}
		pairwise{unsigned: func(a, b uint64) uint64 { return a >> b }}.eval(c)
	},
}
