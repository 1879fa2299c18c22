package aten

import (
	"slices"
	"strings"

	"lethe/model"
)

// reshaped keeps the batch where as many elements come before it as before.
func reshaped(f *freer, n *Node) {
	in, out := f.of(f.first(n)), f.result(n, 0)
	found := false
	before := 1
	for _, e := range in {
		if f.kind(e) != batchSize {
			if !found {
				before *= e.n
			}
			continue
		}
		if found {
			f.fail("two axes depend on the batch")
		}
		found = true
		before *= max(e.before, 1)
	}
	if !found {
		f.settle(in)
		return
	}
	place, best := -1, 0
	product := 1
	for j, e := range out {
		if product == 0 || before%product != 0 {
			break
		}
		inside := before / product // elements of this axis that would count before the batch
		if e.n != 0 && e.n%(inside*f.size) == 0 {
			score := 2
			switch after := e.n / (inside * f.size); {
			case inside == 1 && after == 1:
				score = 4 // the batch is an axis of its own
			case inside == 1 && j < len(out)-1 || len(out) == 1:
				score = 3
			case inside == 1:
				score = 1 // the last axis is that of features
			}
			if score > best {
				place, best = j, score
				out[j].before = inside
			}
		}
		product *= e.n
	}
	if place < 0 {
		f.fail("the samples do not stay apart in shape %v", n.Outputs[0].Shape)
	}
	out[place].kind = batchSize
	f.set(n, out)
}

// open reports whether a shape has a size that is not settled.
func (f *freer) open(shape []extent) bool {
	return slices.ContainsFunc(shape, func(e extent) bool { return f.kind(e) == openSize })
}

// settle makes the open sizes of a shape fixed ones.
func (f *freer) settle(shape []extent) {
	for _, e := range shape {
		if f.kind(e) == openSize {
			e.open.last().kind = fixedSize
		}
	}
}

func permuted(f *freer, n *Node) {
	in := f.of(f.first(n))
	if !f.batched(in) && !f.open(in) {
		return
	}
	name := n.Op[strings.IndexByte(n.Op, '.')+1:]
	perm := upTo(len(in))
	swap := func(first, second string) {
		i, j := f.axisOf(n, first, len(in), 0), f.axisOf(n, second, len(in), 0)
		perm[i], perm[j] = perm[j], perm[i]
	}
	switch name {
	case "permute":
		dims, ok := f.arg(n, "dims").([]int64)
		if !ok || len(dims) != len(in) {
			f.fail("its order is not understood")
		}
		for i, d := range dims {
			perm[i] = normal(int(d), len(in))
		}
	case "transpose", "swapdims":
		swap("dim0", "dim1")
	case "swapaxes":
		swap("axis0", "axis1")
	case "t", "numpy_T":
		slices.Reverse(perm)
	case "mT":
		perm[len(in)-1], perm[len(in)-2] = len(in)-2, len(in)-1
	default:
		f.fail("its order is not understood")
	}
	out := make([]extent, len(in))
	for i, p := range perm {
		out[i] = in[p]
	}
	f.set(n, out)
}

func unsqueezed(f *freer, n *Node) {
	in := f.of(f.first(n))
	f.set(n, slices.Insert(slices.Clone(in), f.axisOf(n, "dim", len(in)+1, 0), extent{n: 1}))
}

// squeezed removes axes of size 1; the batch of a program that was exported
// with one sample is none.
func squeezed(f *freer, n *Node) {
	in := f.of(f.first(n))
	axes := upTo(len(in))
	switch v := f.arg(n, "dim").(type) {
	case int64:
		axes = []int{normal(int(v), len(in))}
	case []int64:
		axes = nil
		for _, d := range v {
			axes = append(axes, normal(int(d), len(in)))
		}
	}
	var out []extent
	for i, e := range in {
		if slices.Contains(axes, i) && e.n == 1 {
			if f.kind(e) == batchSize {
				f.fail("it removes the batch axis")
			}
			continue
		}
		out = append(out, e)
	}
	f.set(n, out)
}

