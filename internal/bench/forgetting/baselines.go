package main

import (
	"context"
	"math/rand/v2"
	"slices"

	"lethe/internal/learn"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/ops"
)

// noise adds Gaussian noise of standard deviation 0.1 to every parameter before
// the last layer.
func noise(_ context.Context, t task) (*model.StateDict, error) {
	s, _, err := session(t, 1)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(t.seed, 0))
	for i := range s.Theta() {
		s.Theta()[i] += float32(0.1 * rng.NormFloat64())
	}
	return s.StateDict(t.net.State)
}

// descent is forgetting by a fixed loss and Adam over shuffled batches of all
// images: cross-entropy on the others, KL to the uniform distribution over the
// other classes on the forgotten, and the squared distance. Batch normalization
// keeps its running statistics, as everywhere in this repository; the published
// methods run it on the statistics of each batch.
type descent struct {
	steps, batch int
	rate, decay  float64 // decay of the weights, apart from the gradient
	pull         float64 // weight of the squared distance
}

var (
	// reference is the published reference: 4 epochs of AdamW, here in batches
	// of 256.
	reference = descent{steps: 4 * 60000 / 256, batch: 256, rate: 1e-4, decay: 0.01, pull: 1}
	// reconstruction is short: 100 steps of Adam.
	reconstruction = descent{steps: 100, batch: 256, rate: 1e-3}
)

// session returns a session that trains all before the last layer, and the
// parameters it starts from.
func session(t task, batch int) (*nn.Session, []float32, error) {
	net, err := nn.BindLogits(t.net.Graph, t.net.State)
	if err != nil {
		return nil, nil, err
	}
	g := net.Graph()
	last, err := ops.LastLayer(g)
	if err != nil {
		return nil, nil, err
	}
	train := slices.DeleteFunc(ops.Parameters(g), func(name string) bool { return slices.Contains(last, name) })
	s, err := net.NewSession(batch, 0, train)
	if err != nil {
		return nil, nil, err
	}
	return s, slices.Clone(s.Theta()), nil
}

func (d descent) forget(_ context.Context, t task) (*model.StateDict, error) {
	s, theta0, err := session(t, d.batch)
	if err != nil {
		return nil, err
	}
	k := t.net.Net.Classes()
	rng := rand.New(rand.NewPCG(t.seed, 0))
	theta := s.Theta()
	adam, read := learn.NewAdam(len(theta), 0.9, 0.999), t.seen.Reader(t.norm)
	var order []int
	for range d.steps {
		if len(order) < d.batch {
			order = rng.Perm(t.seen.Len())
		}
		batch := order[:d.batch]
		order = order[d.batch:]
		forgotten := 0.0
		for _, i := range batch {
			if t.seen.Labels[i] == t.class {
				forgotten++
			}
		}
		s.Step(d.batch, func(i int, x []float32) { read(batch[i], x) }, func(i int, logits, grad []float32) {
			logp, p := make([]float64, k), make([]float64, k)
			learn.LogSoftmax(logp, p, logits)
			label := t.seen.Labels[batch[i]]
			for c, prob := range p {
				// Both losses have the gradient p - q.
				q, count := 0.0, float64(d.batch)-forgotten
				switch {
				case label == t.class:
					count = forgotten
					if c != t.class {
						q = 1 / float64(k-1)
					}
				case c == label:
					q = 1
				}
				grad[c] = float32((prob - q) / count)
			}
		})
		for i := range theta {
			s.Grad()[i] += float32(2*d.pull) * (theta[i] - theta0[i])
			theta[i] *= float32(1 - d.rate*d.decay)
		}
		adam.Step(theta, s.Grad(), d.rate)
		s.Refresh()
	}
	return s.StateDict(t.net.State)
}
