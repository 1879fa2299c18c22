package nn

import (
	"lethe/graph"
	"lethe/internal/kernel"
)

func inferMaxPool(n *site) ([]shape, error) {
	if n.Int("storage_order", 0) != 0 {
		return nil, unsupported("MaxPool with storage_order is not supported")
	}
	g, err := inferWindow(n.Node, n.in[0], n.Ints("kernel_shape"))
	if err != nil {
		return nil, err
	}
	for _, a := range []axis{g.y, g.x} {
		if err := a.allSee(n.Op); err != nil {
			return nil, err
		}
	}
	return []shape{g.outShape(n.in[0], n.in[0].dims[1])}, only(n, "auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides")
}

// allSee refuses a window that holds nothing but padding.
func (a axis) allSee(op string) error {
	for o := range a.out {
		sees := false
		for k := range a.kernel {
			_, ok := a.meets(o, k)
			sees = sees || ok
		}
		if !sees {
			return misfit("%s has a window that holds nothing but padding", op)
		}
	}
	return nil
}

// maxPoolLayer takes the maximum over windows; the gradient goes to the first
// of equal elements, as in PyTorch.
type maxPoolLayer struct {
	stateless
	in, out     *value
	dx          *sink
	inSz, outSz int
	strips      []strip
}

func buildMaxPool(b *builder) layer {
	g := b.window(b.node, b.in(0), b.node.Ints("kernel_shape"))
	l := &maxPoolLayer{
		in: b.data(0), out: b.out[0], strips: poolStrips(g),
		inSz: g.y.in * g.x.in * Lanes, outSz: g.y.out * g.x.out * Lanes,
	}
	l.dx = b.sink(l.in)
	b.keep(l.in)
	b.keep(l.out)
	return l
}

// window returns the geometry that Bind has inferred before.
func (b *builder) window(n *graph.Node, in shape, kernelShape []int) window {
	w, err := inferWindow(n, in, kernelShape)
	if err != nil {
		panic(err)
	}
	return w
}

// poolStrips returns the strips of one plane of a pooling. A tap's two offsets
// are the same: the gradient reads x at one and changes dx at the other.
func poolStrips(w window) []strip {
	all := strips(w.y.forward(), w.x.forward(), w.x.out, w.x.in, 1, 0, func(int, int, int) int { return 0 })
	for i := range all {
		all[i].taps = all[i].taps.Mirrored()
	}
	return all
}

func (l *maxPoolLayer) forward(p part) {
	x, y := l.in.data(p), l.out.data(p)
	for ; len(x) > 0; x, y = x[l.inSz:], y[l.outSz:] {
		for i := range l.strips {
			st := &l.strips[i]
			kernel.MaxTaps(y[st.target:], x[st.source:], st.taps, st.sourceStep, st.n)
		}
	}
}

func (l *maxPoolLayer) backward(p part) {
	if !l.dx.wanted() {
		return
	}
	x, y := l.in.data(p), l.out.data(p)
	dx, dy := l.dx.open(p), l.out.gradient(p)
	clear(dx)
	for ; len(x) > 0; x, y, dx, dy = x[l.inSz:], y[l.outSz:], dx[l.inSz:], dy[l.outSz:] {
		for i := range l.strips {
			st := &l.strips[i]
			kernel.MaxTapsGrad(dx[st.source:], x[st.source:], y[st.target:], dy[st.target:], st.taps, st.sourceStep, st.n)
		}
	}
	l.dx.close(p)
}
