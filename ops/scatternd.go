package ops

import "slices"

// scatterndOp sets slices by tuples of indices.
var scatterndOp = &Operator{
	Name: "ScatterND", Since: 11,
	inputs: []input{data("data", anything), constant("indices", set(int64Type)), data("updates", anything)},
	attrs:  []attr{scatterReduction},
	infer:  sameAsFirst,
	eval: func(c *call) {
		x, at, updates := c.input(0), c.input(1), c.input(2)
		offsets, block, inner := c.tuples(x.shape, 0)
		if want := slices.Concat(at.shape[:len(at.shape)-1], inner); !slices.Equal(updates.shape, want) || updates.dtype != x.dtype {
			c.fail("the updates are %v of shape %v, not %v of shape %v", updates.dtype, updates.shape, x.dtype, want)
		}
		out := c.like(x, x.shape)
		out.data.copyFrom(0, x.data, 0, x.Len())
		for i, to := range offsets {
			c.update(out, to, updates, i*block, block)
		}
		c.set(0, out.round(rounding{}))
	},
}