// expanded repeats axes of size 1; the sizes may be written out.
func expanded(f *freer, n *Node) {
	in, out := f.of(f.first(n)), f.result(n, 0)
	var like []extent
	if other, ok := f.arg(n, "other").(*Value); ok {
		like = f.of(other)
	}
	lead := len(out) - len(in)
	for i := range out {
		switch {
		case i >= lead && (in[i-lead].n != 1 || f.kind(in[i-lead]) == batchSize):
			out[i] = in[i-lead]
		case like != nil:
			out[i] = like[i]
		default:
			out[i] = f.literal(out[i].n)
		}
	}
	f.set(n, out)
}

// made are tensors of equal elements, whose sizes are written out.
func made(f *freer, n *Node) {
	out := f.result(n, 0)
	for i := range out {
		out[i] = f.literal(out[i].n)
	}
	f.set(n, out)
}

// sliced takes a part of an axis.
func sliced(f *freer, n *Node) {
	in, out := f.of(f.first(n)), f.result(n, 0)
	at := f.axisOf(n, "dim", len(in), 0)
	if len(out) != len(in) {
		f.fail("it changes the number of axes")
	}
	for i, e := range in {
		switch {
		case i != at:
			out[i] = e
		case f.kind(e) == batchSize && out[i].n != e.n:
			f.fail("it takes single samples")
		case out[i].n == e.n:
			out[i] = e
		case f.kind(e) == openSize:
			e.open.last().kind = fixedSize
		}
	}
	f.set(n, out)
}

func selected(f *freer, n *Node) {
	in := f.of(f.first(n))
	if n.Op == "aten.select_scatter" {
		f.set(n, in)
		return
	}
	at := f.axisOf(n, "dim", len(in), 0)
	if f.kind(in[at]) == batchSize {
		f.fail("it takes a single sample")
	}
	f.set(n, slices.Delete(slices.Clone(in), at, at+1))
}

func pieces(f *freer, n *Node) {
	in := f.of(f.first(n))
	at := f.axisOf(n, "dim", len(in), 0)
	if f.kind(in[at]) == batchSize && len(n.Outputs) > 1 {
		f.fail("it takes samples apart")
	}
	for _, v := range n.Outputs {
		if v == nil {
			continue
		}
		if n.Op == "aten.unbind" {
			f.shapes[v] = slices.Delete(slices.Clone(in), at, at+1)
			continue
		}
		shape := slices.Clone(in)
		if whole := f.original(v); len(whole) == len(in) && whole[at].n != in[at].n {
			shape[at] = whole[at]
		}
		f.shapes[v] = shape
	}
}

func joined(f *freer, n *Node) {
	all := tensors(n)
	out := f.result(n, 0)
	at := f.axisOf(n, "dim", len(out), 0)
	stacked := n.Op == "aten.stack"
	for k, v := range all {
		shape := f.of(v)
		if stacked {
			shape = slices.Insert(slices.Clone(shape), at, extent{n: len(all)})
		}
		if len(shape) != len(out) {
			continue // an empty tensor
		}
		if f.kind(shape[at]) == batchSize {
			f.fail("it joins samples")
		}
		for i, e := range shape {
			if i != at && k > 0 {
				f.same(out[i], e)
			} else if i != at {
				out[i] = e
			}
		}
	}
	f.set(n, out)
}

func indexed(f *freer, n *Node) {
	if shape := f.atIndices(n); shape != nil {
		f.set(n, shape)
	}
}

// written are elements at indices that others take the place of: those of all
// samples, from other samples or from something that all of them share.
func written(f *freer, n *Node) {
	if list, _ := f.arg(n, "indices").([]*Value); slices.ContainsFunc(list, func(v *Value) bool { return v != nil && (v.DType == model.Bool || f.batched(f.of(v))) }) {
		f.fail("its indices are not understood")
	}
	values, ok := f.arg(n, "values").(*Value)
	if !ok {
		f.fail("its values are not understood")
	}
	places := f.atIndices(n)
	for i, e := range f.broadcast(slices.Clone(places), f.of(values)) {
		if f.kind(e) == batchSize && (i >= len(places) || f.kind(places[i]) != batchSize) {
			f.fail("it writes samples to what all of them share")
		}
	}
	f.set(n, f.of(f.first(n)))
}

