package nn

import "slices"

// moveLayer puts vectors of one or several inputs to other places: everything
// that slices, joins, pads, repeats or permutes.
type moveLayer struct {
	stateless
	ins  []*value
	dx   []*sink
	outs []*value
	from [][]int32 // as newMove has it, while the session is compiled
	runs []moveRun
	all  []bool  // of each input: all of its elements are moved, if none is moved twice
	fill float32 // of outputs that no input gives
	gaps bool    // there are such
}

// moveRun is n vectors that stay neighbours.
type moveRun struct {
	in, out  int32 // which
	from, to int32 // elements
	n        int32 // elements
}

// newMove returns a layer in which element i of output o comes from element
// from[o][i] of the inputs laid end to end, or is fill where that is negative.
func newMove(b *builder, inputs []int, from [][]int32, fill float32) layer {
	if b.derived != nil {
		return b.deriveMoves(inputs, from, fill)
	}
	l := &moveLayer{outs: b.out, from: from, fill: fill}
	for _, i := range inputs {
		v := b.data(i)
		l.ins, l.dx = append(l.ins, v), append(l.dx, b.sink(v))
	}
	l.lay()
	return l
}

// lay makes the runs of what comes from where.
func (l *moveLayer) lay() {
	l.runs, l.all, l.gaps = nil, nil, false
	var starts []int
	elements := 0
	for _, v := range l.ins {
		starts = append(starts, elements)
		elements += v.size / Lanes
	}
	times := make([]int32, elements)
	for o, list := range l.from {
		if l.outs[o] == nil {
			continue
		}
		for i, src := range list {
			if src < 0 {
				l.gaps = true
				continue
			}
			times[src]++
			in, found := slices.BinarySearch(starts, int(src))
			if !found {
				in--
			}
			at, to := (src-int32(starts[in]))*Lanes, int32(i*Lanes)
			if n := len(l.runs) - 1; n >= 0 {
				if r := &l.runs[n]; r.in == int32(in) && r.out == int32(o) && r.from+r.n == at && r.to+r.n == to {
					r.n += Lanes
					continue
				}
			}
			l.runs = append(l.runs, moveRun{int32(in), int32(o), at, to, Lanes})
		}
	}
	for in, v := range l.ins {
		own := times[starts[in] : starts[in]+v.size/Lanes]
		l.dx[in].adds = !slices.ContainsFunc(own, func(n int32) bool { return n > 1 })
		l.all = append(l.all, !slices.Contains(own, 0))
	}
}

// composeMoves lets moves take from where the moves before them take: a network that cuts
// queries, keys and values out of one product and turns them moves each of them once. What
// nobody reads any more is not made.
func (c *compiler) composeMoves() {
	isMove := func(at int) bool { l, ok := c.layers[at].(*moveLayer); return ok && len(l.ins) == 1 }
	for i := range c.layers {
		if !isMove(i) {
			continue
		}
		first := c.layers[i].(*moveLayer)
		in := first.ins[0]
		for o, v := range first.outs {
			if first.gaps || v == nil || v == c.output || slices.ContainsFunc(v.readers, func(r int) bool { return !isMove(r) }) {
				continue
			}
			for _, r := range v.readers {
				second := c.layers[r].(*moveLayer)
				second.from = slices.Clone(second.from)
				for i, list := range second.from {
					second.from[i] = slices.Clone(list)
					for e, src := range list {
						if src >= 0 {
							second.from[i][e] = first.from[o][src]
						}
					}
				}
				second.ins[0], second.dx[0].v = in, in
				second.lay()
				in.readers = append(in.readers, r)
				if c.trains[r] && in.needsGrad {
					in.writers = append(in.writers, r)
				}
			}
			first.outs[o] = nil
			isDropped := func(w *value) bool { return w == v }
			c.uses[i].outs, c.values = slices.DeleteFunc(c.uses[i].outs, isDropped), slices.DeleteFunc(c.values, isDropped)
		}
		first.lay()
		if len(c.uses[i].outs) == 0 {
			isThis := func(at int) bool { return at == i }
			in.readers, in.writers = slices.DeleteFunc(in.readers, isThis), slices.DeleteFunc(in.writers, isThis)
			first.ins, first.dx, c.uses[i].sinks, c.trains[i] = nil, nil, nil, false
		}
	}
	for _, l := range c.layers {
		if l, ok := l.(*moveLayer); ok {
			l.from = nil
		}
	}
}

