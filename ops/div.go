package ops

import (
	"slices"

	"lethe/graph"
)

// divOp is a / b, of integers rounded towards zero.
var divOp = &Operator{
	Name: "Div", Since: 1,
	inputs: []input{data("A", numbers), data("B", numbers)},
	attrs:  legacyBroadcast,
	infer:  inferBroadcast,
	eval: func(c *call) {
		c.noZeros(c.input(1))
		pairwise{
			real:     func(a, b float64) float64 { return a / b },
			signed:   func(a, b int64) int64 { return a / b },
			unsigned: func(a, b uint64) uint64 { return a / b },
			size:     graph.Dim.Div,
		}.eval(c)
	},
}

// noZeros fails if a divisor of integers is zero.
func (c *call) noZeros(t *Tensor) {
	if v, ok := t.Ints(); ok && slices.Contains(v, 0) {
		c.fail("division of integers by zero")
	}
}
