package ops

import (
	"math"
	"slices"

	"lethe/graph"
)

// reduction makes one element out of those along some axes.
type reduction struct {
	real     func([]float64) float64
	signed   func([]int64) int64   // nil: computed by real
	unsigned func([]uint64) uint64 // nil: computed by real
	bools    bool                  // booleans are reduced as 0 and 1
	empty    bool                  // there is a value for no elements
	axes     int                   // the first opset in which axes are an input
}

// operator returns the operator of a reduction.
func (r reduction) operator(name string) *Operator {
	t := numbers
	if r.bools {
		t |= bools
	}
	return &Operator{
		Name:   name,
		inputs: []input{data("data", t), constant("axes", indices).opt().from(r.axes)},
		attrs: []attr{
			intsAttr("axes").until(r.axes - 1),
			intAttr("keepdims", 1),
			intAttr("noop_with_empty_axes", 0).from(r.axes),
		},
		infer: r.infer,
		eval:  r.eval,
	}
}

// reduced returns the axes to reduce, counted from the front, in order.
func (n *node) reduced(list []int, rank int) []int {
	if len(list) == 0 {
		if n.flag("noop_with_empty_axes") {
			return nil
		}
		all := make([]int, rank)
		for i := range all {
			all[i] = i
		}
		return all
	}
	axes := n.axes(list, rank)
	slices.Sort(axes)
	return axes
}

func (r reduction) infer(f *inference) {
	x := f.input(0)
	list, known := f.ints("axes"), true
	if f.opset >= r.axes {
		list = nil
		if f.given(1) {
			list, known = f.inInts(1)
		}
	}
	keep := f.flag("keepdims")
	switch {
	case x.shape == nil:
		f.set(0, x.dtype, nil)
	case known:
		f.set(0, x.dtype, without(x.shape, f.reduced(list, len(x.shape)), keep, graph.Size(1)))
	case keep:
		f.set(0, x.dtype, f.unknowns(0, len(x.shape)))
	default:
		f.set(0, x.dtype, nil)
	}
}

// without returns sizes without those of some axes, or with one in their place.
func without[T any](shape []T, axes []int, keep bool, one T) []T {
	out := make([]T, 0, len(shape))
	for i, d := range shape {
		switch {
		case !slices.Contains(axes, i):
			out = append(out, d)
		case keep:
			out = append(out, one)
		}
	}
	return out
}

func (r reduction) eval(c *call) {
	x := c.input(0)
	list := c.ints("axes")
	if c.opset >= r.axes {
		list, _ = c.inInts(1)
	}
	axes := c.reduced(list, len(x.shape))
	out := c.like(x, without(x.shape, axes, c.flag("keepdims"), 1))
	if d, ok := x.data.(vec[graph.Dim]); ok {
		c.reduceDims(d, out)
		return
	}
	rows := c.axesLast(x, axes)
	n := 1
	for _, a := range axes {
		n *= x.shape[a]
	}
	if n == 0 && out.Len() > 0 && !r.empty {
		c.fail("axes %v of shape %v have no elements to reduce", axes, x.shape)
	}
	switch v := rows.data.(type) {
	case vec[float32]:
		reduceRows(v, out, n, r.real)
		out.round(rounding{})
	case vec[float64]:
		reduceRows(v, out, n, r.real)
	case vec[int8]:
		reduceSigned(r, v, out, n)
	case vec[int16]:
		reduceSigned(r, v, out, n)
	case vec[int32]:
		reduceSigned(r, v, out, n)
	case vec[int64]:
		reduceSigned(r, v, out, n)
	case vec[uint8]:
		reduceUnsigned(r, v, out, n)
	case vec[uint16]:
		reduceUnsigned(r, v, out, n)
	case vec[uint32]:
		reduceUnsigned(r, v, out, n)
	case vec[uint64]:
		reduceUnsigned(r, v, out, n)
	case vec[bool]:
		d := out.data.(vec[bool])
		for i := range d {
			if n == 0 { // of no booleans, the largest is false and the smallest true
				d[i] = r.real(nil) > 0
				continue
			}
			row := make([]float64, n)
			for j, b := range v[i*n : (i+1)*n] {
				if b {
					row[j] = 1
				}
			}
			d[i] = r.real(row) != 0
		}
	default:
		c.unsupported("elements of %v", x.dtype)
	}
	c.set(0, out)
}

// reduceDims multiplies sizes, which is the reduction that shapes need.
func (c *call) reduceDims(d []graph.Dim, out *Tensor) {
	if c.op.Name != "ReduceProd" || out.Len() != 1 {
		c.unsupported("sizes that are not known")
	}
	out.data.(vec[graph.Dim])[0] = graph.Shape(d).Elements()
	c.set(0, out)
}

// axesLast returns a tensor with some axes moved to the end.
func (c *call) axesLast(x *Tensor, axes []int) *Tensor {
	var order []int
	for i := range x.shape {
		if !slices.Contains(axes, i) {
			order = append(order, i)
		}
	}
	return c.transpose(x, append(order, axes...))
}

func reduceRows[T number, W float64 | int64 | uint64](v []T, out *Tensor, n int, f func([]W) W) {
	d := out.data.(vec[T])
	const block = 64
	parallel((len(d)+block-1)/block, func(b int) {
		row := make([]W, n)
		for i := b * block; i < min(len(d), (b+1)*block); i++ {
			for j, x := range v[i*n : (i+1)*n] {
				row[j] = W(x)
			}
			d[i] = T(f(row))
		}
	})
}

func reduceSigned[T number](r reduction, v []T, out *Tensor, n int) {
	if r.signed != nil {
		reduceRows(v, out, n, r.signed)
		return
	}
	reduceRows(v, out, n, r.real)
}

func reduceUnsigned[T number](r reduction, v []T, out *Tensor, n int) {
	if r.unsigned != nil {
		reduceRows(v, out, n, r.unsigned)
		return
	}
	reduceRows(v, out, n, r.real)
}

func sumOf[W float64 | int64 | uint64](v []W) W {
	var s W
	for _, x := range v {
		s += x
	}
	return s
}

func productOf[W float64 | int64 | uint64](v []W) W {
	p := W(1)
	for _, x := range v {
		p *= x
	}
	return p
}

func largestOf(v []float64) float64 {
	m := math.Inf(-1)
	for _, x := range v {
		m = max(m, x)
	}
	return m
}

func smallestOf(v []float64) float64 {
	m := math.Inf(1)
	for _, x := range v {
		m = min(m, x)
	}
	return m
}