func (l *moveLayer) forward(p part) {
	if l.gaps {
		for _, out := range l.outs {
			if out != nil {
				y := out.data(p)
				for i := range y {
					y[i] = l.fill
				}
			}
		}
	}
	for g := range p.hi - p.lo {
		for i := range l.runs {
			r := &l.runs[i]
			in, out := l.ins[r.in], l.outs[r.out]
			copy(out.data(p)[g*out.size+int(r.to):][:r.n], in.data(p)[g*in.size+int(r.from):])
		}
	}
}

func (l *moveLayer) backward(p part) {
	for in, k := range l.dx {
		if !k.wanted() {
			continue
		}
		if k.adds { // each element has one place at the most
			put := addSlices
			dx, add := k.target(p)
			if add == nil {
				put = func(dst, src []float32) { copy(dst, src) }
				if !l.all[in] {
					clear(dx)
				}
			}
			l.moveBack(p, in, dx, put)
			continue
		}
		dx := k.open(p)
		clear(dx)
		l.moveBack(p, in, dx, addSlices)
		k.close(p)
	}
}

// moveBack puts the gradients of what comes from one input to where it comes from.
func (l *moveLayer) moveBack(p part, in int, dx []float32, put func(dst, src []float32)) {
	for g := range p.hi - p.lo {
		for i := range l.runs {
			if r := &l.runs[i]; r.in == int32(in) {
				out := l.outs[r.out]
				put(dx[g*l.ins[in].size+int(r.from):][:r.n], out.gradient(p)[g*out.size+int(r.to):][:r.n])
			}
		}
	}
}

func inferTranspose(n *site) ([]shape, error) {
	in := n.in[0]
	perm, err := transposition(n)
	if err != nil {
		return nil, err
	}
	out := shape{dims: make([]int, len(perm)), batch: -1}
	for i, a := range perm {
		out.dims[i] = in.dims[a]
		if a == in.batch {
			out.batch, out.lead = i, in.lead
		}
	}
	return []shape{out}, only(n, "perm")
}

