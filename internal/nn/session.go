package nn

import (
	"cmp"
	"fmt"
	"runtime"

	"lethe/internal/kernel"
	"lethe/model"
)

// Session holds the memory that running a [Net] needs, and a copy of the
// parameters that it trains. It is not safe for concurrent use; inside, it
// runs on several goroutines.
type Session struct {
	net             *Net
	capacity        int // samples
	groups          int // for as many samples
	chunk           int // groups that are computed together
	threads         int
	batchStatistics bool     // BatchNormalization is in training mode
	inputs          []*value // of the graph
	output          *value
	values          []*value
	layers          []layer
	uses            []use  // of each layer
	trains          []bool // of each layer: a gradient comes to its outputs
	path            []layerRange
	planned         int         // elements of memory of each worker
	blocks, spare   [][]float32 // large pieces of memory, and those of another session that are still free
	orphans         []*value    // whose gradient is 0, because the loss does not depend on them
	params          []*param
	shared          []*param // those that several layers use
	derivations     []derivation
	deriveRoom      []float32   // see layerDerivation
	attendRoom      [][]float32 // of each worker, for the attention at hand
	finishers       []func()    // after reduce: what makes gradients of several parameters from one
	early           []*param    // whose gradients are added up before those of combinePhase
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
	derivePhase = iota
	refreshPhase
	chunkPhase
	reducePhase
	finishPhase
	underivePhase
	combinePhase
	phases
)

// rows are samples and their logits as callers see them, one after the other.
type rows struct {
	x            []float32 // a group of samples
	part         []float32 // one input of a group of samples, if there are several
	logits, grad []float32 // of one sample
}

// part is the work at hand: groups lo to hi of chunk number index of the batch,
// which is groups begin to end, on a worker.
type part struct {
	lo, hi, begin, end int
	index, worker      int
}

// opens and closes report whether the part is the first and the last of its
// chunk.
func (p part) opens() bool  { return p.lo == p.begin }
func (p part) closes() bool { return p.hi == p.end }

// layer is a node, or several that run as one, ready to run.
type layer interface {
	// refresh prepares for new values of the parameters.
	refresh()
	// forward computes the output of a part of a chunk.
	forward(p part)
	// backward computes the gradients of the inputs of a part, as far as they are
	// wanted, and its share of the gradients of the parameters. A worker is given
	// the parts of a chunk in order, and no others in between.
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
	s := &Session{net: n, capacity: batch, groups: (batch + Lanes - 1) / Lanes, chunk: n.chunk, batchStatistics: batchStatistics}
	if batchStatistics {
		s.chunk = largestChunk
	}
	s.threads = max(1, min(threads, s.chunks()))
	if other, ok := freed.Get().(*[][]float32); ok {
		s.spare = *other
	}
	if err := s.compile(train); err != nil {
		return nil, err
	}
	s.plan()
	for range s.threads {
		r := rows{x: s.block(n.SampleSize() * Lanes), logits: make([]float32, n.Classes()), grad: make([]float32, n.Classes())}
		if len(s.inputs) > 1 {
			r.part = make([]float32, n.SampleSize()*Lanes)
		}
		s.rows = append(s.rows, r)
	}
	s.spare = nil
	s.prepare()
	return s, nil
}

// chunks returns how many chunks a full batch has.
func (s *Session) chunks() int { return (s.groups + s.chunk - 1) / s.chunk }

// Theta returns the trained parameters, in the order of the graph, as one
// vector. After changing it, call [Session.Refresh].
func (s *Session) Theta() []float32 { return s.theta }

// Grad returns the gradient of the last [Session.Step], laid out as
// [Session.Theta].
func (s *Session) Grad() []float32 { return s.grad }

// StateDict returns sd with the trained parameters of the session in it, in
// the element type that each has there, and with the running statistics of a
// session that moves them. Other names of a trained parameter, see
// [model.StateDict.Aliases], get the same tensor.
func (s *Session) StateDict(sd *model.StateDict) (*model.StateDict, error) {
	var moved []model.Entry
	aliases := sd.Aliases()
	firstName := func(name string) string { return cmp.Or(aliases[name], name) }
	edited, own := map[string]*model.Tensor{}, map[string]bool{}
	for _, p := range s.params {
		if !p.trained && !s.batchStatistics {
			continue
		}
		t, err := model.FromFloat32s(sd.Get(p.name).DType(), sd.Get(p.name).Shape(), p.w)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", p.name, err)
		}
		moved = append(moved, model.Entry{Name: p.name, Tensor: t})
		own[p.name], edited[firstName(p.name)] = true, t
	}
	if len(aliases) > 0 {
		for name := range sd.All() {
			if t := edited[firstName(name)]; t != nil && !own[name] {
				moved = append(moved, model.Entry{Name: name, Tensor: t})
			}
		}
	}
	return sd.WithAll(moved...), nil
}

// Refresh makes the layers see new values of the parameters.
func (s *Session) Refresh() { s.stale = true }

// Fill writes sample i of a batch, all of its elements in C order; of a graph
// with several inputs one after the other.
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
	s.run(n, s.forwardTask, false)
	s.fill, s.done = nil, nil
}

// Step computes the gradient of a loss that is a sum over samples 0 to n-1, see
// [Session.Grad]. fill and loss are called on several goroutines, for different
// samples; the slices that they get are theirs until they return. It panics if n
// is larger than [Session.Capacity].
func (s *Session) Step(n int, fill Fill, loss Loss) {
	s.fill, s.loss = fill, loss
	s.run(n, s.stepTask, true)
	s.fill, s.loss = nil, nil
}

