package ops

import (
	"slices"

	"lethe/graph"
)

// maxunpoolOp puts elements back to where MaxPool took them from.
var maxunpoolOp = &Operator{
	Name: "MaxUnpool", Since: 9,
	inputs: []input{data("X", floats), constant("I", set(int64Type)), constant("output_shape", set(int64Type)).opt()},
	attrs:  []attr{intsAttr("kernel_shape").must(), intsAttr("strides"), intsAttr("pads")},
	infer: func(f *inference) {
		if shape, ok := f.inDims(2); ok {
			f.set(0, f.input(0).dtype, append(graph.Shape{}, shape...))
			return
		}
		image, ok := graph.Shape(nil).Ints()
		x := f.input(0).shape
		if len(x) > 2 {
			image, ok = x[2:].Ints()
		}
		if !ok || f.given(2) {
			f.set(0, f.input(0).dtype, nil)
			return
		}
		f.set(0, f.input(0).dtype, slices.Concat(x[:2], graph.Sizes(f.unpooled(image)...)))
	},
	eval: func(c *call) {
		x := c.input(0)
		if len(x.shape) < 3 || !slices.Equal(x.shape, c.input(1).shape) {
			c.fail("data of shape %v has indices of shape %v; they must have the same", x.shape, c.input(1).shape)
		}
		own := slices.Concat(x.shape[:2], c.unpooled(x.shape[2:]))
		shape, given := c.inInts(2)
		if !given {
			shape = own
		}
		if len(shape) != len(own) {
			c.fail("output_shape is %v, which does not fit data of shape %v", shape, x.shape)
		}
		out := c.like(x, shape)
		at, _ := c.inInts(1)
		s := strides(shape)
		for i, index := range at {
			// The index is one of an image of the size that the kernel says.
			to := 0
			for axis, step := range strides(own) {
				p := index / step % max(own[axis], 1)
				if index < 0 || p >= shape[axis] {
					c.fail("index %d is outside of an image of shape %v", index, shape)
				}
				to += p * s[axis]
			}
			out.data.copyFrom(to, x.data, i, 1)
		}
		c.set(0, out)
	},
}

func (n *node) unpooled(image []int) []int {
	w := n.settings(len(image), nil)
	out := make([]int, len(image))
	for i, size := range image {
		out[i] = max(0, (size-1)*w.strides[i]-w.before[i]-w.after[i]+w.kernel[i])
	}
	return out
}
