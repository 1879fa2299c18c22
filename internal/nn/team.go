package nn

import (
	"sync"
	"sync/atomic"
)

// A team is the goroutines of a session. They work through phases together: no
// one begins a phase before all have finished the one before.
//
// A phase takes some hundred microseconds, not much more than it takes to wake a
// thread that sleeps. So whoever waits, spins for a while: at the end of a phase
// for the others, and at the end of the work for more of it. Then it sleeps,
// since on a busy machine it may stand on the core that the others need. Helpers
// that find nothing to do end, so that a team needs no closing.
type team struct {
	phases  []phase
	helpers []helper
	active  []*phase      // those of this run that have tasks: nobody waits at the end of the others
	base    uint64        // arrived when this run began
	arrived atomic.Uint64 // how often a worker has come to the end of a phase, ever
	round   atomic.Uint64 // counts the calls of run
	mu      sync.Mutex
	here    *sync.Cond // all have arrived
}

// phase is tasks that do not depend on each other. Which worker gets which task
// is left to chance: no result may depend on it.
type phase struct {
	tasks int
	do    func(task, worker int)
	next  atomic.Int64
}

// helper is worker i+1; worker 0 is the caller.
type helper struct {
	alive atomic.Bool
	start func() // made once, so that work allocates nothing
}

// spinLimit is how often one who waits looks before it sleeps or ends: some 50
// microseconds, about what an optimizer does between two passes.
const spinLimit = 1 << 17

// newTeam returns a team of threads workers for the given number of phases.
func newTeam(threads, phases int) *team {
	t := &team{phases: make([]phase, phases), active: make([]*phase, 0, phases), helpers: make([]helper, threads-1)}
	t.here = sync.NewCond(&t.mu)
	for i := range t.helpers {
		t.helpers[i].start = func() { t.help(i) }
	}
	return t
}

// set makes tasks the work of a phase, for every run to come.
func (t *team) set(i, tasks int, do func(task, worker int)) {
	t.phases[i].tasks, t.phases[i].do = tasks, do
}

// run works through the phases and returns when all is done.
func (t *team) run() {
	t.active = t.active[:0]
	for i := range t.phases {
		if p := &t.phases[i]; p.tasks > 0 {
			p.next.Store(0)
			t.active = append(t.active, p)
		}
	}
	if len(t.active) == 0 {
		return
	}
	t.base = t.arrived.Load()
	t.round.Add(1) // tells the helpers, which read what is above after that
	for i := range t.helpers {
		if h := &t.helpers[i]; h.alive.CompareAndSwap(false, true) {
			go h.start()
		}
	}
	t.work(0)
}

// help works in one run after the other until there is none for a while.
func (t *team) help(i int) {
	alive := &t.helpers[i].alive
	for {
		round := t.round.Load()
		t.work(i + 1)
		for n := 0; t.round.Load() == round; n++ {
			if n < spinLimit {
				continue
			}
			alive.Store(false)
			// A run may have begun before it could see that this helper ends.
			if t.round.Load() == round || !alive.CompareAndSwap(false, true) {
				return
			}
		}
	}
}

// work does a worker's part of a run. Once all have arrived at the end of the last
// phase, the next run may begin: nothing of the team is read after that.
func (t *team) work(worker int) {
	members := uint64(len(t.helpers) + 1)
	target := t.base
	for _, p := range t.active {
		for {
			task := int(p.next.Add(1)) - 1
			if task >= p.tasks {
				break
			}
			p.do(task, worker)
		}
		target += members
		t.arrive(target)
	}
}

// arrive counts the caller and returns when target have arrived.
func (t *team) arrive(target uint64) {
	if t.arrived.Add(1) == target {
		// Who is about to sleep has the lock from its last look on.
		t.mu.Lock()
		t.here.Broadcast()
		t.mu.Unlock()
		return
	}
	for range spinLimit {
		if t.arrived.Load() >= target {
			return
		}
	}
	t.mu.Lock()
	for t.arrived.Load() < target {
		t.here.Wait()
	}
	t.mu.Unlock()
}
