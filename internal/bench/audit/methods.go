package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"

	"lethe/dataset"
	"lethe/graph"
	"lethe/internal/kernel"
	"lethe/internal/learn"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/ops"
)

// A method is one that others published, by the formulas of its paper. Every
// parameter may move, the last layer too, as there; running statistics stay. The
// papers take SGD and settings for each network: here all take Adam and, of a few
// settings, that with the best others among those that leave the class at most
// methodTarget on the training images.
type method struct {
	name, source string
	settings     []float64 // rates of Adam, or what the comment on run says
	run          func(t *trial, setting float64) error
}

const methodTarget = 0.01

var stepSizes = []float64{1e-4, 3e-4, 1e-3}

var methods = []method{
	{"random labels", "Graves, Nagisetty and Ganesh, AAAI 2021 (arXiv 2010.10981)", stepSizes, randomLabels},
	{"NegGrad+", "Kurmanji, Triantafillou, Hayes and Triantafillou, NeurIPS 2023 (arXiv 2302.09880)", []float64{0.95, 0.99, 0.999, 0.9999}, negGrad},
	{"SCRUB", "the same", stepSizes, scrub},
	{"Boundary Shrink", "Chen, Gao, Liu, Peng and Wang, CVPR 2023 (arXiv 2303.11570)", stepSizes, boundaryShrink},
	{"SalUn", "Fan, Liu, Zhang, Wong, Wei and Liu, ICLR 2024 (arXiv 2310.12508)", stepSizes, salUn},
	{"SSD", "Foster, Schoepf and Brintrup, AAAI 2024 (arXiv 2308.07707)", []float64{1, 2, 5, 10}, dampen},
	{"DELETE", "Zhou, Zheng, Yang, Huang, Wang and Zhao, CVPR 2025 (arXiv 2503.23751)", stepSizes, decoupled},
}

// Settings of the methods, from the papers or the code that came with them.
const (
	methodBatch  = 256
	passes       = 2    // over all images, or over those of the others
	classPasses  = 10   // over the images of the class, of a method that sees no others
	negRate      = 1e-4 // of NegGrad+
	scrubPasses  = 3    // over the images of the others
	scrubAscents = 2    // of these begin with a pass over the class
	scrubTeacher = 0.5  // alpha
	scrubLabels  = 1    // gamma
	shrinkBound  = 0.1  // of pixels from 0 to 1, in the direction of the sign of the gradient
	salUnShare   = 0.5  // of the parameters that move
	dampFloor    = 1    // lambda of SSD
	fisherImages = 3000 // of all images and of the class, at most
)

// trial is a network that a method works on.
type trial struct {
	g             *graph.Graph
	sd            *model.StateDict
	set           *dataset.Set
	norm          dataset.Norm
	class, k      int
	session       *nn.Session // every parameter is trained
	read          func(i int, x []float32)
	forget, other []int
	rng           *rand.Rand
	adam          *learn.Adam
	said          [][]float64 // probabilities that the base gives, by image; nil: not asked
	still         []bool      // parameters that a mask holds; nil: none
	scratch       [][]float64 // of every image of a step
}

func newTrial(g *graph.Graph, sd *model.StateDict, set *dataset.Set, norm dataset.Norm, class int, seed uint64) (*trial, error) {
	net, err := nn.BindLogits(g, sd)
	if err != nil {
		return nil, err
	}
	t := &trial{g: g, sd: sd, set: set, norm: norm, class: class, k: net.Classes(), read: set.Reader(norm), rng: rand.New(rand.NewPCG(seed, 0))}
	if t.session, err = net.NewSession(methodBatch, 0, ops.Parameters(net.Graph())); err != nil {
		return nil, err
	}
	t.forget, t.other = set.Split(class)
	t.adam = learn.NewAdam(len(t.session.Theta()), 0.9, 0.999)
	for range methodBatch {
		t.scratch = append(t.scratch, make([]float64, 2*t.k))
	}
	return t, nil
}

