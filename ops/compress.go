package ops

import "slices"

// compressOp keeps the slices along an axis, or the elements, whose condition
// holds.
var compressOp = &Operator{
	Name: "Compress", Since: 9,
	inputs: []input{data("input", anything), data("condition", bools)},
	attrs:  []attr{noDefault("axis", intKind)},
	infer: func(f *inference) {
		x := f.input(0)
		if !f.has("axis") {
			f.set(0, x.dtype, f.unknowns(0, 1))
			return
		}
		if x.shape == nil {
			f.set(0, x.dtype, nil)
			return
		}
		shape := slices.Clone(x.shape)
		axis := f.axis(f.int("axis"), len(shape))
		shape[axis] = f.unknown(0, axis)
		f.set(0, x.dtype, shape)
	},
	eval: func(c *call) {
		x := c.input(0)
		axis := 0
		if c.has("axis") {
			axis = c.axis(c.int("axis"), len(x.shape))
		} else {
			x = c.reshaped(x, []int{x.Len()})
		}
		var parts []*Tensor
		for i, holds := range c.input(1).data.(vec[bool]) {
			if holds {
				if i >= x.shape[axis] {
					c.fail("the condition holds at %d, and the axis has %d elements", i, x.shape[axis])
				}
				parts = append(parts, c.part(x, axis, i, 1))
			}
		}
		if len(parts) == 0 {
			parts = []*Tensor{c.part(x, axis, 0, 0)}
		}
		c.set(0, c.concat(parts, axis))
	},
}
