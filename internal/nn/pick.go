package nn

import (
	"cmp"
	"math"
	"slices"
)

// Elements that are picked by their size, or by indices that depend on the
// sample.

// picking is the axis along which elements are picked.
type picking struct {
	outer, size, inner int // of a sample: rows, elements of a row, distance of its neighbours
	n                  int // how many are picked of each row
}

func pickingOf(dims []int, axis, n int) picking {
	return picking{product(dims[:axis]), dims[axis], product(dims[axis+1:]), n}
}

// each calls f for each row of a part: where its first element is in the input,
// and where that of what is picked.
func (k picking) each(groups int, f func(from, to int)) {
	for o := range groups * k.outer {
		for i := range k.inner {
			f((o*k.size*k.inner+i)*Lanes, (o*k.n*k.inner+i)*Lanes)
		}
	}
}

// topLayer takes the largest or smallest elements along an axis, in order: their
// values and their indices, or the index of the first alone.
type topLayer struct {
	stateless
	picking
	in            *value
	dx            *sink
	values, index *value // what is not wanted is nil
	kept          *value // the indices, for backward
	smallest      bool
	last          bool // of equal elements the last comes first
}

func topAxis(n *site) (axis, count int, err error) {
	axis, err = axisOf(n.Int("axis", map[bool]int{true: -1}[n.Op == "TopK"]), len(n.in[0].dims))
	if err == nil && axis == n.in[0].batch {
		err = unsupported("%s over the batch is not supported", n.Op)
	}
	if err != nil || n.Op != "TopK" {
		return axis, 1, err
	}
	count = n.Int("k", 0)
	if n.has(1) {
		list, err := n.ints(1)
		if err != nil || len(list) != 1 {
			return 0, 0, unsupported("TopK of a number that is computed is not supported")
		}
		count = list[0]
	}
	if count < 1 || count > n.in[0].dims[axis] {
		err = misfit("TopK asks for %d elements of an axis of %d", count, n.in[0].dims[axis])
	}
	return axis, count, err
}

func inferTop(n *site) ([]shape, error) {
	axis, count, err := topAxis(n)
	if err != nil {
		return nil, err
	}
	in := n.in[0]
	out := in.as(slices.Clone(in.dims))
	out.dims[axis] = count
	if n.Op == "TopK" {
		return []shape{out, out}, only(n, "axis", "k", "largest", "sorted")
	}
	if n.Int("keepdims", 1) == 0 {
		out.dims = slices.Delete(out.dims, axis, axis+1)
		if out.batch > axis {
			out.batch--
		}
	}
	return []shape{out}, only(n, "axis", "keepdims", "select_last_index")
}

func buildTop(b *builder) layer {
	axis, count, err := topAxis(b.site())
	if err != nil {
		panic(err) // Bind has seen it
	}
	l := &topLayer{in: b.data(0), picking: pickingOf(b.in(0).dims, axis, count), last: b.node.Int("select_last_index", 0) != 0}
	if b.node.Op == "TopK" {
		l.values, l.smallest = b.out[0], b.node.Int("largest", 1) == 0
		if len(b.out) > 1 {
			l.index = b.out[1]
		}
	} else {
		l.index, l.smallest = b.out[0], b.node.Op == "ArgMin"
	}
	l.dx = b.sink(l.in)
	l.kept = b.temp(l.outer * l.n * l.inner)
	return l
}

func (l *topLayer) forward(p part) {
	x, kept := l.in.data(p), l.kept.data(p)
	order, step := make([]int, l.size), l.inner*Lanes
	l.each(p.hi-p.lo, func(from, to int) {
		for lane := range Lanes {
			at := func(i int) float32 { return x[from+i*step+lane] }
			for i := range order {
				order[i] = i
			}
			slices.SortFunc(order, func(i, j int) int {
				// NaN is the largest of all, as in numpy.
				c := cmp.Compare(at(j), at(i))
				if at(i) != at(i) || at(j) != at(j) {
					c = -c
				}
				if l.smallest {
					c = -c
				}
				if c == 0 {
					c = i - j
					if l.last {
						c = -c
					}
				}
				return c
			})
			for i := range l.n {
				kept[to+i*step+lane] = float32(order[i])
			}
		}
	})
	if l.index != nil {
		copy(l.index.data(p), kept)
	}
	if l.values != nil {
		y := l.values.data(p)
		l.each(p.hi-p.lo, func(from, to int) { l.pick(y[to:], x[from:], kept[to:], step) })
	}
}

