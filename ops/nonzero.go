package ops

import (
	"lethe/graph"
	"lethe/model"
)

// nonzeroOp is the indices of the elements that are not zero, a column for each.
var nonzeroOp = &Operator{
	Name: "NonZero", Since: 9,
	inputs: []input{data("X", numbers|bools)},
	infer: func(f *inference) {
		if x := f.input(0).shape; x != nil {
			f.set(0, model.Int64, graph.Shape{graph.Size(len(x)), f.unknown(0, 1)})
			return
		}
		f.set(0, model.Int64, nil)
	},
	eval: func(c *call) {
		x := c.input(0)
		var at []int
		for i, v := range c.floats(x) {
			if v != 0 {
				at = append(at, i)
			}
		}
		out := make([]int, len(x.shape)*len(at))
		for axis, s := range strides(x.shape) {
			for j, i := range at {
				out[axis*len(at)+j] = i / s % x.shape[axis]
			}
		}
		c.set(0, c.fromInts([]int{len(x.shape), len(at)}, out))
	},
}
