package ops

import (
	"slices"

	"lethe/graph"
)

// splitOp cuts a tensor along an axis. Up to opset 12 the sizes are an
// attribute; since opset 18 there can be a number of equal parts, of which the
// last may be smaller.
var splitOp = &Operator{
	Name: "Split", Since: 2, outputs: many,
	inputs: []input{data("input", anything), constant("split", indices).opt().from(13)},
	attrs:  []attr{intAttr("axis", 0), intsAttr("split").until(12), noDefault("num_outputs", graph.IntAttr).from(18)},
	infer: func(f *inference) {
		x := f.input(0)
		if x.shape == nil {
			for i := range f.n.Outputs {
				f.set(i, x.dtype, nil)
			}
			return
		}
		axis := f.axis(f.int("axis"), len(x.shape))
		sizes := sizesOf(f.ints("split"))
		if f.given(1) {
			sizes, _ = f.inDims(1)
		}
		for i := range f.n.Outputs {
			shape := slices.Clone(x.shape)
			switch total, fixed := x.shape[axis].Int(); {
			case len(sizes) > 0:
				if len(sizes) != len(f.n.Outputs) {
					f.fail("there are %d sizes for %d outputs; one is needed for each", len(sizes), len(f.n.Outputs))
				}
				shape[axis] = sizes[i]
			case f.given(1):
				shape[axis] = f.unknown(i, axis)
			case fixed:
				shape[axis] = graph.Size(f.parts(total, len(f.n.Outputs))[i])
			default:
				shape[axis] = f.partSize(x.shape[axis], i, len(f.n.Outputs))
			}
			f.set(i, x.dtype, shape)
		}
	},
	eval: func(c *call) {
		x := c.input(0)
		axis := c.axis(c.int("axis"), len(x.shape))
		sizes := c.ints("split")
		if list, ok := c.inInts(1); ok {
			sizes = list
		}
		if len(sizes) == 0 {
			sizes = c.parts(x.shape[axis], len(c.n.Outputs))
		}
		sum := 0
		for _, s := range sizes {
			if s < 0 || s > x.shape[axis] {
				c.fail("the sizes %v do not add up to an axis of %d", sizes, x.shape[axis])
			}
			sum += s
		}
		if sum != x.shape[axis] || len(sizes) != len(c.n.Outputs) {
			c.fail("the sizes %v are not one for each of %d outputs, or do not add up to an axis of %d", sizes, len(c.n.Outputs), x.shape[axis])
		}
		at := 0
		for i := range c.n.Outputs {
			c.set(i, c.part(x, axis, at, sizes[i]))
			at += sizes[i]
		}
	},
}

// partSize returns the size of one of the equal parts of an axis: the last ones
// may be smaller since opset 18.
func (f *inference) partSize(size graph.Dim, i, count int) graph.Dim {
	if f.opset < 18 {
		return size.Div(graph.Size(count))
	}
	each := size.CeilDiv(graph.Size(count))
	if i == 0 {
		return each
	}
	part := each.Min(size.Sub(each.Mul(graph.Size(i))))
	if part.Positive() || count == 2 {
		return part
	}
	return part.Max(graph.Size(0))
}

// parts divides an axis into equal parts.
func (n *node) parts(size, count int) []int {
	if n.has("num_outputs") && n.int("num_outputs") != count {
		n.fail("num_outputs is %d, but there are %d", n.int("num_outputs"), count)
	}
	if n.opset < 18 && size%count != 0 {
		n.fail("an axis of %d in %d equal parts", size, count)
	}
	each := (size + count - 1) / count
	parts := slices.Repeat([]int{each}, count)
	for i := range parts {
		parts[i] = max(0, min(each, size-i*each))
	}
	return parts
}

// part returns a range of a tensor along an axis.
func (c *call) part(x *Tensor, axis, at, n int) *Tensor {
	shape := slices.Clone(x.shape)
	shape[axis] = n
	s := strides(x.shape)
	out := c.like(x, shape)
	x.data.read(out.data, view{shape, s, at * s[axis]})
	return out
}
