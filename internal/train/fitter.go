// Package train fits networks to labelled images with Adam: onwards from the
// weights that a session has ([Fitter]), and from scratch without some classes
// ([Without]), which gives the network that an edit is compared with.
//
// What it returns depends on its arguments alone, not on the number of threads
// or the machine.
package train

import (
	"math"
	"math/rand/v2"
	"slices"

	"lethe/internal/dataset"
	"lethe/internal/kernel"
	"lethe/internal/nn"
)

// Decay rates of Adam's moments and what keeps its division finite: the
// defaults of torch.optim.Adam.
const (
	beta1, beta2 = 0.9, 0.999
	epsilon      = 1e-8
)

// Fitter moves the parameters that a session trains to a smaller mean
// cross-entropy of batches of images. Every image is drawn once before any is
// drawn again.
type Fitter struct {
	session *nn.Session
	set     *dataset.Set
	norm    dataset.Norm
	rng     *rand.Rand
	pool    []int // images; those before at are used up
	at      int
	batch   []int
	losses  []float64 // of every group, summed
	m, v    []float32
	power1  float64 // beta1^t after t steps
	power2  float64
}

// NewFitter returns a fitter that draws batches of batch images, a multiple of
// [nn.Lanes], from those of set at images. The session must have room for a
// batch.
func NewFitter(s *nn.Session, set *dataset.Set, norm dataset.Norm, images []int, batch int, rng *rand.Rand) *Fitter {
	n := len(s.Theta())
	return &Fitter{
		session: s, set: set, norm: norm, rng: rng, pool: slices.Clone(images),
		batch: make([]int, batch), losses: make([]float64, batch/nn.Lanes),
		m: make([]float32, n), v: make([]float32, n), power1: 1, power2: 1,
	}
}

// Step draws a batch, makes a step of Adam of size rate, and returns the mean
// cross-entropy of the batch before it, in nats.
func (f *Fitter) Step(rate float64) float64 {
	f.draw()
	n := len(f.batch)
	f.session.Step(n/nn.Lanes, func(g int, dst []float32) {
		f.set.Lanes(dst, nn.Lanes, f.batch[g*nn.Lanes:(g+1)*nn.Lanes], f.norm)
	}, func(g int, logits, grad []float32) {
		k := len(logits) / nn.Lanes
		logp, p := make([]float64, k), make([]float64, k)
		f.losses[g] = 0
		for l, image := range f.batch[g*nn.Lanes : (g+1)*nn.Lanes] {
			nn.LogSoftmax(logp, p, logits, l)
			label := int(f.set.Labels[image])
			f.losses[g] -= logp[label]
			for c, d := range p {
				if c == label {
					d--
				}
				grad[c*nn.Lanes+l] = float32(d / float64(n))
			}
		}
	})
	f.power1 *= beta1
	f.power2 *= beta2
	kernel.Adam(f.session.Theta(), f.m, f.v, f.session.Grad(), kernel.AdamRates{
		Rate: float32(rate / (1 - f.power1)), Beta1: beta1, Beta2: beta2,
		Root: float32(1 / math.Sqrt(1-f.power2)), Eps: epsilon,
	})
	f.session.Refresh()
	sum := 0.0
	for _, loss := range f.losses {
		sum += loss
	}
	return sum / float64(n)
}

func (f *Fitter) draw() {
	for i := range f.batch {
		if f.at == 0 {
			f.rng.Shuffle(len(f.pool), func(a, b int) { f.pool[a], f.pool[b] = f.pool[b], f.pool[a] })
		}
		f.batch[i] = f.pool[f.at]
		f.at = (f.at + 1) % len(f.pool)
	}
}
