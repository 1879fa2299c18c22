package ops

import (
	"slices"

	"lethe/graph"
)

// tileOp repeats a tensor along each axis.
var tileOp = &Operator{
	Name: "Tile", Since: 6,
	inputs: []input{data("input", anything), constant("repeats", set(int64Type))},
	infer: func(f *inference) {
		x := f.input(0)
		repeats, ok := f.inDims(1)
		if x.shape == nil {
			f.set(0, x.dtype, nil)
			return
		}
		if !ok {
			f.set(0, x.dtype, f.unknowns(0, len(x.shape)))
			return
		}
		if len(repeats) != len(x.shape) {
			f.fail("there are %d repeats for the shape %v; one is needed for each axis", len(repeats), x.shape)
		}
		shape := make(graph.Shape, len(x.shape))
		for i, d := range x.shape {
			shape[i] = d.Mul(repeats[i])
		}
		f.set(0, x.dtype, shape)
	},
	eval: func(c *call) {
		x := c.input(0)
		repeats, _ := c.inInts(1)
		if len(repeats) != len(x.shape) || slices.ContainsFunc(repeats, func(n int) bool { return n < 0 }) {
			c.fail("the repeats are %v for shape %v; one from 0 on is needed for each axis", repeats, x.shape)
		}
		// [a b] repeated [p q] times is [p a q b] with strides 0 for p and q.
		var v view
		v.shape = make([]int, 0, 2*len(repeats))
		out := make([]int, len(repeats))
		for i, s := range strides(x.shape) {
			v.shape = append(v.shape, repeats[i], x.shape[i])
			v.strides = append(v.strides, 0, s)
			n, ok := elements(repeats[i], x.shape[i])
			if !ok {
				c.fail("the repeats %v of shape %v are negative, or make too many elements", repeats, x.shape)
			}
			out[i] = n
		}
		t := c.like(x, out)
		x.data.read(t.data, v)
		c.set(0, t)
	},
}
