package ops

import (
	"slices"

	"lethe/graph"
)

// gatherOp takes slices of a tensor along an axis by their indices.
var gatherOp = &Operator{
	Name:   "Gather",
	inputs: []input{data("data", anything), constant("indices", indices)},
	attrs:  []attr{intAttr("axis", 0)},
	infer: func(f *inference) {
		x, at := f.input(0), f.input(1)
		if x.shape == nil || at.shape == nil {
			f.set(0, x.dtype, nil)
			return
		}
		axis := f.axis(f.int("axis"), len(x.shape))
		f.set(0, x.dtype, slices.Concat(graph.Shape{}, x.shape[:axis], at.shape, x.shape[axis+1:]))
	},
	eval: func(c *call) {
		x := c.input(0)
		axis := c.axis(c.int("axis"), len(x.shape))
		at := c.indices(1, x.shape[axis])
		out := c.like(x, slices.Concat(x.shape[:axis], c.input(1).shape, x.shape[axis+1:]))
		block := product(x.shape[axis+1:])
		k := 0
		for outer := range product(x.shape[:axis]) {
			for _, i := range at {
				out.data.copyFrom(k, x.data, (outer*x.shape[axis]+i)*block, block)
				k += block
			}
		}
		c.set(0, out)
	},
}

// indices returns the integers of an input as indices of an axis of a size,
// which may count from its end.
func (c *call) indices(i, size int) []int {
	at, _ := c.inInts(i)
	for j, x := range at {
		if x < -size || x >= size {
			c.fail("index %d is outside of an axis of %d", x, size)
		}
		if x < 0 {
			at[j] += size
		}
	}
	return at
}
