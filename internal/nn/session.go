package nn

import (
	"fmt"
	"runtime"
	"slices"

	"gorgonia.org/tensor"

	"lethe/graph"
	"lethe/internal/kernel"
	"lethe/model"
	"lethe/ops"
)

// chunk is the number of groups that are computed together. It is part of the
// definition of a gradient: sums over the batch are made of sums over chunks.
const chunk = 4

// Session holds the tensors that running a [Net] needs, and a copy of the
// parameters that it trains. It is not safe for concurrent use; inside, it
// runs on several goroutines.
type Session struct {
	net             *Net
	capacity        int // samples
	groups          int // for as many samples
	threads         int
	batchStatistics bool     // BatchNormalization is in training mode
	values          []*value // of the input and of the output of every layer
	layers          []layer
	path            []layerRange
	params          []*param
	theta           []float32
	grad            []float32

	team  *team
	stale bool // the layers have not seen the parameters' values

	// The work at hand.
	samples                           int // of the batch
	groupsAt                          int // groups of the batch
	fill                              Fill
	done                              func(i int, logits []float32)
	loss                              Loss
	rows                              []rows                 // of each worker
	forwardTask, stepTask, reduceTask func(task, worker int) // made once, so that a step allocates nothing
}

// The phases of the work on a batch.
const (
	refreshPhase = iota
	chunkPhase
	reducePhase
	phases
)

// rows are samples and their logits as callers see them, one after the other.
type rows struct {
	x            []float32 // a group of samples
	logits, grad []float32 // of one sample
}

// value is a tensor that flows between nodes, and its gradient.
type value struct {
	size        int  // elements of one group
	wholeBatch  bool // held for the whole batch, not only for the chunk at hand
	needsGrad   bool // a gradient flows through it
	gradByGroup bool // the gradient is held for one group at a time
	value       *tensor.Dense
	grad        *tensor.Dense // nil where no gradient flows
	x, g        []float32     // their elements
}

// param is a parameter or buffer of the session.
type param struct {
	name  string
	data  *tensor.Dense
	grad  *tensor.Dense // nil if it is not trained
	w, dw []float32     // their elements
}

// part is the work at hand: groups lo to hi of chunk number index of the batch,
// which is groups begin to end, on a worker.
type part struct {
	lo, hi, begin, end int
	index, worker      int
}

// opens and closes report whether the part is the first and the last of its chunk.
func (p part) opens() bool  { return p.lo == p.begin }
func (p part) closes() bool { return p.hi == p.end }

// data returns the elements of the groups of p.
func (v *value) data(p part) []float32 {
	at := p.lo
	if !v.wholeBatch {
		at += p.worker*chunk - p.begin
	}
	return v.x[at*v.size : (at+p.hi-p.lo)*v.size]
}

