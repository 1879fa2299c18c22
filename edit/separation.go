package edit

import (
	"math/rand/v2"

	"lethe/internal/kernel"
	"lethe/internal/learn"
)

// Settings of what steers for how easy the class is to separate.
const (
	unseenLooks = 20  // at that in a run
	hideGain    = 0.5 // change of log(weight of hiding) a look for a ratio of e
	leastHide   = 0.01
	mostHide    = 0.5

	judgeSteps   = 200  // of Adam, with a rate that falls
	judgeRate    = 1e-2 // at first
	judgeBatch   = 256
	judgePixels  = 4096 // numbers of an image, at most
	judgeFewest  = 200  // images of the classes, and of the others
	leastLearned = 1.0 / 3
)

// separation is how easy the images of the classes are to be told from those of
// others: the cross-entropy of those of them that a linear classifier of all classes,
// which count the same, is not fitted to, in nats.
//
// What it is in the features of a network that never saw the classes is close to
// what it is in the images themselves (docs/unseen.md), so that it can be known
// without such a network.
type separation struct {
	images    []int // of the classes, and then of the others
	labels    []int // of these
	own       int   // how many are of the classes
	k         int   // classes that there are
	forgotten int   // of them are to be forgotten
	seed      uint64
	aim       float64
}

// newSeparation returns what is to be steered for: the separation of the features of
// the reference, if there is one, or that of the images. It returns nil where there
// are too few images, or where a linear classifier learns too little of them as they
// are: less than leastLearned of what there is to know.
func (u *unseen) newSeparation(forget, others []int) *separation {
	if len(forget) < judgeFewest || len(others) < judgeFewest {
		return nil
	}
	forget, others = spread(forget, mostAsked), spread(others, mostAsked)
	s := &separation{images: append(append([]int{}, forget...), others...), own: len(forget), k: u.k, forgotten: len(u.opts.Classes), seed: u.opts.Seed}
	for _, i := range s.images {
		s.labels = append(s.labels, int(u.set.Labels[i]))
	}
	if u.ref != nil {
		s.aim = s.measure(u.inputsOfLast(u.ref.session, s.images))
		return s
	}
	size := u.net.SampleSize()
	if size > judgePixels {
		return nil
	}
	rows := make([][]float32, len(s.images))
	for i, image := range s.images {
		rows[i] = make([]float32, size)
		u.read(image, rows[i])
	}
	chance := kernel.Log(float64(u.k))
	if s.aim = s.measure(rows); s.aim > (1-leastLearned)*chance {
		return nil
	}
	return s
}

// measure returns the separation of rows, which belong to the images. Every second
// one is fitted to.
func (s *separation) measure(rows [][]float32) float64 {
	var fitted []int
	for i := 0; i < len(rows); i += 2 {
		fitted = append(fitted, i)
	}
	p := fittedProbe(s.k, rows, fitted, rand.New(rand.NewPCG(s.seed, 2)), func(row int) (int, float64) { return s.labels[row], s.weight(row < s.own) })
	loss, n := 0.0, 0
	for row := 1; row < s.own; row += 2 {
		p.probabilities(p.z, p.p, rows[row])
		loss -= p.z[s.labels[row]]
		n++
	}
	return loss / float64(n)
}

// weight returns what an image counts so that every class counts the same.
func (s *separation) weight(own bool) float64 {
	if own {
		return float64(len(s.images)-s.own) / float64(s.k-s.forgotten) * float64(s.forgotten) / float64(s.own)
	}
	return 1
}

// probe is a linear classifier of rows of numbers, which are scaled so that their
// variances are 1 on average.
type probe struct {
	k, d    int
	w, grad []float32 // of each class the weights and then the intercept
	p, z    []float64 // of the row at hand
	adam    *learn.Adam
	scale   float32
	zero    []float32
}

func newProbe(classes, inputs int, variance float64) *probe {
	scale := float32(1)
	if variance > 0 {
		scale = float32(1 / kernel.Exp(kernel.Log(variance/float64(inputs))/2))
	}
	n := classes * (inputs + 1)
	return &probe{
		k: classes, d: inputs, w: make([]float32, n), grad: make([]float32, n), p: make([]float64, classes), z: make([]float64, classes),
		adam: learn.NewAdam(n, 0.9, 0.999), scale: scale, zero: make([]float32, inputs),
	}
}

// fittedProbe returns a probe that judgeSteps have fitted to some of the rows; known
// returns the label of a row and what it counts.
func fittedProbe(classes int, rows [][]float32, fitted []int, rng *rand.Rand, known func(row int) (label int, weight float64)) *probe {
	sampler := learn.NewSampler(rng, fitted)
	p := newProbe(classes, len(rows[0]), totalVariance(rows))
	drawn, batch, labels, weights := make([]int, judgeBatch), make([][]float32, judgeBatch), make([]int, judgeBatch), make([]float64, judgeBatch)
	for step := range judgeSteps {
		sampler.Draw(drawn)
		for i, row := range drawn {
			batch[i] = rows[row]
			labels[i], weights[i] = known(row)
		}
		p.fit(batch, labels, weights, judgeRate*learn.Fall(float64(step)/judgeSteps))
	}
	return p
}

// of returns the weights of a class.
func (p *probe) of(c int) []float32 { return p.w[c*(p.d+1) : c*(p.d+1)+p.d] }

// probabilities sets prob to what the probe says of a row and logp to the logarithms.
func (p *probe) probabilities(logp, prob []float64, row []float32) {
	logits := make([]float32, p.k)
	for c := range logits {
		var sums [4]float32 // which the processor adds to side by side
		w, j := p.of(c), 0
		for ; j+4 <= len(row); j += 4 {
			sums[0] += float32(w[j] * row[j])
			sums[1] += float32(w[j+1] * row[j+1])
			sums[2] += float32(w[j+2] * row[j+2])
			sums[3] += float32(w[j+3] * row[j+3])
		}
		for ; j < len(row); j++ {
			sums[0] += float32(w[j] * row[j])
		}
		logits[c] = float32(float32(sums[0]+sums[1]+sums[2]+sums[3])*p.scale) + p.w[c*(p.d+1)+p.d]
	}
	learn.LogSoftmax(logp, prob, logits)
}

// fit moves the probe a step of Adam towards the labels of rows, of which each
// counts by its weight.
func (p *probe) fit(rows [][]float32, labels []int, weights []float64, rate float64) {
	clear(p.grad)
	total := 0.0
	for _, w := range weights {
		total += w
	}
	for i, row := range rows {
		p.probabilities(p.z, p.p, row)
		p.p[labels[i]]--
		for c, d := range p.p {
			g := float32(float64(d*weights[i]) / total)
			if g > -1e-7 && g < 1e-7 {
				continue
			}
			at := c * (p.d + 1)
			kernel.Pull(p.grad[at:at+p.d], row, p.zero, float32(g*p.scale))
			p.grad[at+p.d] += g
		}
	}
	p.adam.Step(p.w, p.grad, rate)
}
