package nn

import (
	"lethe/graph"
	"lethe/internal/kernel"
)

func inferMaxPool(n *graph.Node, in []int, _ [][]int) ([]int, error) {
	if n.Int("ceil_mode", 0) != 0 {
		return nil, unsupported("MaxPool with ceil_mode is not supported")
	}
	if n.Int("storage_order", 0) != 0 {
		return nil, unsupported("MaxPool with storage_order is not supported")
	}
	g, err := inferWindow(n, in, n.Ints("kernel_shape"))
	if err != nil {
		return nil, err
	}
	for _, a := range []axis{g.y, g.x} {
		for o := range a.out {
			if first := o*a.stride - a.pad; first+(a.kernel-1)*a.dilat < 0 || first >= a.in {
				return nil, misfit("MaxPool has a window that holds nothing but padding")
			}
		}
	}
	return []int{in[0], g.y.out, g.x.out}, only(n, "auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides")
}

// maxPoolLayer takes the maximum over windows; the gradient goes to the first
// of equal elements, as in PyTorch.
type maxPoolLayer struct {
	stateless
	in, out     *value
	inSz, outSz int
	strips      []strip
}

func buildMaxPool(b *builder) layer {
	g, err := inferWindow(b.node, b.inDims, b.node.Ints("kernel_shape"))
	if err != nil {
		panic(err) // Bind has inferred it before
	}
	return &maxPoolLayer{
		in: b.in, out: b.out, strips: poolStrips(g),
		inSz: g.y.in * g.x.in * Lanes, outSz: g.y.out * g.x.out * Lanes,
	}
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
	if l.in.grad == nil {
		return
	}
	x, y := l.in.data(p), l.out.data(p)
	dx, dy := l.in.gradient(p), l.out.gradient(p)
	clear(dx)
	for ; len(x) > 0; x, y, dx, dy = x[l.inSz:], y[l.outSz:], dx[l.inSz:], dy[l.outSz:] {
		for i := range l.strips {
			st := &l.strips[i]
			kernel.MaxTapsGrad(dx[st.source:], x[st.source:], y[st.target:], dy[st.target:], st.taps, st.sourceStep, st.n)
		}
	}
}
