package ops

import (
	"math"
	"slices"

	"lethe/graph"
)

// sliceOp takes ranges along axes. Up to opset 9 they are attributes, and there
// are not steps.
var sliceOp = &Operator{
	Name: "Slice",
	inputs: []input{data("data", anything), constant("starts", indices).from(10), constant("ends", indices).from(10),
		constant("axes", indices).opt().from(10), constant("steps", indices).opt().from(10)},
	attrs: []attr{intsAttr("axes").until(9), intsAttr("starts").must().until(9), intsAttr("ends").must().until(9)},
	infer: inferSlice,
	eval: func(c *call) {
		x := c.input(0)
		starts, ends, axes, steps := c.ints("starts"), c.ints("ends"), c.ints("axes"), []int(nil)
		if c.opset >= 10 {
			starts, _ = c.inInts(1)
			ends, _ = c.inInts(2)
			axes, _ = c.inInts(3)
			steps, _ = c.inInts(4)
		}
		axes, steps = c.ranges(len(x.shape), len(starts), len(ends), axes, steps)
		v := view{slices.Clone(x.shape), strides(x.shape), 0}
		for i, a := range axes {
			start, n := sliceRange(x.shape[a], starts[i], ends[i], steps[i])
			v.offset += start * v.strides[a]
			v.shape[a] = n
			v.strides[a] *= steps[i]
		}
		out := c.like(x, v.shape)
		x.data.read(out.data, v)
		c.set(0, out)
	},
}

// ranges checks how many of everything there are and fills in what is left out.
func (n *node) ranges(rank, starts, ends int, axes, steps []int) ([]int, []int) {
	if axes == nil {
		for i := range min(starts, rank) {
			axes = append(axes, i)
		}
	}
	if steps == nil {
		steps = slices.Repeat([]int{1}, starts)
	}
	if ends != starts || len(axes) != starts || len(steps) != starts {
		n.fail("%d starts, %d ends, %d axes and %d steps", starts, ends, len(axes), len(steps))
	}
	if slices.Contains(steps, 0) {
		n.fail("a step is 0")
	}
	return n.axes(axes, rank), steps
}

// sliceRange returns the first index and the number of elements of a range of an
// axis of a size.
func sliceRange(size, start, end, step int) (first, n int) {
	clamp := func(x, lo, hi int) int {
		if x < 0 {
			x = max(x, -size-1) + size
			if x < 0 {
				x = lo
			}
		}
		return min(max(x, lo), hi)
	}
	if step > 0 {
		first, end = clamp(start, 0, size), clamp(end, 0, size)
		if end <= first {
			return 0, 0
		}
		return first, (end-first-1)/step + 1
	}
	first, end = clamp(start, -1, size-1), clamp(end, -1, size-1)
	if first <= end || first < 0 {
		return 0, 0
	}
	if step == math.MinInt {
		return first, 1
	}
	return first, (first-end-1)/-step + 1
}

func inferSlice(f *inference) {
	x := f.input(0)
	starts, ends := sizesOf(f.ints("starts")), sizesOf(f.ints("ends"))
	axes, steps := f.ints("axes"), []int(nil)
	ok := true
	if f.opset >= 10 {
		var k [4]bool
		starts, k[0] = f.inDims(1)
		ends, k[1] = f.inDims(2)
		axes, k[2] = f.inInts(3)
		steps, k[3] = f.inInts(4)
		if x.shape == nil {
			f.set(0, x.dtype, nil)
			return
		}
		if f.given(3) && !k[2] {
			f.set(0, x.dtype, f.unknowns(0, len(x.shape)))
			return
		}
		ok = k[0] && k[1] && (k[3] || !f.given(4))
		if !ok { // only the axes that are named change
			shape := slices.Clone(x.shape)
			if axes == nil {
				shape = f.unknowns(0, len(shape))
			}
			for _, a := range f.axes(axes, len(shape)) {
				shape[a] = f.unknown(0, a)
			}
			f.set(0, x.dtype, shape)
			return
		}
	}
	if x.shape == nil {
		f.set(0, x.dtype, nil)
		return
	}
	axes, steps = f.ranges(len(x.shape), len(starts), len(ends), axes, steps)
	shape := slices.Clone(x.shape)
	for i, a := range axes {
		shape[a] = f.sliceSize(shape[a], starts[i], ends[i], steps[i], a)
	}
	f.set(0, x.dtype, shape)
}

func sizesOf(v []int) []graph.Dim { return graph.Sizes(v...) }

// sliceSize returns the size of a range of an axis as an expression.
func (f *inference) sliceSize(size, start, end graph.Dim, step, axis int) graph.Dim {
	n, fixed := size.Int()
	from, fixedStart := start.Int()
	to, fixedEnd := end.Int()
	if fixed && fixedStart && fixedEnd {
		_, n := sliceRange(n, from, to, step)
		return graph.Size(n)
	}
	if step < 0 {
		if fixedStart && fixedEnd && from == -1 && to <= -math.MaxInt32 {
			return size.CeilDiv(graph.Size(-step))
		}
		return f.unknown(0, axis)
	}
	// An end far beyond every size is the size; others are clamped.
	if fixedEnd && to >= math.MaxInt32 {
		end = size
	} else if fixedEnd && to < 0 {
		end = size.Add(end)
	} else {
		end = end.Min(size)
	}
	if fixedStart && from < 0 {
		start = size.Add(start).Max(graph.Size(0))
	} else if !start.Is(0) {
		start = start.Min(size)
	}
	length := end.Sub(start)
	if !length.Positive() && !length.Is(0) {
		length = length.Max(graph.Size(0))
	}
	return length.CeilDiv(graph.Size(step))
}
