// Package learn is what edit, audit and retraining share: the optimiser, the
// sampler, the softmax and the loop of evaluation. It fits networks to labelled images with Adam: onwards from the
// weights that a session has ([Fitter]), and from scratch without some classes
// ([Without]), which gives the network that an edit is compared with.
//
// What it returns depends on its arguments alone, not on the number of threads
// or the machine.
package learn

import (
	"math/rand/v2"

	"lethe/dataset"
	"lethe/internal/nn"
)

// Decay rates of Adam's moments: the defaults of torch.optim.Adam.
const beta1, beta2 = 0.9, 0.999

// Fitter moves the parameters that a session trains to a smaller mean
// cross-entropy of batches of images, see [Sampler].
type Fitter struct {
	session *nn.Session
	set     *dataset.Set
	read    func(i int, x []float32) // of the batch
	sampler *Sampler
	batch   []int
	losses  []float64 // of every sample
	prepare func()    // nil, or what comes before a batch is read
	adam    *Adam
}

// NewFitter returns a fitter that draws batches of batch images from those of
// set at images. The session must have room for a batch.
func NewFitter(s *nn.Session, set *dataset.Set, norm dataset.Norm, images []int, batch int, rng *rand.Rand) *Fitter {
	f := &Fitter{
		session: s, set: set, sampler: NewSampler(rng, images),
		batch: make([]int, batch), losses: make([]float64, batch), adam: NewAdam(len(s.Theta()), beta1, beta2),
	}
	read := set.Reader(norm)
	f.read = func(i int, x []float32) { read(f.batch[i], x) }
	return f
}

// move makes every step move its images.
func (f *Fitter) move(m *mover, norm dataset.Norm) {
	moved := f.set.Copy(f.batch) // room for a batch
	read := moved.Reader(norm)
	drawn := make([]move, len(f.batch))
	f.prepare = func() {
		for i := range drawn {
			drawn[i] = m.draw()
		}
	}
	f.read = func(i int, x []float32) {
		m.apply(moved.Image(i), f.set.Image(f.batch[i]), drawn[i])
		read(i, x)
	}
}

// Step draws a batch, makes a step of Adam of size rate, and returns the mean
// cross-entropy of the batch before it, in nats.
func (f *Fitter) Step(rate float64) float64 {
	f.sampler.Draw(f.batch)
	if f.prepare != nil {
		f.prepare()
	}
	n := len(f.batch)
	f.session.Step(n, f.read, func(i int, logits, grad []float32) {
		logp, p := make([]float64, len(logits)), make([]float64, len(logits))
		LogSoftmax(logp, p, logits)
		label := f.set.Labels[f.batch[i]]
		f.losses[i] = -logp[label]
		for c, d := range p {
			if c == label {
				d--
			}
			grad[c] = float32(d / float64(n))
		}
	})
	f.adam.Step(f.session.Theta(), f.session.Grad(), rate)
	f.session.Refresh()
	sum := 0.0
	for _, loss := range f.losses {
		sum += loss
	}
	return sum / float64(n)
}