// gradient returns the elements of the gradient of the groups of p.
func (v *value) gradient(p part) []float32 {
	at := p.lo
	switch {
	case v.gradByGroup:
		at = p.worker
	case !v.wholeBatch:
		at += p.worker*chunk - p.begin
	}
	return v.g[at*v.size : (at+p.hi-p.lo)*v.size]
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

// divide returns the layers between values as stretches, as long as possible.
func divide(values []*value) []layerRange {
	var all []layerRange
	for i := range len(values) - 1 {
		size := 0
		for _, v := range values[i : i+2] {
			size += v.size * chunk
			if v.needsGrad {
				size += v.size * chunk
			}
		}
		if n := len(all) - 1; n >= 0 && all[n].byGroups == (size > cacheSize) {
			all[n].hi = i + 1
		} else {
			all = append(all, layerRange{i, i + 1, size > cacheSize})
		}
	}
	return all
}

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

// layer is a node that is ready to run.
type layer interface {
	// refresh prepares for new values of the parameters.
	refresh()
	// forward computes the output of a part of a chunk.
	forward(p part)
	// backward computes the gradient of the input of a part, if it has one, and
	// its share of the gradients of the parameters. A worker is given the parts
	// of a chunk in order, and no others in between.
	backward(p part)
	// tasks returns how many independent pieces the gradients of the parameters
	// take once every chunk went backward; reduce computes one.
	tasks() int
	reduce(task, chunks, groups int)
}

// stateless is for layers without parameters.
type stateless struct{}

func (stateless) refresh()                   {}
func (stateless) tasks() int                 { return 0 }
func (stateless) reduce(task, chunks, n int) {}

// builder is what an operator needs to make its layer.
type builder struct {
	node    *graph.Node
	pool    *graph.Node // the last of the nodes that run as one, or nil; see fusible
	session *Session
	in, out *value
	inDims  []int    // shape of the input, without the batch
	outDims []int    // shape of the output
	weights []*param // inputs 1 and up; nil where one is left out
	dims    [][]int  // their shapes
}

// NewSession returns a session for batches of up to batch samples on up to
// threads goroutines (0: one for each processor). train names the parameters
// whose gradients are wanted; every other weight stays as it is.
func (n *Net) NewSession(batch, threads int, train []string) (*Session, error) {
	return n.newSession(batch, threads, train, false)
}

func (n *Net) newSession(batch, threads int, train []string, batchStatistics bool) (*Session, error) {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	groups := (batch + Lanes - 1) / Lanes
	threads = max(1, min(threads, (groups+chunk-1)/chunk))
	s := &Session{net: n, capacity: batch, groups: groups, threads: threads, batchStatistics: batchStatistics}
	byName, err := s.parameters(train)
	if err != nil {
		return nil, err
	}
	// A gradient flows through a value if something before it is trained.
	dims := n.InputShape()
	last := &value{size: product(dims) * Lanes}
	s.values = append(s.values, last)
	needsGrad := false
	var builders []*builder
	for nodes := n.graph.Nodes; len(nodes) > 0; {
		node, span := &nodes[0], 1
		if !batchStatistics {
			span = fusible(nodes, dims)
		}
		b := &builder{node: node, session: s, in: last, inDims: dims, outDims: n.shapes[nodes[span-1].Outputs[0]]}
		if span > 1 {
			b.pool = &nodes[span-1]
		}
		nodes = nodes[span:]
		for _, w := range node.Inputs[1:] {
			b.weights = append(b.weights, byName[w])
			b.dims = append(b.dims, n.dims[w])
			needsGrad = needsGrad || byName[w] != nil && byName[w].grad != nil
		}
		b.out = &value{size: product(b.outDims) * Lanes}
		// The gradient of a Gemm's weights is made after the last chunk.
		if node.Op == "Gemm" && b.weights[0].grad != nil {
			b.in.wholeBatch, b.out.wholeBatch = true, true
		}
		b.out.needsGrad = needsGrad
		builders = append(builders, b)
		s.values = append(s.values, b.out)
		last, dims = b.out, b.outDims
	}
	last.wholeBatch = true // the logits are what the caller wants
	s.path = divide(s.values)
	if batchStatistics { // statistics are those of a whole chunk
		s.path = []layerRange{{0, len(builders), false}}
	}
	for _, st := range s.path {
		for _, v := range s.values[st.lo+1 : st.hi] {
			v.gradByGroup = st.byGroups && !v.wholeBatch
		}
	}
	for i, v := range s.values {
		shape := n.InputShape()
		if i > 0 {
			shape = builders[i-1].outDims
		}
		s.allocate(v, shape)
	}
	for _, b := range builders {
		if b.pool != nil {
			s.layers = append(s.layers, buildNormPool(b, b.pool))
		} else {
			s.layers = append(s.layers, operators[b.node.Op].build(b))
		}
	}
	for range threads {
		s.rows = append(s.rows, rows{
			x: make([]float32, s.values[0].size), logits: make([]float32, n.Classes()), grad: make([]float32, n.Classes()),
		})
	}
	s.prepare()
	return s, nil
}

// parameters copies the weights: the trained ones side by side in theta.
func (s *Session) parameters(train []string) (map[string]*param, error) {
	all := append(ops.Parameters(s.net.graph), ops.Buffers(s.net.graph)...)
	size := 0
	for _, name := range train {
		if !slices.Contains(ops.Parameters(s.net.graph), name) {
			return nil, fmt.Errorf("nn: %q is not a parameter of the graph", name)
		}
		size += len(s.net.weights[name])
	}
	s.theta, s.grad = make([]float32, size), make([]float32, size)
	byName := map[string]*param{}
	at := 0
	for _, name := range all {
		p := &param{name: name}
		w := s.net.weights[name]
		if slices.Contains(train, name) {
			end := at + len(w)
			p.w, p.dw = s.theta[at:end:end], s.grad[at:end:end]
			p.grad = dense(s.net.dims[name], p.dw)
			at = end
			copy(p.w, w)
		} else if s.batchStatistics {
			p.w = slices.Clone(w) // running statistics
		} else {
			p.w = w // nobody writes it
		}
		p.data = dense(s.net.dims[name], p.w)
		byName[name] = p
		s.params = append(s.params, p)
	}
	return byName, nil
}

func (s *Session) allocate(v *value, shape []int) {
	groups := s.groups
	if !v.wholeBatch {
		groups = s.threads * min(chunk, groups)
	}
	dims := append(append([]int{groups}, shape...), Lanes)
	v.value = tensor.New(tensor.WithShape(dims...), tensor.Of(tensor.Float32))
	v.x = v.value.Float32s()
	if v.needsGrad {
		if v.gradByGroup {
			dims[0] = s.threads
		}
		v.grad = tensor.New(tensor.WithShape(dims...), tensor.Of(tensor.Float32))
		v.g = v.grad.Float32s()
	}
}

func dense(shape []int, backing []float32) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(backing))
}

