package ops

import "slices"

// centercroppadOp crops or pads axes evenly on both sides to given sizes.
var centercroppadOp = &Operator{
	Name: "CenterCropPad", Since: 18,
	inputs: []input{data("input_data", anything), constant("shape", indices)},
	attrs:  []attr{intsAttr("axes")},
	infer: func(f *inference) {
		x := f.input(0)
		target, ok := f.inDims(1)
		if x.shape == nil {
			f.set(0, x.dtype, nil)
			return
		}
		shape := slices.Clone(x.shape)
		for i, a := range f.cropped(len(shape)) {
			if !ok || i >= len(target) {
				shape[a] = f.unknown(0, a)
			} else {
				shape[a] = target[i]
			}
		}
		f.set(0, x.dtype, shape)
	},
	eval: func(c *call) {
		x := c.input(0)
		target, _ := c.inInts(1)
		axes := c.cropped(len(x.shape))
		if len(axes) != len(target) {
			c.fail("there are %d sizes for %d axes; one is needed for each", len(target), len(axes))
		}
		for i, a := range axes {
			size := x.shape[a]
			if target[i] < 0 || target[i] > c.limits.elements {
				c.fail("the size of an axis is to be %d, which is negative", target[i])
			}
			if target[i] < size {
				x = c.part(x, a, (size-target[i])/2, target[i])
				continue
			}
			shape := slices.Clone(x.shape)
			shape[a] = target[i]
			out := c.like(x, shape)
			c.place(out, x, a, (target[i]-size)/2)
			x = out
		}
		c.set(0, x)
	},
}

func (n *node) cropped(rank int) []int {
	if n.has("axes") {
		return n.axes(n.ints("axes"), rank)
	}
	return n.padded(nil, 2*rank, rank)
}
