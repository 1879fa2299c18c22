package ops

import (
	"slices"

	"lethe/graph"
)

// unsqueezeOp inserts axes of size 1, counted in the result. Up to opset 12 axes
// are an attribute.
var unsqueezeOp = &Operator{
	Name:   "Unsqueeze",
	inputs: []input{data("data", anything), constant("axes", indices).from(13)},
	attrs:  []attr{intsAttr("axes").must().until(12)},
	infer: func(f *inference) {
		x := f.input(0)
		axes, known := f.ints("axes"), true
		if f.opset >= 13 {
			axes, known = f.inInts(1)
		}
		if x.shape == nil || !known {
			f.set(0, x.dtype, nil)
			return
		}
		f.set(0, x.dtype, with(x.shape, f.axes(axes, len(x.shape)+len(axes)), graph.Size(1)))
	},
	eval: func(c *call) {
		x := c.input(0)
		axes := c.ints("axes")
		if c.opset >= 13 {
			axes, _ = c.inInts(1)
		}
		c.set(0, c.reshaped(x, with(x.shape, c.axes(axes, len(x.shape)+len(axes)), 1)))
	},
}

// with returns sizes with one inserted at some axes.
func with[T any](shape []T, axes []int, one T) []T {
	out := make([]T, len(shape)+len(axes))
	k := 0
	for i := range out {
		if slices.Contains(axes, i) {
			out[i] = one
			continue
		}
		out[i] = shape[k]
		k++
	}
	return out
}