// Theta returns the trained parameters, in the order of the graph, as one
// vector. After changing it, call [Session.Refresh].
func (s *Session) Theta() []float32 { return s.theta }

// Grad returns the gradient of the last [Session.Step], laid out as
// [Session.Theta].
func (s *Session) Grad() []float32 { return s.grad }

// StateDict returns sd with the trained parameters of the session in it, in
// the element type that each has there, and with the running statistics of a
// session that moves them.
func (s *Session) StateDict(sd *model.StateDict) (*model.StateDict, error) {
	var moved []model.Entry
	for _, p := range s.params {
		if p.grad == nil && !s.batchStatistics {
			continue
		}
		t, err := model.FromFloat32s(sd.Get(p.name).DType(), sd.Get(p.name).Shape(), p.w)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", p.name, err)
		}
		moved = append(moved, model.Entry{Name: p.name, Tensor: t})
	}
	return sd.WithAll(moved...), nil
}

// Refresh makes the layers see new values of the parameters.
func (s *Session) Refresh() { s.stale = true }

// Fill writes sample i of a batch, all of its elements in C order.
type Fill func(i int, x []float32)

// Loss is called with the logits of sample i and sets the gradient of the loss
// with respect to them.
type Loss func(i int, logits, grad []float32)

// Capacity returns the largest number of samples in a batch.
func (s *Session) Capacity() int { return s.capacity }

// Forward computes the logits of samples 0 to n-1 and calls done with those of
// each. fill and done are called on several goroutines, for different samples;
// the slices that they get are theirs until they return. It panics if n is larger
// than [Session.Capacity].
func (s *Session) Forward(n int, fill Fill, done func(i int, logits []float32)) {
	s.fill, s.done = fill, done
	s.run(n, s.forwardTask, 0)
	s.fill, s.done = nil, nil
}

// Step computes the gradient of a loss that is a sum over samples 0 to n-1, see
// [Session.Grad]. fill and loss are called on several goroutines, for different
// samples; the slices that they get are theirs until they return. It panics if n
// is larger than [Session.Capacity].
func (s *Session) Step(n int, fill Fill, loss Loss) {
	reductions := 0
	for _, l := range s.layers {
		reductions += l.tasks()
	}
	s.fill, s.loss = fill, loss
	s.run(n, s.stepTask, reductions)
	s.fill, s.loss = nil, nil
}

func (s *Session) run(n int, chunkTask func(task, worker int), reductions int) {
	if n > s.capacity {
		panic(fmt.Sprintf("nn: %d samples in a session for %d", n, s.capacity))
	}
	groups := (n + Lanes - 1) / Lanes
	s.samples, s.groupsAt = n, groups
	s.team.set(chunkPhase, (groups+chunk-1)/chunk, chunkTask)
	s.team.set(reducePhase, reductions, s.reduceTask)
	refreshes := 0
	if s.stale {
		refreshes = len(s.layers)
		s.stale = false
	}
	s.team.phases[refreshPhase].tasks = refreshes
	s.team.run()
}

