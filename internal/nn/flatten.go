package nn

import "lethe/graph"

func inferFlatten(n *graph.Node, in []int, _ [][]int) ([]int, error) {
	if axis := n.Int("axis", 1); axis != 1 {
		return nil, unsupported("Flatten along axis %d is not supported, only along axis 1", axis)
	}
	return []int{product(in)}, only(n, "axis")
}

// flattenLayer copies: the elements already lie in the order that Flatten asks
// for, but the two values may be kept for different times.
type flattenLayer struct {
	stateless
	in, out *value
}

func buildFlatten(b *builder) layer { return &flattenLayer{in: b.in, out: b.out} }

func (l *flattenLayer) forward(p part) { copy(l.out.data(p), l.in.data(p)) }

func (l *flattenLayer) backward(p part) {
	if l.in.grad != nil {
		copy(l.in.gradient(p), l.out.gradient(p))
	}
}
