package ops

import "lethe/graph"

// transposeOp permutes axes.
var transposeOp = &Operator{
	Name:   "Transpose",
	inputs: []input{data("data", anything)},
	attrs:  []attr{intsAttr("perm")},
	infer: func(f *inference) {
		x := f.input(0)
		if x.shape == nil {
			f.set(0, x.dtype, nil)
			return
		}
		shape := make(graph.Shape, len(x.shape))
		for i, a := range f.permutation(len(x.shape)) {
			shape[i] = x.shape[a]
		}
		f.set(0, x.dtype, shape)
	},
	eval: func(c *call) { c.set(0, c.transpose(c.input(0), c.permutation(len(c.input(0).shape)))) },
}

func (n *node) permutation(rank int) []int {
	perm := n.ints("perm")
	if !n.has("perm") {
		perm = make([]int, rank)
		for i := range perm {
			perm[i] = rank - 1 - i
		}
	}
	if len(perm) != rank {
		n.fail("perm %v for %d axes", perm, rank)
	}
	return n.axes(perm, rank)
}

// transpose returns a tensor whose axis i is axis order[i] of x.
func (c *call) transpose(x *Tensor, order []int) *Tensor {
	same := true
	own := strides(x.shape)
	v := view{make([]int, len(order)), make([]int, len(order)), 0}
	for i, a := range order {
		v.shape[i], v.strides[i] = x.shape[a], own[a]
		same = same && i == a
	}
	if same {
		return x
	}
	out := c.like(x, v.shape)
	x.data.read(out.data, v)
	return out
}