// loss sets d to the derivatives of a loss of one image by its logits, where p
// are the probabilities of the network and logp their logarithms.
type loss func(image int, p, logp, d []float64)

// gradient leaves the gradient of the mean of a loss over images in the session.
func (t *trial) gradient(images []int, of loss) {
	t.session.Step(len(images), func(i int, x []float32) { t.read(images[i], x) }, func(i int, logits, grad []float32) {
		logp, p := t.scratch[i][:t.k], t.scratch[i][t.k:]
		learn.LogSoftmax(logp, p, logits)
		d := make([]float64, t.k)
		of(images[i], p, logp, d)
		for c, v := range d {
			grad[c] = float32(v / float64(len(images)))
		}
	})
}

// step moves the parameters by Adam against the gradient in the session.
func (t *trial) step(rate float64) {
	grad := t.session.Grad()
	for i, still := range t.still {
		if still {
			grad[i] = 0
		}
	}
	t.adam.Step(t.session.Theta(), grad, rate)
	t.session.Refresh()
}

// pass makes a step for every batch of the images, in a new order.
func (t *trial) pass(images []int, rate float64, of loss) {
	images = slices.Clone(images)
	t.rng.Shuffle(len(images), func(a, b int) { images[a], images[b] = images[b], images[a] })
	for batch := range slices.Chunk(images, methodBatch) {
		t.gradient(batch, of)
		t.step(rate)
	}
}

// crossEntropy is the loss of labels.
func crossEntropy(label func(image int) int) loss {
	return func(image int, p, _, d []float64) {
		copy(d, p)
		d[label(image)]--
	}
}

func (t *trial) own(image int) int { return int(t.set.Labels[image]) }

// strangers draws another class for every image of the class.
func (t *trial) strangers() func(image int) int {
	drawn := map[int]int{}
	for _, i := range t.forget {
		c := t.rng.IntN(t.k - 1)
		if c >= t.class {
			c++
		}
		drawn[i] = c
	}
	return func(image int) int {
		if c, ok := drawn[image]; ok {
			return c
		}
		return t.own(image)
	}
}

// randomLabels minimises the cross-entropy of all images, those of the class with
// labels drawn from the others.
func randomLabels(t *trial, rate float64) error {
	labels := t.strangers()
	for range passes {
		t.pass(slices.Concat(t.forget, t.other), rate, crossEntropy(labels))
	}
	return nil
}

// negGrad minimises beta CE(others) - (1 - beta) CE(class). Its one setting is beta.
func negGrad(t *trial, beta float64) error {
	forget := learn.NewSampler(t.rng, t.forget)
	labels := crossEntropy(t.own)
	batch := make([]int, methodBatch)
	for range passes {
		others := slices.Clone(t.other)
		t.rng.Shuffle(len(others), func(a, b int) { others[a], others[b] = others[b], others[a] })
		for part := range slices.Chunk(others, methodBatch/2) {
			batch = append(batch[:0], part...)
			batch = batch[:2*len(part)]
			forget.Draw(batch[len(part):])
			t.gradient(batch, func(image int, p, logp, d []float64) { // a mean of two halves
				labels(image, p, logp, d)
				weight := 2 * beta
				if t.own(image) == t.class {
					weight = -2 * (1 - beta)
				}
				for c := range d {
					d[c] *= weight
				}
			})
			t.step(negRate)
		}
	}
	return nil
}

// ask lets the base say the probabilities of images.
func (t *trial) ask(images []int) error {
	t.said = make([][]float64, t.set.Len())
	return learn.Evaluate(context.Background(), t.session, t.set, t.norm, images, func(i int, logits []float32) {
		logp, p := make([]float64, t.k), make([]float64, t.k)
		learn.LogSoftmax(logp, p, logits)
		t.said[images[i]] = p
	})
}

