package nn

import "lethe/internal/kernel"

// sums adds up what a layer finds in lanes over the batch: in each chunk one
// vector for every sum, and then lane by lane and chunk by chunk.
type sums struct {
	width   int
	acc     [][]float32 // of each worker, in lanes
	partial []float32   // [chunks][width]
}

func (s *Session) newSums(width int) *sums {
	m := &sums{width: width, partial: make([]float32, s.chunks()*width)}
	for range s.threads {
		m.acc = append(m.acc, make([]float32, width*Lanes))
	}
	return m
}

// open returns the sums of the chunk of p, as far as they are made.
func (m *sums) open(p part) []float32 {
	acc := m.acc[p.worker]
	if p.opens() {
		clear(acc)
	}
	return acc
}

// close keeps the sums of a chunk that is done.
func (m *sums) close(p part) {
	if p.closes() {
		kernel.SumLanes(m.partial[p.index*m.width:(p.index+1)*m.width], m.acc[p.worker])
	}
}

// total returns the sums over all chunks; they are valid until the next batch.
func (m *sums) total(chunks int) []float32 {
	total := m.partial[:m.width]
	for c := 1; c < chunks; c++ {
		kernel.Add(total, m.partial[c*m.width:(c+1)*m.width])
	}
	return total
}

// sourceLayer makes a weight or a constant a value, the same in all lanes.
type sourceLayer struct {
	weight *param
	out    *value
	sums   *sums
}

func newSource(b *builder, p *param) layer {
	l := &sourceLayer{weight: p, out: b.out[0]}
	if p.trained {
		l.sums = b.newSums(len(p.w))
	}
	return l
}

func (l *sourceLayer) refresh() {}

func (l *sourceLayer) forward(p part) {
	y := l.out.data(p)
	first := y[:l.out.size]
	for i, w := range l.weight.w {
		v := (*[Lanes]float32)(first[i*Lanes:])
		for lane := range v {
			v[lane] = w
		}
	}
	for at := l.out.size; at < len(y); at += l.out.size {
		copy(y[at:], first)
	}
}

func (l *sourceLayer) backward(p part) {
	acc, g := l.sums.open(p), l.out.gradient(p)
	for ; len(g) > 0; g = g[l.out.size:] {
		kernel.Add(acc, g[:l.out.size])
	}
	l.sums.close(p)
}

func (l *sourceLayer) tasks() int {
	if l.sums == nil {
		return 0
	}
	return 1
}

func (l *sourceLayer) reduce(_, chunks, _ int) { copy(l.weight.dw, l.sums.total(chunks)) }