// pick sets the elements of a row of y to those of a row of x that the indices
// say.
func (k picking) pick(y, x, index []float32, step int) {
	for i := range k.n {
		for lane, at := range index[i*step:][:Lanes] {
			y[i*step+lane] = float32(math.NaN())
			if at, ok := k.within(at); ok {
				y[i*step+lane] = x[at*step+lane]
			}
		}
	}
}

// put adds the elements of a row of dy to those of a row of dx that the indices
// say.
func (k picking) put(dx, dy, index []float32, step int) {
	for i := range k.n {
		for lane, at := range index[i*step:][:Lanes] {
			if at, ok := k.within(at); ok {
				dx[at*step+lane] += dy[i*step+lane]
			}
		}
	}
}

// within returns the element of a row that an index means; ok is false if there
// is none.
func (k picking) within(index float32) (at int, ok bool) {
	if index != index || float64(index) < -maxElements || index > maxElements {
		return 0, false
	}
	if at = int(index); at < 0 {
		at += k.size
	}
	return at, at >= 0 && at < k.size
}

func (l *topLayer) backward(p part) {
	if l.dx.wanted() {
		l.spread(p, l.dx, l.values, l.kept, l.inner*Lanes)
	}
}

func (k picking) spread(p part, dx *sink, values, index *value, step int) {
	d, dy, at := dx.open(p), values.gradient(p), index.data(p)
	clear(d)
	if dy != nil {
		k.each(p.hi-p.lo, func(from, to int) { k.put(d[from:], dy[to:], at[to:], step) })
	}
	dx.close(p)
}

// pickLayer takes elements along an axis by indices of the sample. An index
// outside gives NaN, which nothing hides.
type pickLayer struct {
	stateless
	picking
	in, index, out *value
	dx             *sink
}

func inferGatherElements(n *site) ([]shape, error) {
	if !n.has(1) {
		return nil, misfit("GatherElements needs indices")
	}
	if n.consts[1] != nil {
		return inferProbed(n)
	}
	in, at := n.in[0], n.in[1]
	axis, err := axisOf(n.Int("axis", 0), len(in.dims))
	if err != nil {
		return nil, err
	}
	if len(at.dims) != len(in.dims) || axis == at.batch || in.batch >= 0 && !in.alike(at) {
		return nil, unsupported("GatherElements of shape %v along axis %d with indices of shape %v is not supported", in, axis, at)
	}
	for i, d := range at.dims {
		if i != axis && d != in.dims[i] {
			return nil, unsupported("GatherElements of shape %v along axis %d with indices of shape %v is not supported", in, axis, at)
		}
	}
	return []shape{at}, only(n, "axis")
}

func buildGatherElements(b *builder) layer {
	if b.site().consts[1] != nil {
		return buildProbed(b)
	}
	dims := b.in(0).dims
	axis, _ := axisOf(b.node.Int("axis", 0), len(dims))
	l := &pickLayer{in: b.data(0), index: b.data(1), out: b.out[0], picking: pickingOf(dims, axis, b.in(1).dims[axis])}
	l.dx = b.sink(l.in)
	b.keep(l.index)
	return l
}

func (l *pickLayer) forward(p part) {
	x, y, at := l.in.data(p), l.out.data(p), l.index.data(p)
	l.each(p.hi-p.lo, func(from, to int) { l.pick(y[to:], x[from:], at[to:], l.inner*Lanes) })
}

func (l *pickLayer) backward(p part) {
	if l.dx.wanted() {
		l.spread(p, l.dx, l.out, l.index, l.inner*Lanes)
	}
}