func transposition(n *site) ([]int, error) {
	rank := len(n.in[0].dims)
	perm := n.Ints("perm")
	if perm == nil {
		for i := range rank {
			perm = append(perm, rank-1-i)
		}
	}
	if sorted := slices.Sorted(slices.Values(perm)); len(perm) != rank || !slices.Equal(sorted, indices(rank)) {
		return nil, misfit("Transpose has the order %v for a value of %d dimensions: it must name each axis once", perm, rank)
	}
	return perm, nil
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// site returns what Bind has seen of the node.
func (b *builder) site() *site {
	s := &site{Node: b.node, net: b.net, opset: b.net.graph.Opset("")}
	for i, name := range b.node.Inputs {
		s.in, s.given, s.consts = append(s.in, b.in(i)), append(s.given, name != ""), append(s.consts, b.net.constants[name])
		s.weights = append(s.weights, b.isWeight(i))
	}
	return s
}

func buildTranspose(b *builder) layer {
	perm, err := transposition(b.site())
	if err != nil {
		panic(err) // Bind has seen it
	}
	in := b.in(0).dims
	steps, strides := cSteps(in), make([]int, len(in))
	for i, a := range perm {
		strides[i] = steps[a]
	}
	return newMove(b, []int{0}, [][]int32{strided(b.outs[0].dims, strides, 0)}, 0)
}

// cSteps returns the distances of neighbours along each axis in C order.
func cSteps(dims []int) []int {
	steps := make([]int, len(dims))
	step := 1
	for i := len(dims) - 1; i >= 0; i-- {
		steps[i] = step
		step *= dims[i]
	}
	return steps
}

func inferConcat(n *site) ([]shape, error) {
	axis, err := axisOf(n.Int("axis", 1), len(n.in[0].dims))
	if err != nil {
		return nil, err
	}
	out := n.in[0].as(slices.Clone(n.in[0].dims))
	for _, in := range n.in[1:] {
		if len(in.dims) != len(out.dims) {
			return nil, misfit("Concat has inputs of shapes %v and %v: they must have as many axes", n.in[0], in)
		}
		if out.batch < 0 {
			out.batch, out.lead = in.batch, in.lead
		}
		for a, d := range in.dims {
			if a == axis {
				out.dims[a] += d
			} else if d != out.dims[a] {
				return nil, misfit("Concat has inputs of shapes %v and %v: only along axis %d may they differ", n.in[0], in, axis)
			}
		}
	}
	for _, in := range n.in {
		if out.batch == axis || in.batch >= 0 && !in.alike(out) || in.batch < 0 && out.batch >= 0 {
			return nil, unsupported("Concat of shapes %v and %v along axis %d would mix samples", out, in, axis)
		}
	}
	return []shape{out}, only(n, "axis")
}

func buildConcat(b *builder) layer {
	axis, _ := axisOf(b.node.Int("axis", 1), len(b.outs[0].dims))
	dims := b.outs[0].dims
	outer, inner := product(dims[:axis]), product(dims[axis+1:])
	var inputs, widths, starts []int
	at := 0
	for i := range b.node.Inputs {
		w := b.in(i).dims[axis] * inner
		inputs, widths, starts = append(inputs, i), append(widths, w), append(starts, at)
		at += outer * w
	}
	var from []int32
	for o := range outer {
		for i, w := range widths {
			for e := range w {
				from = append(from, int32(starts[i]+o*w+e))
			}
		}
	}
	return newMove(b, inputs, [][]int32{from}, 0)
}

func inferSplit(n *site) ([]shape, error) {
	in := n.in[0]
	axis, err := axisOf(n.Int("axis", 0), len(in.dims))
	if err != nil {
		return nil, err
	}
	if axis == in.batch {
		return nil, unsupported("Split along the batch is not supported")
	}
	sizes, err := n.intsOr(1, "split")
	if err != nil {
		return nil, err
	}
	if sizes == nil {
		parts := n.Int("num_outputs", len(n.Outputs))
		each := (in.dims[axis] + parts - 1) / max(parts, 1)
		for left := in.dims[axis]; left > 0; left -= each {
			sizes = append(sizes, min(each, left))
		}
	}
	var outs []shape
	sum := 0
	for _, size := range sizes {
		out := in.as(slices.Clone(in.dims))
		out.dims[axis] = size
		outs, sum = append(outs, out), sum+size
		if size < 1 {
			return nil, misfit("Split makes parts of %v of an axis of %d: each part must have an element", sizes, in.dims[axis])
		}
	}
	if sum != in.dims[axis] || len(outs) != len(n.Outputs) {
		return nil, misfit("Split makes parts of %v of an axis of %d for %d outputs: there must be one for each, and they must add up", sizes, in.dims[axis], len(n.Outputs))
	}
	return outs, only(n, "axis", "split", "num_outputs")
}

func buildSplit(b *builder) layer {
	in := b.in(0).dims
	axis, _ := axisOf(b.node.Int("axis", 0), len(in))
	steps := cSteps(in)
	var from [][]int32
	at := 0
	for i, name := range b.node.Outputs {
		if name == "" { // nobody wants it
			from = append(from, nil)
			continue
		}
		from = append(from, strided(b.outs[i].dims, steps, at*steps[axis]))
		at += b.outs[i].dims[axis]
	}
	return newMove(b, []int{0}, from, 0)
}

// slicing is what a Slice does to each axis.
type slicing struct{ start, step, size []int }

func sliceOf(n *site) (*slicing, error) {
	in := n.in[0]
	starts, err := n.intsOr(1, "starts")
	if err != nil {
		return nil, err
	}
	ends, err := n.intsOr(2, "ends")
	if err != nil {
		return nil, err
	}
	axes, err := n.intsOr(3, "axes", indices(len(starts))...)
	if err != nil {
		return nil, err
	}
	steps, err := n.intsOr(4, "steps")
	if err != nil {
		return nil, err
	}
	if len(ends) != len(starts) || len(axes) != len(starts) || steps != nil && len(steps) != len(starts) {
		return nil, misfit("Slice has the starts %v, the ends %v, the axes %v and the steps %v: there must be as many of each", starts, ends, axes, steps)
	}
	s := &slicing{make([]int, len(in.dims)), make([]int, len(in.dims)), slices.Clone(in.dims)}
	for i := range s.step {
		s.step[i] = 1
	}
	for i, a := range axes {
		a, err := axisOf(a, len(in.dims))
		if err != nil {
			return nil, err
		}
		step := 1
		if steps != nil {
			step = steps[i]
		}
		if step == 0 {
			return nil, misfit("Slice has a step of 0")
		}
		d := in.dims[a]
		clip := func(v, low, high int) int {
			if v < 0 {
				v += d
			}
			return min(max(v, low), high)
		}
		from, to := clip(starts[i], 0, d), clip(ends[i], 0, d)
		if step < 0 {
			from, to = clip(starts[i], 0, d-1), clip(ends[i], -1, d-1)
			if ends[i] < -d {
				to = -1
			}
		}
		size := max((to-from+step-sign(step))/step, 0)
		if size == 0 {
			return nil, unsupported("Slice of shape %v from %v to %v leaves nothing", in, starts, ends)
		}
		if a == in.batch && (from != 0 || step != 1 || size != d) && !(from == 0 && step == 1 && ends[i] > maxElements) {
			return nil, unsupported("Slice of the batch is not supported")
		}
		s.start[a], s.step[a], s.size[a] = from, step, size
	}
	return s, nil
}

func sign(v int) int {
	if v < 0 {
		return -1
	}
	return 1
}

func inferSlice(n *site) ([]shape, error) {
	s, err := sliceOf(n)
	if err != nil {
		return nil, err
	}
	return []shape{n.in[0].as(s.size)}, only(n, "starts", "ends", "axes")
}

func buildSlice(b *builder) layer {
	s, err := sliceOf(b.site())
	if err != nil {
		panic(err) // Bind has seen it
	}
	steps := cSteps(b.in(0).dims)
	base, strides := 0, make([]int, len(steps))
	for i, step := range steps {
		base += s.start[i] * step
		strides[i] = s.step[i] * step
	}
	return newMove(b, []int{0}, [][]int32{strided(b.outs[0].dims, strides, base)}, 0)
}

func inferExpand(n *site) ([]shape, error) {
	if n.stated == nil {
		return nil, unsupported("Expand of shape %v to what is computed from the data is not supported", n.in[0])
	}
	in, out := n.in[0], *n.stated
	if in.batch >= 0 && (out.batch != in.batch+len(out.dims)-len(in.dims) || out.dims[out.batch] != in.dims[in.batch]) {
		return nil, unsupported("Expand of shape %v to %v would mix samples", in, out)
	}
	out.lead = in.lead
	return []shape{out}, only(n)
}

func buildExpand(b *builder) layer {
	return newMove(b, []int{0}, [][]int32{broadcastIndex(b.in(0).dims, b.outs[0].dims)}, 0)
}

// ConstantOfShape of a number of samples; of fixed sizes it is a constant.
func inferFilled(n *site) ([]shape, error) {
	if n.stated == nil {
		return nil, unsupported("ConstantOfShape of what is computed from the data is not supported")
	}
	return []shape{*n.stated}, only(n, "value")
}

func buildFilled(b *builder) layer {
	var fill float32
	if t := b.node.Attrs["value"].Tensor(); t != nil {
		v, err := numbers(t)
		if err == nil && len(v) == 1 {
			fill = v[0]
		}
	}
	return newMove(b, nil, [][]int32{slices.Repeat([]int32{-1}, b.outs[0].elements())}, fill)
}
