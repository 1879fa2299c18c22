package ops

import "slices"

// tensorscatterOp writes new entries into a cache along an axis, each sample from
// its own index on.
var tensorscatterOp = &Operator{
	Name: "TensorScatter", Since: 24,
	inputs: []input{data("past_cache", anything), data("update", anything), data("write_indices", set(int64Type)).opt()},
	attrs:  []attr{stringAttr("mode", "linear", "circular"), intAttr("axis", -2)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		x, u := c.input(0), c.input(1)
		axis := c.axis(c.int("axis"), len(x.shape))
		if len(u.shape) != len(x.shape) || axis == 0 || u.dtype != x.dtype {
			c.fail("the update has shape %v, which does not fit shape %v along axis %d", u.shape, x.shape, axis)
		}
		for i := range x.shape {
			if i != axis && x.shape[i] != u.shape[i] {
				c.fail("the update has shape %v, which does not fit shape %v along axis %d", u.shape, x.shape, axis)
			}
		}
		at, given := c.inInts(2)
		if !given {
			at = slices.Repeat([]int{0}, x.shape[0])
		}
		if len(at) != x.shape[0] {
			c.fail("there are %d indices for %d samples; one is needed for each", len(at), x.shape[0])
		}
		out := c.like(x, x.shape)
		out.data.copyFrom(0, x.data, 0, x.Len())
		block, size, n := product(x.shape[axis+1:]), x.shape[axis], u.shape[axis]
		for outer := range product(x.shape[:axis]) {
			start := at[outer/product(x.shape[1:axis])]
			for i := range n {
				to := start + i
				if c.text("mode") == "circular" && size > 0 {
					to = ((to % size) + size) % size
				}
				if to < 0 || to >= size {
					c.fail("index %d is outside of an axis of %d", to, size)
				}
				out.data.copyFrom((outer*size+to)*block, u.data, (outer*n+i)*block, block)
			}
		}
		c.set(0, out)
	},
}