// scrub alternates passes that maximise KL(base || network) on the class with
// passes that minimise alpha KL(base || network) + gamma CE on the others.
func scrub(t *trial, rate float64) error {
	if err := t.ask(slices.Concat(t.forget, t.other)); err != nil {
		return err
	}
	away := func(image int, p, _, d []float64) {
		for c := range d {
			d[c] = t.said[image][c] - p[c]
		}
	}
	near := func(image int, p, _, d []float64) {
		for c := range d {
			d[c] = float64((scrubTeacher+scrubLabels)*p[c]) - float64(scrubTeacher*t.said[image][c])
		}
		d[t.own(image)] -= scrubLabels
	}
	for pass := range scrubPasses {
		if pass < scrubAscents {
			t.pass(t.forget, rate, away)
		}
		t.pass(t.other, rate, near)
	}
	return nil
}

// boundaryShrink fine-tunes on the images of the class with the label that the
// base gives them after a step along the sign of the gradient of their loss.
func boundaryShrink(t *trial, rate float64) error {
	nearest, err := t.nearest()
	if err != nil {
		return err
	}
	for range classPasses {
		t.pass(t.forget, rate, crossEntropy(func(image int) int { return nearest[image] }))
	}
	return nil
}

// nearest returns the class that the base takes each forgotten image for, other
// than its own, where it was moved towards a larger loss. The gradient with
// respect to an image is that of a parameter that is added to it.
func (t *trial) nearest() (map[int]int, error) {
	net, shift, err := nn.BindWithShift(t.g, t.sd, t.set.Shape)
	if err != nil {
		return nil, err
	}
	s, err := net.NewSession(1, 1, []string{shift})
	if err != nil {
		return nil, err
	}
	found := map[int]int{}
	logp, p := make([]float64, t.k), make([]float64, t.k)
	for _, image := range t.forget {
		fill := func(_ int, x []float32) { t.read(image, x) }
		s.Step(1, fill, func(_ int, logits, grad []float32) {
			learn.LogSoftmax(logp, p, logits)
			p[t.class]--
			for c, d := range p {
				grad[c] = float32(d)
			}
		})
		for i, d := range s.Grad() {
			step := float32(shrinkBound / float64(t.norm.Std[0]))
			switch {
			case d < 0:
				step = -step
			case d == 0:
				step = 0
			}
			s.Theta()[i] = step
		}
		s.Refresh()
		s.Forward(1, fill, func(_ int, logits []float32) {
			logits[t.class] = float32(math.Inf(-1))
			found[image] = learn.Best(logits)
		})
		clear(s.Theta())
		s.Refresh()
	}
	return found, nil
}

// salUn minimises as randomLabels does, but moves only the parameters with the
// larger gradients of the loss of the class.
func salUn(t *trial, rate float64) error {
	saliency := make([]float64, len(t.session.Theta()))
	for batch := range slices.Chunk(t.forget, methodBatch) {
		t.gradient(batch, crossEntropy(t.own))
		for i, d := range t.session.Grad() {
			saliency[i] += float64(d) * float64(len(batch))
		}
	}
	for i, s := range saliency {
		saliency[i] = math.Abs(s)
	}
	sorted := slices.Clone(saliency)
	sort.Float64s(sorted)
	threshold := sorted[int((1-salUnShare)*float64(len(sorted)))]
	t.still = make([]bool, len(saliency))
	for i, s := range saliency {
		t.still[i] = s < threshold
	}
	return randomLabels(t, rate)
}

// dampen multiplies each parameter whose mean squared derivative of the loss is
// more than alpha times larger on the class than on all images by the smaller of
// 1 and lambda times the inverse of that ratio. Its one setting is alpha.
func dampen(t *trial, alpha float64) error {
	all, err := t.fisher(slices.Concat(t.forget, t.other))
	if err != nil {
		return err
	}
	own, err := t.fisher(t.forget)
	if err != nil {
		return err
	}
	for i := range t.session.Theta() {
		if own[i] > float64(alpha*all[i]) {
			t.session.Theta()[i] *= float32(min(dampFloor*all[i]/own[i], 1))
		}
	}
	t.session.Refresh()
	return nil
}

