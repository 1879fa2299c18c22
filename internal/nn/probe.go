package nn

import (
	"context"
	"slices"

	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// Operators that only move elements to places that constants say are run by
// asking package ops where it puts numbered elements.

// movers are these operators.
var movers = map[string]bool{
	"CenterCropPad": true, "Compress": true, "DepthToSpace": true, "GatherElements": true, "GatherND": true, "ReverseSequence": true,
	"Scatter": true, "ScatterElements": true, "ScatterND": true, "SpaceToDepth": true, "TensorScatter": true, "Trilu": true,
}

// moved is what an operator does to the elements of one sample.
type moved struct {
	inputs []int // those that are moved; the others are constants
	from   []int32
	out    shape
}

// probe finds out where a mover puts elements, with one sample and with two,
// which must not meet.
func (s *site) probe() (*moved, error) {
	m := &moved{}
	for i := range s.in {
		if s.has(i) && s.consts[i] == nil {
			m.inputs = append(m.inputs, i)
		}
	}
	if len(m.inputs) == 0 {
		return nil, unsupported("%s of constants is not supported", s.Op)
	}
	one, dims, err := s.numbered(m.inputs, 1)
	if err != nil {
		return nil, err
	}
	m.out = shape{dims: dims, batch: -1}
	m.from = make([]int32, len(one))
	for i, v := range one {
		m.from[i] = int32(v) - 1
	}
	batched := slices.ContainsFunc(m.inputs, func(i int) bool { return s.in[i].batch >= 0 })
	if !batched {
		return m, nil
	}
	two, wide, err := s.numbered(m.inputs, 2)
	if err != nil {
		return nil, unsupported("%s of shape %v depends on the number of samples", s.Op, s.in[m.inputs[0]])
	}
	for a := range wide {
		if a < len(dims) && wide[a] == 2*dims[a] && (s.stated == nil || s.stated.batch == a) {
			m.out.batch = a
		}
	}
	if m.out.batch < 0 || len(two) != 2*len(one) {
		return nil, unsupported("%s of shape %v would mix samples", s.Op, s.in[m.inputs[0]])
	}
	for _, i := range m.inputs {
		m.out.lead = max(m.out.lead, s.in[i].lead)
	}
	inner := product(dims[m.out.batch:])
	for i, v := range one {
		for sample := range 2 {
			got := two[(i/inner*2+sample)*inner+i%inner]
			if v == 0 && got != 0 || v != 0 && !s.same(m.inputs, int(v)-1, sample, int(got)-1) {
				return nil, unsupported("%s of shape %v would mix samples", s.Op, s.in[m.inputs[0]])
			}
		}
	}
	return m, nil
}

// same reports whether element number at of one sample is number got where there
// are two, in the given one.
func (s *site) same(inputs []int, at, sample, got int) bool {
	for _, i := range inputs {
		in := s.in[i]
		size := in.elements()
		if at >= size {
			at -= size
			if got -= size; in.batch >= 0 {
				got -= size
			}
			continue
		}
		if in.batch < 0 {
			return got == at
		}
		inner := product(in.dims[in.batch:])
		return got == (at/inner*2+sample)*inner+at%inner
	}
	return false
}

// numbered evaluates the node on elements that are their numbers, counted from 1
// over all inputs that are moved.
func (s *site) numbered(inputs []int, samples int) (values []float64, dims []int, err error) {
	node := *s.Node
	node.Inputs, node.Outputs = slices.Clone(node.Inputs), []string{"out"}
	g := &graph.Graph{Opsets: map[string]int{"": s.opset}, Constants: map[string]*model.Tensor{}, Outputs: []graph.Value{{Name: "out"}}}
	given := map[string]*ops.Tensor{}
	next := 1.0
	for i, in := range s.in {
		if !s.has(i) {
			continue
		}
		node.Inputs[i] = string(rune('a' + i))
		if !slices.Contains(inputs, i) {
			g.Constants[node.Inputs[i]] = s.consts[i]
			continue
		}
		dims := slices.Clone(in.dims)
		if in.batch >= 0 {
			dims[in.batch] *= samples
		}
		if tooMany(dims...) {
			return nil, nil, unsupported("%s of shape %v is too large", s.Op, in)
		}
		x := make([]float64, product(dims))
		for e := range x {
			x[e] = next
			next++
		}
		g.Inputs = append(g.Inputs, graph.TensorValue(node.Inputs[i], model.Float64, graph.Sizes(dims...)))
		given[node.Inputs[i]] = ops.Float64s(dims, x)
	}
	g.Nodes = []graph.Node{node}
	out, err := ops.Run(context.Background(), g, nil, given, ops.Options{Elements: 2 * maxElements})
	if err != nil {
		return nil, nil, err
	}
	values, ok := out["out"].Float64s()
	if !ok {
		return nil, nil, unsupported("%s does not give numbers", s.Op)
	}
	return values, out["out"].Shape(), nil
}

func inferProbed(s *site) ([]shape, error) {
	if r := s.String("reduction", "none"); r != "none" {
		return nil, unsupported("%s with reduction %q is not supported", s.Op, r)
	}
	m, err := s.probe()
	if err != nil {
		return nil, err
	}
	if len(m.from) == 0 {
		return nil, unsupported("%s of shape %v leaves nothing", s.Op, s.in[0])
	}
	return []shape{m.out}, nil
}

func buildProbed(b *builder) layer {
	s := b.site()
	m, err := s.probe()
	if err != nil {
		panic(err) // Bind has seen it
	}
	return newMove(b, m.inputs, [][]int32{m.from}, 0)
}

// expandTile repeats a value along its axes.
func expandTile(e *expansion) (string, error) {
	in := e.in[0]
	if e.stated == nil || len(e.stated.dims) != len(in.dims) {
		return "", unsupported("Tile of shape %v by a number that is computed is not supported", in)
	}
	out := *e.stated
	if in.batch >= 0 && (out.batch != in.batch || out.dims[in.batch] != in.dims[in.batch]) || tooMany(out.dims...) {
		return "", unsupported("Tile of shape %v to %v would mix samples, or is too large", in, out)
	}
	out.lead = in.lead
	from, steps := []int32{0}, cSteps(in.dims)
	for a, d := range out.dims {
		next := make([]int32, 0, len(from)*d)
		for _, at := range from {
			for i := range d {
				next = append(next, at+int32(i%in.dims[a]*steps[a]))
			}
		}
		from = next
	}
	return e.moved(e.input(0), from, out), nil
}

// expandResize takes the nearest element or interpolates, along one axis after
// the other.
func expandResize(e *expansion) (string, error) {
	if e.stated == nil || e.String("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize" {
		return "", unsupported("Resize to a size that is computed, or of a region, is not supported")
	}
	x, in := e.input(0), e.in[0]
	dims := slices.Clone(in.dims)
	for a, d := range e.stated.dims {
		if a >= len(dims) || d == dims[a] && !e.resizes(a) {
			continue
		}
		if a == in.batch || tooMany(dims[a], d) {
			return "", unsupported("Resize of shape %v to %v is not supported", in, *e.stated)
		}
		list, err := e.interpolation(a, dims[a], d)
		if err != nil {
			return "", err
		}
		dims[a] = d
		name := e.op("Along", graph.Attrs{"axis": graph.Int(int64(a))}, x)
		e.net.sums[name], x = list, name
	}
	return e.op("Identity", nil, x), nil
}

// resizes reports whether a scale other than 1 is given for an axis whose size
// stays.
func (e *expansion) resizes(axis int) bool {
	at := 2
	if e.opset < 11 {
		at = 1
	}
	if !e.has(at) || e.consts[at] == nil {
		return false
	}
	scales, err := numbers(e.consts[at])
	axes := e.Ints("axes", indices(len(e.in[0].dims))...)
	for i, a := range axes {
		if a, err2 := axisOf(a, len(e.in[0].dims)); err == nil && err2 == nil && a == axis && i < len(scales) {
			return scales[i] != 1
		}
	}
	return false
}

// interpolation returns for each element along an axis what it is the sum of, as
// package ops interpolates unit vectors.
func (e *expansion) interpolation(axis, size, to int) ([][]weighted, error) {
	node := graph.Node{Name: e.Name, Op: e.Op, Inputs: []string{"x", "", "s"}, Outputs: []string{"out"}, Attrs: graph.Attrs{}}
	for name, a := range e.Attrs {
		if name != "axes" && name != "keep_aspect_ratio_policy" {
			node.Attrs[name] = a
		}
	}
	scale := float32(to) / float32(size)
	at := 2
	if e.opset < 11 {
		node.Inputs, at = []string{"x", "s"}, 1
	}
	byScale := e.has(at) && e.consts[at] != nil && e.consts[at].Len() > 0
	if byScale {
		scales, err := numbers(e.consts[at])
		if err != nil {
			return nil, err
		}
		for i, a := range e.Ints("axes", indices(len(e.in[0].dims))...) {
			if a, err := axisOf(a, len(e.in[0].dims)); err == nil && a == axis && i < len(scales) {
				scale = scales[i]
			}
		}
	}
	g := &graph.Graph{Opsets: map[string]int{"": e.opset}, Constants: map[string]*model.Tensor{"s": model.Float32Tensor([]int{2}, []float32{1, scale})}, Outputs: []graph.Value{{Name: "out"}}}
	if !byScale && e.opset >= 11 {
		node.Inputs = []string{"x", "", "", "s"}
		g.Constants["s"] = int64Tensor([]int{2}, int64(size), int64(to))
	}
	unit := make([]float64, size*size)
	for i := range size {
		unit[i*size+i] = 1
	}
	g.Inputs, g.Nodes = []graph.Value{graph.TensorValue("x", model.Float64, graph.Sizes(size, size))}, []graph.Node{node}
	out, err := ops.Run(context.Background(), g, nil, map[string]*ops.Tensor{"x": ops.Float64s([]int{size, size}, unit)}, ops.Options{Elements: maxElements})
	if err != nil {
		return nil, err
	}
	values, ok := out["out"].Float64s()
	if !ok || len(values) != size*to {
		return nil, unsupported("Resize of axis %d from %d to %d elements is not supported", axis, size, to)
	}
	list := make([][]weighted, to)
	for i := range size {
		for o := range to {
			if w := values[i*to+o]; w != 0 {
				list[o] = append(list[o], weighted{i, float32(w)})
			}
		}
	}
	return list, nil
}

// weighted is an element along an axis and what it is multiplied with.
type weighted struct {
	at int
	by float32
}

// alongLayer makes each element along an axis a sum of others along it.
type alongLayer struct {
	stateless
	in, out     *value
	dx          *sink
	list        [][]weighted
	outer, size int
	inner       int // elements, in lanes
}

func inferAlong(n *site) ([]shape, error) {
	dims := slices.Clone(n.in[0].dims)
	dims[n.Int("axis", 0)] = len(n.net.sums[n.Outputs[0]])
	return []shape{n.in[0].as(dims)}, nil
}

func buildAlong(b *builder) layer {
	dims, axis := b.in(0).dims, b.node.Int("axis", 0)
	l := &alongLayer{in: b.data(0), out: b.out[0], list: b.net.sums[b.node.Outputs[0]], outer: product(dims[:axis]), size: dims[axis], inner: product(dims[axis+1:]) * Lanes}
	l.dx = b.sink(l.in)
	return l
}

// addScaled adds x*by to y.
func addScaled(y, x []float32, by float32) {
	x = x[:len(y)]
	for i, v := range x {
		y[i] += float32(v * by)
	}
}

func (l *alongLayer) forward(p part) {
	x, y := l.in.data(p), l.out.data(p)
	clear(y)
	for range (p.hi - p.lo) * l.outer {
		for o, list := range l.list {
			for _, w := range list {
				addScaled(y[o*l.inner:(o+1)*l.inner], x[w.at*l.inner:], w.by)
			}
		}
		x, y = x[l.size*l.inner:], y[len(l.list)*l.inner:]
	}
}

func (l *alongLayer) backward(p part) {
	if !l.dx.wanted() {
		return
	}
	whole, dy := l.dx.open(p), l.out.gradient(p)
	clear(whole)
	for dx := whole; len(dx) > 0; dx, dy = dx[l.size*l.inner:], dy[len(l.list)*l.inner:] {
		for o, list := range l.list {
			for _, w := range list {
				addScaled(dx[w.at*l.inner:(w.at+1)*l.inner], dy[o*l.inner:], w.by)
			}
		}
	}
	l.dx.close(p)
}

// expandCumSum adds up along an axis.
func expandCumSum(e *expansion) (string, error) {
	if !e.has(1) {
		return "", misfit("CumSum needs an axis")
	}
	axes, err := e.site.ints(1)
	if err != nil || len(axes) != 1 {
		return "", unsupported("CumSum along an axis that is computed is not supported")
	}
	axis, err := axisOf(axes[0], len(e.in[0].dims))
	if err != nil {
		return "", err
	}
	size := e.in[0].dims[axis]
	if axis == e.in[0].batch || tooMany(size, size) {
		return "", unsupported("CumSum of shape %v along axis %d is not supported", e.in[0], axis)
	}
	list := make([][]weighted, size)
	for o := range list {
		for i := range size {
			before := i < o
			if e.Int("reverse", 0) != 0 {
				before = i > o
			}
			if before || i == o && e.Int("exclusive", 0) == 0 {
				list[o] = append(list[o], weighted{i, 1})
			}
		}
	}
	name := e.op("Along", graph.Attrs{"axis": graph.Int(int64(axis))}, e.input(0))
	e.net.sums[name] = list
	return name, nil
}