// atIndices returns the sizes of the elements at the indices of a node; nil if
// the indices are apart, and nothing depends on the batch.
func (f *freer) atIndices(n *Node) []extent {
	in := f.of(f.first(n))
	list, _ := f.arg(n, "indices").([]*Value)
	var at []int
	for i, v := range list {
		if v != nil {
			at = append(at, i)
		}
	}
	if len(at) == 0 || at[len(at)-1] >= len(in) {
		f.fail("its indices are not understood")
	}
	for _, i := range at {
		if f.kind(in[i]) == batchSize {
			f.fail("it takes single samples")
		}
	}
	if len(at) == 1 {
		return slices.Concat(in[:at[0]], f.of(list[at[0]]), in[at[0]+1:])
	}
	// Several indices are broadcast; the axes of that stand where those of the indices
	// were, if they are neighbours.
	var shapes [][]extent
	for _, i := range at {
		shapes = append(shapes, f.of(list[i]))
	}
	first, last := at[0], at[len(at)-1]
	if last-first != len(at)-1 {
		untouched(f, n)
		return nil
	}
	return slices.Concat(in[:first], f.broadcast(shapes...), in[last+1:])
}

// ranked orders the elements of an axis.
func ranked(f *freer, n *Node) {
	in := f.of(f.first(n))
	if len(in) == 0 {
		f.fail("it has no axis")
	}
	at := f.axisOf(n, "dim", len(in), -1)
	if f.kind(in[at]) == batchSize {
		f.fail("it mixes samples")
	}
	for i, v := range n.Outputs {
		if v != nil {
			shape := slices.Clone(in)
			switch whole := f.result(n, i); len(whole) {
			case len(in):
				shape[at] = whole[at]
			case len(in) - 1:
				shape = slices.Delete(shape, at, at+1)
			default:
				f.fail("its outputs are not understood")
			}
			f.shapes[v] = shape
		}
	}
}

// marked adds an axis for the classes.
func marked(f *freer, n *Node) {
	out := f.result(n, 0)
	f.set(n, append(slices.Clone(f.of(f.first(n))), out[len(out)-1]))
}

// gathered takes elements of an axis, at the places that an index of the same
// rank tells.
func gathered(f *freer, n *Node) {
	all := tensors(n)
	if len(all) != 2 || len(f.of(all[0])) != len(f.of(all[1])) {
		f.fail("its index is not understood")
	}
	in, index := f.of(all[0]), f.of(all[1])
	at := f.axisOf(n, "dim", len(in), 0)
	if f.kind(in[at]) == batchSize || f.kind(index[at]) == batchSize {
		f.fail("it mixes samples")
	}
	for i, e := range in {
		if i != at && (f.kind(e) != fixedSize || f.kind(index[i]) != fixedSize) {
			f.same(e, index[i])
		}
	}
	f.set(n, index)
}

// repeated repeats axes a number of times that may be the batch.
func repeated(f *freer, n *Node) {
	in, out := f.of(f.first(n)), f.result(n, 0)
	lead := len(out) - len(in)
	for i := range out {
		had := extent{n: 1}
		if i >= lead {
			had = in[i-lead]
		}
		switch {
		case out[i].n == had.n:
			out[i] = had
		case f.kind(had) == batchSize || f.kind(had) == openSize || had.n == 0:
			f.fail("it repeats samples")
		default:
			times := f.literal(out[i].n / had.n)
			out[i].open = times.open
		}
	}
	f.set(n, out)
}

func embedded(f *freer, n *Node) {
	all := tensors(n)
	if len(all) != 2 || f.batched(f.of(all[0])) {
		f.fail("its table depends on the batch")
	}
	f.set(n, append(slices.Clone(f.of(all[1])), f.of(all[0])[1:]...))
}