// fisher returns the diagonal of the empirical Fisher information: the mean over
// images of the squares of the gradient of the loss of one.
func (t *trial) fisher(images []int) ([]float64, error) {
	net, err := nn.BindLogits(t.g, t.sd)
	if err != nil {
		return nil, err
	}
	s, err := net.NewSession(1, 1, ops.Parameters(net.Graph()))
	if err != nil {
		return nil, err
	}
	stride := (len(images) + fisherImages - 1) / fisherImages
	mean, n := make([]float64, len(s.Theta())), 0
	logp, p := make([]float64, t.k), make([]float64, t.k)
	images = slices.Sorted(slices.Values(images))
	for at := 0; at < len(images); at += stride {
		s.Step(1, func(_ int, x []float32) { t.read(images[at], x) }, func(_ int, logits, grad []float32) {
			learn.LogSoftmax(logp, p, logits)
			p[t.own(images[at])]--
			for c, d := range p {
				grad[c] = float32(d)
			}
		})
		for i, d := range s.Grad() {
			mean[i] += float64(d) * float64(d)
		}
		n++
	}
	for i := range mean {
		mean[i] /= float64(n)
	}
	return mean, nil
}

// decoupled minimises, on the class alone, the divergence from what the base says
// without the class.
func decoupled(t *trial, rate float64) error {
	if err := t.ask(t.forget); err != nil {
		return err
	}
	for _, i := range t.forget {
		p := t.said[i]
		rest := 0.0
		p[t.class] = 0
		for _, x := range p {
			rest += x
		}
		for c := range p {
			p[c] /= rest
		}
	}
	for range classPasses {
		t.pass(t.forget, rate, func(image int, p, _, d []float64) {
			for c := range d {
				d[c] = p[c] - t.said[image][c]
			}
		})
	}
	return nil
}

// try runs a method with each of its settings and returns the best network and its
// setting.
func try(g *graph.Graph, sd *model.StateDict, set *dataset.Set, norm dataset.Norm, class int, seed uint64, m method) (best *model.StateDict, setting float64, err error) {
	bestTarget, bestRemain := 2.0, 0.0
	for _, r := range m.settings {
		t, err := newTrial(g, sd, set, norm, class, seed)
		if err != nil {
			return nil, 0, err
		}
		if err := m.run(t, r); err != nil {
			return nil, 0, err
		}
		target, err := learn.Accuracy(context.Background(), t.session, set, norm, t.forget)
		if err != nil {
			return nil, 0, err
		}
		remain, err := learn.Accuracy(context.Background(), t.session, set, norm, t.other)
		if err != nil {
			return nil, 0, err
		}
		if better(target, remain, bestTarget, bestRemain) {
			bestTarget, bestRemain, setting = target, remain, r
			if best, err = t.session.StateDict(sd); err != nil {
				return nil, 0, err
			}
		}
	}
	if best == nil {
		return nil, 0, fmt.Errorf("%s: no setting gives a network with finite weights", m.name)
	}
	return best, setting, nil
}

// better reports whether one network is to be preferred to another by what it
// gets right of the class and of the others.
func better(target, remain, thanTarget, thanRemain float64) bool {
	if over, thanOver := max(target, methodTarget), max(thanTarget, methodTarget); over != thanOver {
		return over < thanOver
	}
	return remain > thanRemain
}

// distance returns the Euclidean distance of two networks over the parameters.
func distance(g *graph.Graph, a, b *model.StateDict) (float64, error) {
	sum := 0.0
	for _, name := range ops.Parameters(g) {
		x, err := a.Get(name).Float32s()
		if err != nil {
			return 0, err
		}
		y, err := b.Get(name).Float32s()
		if err != nil {
			return 0, err
		}
		d := kernel.Distance(x, y)
		sum += d * d
	}
	return math.Sqrt(sum), nil
}
