package nn

import (
	"math"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// masked is what is added to a score that does not count: its exponential is 0.
const masked = -1e30

// expandAttention is softmax(Q K' scale + mask) V for every head, with keys and values
// that several heads may share.
func expandAttention(e *expansion) (string, error) {
	for i, name := range []string{"past_key", "past_value", "nonpad_kv_seqlen"} {
		if e.has(4 + i) {
			return "", unsupported("Attention with %s is not supported", name)
		}
	}
	if e.Int("left_window_size", -1) >= 0 || e.Int("right_window_size", -1) >= 0 {
		return "", unsupported("Attention to a window is not supported")
	}
	var heads [3][]int // [heads, positions, size] of queries, keys and values
	var x [3]string
	for i, number := range []string{"q_num_heads", "kv_num_heads", "kv_num_heads"} {
		var err error
		if x[i], heads[i], err = e.byHeads(i, e.Int(number, 0)); err != nil {
			return "", err
		}
	}
	q, k, v := heads[0], heads[1], heads[2]
	if k[0] == 0 || q[0]%k[0] != 0 || v[0] != k[0] || k[2] != q[2] || v[1] != k[1] {
		return "", misfit("Attention has queries of [heads, positions, size] %v, keys of %v and values of %v: keys and values must be as many, keys as long as queries, and heads of queries a multiple of theirs", q, k, v)
	}
	scale := e.Float("scale", float32(1/math.Sqrt(float64(q[2]))))
	group := q[0] / k[0]
	queries := e.view(e.op("Mul", nil, x[0], e.number(scale)), 0, 1, k[0], group*q[1], q[2]) // those of one key lie side by side
	scores := e.op("MatMul", nil, queries, e.transpose(x[1], 0, 1, 3, 2))
	if most := e.Float("softcap", 0); most != 0 {
		scores = e.op("Mul", nil, e.op("Tanh", nil, e.op("Div", nil, scores, e.number(most))), e.number(most))
	}
	scores = e.view(scores, 0, 1, q[0], q[1], k[1])
	scores, err := e.maskScores(scores, q[1], k[1])
	if err != nil {
		return "", err
	}
	shares := e.view(e.op("Softmax", graph.Attrs{"axis": graph.Int(-1)}, scores), 0, 1, k[0], group*q[1], k[1])
	y := e.view(e.op("MatMul", nil, shares, x[2]), 0, 1, q[0], q[1], v[2])
	return e.fromHeads(y, len(e.in[0].dims), q[0], q[1], v[2]), nil
}

// byHeads returns input i as [batch, heads, positions, size], and the last three.
func (e *expansion) byHeads(i, heads int) (name string, dims []int, err error) {
	if !e.has(i) || e.in[i].batch != 0 || e.in[i].dims[0] != 1 {
		return "", nil, unsupported("%s of shape %v, without the samples in front, is not supported", e.Op, e.in[i])
	}
	in := e.in[i].dims
	switch {
	case len(in) == 4:
		return e.input(i), in[1:], nil
	case len(in) != 3 || heads < 1 || in[2]%heads != 0:
		return "", nil, misfit("%s needs an input of [batch, positions, features] that %d heads divide, or of four axes, and has one of shape %v", e.Op, heads, e.in[i])
	}
	split := e.view(e.input(i), 0, 1, in[1], heads, in[2]/heads)
	return e.transpose(split, 0, 2, 1, 3), []int{heads, in[1], in[2] / heads}, nil
}

// fromHeads is the way back for inputs of so many axes.
func (e *expansion) fromHeads(x string, axes, heads, positions, size int) string {
	if axes == 4 {
		return x
	}
	return e.view(e.transpose(x, 0, 2, 1, 3), 0, 1, positions, heads*size)
}

// maskScores adds the mask to scores of so many queries and keys, and leaves out what
// comes later if only what came before counts.
func (e *expansion) maskScores(scores string, queries, keys int) (string, error) {
	if e.Int("is_causal", 0) != 0 {
		later := make([]float32, queries*keys)
		for i := range later {
			if i%keys > i/keys {
				later[i] = masked
			}
		}
		scores = e.op("Add", nil, scores, e.floats([]int{queries, keys}, later))
	}
	if !e.has(3) {
		return scores, nil
	}
	t := e.consts[3]
	if t == nil || t.DType().IsFloat() {
		if e.net.whole[e.input(3)] {
			return "", unsupported("Attention with a mask of truth values that is computed is not supported")
		}
		return e.op("Add", nil, scores, e.input(3)), nil
	}
	counts, err := numbers(t)
	if err != nil {
		return "", err
	}
	if t.DType() == model.Bool {
		row := 0
		for i, v := range counts {
			if v != 0 {
				row++
			}
			counts[i] = (1 - v) * masked
			if (i+1)%max(t.Shape()[len(t.Shape())-1], 1) == 0 {
				if row == 0 {
					return "", unsupported("Attention with a query that attends to nothing is not supported")
				}
				row = 0
			}
		}
	}
	return e.op("Add", nil, scores, e.floats(t.Shape(), counts)), nil
}

// floats returns a constant.
func (e *expansion) floats(dims []int, v []float32) string {
	name := e.name()
	e.net.constants[name] = model.Float32Tensor(dims, v)
	return name
}

// expandRotary turns pairs of elements of each head by the angle of their position.
func expandRotary(e *expansion) (string, error) {
	x, dims, err := e.byHeads(0, e.Int("num_heads", 0))
	if err != nil {
		return "", err
	}
	turned := e.Int("rotary_embedding_dim", 0)
	if turned == 0 {
		turned = dims[2]
	}
	if turned < 0 || turned > dims[2] || turned%2 != 0 {
		return "", misfit("RotaryEmbedding turns %d elements of heads of %d: it must be an even number and no more than there are", turned, dims[2])
	}
	half := turned / 2
	var angles [2]string // cosines and sines of [batch, 1, positions, half]
	for i := range angles {
		cache := e.input(1 + i)
		if e.has(3) {
			cache = e.op("Gather", graph.Attrs{"axis": graph.Int(0)}, cache, e.input(3))
		} else if e.in[1+i].batch != 0 || !slices.Equal(e.in[1+i].dims, []int{1, dims[1], half}) {
			return "", unsupported("RotaryEmbedding with angles of shape %v and without positions is not supported", e.in[1+i])
		}
		angles[i] = e.view(cache, 0, 1, 1, dims[1], half)
	}
	piece := func(from, to, step int) string {
		return e.op("Slice", nil, x, e.ints(from), e.ints(to), e.ints(3), e.ints(step))
	}
	a, b := piece(0, half, 1), piece(half, turned, 1)
	interleaved := e.Int("interleaved", 0) != 0
	if interleaved {
		a, b = piece(0, turned, 2), piece(1, turned, 2)
	}
	product := func(x string, angle int) string { return e.op("Mul", nil, x, angles[angle]) }
	first, second := e.op("Sub", nil, product(a, 0), product(b, 1)), e.op("Add", nil, product(a, 1), product(b, 0))
	var y string
	if interleaved {
		a, b = e.view(first, 0, 1, dims[0], dims[1], half, 1), e.view(second, 0, 1, dims[0], dims[1], half, 1)
		y = e.view(e.op("Concat", graph.Attrs{"axis": graph.Int(4)}, a, b), 0, 1, dims[0], dims[1], turned)
	} else {
		y = e.op("Concat", graph.Attrs{"axis": graph.Int(3)}, first, second)
	}
	if turned < dims[2] {
		y = e.op("Concat", graph.Attrs{"axis": graph.Int(3)}, y, piece(turned, dims[2], 1))
	}
	return e.fromHeads(y, len(e.in[0].dims), dims[0], dims[1], dims[2]), nil
}