// prepare makes what workers run.
func (s *Session) prepare() {
	s.team = newTeam(s.threads, phases)
	s.stale = true
	s.team.set(refreshPhase, 0, func(task, _ int) { s.layers[task].refresh() })
	out := s.values[len(s.values)-1]
	s.forwardTask = func(task, worker int) {
		p := s.part(task, worker)
		for _, st := range s.path {
			st.parts(p, s.forward)
		}
		r := &s.rows[worker]
		for i := p.lo * Lanes; i < min(p.hi*Lanes, s.samples); i++ {
			gather(r.logits, out.x[i/Lanes*out.size:], i%Lanes)
			s.done(i, r.logits)
		}
	}
	s.stepTask = func(task, worker int) {
		p := s.part(task, worker)
		for _, st := range s.path {
			st.parts(p, s.forward)
		}
		r := &s.rows[worker]
		if p.hi*Lanes > s.samples { // lanes without a sample have no loss
			clear(out.g[(p.hi-1)*out.size : p.hi*out.size])
		}
		for i := p.lo * Lanes; i < min(p.hi*Lanes, s.samples); i++ {
			gather(r.logits, out.x[i/Lanes*out.size:], i%Lanes)
			s.loss(i, r.logits, r.grad)
			scatter(out.g[i/Lanes*out.size:], r.grad, i%Lanes)
		}
		for i := len(s.path) - 1; i >= 0; i-- {
			s.path[i].parts(p, s.backward)
		}
	}
	s.reduceTask = func(task, _ int) {
		for _, l := range s.layers {
			if n := l.tasks(); task >= n {
				task -= n
				continue
			}
			l.reduce(task, (s.groupsAt+chunk-1)/chunk, s.groupsAt)
			return
		}
	}
}

func (s *Session) forward(p part, st layerRange) {
	if st.lo == 0 {
		in := s.values[0]
		x, r, size := in.data(p), s.rows[p.worker].x, in.size/Lanes
		for g := p.lo; g < p.hi; g++ {
			n := min(Lanes, s.samples-g*Lanes)
			for l := range n {
				s.fill(g*Lanes+l, r[l*size:(l+1)*size:(l+1)*size])
			}
			kernel.Interleave(x[(g-p.lo)*in.size:(g-p.lo+1)*in.size], r, n)
		}
	}
	for _, l := range s.layers[st.lo:st.hi] {
		l.forward(p)
	}
}

func (s *Session) backward(p part, st layerRange) {
	for i := st.hi - 1; i >= st.lo && s.values[i+1].grad != nil; i-- {
		s.layers[i].backward(p)
	}
}

// part returns the chunk of the batch that is task number task.
func (s *Session) part(task, worker int) part {
	lo, hi := task*chunk, min((task+1)*chunk, s.groupsAt)
	return part{lo, hi, lo, hi, task, worker}
}

// Logits evaluates the net on n samples and returns the logits, [n][classes].
// samples holds one sample after the other in C order.
func (n *Net) Logits(samples []float32, threads int) ([]float32, error) {
	size := product(n.InputShape())
	if len(samples)%size != 0 {
		return nil, fmt.Errorf("nn: %d values are not whole samples of %d", len(samples), size)
	}
	count := len(samples) / size
	s, err := n.NewSession(max(count, 1), threads, nil)
	if err != nil {
		return nil, err
	}
	classes := n.Classes()
	out := make([]float32, count*classes)
	s.Forward(count, func(i int, x []float32) { copy(x, samples[i*size:]) },
		func(i int, logits []float32) { copy(out[i*classes:], logits) })
	return out, nil
}

// gather sets dst to the elements of one lane, scatter sets those of one lane to
// src.
func gather(dst, src []float32, lane int) {
	for i := range dst {
		dst[i] = src[i*Lanes+lane]
	}
}

func scatter(dst, src []float32, lane int) {
	for i, v := range src {
		dst[i*Lanes+lane] = v
	}
}

// sumChunks adds up n rows of partial sums that are width elements long.
func sumChunks(dst, partial []float32, n, width int) {
	copy(dst, partial[:width])
	for c := 1; c < n; c++ {
		kernel.Add(dst, partial[c*width:(c+1)*width])
	}
}
