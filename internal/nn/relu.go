package nn

import "lethe/internal/kernel"

func inferRelu(n *site) ([]shape, error) { return n.in[:1], only(n) }

type reluLayer struct {
	stateless
	in, out *value
	dx      *sink
}

func buildRelu(b *builder) layer {
	l := &reluLayer{in: b.data(0), out: b.out[0]}
	l.dx = b.sink(l.in)
	b.keep(l.out)
	return l
}

func (l *reluLayer) forward(p part) { kernel.ReLU(l.out.data(p), l.in.data(p)) }

func (l *reluLayer) backward(p part) {
	if l.dx.wanted() {
		kernel.ReLUGrad(l.dx.open(p), l.out.data(p), l.out.gradient(p))
		l.dx.close(p)
	}
}
