package nn

import (
	"slices"
	"sync"

	"gorgonia.org/tensor"

	"lethe/graph"
	"lethe/internal/kernel"
)

// largestChunk is the number of groups that are computed together. It is part
// of the definition of a gradient: sums over the batch are made of sums over
// chunks. Networks with more than largeNet elements of activations in a group
// take one group for a chunk: a chunk is then too large for a cache anyway, and
// takes less memory.
const (
	largestChunk = 4
	largeNet     = 16 << 20 / 4
)

// value is a tensor that flows between layers, and its gradient.
type value struct {
	shape       shape
	size        int   // elements of one group
	maker       int   // layer that makes it, -1 for an input of the graph
	readers     []int // layers that read it
	writers     []int // layers that write its gradient
	written     bool  // a writer of its gradient is known
	wholeBatch  bool  // held for the whole batch, not only for the chunk at hand
	needsGrad   bool  // a gradient flows through it
	gradByGroup bool  // the gradient is held for one group at a time

	// Memory: of the whole batch, or of the chunk at hand of each worker.
	value, grad []*tensor.Dense
	x, g        [][]float32
}

// data returns the elements of the groups of p.
func (v *value) data(p part) []float32 {
	if v.wholeBatch {
		return v.x[0][p.lo*v.size : p.hi*v.size]
	}
	at := p.lo - p.begin
	return v.x[p.worker][at*v.size : (at+p.hi-p.lo)*v.size]
}

// gradient returns the elements of the gradient of the groups of p, nil if no
// gradient flows.
func (v *value) gradient(p part) []float32 {
	if !v.needsGrad {
		return nil
	}
	at := p.lo - p.begin
	switch {
	case v.wholeBatch:
		return v.g[0][p.lo*v.size : p.hi*v.size]
	case v.gradByGroup:
		at = 0
	}
	return v.g[p.worker][at*v.size : (at+p.hi-p.lo)*v.size]
}

// sink is where a layer puts the gradient of one of its inputs. Of several layers
// that read a value, the first to go backward writes and the others add.
type sink struct {
	v     *value
	first bool
	adds  bool   // the layer adds what there is by itself
	spare *value // for what is to be added otherwise
}

// wanted reports whether a gradient flows.
func (k *sink) wanted() bool { return k != nil && k.v.needsGrad }

// open returns where to write the gradient of a part. close must follow.
func (k *sink) open(p part) []float32 {
	if k.first {
		return k.v.gradient(p)
	}
	return k.spare.data(p)
}

func (k *sink) close(p part) {
	if !k.first {
		kernel.Add(k.v.gradient(p), k.spare.data(p))
	}
}

// target returns where to put the gradient of a part, and what is to be added to it: what
// lies there, or nil. It is instead of open and close if adds is true.
func (k *sink) target(p part) (dst, add []float32) {
	if dst = k.v.gradient(p); k.first {
		return dst, nil
	}
	return dst, dst
}

// add puts in a gradient that is already somewhere else.
func (k *sink) add(p part, g []float32) {
	if k.first {
		copy(k.v.gradient(p), g)
	} else {
		kernel.Add(k.v.gradient(p), g)
	}
}

func addSlices(dst, src []float32) { kernel.Add(dst, src) }

// use is what a layer asks of memory.
type use struct {
	needs []*value // that backward reads
	sinks []*sink
	temps []*value // from forward to backward
	outs  []*value
	node  *graph.Node // nil for a weight that becomes a value
}

// layerRange is layers lo to hi, which take a chunk group by group, each group
// through all of them, if its activations are too large for a processor's cache.
type layerRange struct {
	lo, hi   int
	byGroups bool
}

// cacheSize is what a layer may touch of a chunk at once, in elements: 1 MiB, the
// second-level cache of a core of most servers.
const cacheSize = 1 << 20 / 4

// parts calls f with p, whole or group by group.
func (st layerRange) parts(p part, f func(part, layerRange)) {
	if !st.byGroups {
		f(p, st)
		return
	}
	for q := p; q.lo < p.hi; q.lo++ {
		q.hi = q.lo + 1
		f(q, st)
	}
}

