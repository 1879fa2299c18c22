package nn

import (
	"math"
	"slices"
)

func inferGather(n *site) ([]shape, error) {
	in := n.in[0]
	if !n.has(1) {
		return nil, misfit("Gather needs indices")
	}
	axis, err := axisOf(n.Int("axis", 0), len(in.dims))
	if err != nil {
		return nil, err
	}
	at := n.in[1]
	if n.consts[1] == nil {
		if !n.fixed(0) || axis != 0 || at.batch < 0 {
			return nil, unsupported("Gather with indices that are computed is supported from a weight along axis 0 only")
		}
		return []shape{at.as(append(slices.Clone(at.dims), in.dims[1:]...))}, only(n, "axis")
	}
	if axis == in.batch {
		return nil, unsupported("Gather along the batch is not supported")
	}
	list, err := n.ints(1)
	if err != nil {
		return nil, err
	}
	for _, i := range list {
		if i < -in.dims[axis] || i >= in.dims[axis] {
			return nil, misfit("Gather asks for element %d of an axis of %d", i, in.dims[axis])
		}
	}
	out := in.as(slices.Concat(in.dims[:axis], at.dims, in.dims[axis+1:]))
	if in.batch > axis {
		out.batch += len(at.dims) - 1
	}
	return []shape{out}, only(n, "axis")
}

func buildGather(b *builder) layer {
	s := b.site()
	in := b.in(0).dims
	if s.consts[1] == nil {
		return newEmbedding(b, in[0], product(in[1:]))
	}
	axis, _ := axisOf(b.node.Int("axis", 0), len(in))
	list, err := s.ints(1)
	if err != nil {
		panic(err) // Bind has seen it
	}
	outer, inner := product(in[:axis]), product(in[axis+1:])
	var from []int32
	for o := range outer {
		for _, i := range list {
			if i < 0 {
				i += in[axis]
			}
			for e := range inner {
				from = append(from, int32((o*in[axis]+i)*inner+e))
			}
		}
	}
	return newMove(b, []int{0}, [][]int32{from}, 0)
}

// embeddingLayer looks up rows of a table by indices that depend on the sample.
// An index outside of the table gives NaN, which nothing hides.
type embeddingLayer struct {
	at, out    *value
	table      *param
	rows, size int
}

func newEmbedding(b *builder, rows, size int) layer {
	l := &embeddingLayer{at: b.data(1), out: b.out[0], table: b.weight(0), rows: rows, size: size}
	if l.table.trained {
		l.at.wholeBatch, l.out.wholeBatch = true, true
	}
	return l
}

func (l *embeddingLayer) refresh() {}

// row returns which row an index means; ok is false if there is none.
func (l *embeddingLayer) row(index float32) (row int, ok bool) {
	if row = int(index); row < 0 {
		row += l.rows
	}
	return row, row >= 0 && row < l.rows && index == index
}

func (l *embeddingLayer) forward(p part) {
	at, y := l.at.data(p), l.out.data(p)
	for i, index := range at {
		to := y[i/Lanes*l.size*Lanes+i%Lanes:]
		row, ok := l.row(index)
		for e := range l.size {
			if ok {
				to[e*Lanes] = l.table.w[row*l.size+e]
			} else {
				to[e*Lanes] = float32(math.NaN())
			}
		}
	}
}

func (l *embeddingLayer) backward(part) {}

func (l *embeddingLayer) tasks() int {
	if !l.table.trained {
		return 0
	}
	return 1
}

func (l *embeddingLayer) reduce(_, _, groups int) {
	clear(l.table.dw)
	at, dy := l.at.x[0][:groups*l.at.size], l.out.g[0]
	for i, index := range at {
		row, ok := l.row(index)
		if !ok {
			continue
		}
		from := dy[i/Lanes*l.size*Lanes+i%Lanes:]
		for e := range l.size {
			l.table.dw[row*l.size+e] += from[e*Lanes]
		}
	}
}
