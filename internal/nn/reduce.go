package nn

import (
	"slices"

	"lethe/internal/kernel"
)

// reduceLayer adds up elements over axes, times a factor.
type reduceLayer struct {
	stateless
	in, out *value
	dx      *sink
	runs    []reduceRun
	factor  float32
}

// reduceRun is n elements of the input that go into one vector of the output, or
// into as many.
type reduceRun struct {
	from, to, n int // elements
	along       bool
}

// reduced returns the axes that a reduction goes over.
func reduced(n *site) ([]int, error) {
	in := n.in[0]
	if n.Op == "GlobalAveragePool" {
		if len(in.dims) < 3 {
			return nil, misfit("GlobalAveragePool has an input of shape %v, without axes behind the channels", in)
		}
		return indices(len(in.dims))[2:], nil
	}
	list, err := n.intsOr(1, "axes")
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		if n.Int("noop_with_empty_axes", 0) != 0 {
			return nil, nil
		}
		list = indices(len(in.dims))
	}
	axes, err := axesOf(list, len(in.dims))
	if err == nil && slices.Contains(axes, in.batch) {
		err = unsupported("%s over the batch is not supported", n.Op)
	}
	return axes, err
}

func inferReduce(n *site) ([]shape, error) {
	axes, err := reduced(n)
	if err != nil {
		return nil, err
	}
	in, out := n.in[0], shape{batch: -1}
	for i, d := range in.dims {
		over := slices.Contains(axes, i)
		if over && n.Int("keepdims", 1) == 0 && n.Op != "GlobalAveragePool" {
			continue
		}
		if i == in.batch {
			out.batch, out.lead = len(out.dims), in.lead
		}
		if over {
			d = 1
		}
		out.dims = append(out.dims, d)
	}
	return []shape{out}, only(n, "axes", "keepdims", "noop_with_empty_axes")
}

func buildReduce(b *builder) layer {
	axes, err := reduced(b.site())
	if err != nil {
		panic(err) // Bind has seen it
	}
	in := b.in(0).dims
	kept := slices.Clone(in)
	count := 1
	for _, a := range axes {
		count *= in[a]
		kept[a] = 1
	}
	l := &reduceLayer{in: b.data(0), out: b.out[0], factor: 1}
	l.dx = b.sink(l.in)
	if b.node.Op != "ReduceSum" {
		l.factor = 1 / float32(count)
	}
	to := broadcastIndex(kept, in)
	for i, at := range to {
		at := int(at) * Lanes
		if n := len(l.runs) - 1; n >= 0 {
			r := &l.runs[n]
			along, same := at == r.to+r.n, at == r.to
			if same && (!r.along || r.n == Lanes) {
				r.along = false
				r.n += Lanes
				continue
			}
			if along && (r.along || r.n == Lanes) {
				r.along = true
				r.n += Lanes
				continue
			}
		}
		l.runs = append(l.runs, reduceRun{i * Lanes, at, Lanes, true})
	}
	return l
}

func (l *reduceLayer) forward(p part) {
	y := l.out.data(p)
	clear(y)
	for g := range p.hi - p.lo {
		x, y := l.in.data(p)[g*l.in.size:], y[g*l.out.size:]
		for i := range l.runs {
			r := &l.runs[i]
			if r.along {
				kernel.Add(y[r.to:r.to+r.n], x[r.from:])
			} else {
				kernel.Sum((*[Lanes]float32)(y[r.to:]), x[r.from:r.from+r.n])
			}
		}
	}
	if l.factor != 1 {
		kernel.Affine(y, y, l.factor, 0)
	}
}

func (l *reduceLayer) backward(p part) {
	if !l.dx.wanted() {
		return
	}
	dx, dy := l.dx.open(p), l.out.gradient(p)
	for g := range p.hi - p.lo {
		dx, dy := dx[g*l.in.size:], dy[g*l.out.size:]
		for i := range l.runs {
			r := &l.runs[i]
			if r.along {
				copy(dx[r.from:r.from+r.n], dy[r.to:])
				continue
			}
			for at := r.from; at < r.from+r.n; at += Lanes {
				copy(dx[at:at+Lanes], dy[r.to:])
			}
		}
	}
	if l.factor != 1 {
		kernel.Affine(dx, dx, l.factor, 0)
	}
	l.dx.close(p)
}