func (s *Session) run(n int, chunkTask func(task, worker int), step bool) {
	if n > s.capacity {
		panic(fmt.Sprintf("nn: %d samples in a session for %d", n, s.capacity))
	}
	s.samples, s.groupsAt = n, (n+Lanes-1)/Lanes
	s.team.set(chunkPhase, (s.groupsAt+s.chunk-1)/s.chunk, chunkTask)
	var tasks [phases]int
	tasks[chunkPhase] = s.team.phases[chunkPhase].tasks
	if s.stale {
		tasks[refreshPhase], tasks[derivePhase] = len(s.layers), min(len(s.derivations), 1)
		s.stale = false
	}
	if step {
		for _, l := range s.layers {
			tasks[reducePhase] += l.tasks()
		}
		tasks[finishPhase] = len(s.finishers)
		tasks[combinePhase], tasks[underivePhase] = len(s.shared), min(len(s.derivations), 1)
	}
	for i, n := range tasks {
		s.team.phases[i].tasks = n
	}
	s.team.run()
}

// prepare makes what workers run.
func (s *Session) prepare() {
	s.team = newTeam(s.threads, phases)
	s.stale = true
	s.team.set(refreshPhase, 0, func(task, _ int) { s.layers[task].refresh() })
	s.forwardTask = func(task, worker int) {
		p := s.part(task, worker)
		for _, st := range s.path {
			st.parts(p, s.forward)
		}
		out, r := s.output.data(p), &s.rows[worker]
		for i := p.lo * Lanes; i < min(p.hi*Lanes, s.samples); i++ {
			gather(r.logits, out[(i/Lanes-p.lo)*s.output.size:], i%Lanes)
			s.done(i, r.logits)
		}
	}
	s.stepTask = func(task, worker int) {
		p := s.part(task, worker)
		for _, st := range s.path {
			st.parts(p, s.forward)
		}
		s.losses(p)
		for _, v := range s.orphans {
			clear(v.gradient(p))
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
			l.reduce(task, (s.groupsAt+s.chunk-1)/s.chunk, s.groupsAt)
			return
		}
	}
	s.team.set(reducePhase, 0, s.reduceTask)
	s.team.set(finishPhase, 0, func(task, _ int) { s.finishers[task]() })
	s.team.set(combinePhase, 0, func(task, _ int) { s.shared[task].combine() })
	s.team.set(derivePhase, 0, func(int, int) {
		for _, d := range s.derivations {
			d.forward()
		}
	})
	s.team.set(underivePhase, 0, func(int, int) { s.underive() })
}

// losses asks for the gradients of the loss of the samples of a chunk.
func (s *Session) losses(p part) {
	r, size := &s.rows[p.worker], s.output.size
	out, grad := s.output.data(p), s.output.gradient(p)
	if grad == nil {
		return // nothing is trained
	}
	if p.hi*Lanes > s.samples { // lanes without a sample have no loss
		clear(grad[(p.hi-1-p.lo)*size:])
	}
	for i := p.lo * Lanes; i < min(p.hi*Lanes, s.samples); i++ {
		at := (i/Lanes - p.lo) * size
		gather(r.logits, out[at:], i%Lanes)
		s.loss(i, r.logits, r.grad)
		scatter(grad[at:], r.grad, i%Lanes)
	}
}

func (s *Session) forward(p part, st layerRange) {
	if st.lo == 0 {
		s.read(p)
	}
	for _, l := range s.layers[st.lo:st.hi] {
		l.forward(p)
	}
}

// read takes in the samples of a part.
func (s *Session) read(p part) {
	r := &s.rows[p.worker]
	size := len(r.x) / Lanes
	for g := p.lo; g < p.hi; g++ {
		n := min(Lanes, s.samples-g*Lanes)
		for l := range n {
			s.fill(g*Lanes+l, r.x[l*size:(l+1)*size:(l+1)*size])
		}
		for l := n; l < Lanes; l++ { // a sample, and no zeros, of which a network may make NaN
			copy(r.x[l*size:(l+1)*size], r.x[:size])
		}
		if len(s.inputs) == 1 {
			in := s.inputs[0]
			kernel.Interleave(in.data(p)[(g-p.lo)*in.size:(g-p.lo+1)*in.size], r.x, Lanes)
			continue
		}
		at := 0
		for _, in := range s.inputs {
			own := in.size / Lanes
			for l := range Lanes {
				copy(r.part[l*own:(l+1)*own], r.x[l*size+at:])
			}
			kernel.Interleave(in.data(p)[(g-p.lo)*in.size:(g-p.lo+1)*in.size], r.part, Lanes)
			at += own
		}
	}
}

func (s *Session) backward(p part, st layerRange) {
	for i := st.hi - 1; i >= st.lo; i-- {
		if s.trains[i] {
			s.layers[i].backward(p)
		}
	}
}

// part returns the chunk of the batch that is task number task.
func (s *Session) part(task, worker int) part {
	lo, hi := task*s.chunk, min((task+1)*s.chunk, s.groupsAt)
	return part{lo, hi, lo, hi, task, worker}
}

// Logits evaluates the net on n samples and returns the logits, [n][classes].
// samples holds one sample after the other in C order.
func (n *Net) Logits(samples []float32, threads int) ([]float32, error) {
	size := n.SampleSize()
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
	s.free()
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
