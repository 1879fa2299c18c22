package ops

import (
	"slices"

	"lethe/graph"
)

// expandOp broadcasts a tensor to a shape, and to its own.
var expandOp = &Operator{
	Name: "Expand", Since: 8,
	inputs: []input{data("input", anything), constant("shape", indices)},
	infer: func(f *inference) {
		x := f.input(0)
		target, ok := f.inDims(1)
		if !ok {
			if s := f.input(1).shape; len(s) == 1 && x.shape != nil {
				if rank, ok := s[0].Int(); ok && rank >= 0 && rank < 64 {
					f.set(0, x.dtype, f.unknowns(0, max(rank, len(x.shape))))
					return
				}
			}
			f.set(0, x.dtype, nil)
			return
		}
		f.set(0, x.dtype, f.broadcast(x.shape, append(graph.Shape{}, target...)))
	},
	eval: func(c *call) {
		target, _ := c.inInts(1)
		if slices.ContainsFunc(target, func(d int) bool { return d < 0 }) {
			c.fail("the shape %v has a negative size", target)
		}
		shape := c.broadcastShape(c.input(0).shape, target)
		c.size(shape)
		c.set(0, c.expand(c.input(0), shape))
	},
}
