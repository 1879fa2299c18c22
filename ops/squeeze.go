package ops

import (
	"slices"

	"lethe/graph"
)

// squeezeOp removes axes of size 1: those that are named, or all. Up to opset 12
// axes are an attribute.
var squeezeOp = &Operator{
	Name:   "Squeeze",
	inputs: []input{data("data", anything), constant("axes", indices).opt().from(13)},
	attrs:  []attr{intsAttr("axes").until(12)},
	infer: func(f *inference) {
		x := f.input(0)
		axes, known := f.ints("axes"), true
		given := len(axes) > 0
		if f.given(1) {
			axes, known = f.inInts(1)
			given = true
		}
		if x.shape == nil || !known {
			f.set(0, x.dtype, nil)
			return
		}
		if !given {
			for i, d := range x.shape {
				if d.Is(1) {
					axes = append(axes, i)
				} else if !d.Fixed() {
					f.set(0, x.dtype, nil)
					return
				}
			}
		}
		axes = f.axes(axes, len(x.shape))
		for _, a := range axes {
			if d := x.shape[a]; d.Fixed() && !d.Is(1) {
				f.fail("axis %d of shape %v has not the size 1", a, x.shape)
			}
		}
		f.set(0, x.dtype, without(x.shape, axes, false, graph.Dim{}))
	},
	eval: func(c *call) {
		x := c.input(0)
		axes := c.ints("axes")
		if list, ok := c.inInts(1); ok {
			axes = list
		} else if len(axes) == 0 {
			for i, d := range x.shape {
				if d == 1 {
					axes = append(axes, i)
				}
			}
		}
		axes = c.axes(axes, len(x.shape))
		if slices.ContainsFunc(axes, func(a int) bool { return x.shape[a] != 1 }) {
			c.fail("axes %v of shape %v have not the size 1", axes, x.shape)
		}
		c.set(0, c.reshaped(x, without(x.shape, axes, false, 0)))
	},
}
