package ops

import (
	"slices"

	"lethe/graph"
)

// padOp adds elements at both ends of axes, or with negative numbers removes
// them. Up to opset 10 numbers and value are attributes; since opset 18 axes can
// be named.
var padOp = &Operator{
	Name: "Pad",
	inputs: []input{data("data", anything), constant("pads", set(int64Type)).from(11),
		constant("constant_value", anything).opt().from(11), constant("axes", indices).opt().from(18)},
	attrs: []attr{
		stringAttr("mode", "constant", "reflect", "edge", "wrap"),
		intsAttr("pads").must().until(10), floatAttr("value", 0).until(10),
	},
	infer: func(f *inference) {
		x := f.input(0)
		pads, known := sizesOf(f.ints("pads")), true
		axes := []int(nil)
		if f.opset >= 11 {
			pads, known = f.inDims(1)
			if f.given(3) && known {
				axes, known = f.inInts(3)
			}
		}
		switch {
		case x.shape == nil:
			f.set(0, x.dtype, nil)
		case !known:
			f.set(0, x.dtype, f.unknowns(0, len(x.shape)))
		default:
			shape := slices.Clone(x.shape)
			axes := f.padded(axes, len(pads), len(shape))
			for i, a := range axes {
				shape[a] = shape[a].Add(pads[i]).Add(pads[len(axes)+i])
				if n, ok := shape[a].Int(); ok && n < 0 {
					f.fail("the pads are %v for a shape %v; two are needed for each axis", graph.Shape(pads), x.shape)
				}
			}
			f.set(0, x.dtype, shape)
		}
	},
	eval: evalPad,
}

// padded returns the axes that are padded, counted from the front.
func (n *node) padded(axes []int, pads, rank int) []int {
	if axes == nil {
		for i := range rank {
			axes = append(axes, i)
		}
	}
	if pads != 2*len(axes) {
		n.fail("%d pads for %d axes", pads, len(axes))
	}
	return n.axes(axes, rank)
}

func evalPad(c *call) {
	x := c.input(0)
	pads, axes := c.ints("pads"), []int(nil)
	if c.opset >= 11 {
		pads, _ = c.inInts(1)
		axes, _ = c.inInts(3)
	}
	axes = c.padded(axes, len(pads), len(x.shape))
	mode := c.text("mode")
	out := x
	for i, a := range axes {
		before, after := pads[i], pads[len(axes)+i]
		if max(before, -before) > c.limits.elements || max(after, -after) > c.limits.elements {
			c.fail("the pads %v are out of range", pads)
		}
		out = c.padAxis(out, a, before, after, mode)
	}
	c.set(0, out)
}

// padAxis pads one axis.
func (c *call) padAxis(x *Tensor, axis, before, after int, mode string) *Tensor {
	size := x.shape[axis]
	shape := slices.Clone(x.shape)
	if shape[axis] += before + after; shape[axis] < 0 {
		c.fail("pads of %d and %d do not fit an axis of %d", before, after, size)
	}
	out := c.like(x, shape)
	if mode == "constant" {
		if fill := c.padValue(x); fill != nil {
			out.data.fill(fill.data, 0)
		}
		from, to := max(0, -before), min(size, size+after)
		if from < to {
			c.place(out, c.part(x, axis, from, to-from), axis, max(0, before))
		}
		return out
	}
	if size == 0 && shape[axis] > 0 {
		c.fail("mode %s cannot pad an axis of %d", mode, size)
	}
	block := product(x.shape[axis+1:])
	for outer := range product(x.shape[:axis]) {
		for i := range shape[axis] {
			from := padSource(i-before, size, mode)
			out.data.copyFrom((outer*shape[axis]+i)*block, x.data, (outer*size+from)*block, block)
		}
	}
	return out
}

// padSource returns which element of an axis stands at an index beyond its ends.
func padSource(i, size int, mode string) int {
	switch {
	case mode == "edge" || size == 1:
		return min(max(i, 0), size-1)
	case mode == "wrap":
		return ((i % size) + size) % size
	}
	period := 2 * (size - 1)
	i = ((i % period) + period) % period
	return min(i, period-i)
}

// padValue returns a tensor of the value to pad with, or nil if it is zero.
func (c *call) padValue(x *Tensor) *Tensor {
	if c.opset < 11 {
		if v := c.float("value"); v != 0 {
			return c.from(x.dtype, []int{1}, []float64{v})
		}
		return nil
	}
	v := c.input(2)
	if v == nil || v.Len() == 0 {
		return nil
	}
	if v.dtype != x.dtype {
		c.fail("the value is %v and the data %v; they must be of one type", v.dtype, x.dtype)
	}
	if _, dims := x.data.(vec[graph.Dim]); dims {
		return asDims(v)
	}
	return v
}
