package ops

import (
	"slices"

	"lethe/graph"
)

// onehotOp writes, along a new axis, one value where the index is and another
// elsewhere.
var onehotOp = &Operator{
	Name: "OneHot", Since: 9,
	inputs: []input{data("indices", numbers), constant("depth", numbers), constant("values", anything)},
	attrs:  []attr{intAttr("axis", -1)},
	infer: func(f *inference) {
		x := f.input(0).shape
		if x == nil {
			f.set(0, f.input(2).dtype, nil)
			return
		}
		depth, ok := f.inDims(1)
		if !ok || len(depth) != 1 {
			depth = []graph.Dim{f.unknown(0, len(x))}
		}
		axis := f.axis(f.int("axis"), len(x)+1)
		f.set(0, f.input(2).dtype, slices.Insert(slices.Clone(x), axis, depth[0]))
	},
	eval: func(c *call) {
		x, values := c.input(0), c.input(2)
		depth := int(c.scalar(1, 0))
		axis := c.axis(c.int("axis"), len(x.shape)+1)
		if values.Len() != 2 || depth < 0 {
			c.fail("there are %d values and the depth is %d; two values and a depth from 0 on are needed", values.Len(), depth)
		}
		out := c.like(values, slices.Insert(slices.Clone(x.shape), axis, depth))
		out.data.fill(values.data, 0)
		inner := product(x.shape[axis:])
		for i, v := range c.floats(x) {
			at := int(v)
			if at < 0 {
				at += depth
			}
			if at >= 0 && at < depth {
				out.data.copyFrom((i/inner*depth+at)*inner+i%inner, values.data, 1, 1)
			}
		}
		c.set(0, out)
	},
}