// divide returns the layers as ranges, as long as possible.
func (s *Session) divide() []layerRange {
	if s.chunk == 1 || s.batchStatistics { // statistics are those of a whole chunk
		return []layerRange{{0, len(s.layers), false}}
	}
	touched := make([]int, len(s.layers))
	for _, v := range s.values {
		size := v.size * s.chunk
		if v.needsGrad {
			size *= 2
		}
		for _, r := range v.readers {
			touched[r] += size
		}
		if v.maker >= 0 {
			touched[v.maker] += size
		}
	}
	var all []layerRange
	for i, size := range touched {
		if n := len(all) - 1; n >= 0 && all[n].byGroups == (size > cacheSize) {
			all[n].hi = i + 1
		} else {
			all = append(all, layerRange{i, i + 1, size > cacheSize})
		}
	}
	if len(all) == 0 {
		all = []layerRange{{0, 0, false}}
	}
	return all
}

// span is memory that is needed from one moment to another.
type span struct {
	from, to int
	size     int // elements
	place    func(worker int, memory []float32)
	at       int
}

// clock tells when a layer goes forward and backward. The layers of a range that
// takes a chunk group by group do so all at the same time.
type clock struct {
	lo, hi []int // first and last layer of the range of each
	n      int
}

func (c *clock) forward(layer int) (from, to int) {
	if layer < 0 {
		return 0, 0
	}
	return c.lo[layer] + 1, c.hi[layer] + 1
}

func (c *clock) backward(layer int) (from, to int) {
	if layer < 0 {
		return 2*c.n + 3, 2*c.n + 3
	}
	return 2*c.n + 2 - c.hi[layer], 2*c.n + 2 - c.lo[layer]
}

func (s *Session) newClock() *clock {
	n := len(s.layers)
	c := &clock{make([]int, n), make([]int, n), n}
	for _, st := range s.path {
		for i := st.lo; i < st.hi; i++ {
			c.lo[i], c.hi[i] = i, i
			if st.byGroups {
				c.lo[i], c.hi[i] = st.lo, st.hi-1
			}
		}
	}
	return c
}

// plan gives every value its memory. What is held for a chunk lies in one block
// for each worker, where values whose times do not meet share a place.
func (s *Session) plan() {
	s.path = s.divide()
	clock := s.newClock()
	kept := map[*value]int{} // until when backward reads it
	for i, u := range s.uses {
		if !s.trains[i] {
			continue
		}
		_, to := clock.backward(i)
		for _, v := range u.needs {
			kept[v] = max(kept[v], to)
		}
	}
	var spans []*span
	groups := min(s.chunk, max(s.groups, 1))
	for _, v := range s.values {
		s.planGradByGroup(v)
		if v.wholeBatch {
			v.x, v.value = s.whole(v)
			if v.needsGrad {
				v.g, v.grad = s.whole(v)
			}
			continue
		}
		x := &span{size: v.size * groups}
		x.from, x.to = clock.forward(v.maker)
		for _, r := range v.readers {
			_, to := clock.forward(r)
			x.to = max(x.to, to)
		}
		x.to = max(x.to, kept[v])
		if v == s.output {
			x.to = max(x.to, clock.n+1)
		}
		v.x, v.value = make([][]float32, s.threads), make([]*tensor.Dense, s.threads)
		x.place = func(w int, memory []float32) {
			v.x[w], v.value[w] = memory, dense(append(append([]int{groups}, v.shape.dims...), Lanes), memory)
		}
		spans = append(spans, x)
		if v.needsGrad {
			spans = append(spans, s.gradSpan(clock, v, groups))
		}
	}
	for i, u := range s.uses {
		if s.trains[i] {
			spans = append(spans, s.spareSpans(clock, i, u, groups)...)
		}
		for _, t := range u.temps {
			from, _ := clock.forward(i)
			_, to := clock.forward(i)
			if s.trains[i] {
				_, to = clock.backward(i)
			}
			t.x = make([][]float32, s.threads)
			spans = append(spans, &span{from: from, to: to, size: t.size * groups, place: func(w int, memory []float32) { t.x[w] = memory }})
		}
	}
	s.planned = arrange(spans)
	for w := range s.threads {
		memory := s.block(s.planned)
		for _, x := range spans {
			x.place(w, memory[x.at:x.at+x.size:x.at+x.size])
		}
	}
}

