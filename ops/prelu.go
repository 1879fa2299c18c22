package ops

import "slices"

// preluOp is x, or x times a slope below zero.
var preluOp = &Operator{
	Name: "PRelu", Since: 1,
	inputs: []input{data("X", numbers), weight("slope", numbers)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		if w := c.input(1); c.opset < 7 && w.Len() > 1 && len(c.input(0).shape) > 2 { // one slope for each channel
			c.in = []*Tensor{c.input(0), c.reshaped(w, append([]int{w.Len()}, slices.Repeat([]int{1}, len(c.input(0).shape)-2)...))}
		}
		c.mustSpread(c.input(1), c.input(0))
		pairwise{
			real: func(x, slope float64) float64 {
				if x < 0 {
					return x * slope
				}
				return x
			},
			signed: func(x, slope int64) int64 {
				if x < 0 {
					return x * slope
				}
				return x
			},
			unsigned: func(x, _ uint64) uint64 { return x },
		}.eval(c)
	},
}
