package learn

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"lethe/dataset"
	"lethe/graph"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/ops"
	"lethe/report"
)

// Options say what [Without] trains on.
type Options struct {
	Classes []int        // that it leaves out
	Norm    dataset.Norm // of the images
	Seed    uint64       // of the first weights and of the order of the images
	Threads int          // goroutines; 0: one for each processor. The result does not depend on it

	// Cache is a folder that keeps what was trained, "" for none. It is made if
	// it is not there. A file in it is named by a digest of everything that the
	// weights depend on and ends in a digest of its own; one that is damaged is
	// ignored and replaced. A folder that cannot be read or written costs time,
	// not the result.
	Cache string

	// Progress, if not nil, is called after every step with the mean
	// cross-entropy of its batch.
	Progress func(step, steps int, loss float64)
}

// The recipe is the same for every network and data set: passes over the
// images, but at least so many steps, and more passes over images that are moved.
const (
	rate       = 2e-3
	batch      = 256
	passes     = 12
	leastSteps = 500
)

// Without trains a network with the graph g from scratch on the images of set
// that are not of opts.Classes, and returns its weights as float32: all that
// the graph uses and nothing else. like has their shapes. The network keeps its
// outputs for the classes that it never sees.
//
// Weights and biases of Conv and Gemm begin as in torch.nn: uniform within
// 1/sqrt(inputs of a unit), which is kaiming_uniform with a = sqrt(5). Adam
// minimises the mean cross-entropy with a rate that falls ([Fall]); colour images are
// shifted and mirrored anew each time that they are learned from, and learned from more
// often, if the weights of like get them right then too (which weights that have learned
// nothing do as well as they ever do); BatchNormalization is in training mode, see
// [nn.Net.NewTrainingSession].
func Without(ctx context.Context, g *graph.Graph, like *model.StateDict, set *dataset.Set, opts Options) (*model.StateDict, *report.Recipe, error) {
	return without(ctx, g, like, set, opts, length{passes, leastSteps})
}

func without(ctx context.Context, g *graph.Graph, like *model.StateDict, set *dataset.Set, opts Options, long length) (*model.StateDict, *report.Recipe, error) {
	r, err := prepare(ctx, g, like, set, opts, long)
	if err != nil {
		return nil, nil, err
	}
	train := r.train
	if opts.Cache != "" {
		train = r.cached
	}
	sd, err := train(ctx)
	if err != nil {
		return nil, nil, err
	}
	return sd, r.recipe, nil
}

// length is how long to train.
type length struct {
	passes     float64
	leastSteps int
}

// run is a network that is ready to be trained.
type run struct {
	net    *nn.Net
	start  *model.StateDict
	set    *dataset.Set
	opts   Options
	images []int
	moves  moves
	recipe *report.Recipe
	rng    *rand.Rand
}

func prepare(ctx context.Context, g *graph.Graph, like *model.StateDict, set *dataset.Set, opts Options, long length) (*run, error) {
	known, err := nn.Bind(g, like)
	if err != nil {
		return nil, err
	}
	r := &run{set: set, opts: opts, rng: rand.New(rand.NewPCG(opts.Seed, 0))}
	if r.start, err = fresh(g, like, r.rng); err != nil {
		return nil, err
	}
	if r.net, err = nn.Bind(g, r.start); err != nil {
		return nil, err
	}
	classes := r.net.Classes()
	if err := set.CheckNetwork(r.net.InputShape(), classes); err != nil {
		return nil, err
	}
	for _, c := range opts.Classes {
		if c < 0 || c >= classes {
			return nil, fmt.Errorf("class %d does not exist: the network has classes 0 to %d", c, classes-1)
		}
	}
	if _, r.images = set.Split(opts.Classes...); len(r.images) == 0 {
		return nil, fmt.Errorf("none of the %d images is of a class that remains: there is nothing to train on", set.Len())
	}
	if r.moves, err = tolerated(ctx, known, set, opts.Norm, r.images, opts.Threads); err != nil {
		return nil, err
	}
	if r.moves != (moves{}) {
		long.passes *= moreOften
	}
	r.recipe = &report.Recipe{
		Optimizer: "Adam", Rate: rate, Batch: batch, Together: nn.ChunkSamples, Variations: r.moves.names(),
		Steps: max(long.leastSteps, int(long.passes*float64(len(r.images))/batch)), Images: len(r.images), Seed: opts.Seed,
	}
	return r, nil
}

func (r *run) train(ctx context.Context) (*model.StateDict, error) {
	session, err := r.net.NewTrainingSession(batch, r.opts.Threads)
	if err != nil {
		return nil, err
	}
	f := NewFitter(session, r.set, r.opts.Norm, r.images, batch, r.rng)
	if r.moves != (moves{}) {
		f.move(&mover{r.moves, r.set.Shape[1], r.set.Shape[2], r.rng}, r.opts.Norm)
	}
	steps := r.recipe.Steps
	for step := range steps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		x := float64(step) / float64(steps)
		loss := f.Step(rate * Fall(x))
		if err := r.set.Err(); err != nil {
			return nil, err
		}
		if r.opts.Progress != nil {
			r.opts.Progress(step+1, steps, loss)
		}
	}
	return session.StateDict(r.start)
}

// fresh returns the weights that a network begins with. like binds to g.
func fresh(g *graph.Graph, like *model.StateDict, rng *rand.Rand) (*model.StateDict, error) {
	var entries []model.Entry
	left := map[string]bool{} // weights without a value
	for _, name := range g.Weights() {
		left[name] = true
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		for j, name := range n.Inputs {
			if !left[name] {
				continue
			}
			delete(left, name)
			t := like.Get(name)
			if !t.DType().IsFloat() { // part of the structure
				entries = append(entries, model.Entry{Name: name, Tensor: t})
				continue
			}
			v := make([]float32, t.Len())
			if first := like.Get(n.Input(1)); first != nil && len(first.Shape()) == 1 && ops.RoleOf(g, n, 1) == ops.Weight {
				// A normalization: its weights are vectors. What it begins with changes nothing.
				if j == 1 || j == 4 { // scale and running variance
					v = slices.Repeat([]float32{1}, len(v))
				}
			} else {
				bound := 1 / math.Sqrt(float64(inputs(n, t, like.Get(n.Input(1)))))
				for i := range v {
					v[i] = float32(bound * float64(2*rng.Float64()-1))
				}
			}
			entries = append(entries, model.Entry{Name: name, Tensor: model.Float32Tensor(t.Shape(), v)})
		}
	}
	return model.NewStateDict(entries...)
}

// inputs returns how many inputs a unit has that a tensor belongs to: as the
// weight of its node says, or else the tensor itself.
func inputs(n *graph.Node, own, weight *model.Tensor) int {
	if weight == nil || len(weight.Shape()) < 2 {
		weight = own
	}
	shape := weight.Shape()
	switch {
	case len(shape) < 2:
		return max(weight.Len(), 1)
	case n.Op == "MatMul" || n.Op == "Gemm" && n.Int("transB", 0) == 0:
		return shape[len(shape)-2]
	}
	count := 1
	for _, d := range shape[1:] {
		count *= d
	}
	return count
}