// freed holds the blocks of sessions that are no more.
var freed sync.Pool

// block returns n elements that are 0, of a session that is no more if it had as many.
func (s *Session) block(n int) []float32 {
	at := slices.IndexFunc(s.spare, func(b []float32) bool { return len(b) == n })
	if at < 0 {
		s.blocks = append(s.blocks, make([]float32, n))
	} else {
		s.blocks = append(s.blocks, s.spare[at])
		s.spare = slices.Delete(s.spare, at, at+1)
		clear(s.blocks[len(s.blocks)-1])
	}
	return s.blocks[len(s.blocks)-1]
}

// free leaves the memory to the sessions to come. This one must not be used any more.
func (s *Session) free() { freed.Put(&s.blocks) }

// whole returns memory for a value of the whole batch.
func (s *Session) whole(v *value) ([][]float32, []*tensor.Dense) {
	groups := max(s.groups, 1)
	memory := make([]float32, groups*v.size)
	return [][]float32{memory}, []*tensor.Dense{dense(append(append([]int{groups}, v.shape.dims...), Lanes), memory)}
}

// planGradByGroup finds out whether the gradient of a value lives within one
// range that goes group by group.
func (s *Session) planGradByGroup(v *value) {
	if v.wholeBatch || !v.needsGrad || v == s.output || v.maker < 0 || !v.written {
		return
	}
	i := slices.IndexFunc(s.path, func(st layerRange) bool { return st.lo <= v.maker && v.maker < st.hi })
	v.gradByGroup = s.path[i].byGroups
	for _, w := range v.writers {
		v.gradByGroup = v.gradByGroup && w < s.path[i].hi
	}
}

func (s *Session) gradSpan(clock *clock, v *value, groups int) *span {
	if v.gradByGroup {
		groups = 1
	}
	g := &span{size: v.size * groups}
	_, g.to = clock.backward(v.maker)
	g.from = g.to
	for _, w := range v.writers {
		from, _ := clock.backward(w)
		g.from = min(g.from, from)
	}
	if v == s.output || !v.written {
		g.from = clock.n + 1
	}
	v.g, v.grad = make([][]float32, s.threads), make([]*tensor.Dense, s.threads)
	g.place = func(w int, memory []float32) {
		v.g[w], v.grad[w] = memory, dense(append(append([]int{groups}, v.shape.dims...), Lanes), memory)
	}
	return g
}

func (s *Session) spareSpans(clock *clock, layer int, u use, groups int) []*span {
	var spans []*span
	for _, k := range u.sinks {
		if !k.v.needsGrad || k.first || k.adds {
			continue
		}
		k.spare = &value{size: k.v.size, x: make([][]float32, s.threads)}
		x := &span{size: k.v.size * groups, place: func(w int, memory []float32) { k.spare.x[w] = memory }}
		x.from, x.to = clock.backward(layer)
		spans = append(spans, x)
	}
	return spans
}

// arrange gives spans their places and returns the size of all: the largest
// first, each at the lowest place that is free all the time.
func arrange(spans []*span) (total int) {
	const align = 16 // elements of a cache line
	order := slices.Clone(spans)
	slices.SortStableFunc(order, func(a, b *span) int { return b.size - a.size })
	var placed []*span // by place
	for _, x := range order {
		at := 0
		for _, y := range placed {
			if y.to < x.from || x.to < y.from {
				continue
			}
			if y.at >= at+x.size {
				break
			}
			at = max(at, (y.at+y.size+align-1)/align*align)
		}
		x.at = at
		total = max(total, at+x.size)
		i, _ := slices.BinarySearchFunc(placed, x, func(a, b *span) int { return a.at - b.at })
		placed = slices.Insert(placed, i, x)
	}
	return total
}
