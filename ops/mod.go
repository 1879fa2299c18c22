package ops

import (
	"math"

	"lethe/graph"
)

// modOp is what remains of a after division by b: with the sign of b, or with
// fmod with that of a.
var modOp = &Operator{
	Name: "Mod", Since: 10,
	inputs: []input{data("A", numbers), data("B", numbers)},
	attrs:  []attr{intAttr("fmod", 0)},
	infer:  inferBroadcast,
	eval: func(c *call) {
		c.noZeros(c.input(1))
		if c.flag("fmod") {
			pairwise{
				real:     math.Mod,
				signed:   func(a, b int64) int64 { return a % b },
				unsigned: func(a, b uint64) uint64 { return a % b },
			}.eval(c)
			return
		}
		pairwise{
			real: func(a, b float64) float64 {
				r := math.Mod(a, b)
				if r != 0 && (r < 0) != (b < 0) {
					r += b
				}
				return r
			},
			signed: func(a, b int64) int64 {
				r := a % b
				if r != 0 && (r < 0) != (b < 0) {
					r += b
				}
				return r
			},
			unsigned: func(a, b uint64) uint64 { return a % b },
			size:     graph.Dim.Mod,
		}.eval(c)
	},
}
