package nn

import (
	"lethe/graph"
	"lethe/internal/kernel"
)

func inferRelu(n *graph.Node, in []int, _ [][]int) ([]int, error) { return in, only(n) }

type reluLayer struct {
	stateless
	in, out *value
}

func buildRelu(b *builder) layer { return &reluLayer{in: b.in, out: b.out} }

func (l *reluLayer) forward(p part) { kernel.ReLU(l.out.data(p), l.in.data(p)) }

func (l *reluLayer) backward(p part) {
	if l.in.grad != nil {
		kernel.ReLUGrad(l.in.gradient(p), l.out.data(p), l.out.gradient(p))
	}
}
