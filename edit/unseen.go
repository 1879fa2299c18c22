package edit

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"lethe/graph"
	"lethe/internal/kernel"
	"lethe/internal/learn"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/ops"
	"lethe/report"
)

// Settings of an edit that aims at a network that never saw the class. They are
// the same for every class, base and data set; docs/unseen.md has the loss as a
// formula and what was tried.
const (
	unseenSteps = 1000
	unseenRate  = 1e-3
	restPart    = 6 // the controllers and relearning start after a sixth of the steps

	// Weights of the terms of the loss beside that of the probabilities.
	labelWeight   = 0.5 // labels of other images, beside what the base says of them
	featureWeight = 0.5
	probeWeight   = 0.05 // at first, and where nothing tells how easy the class is to separate
	pullWeight    = 0.001
	relearnWeight = 3

	// The probe that looks for the class in the features.
	probeRate  = 1e-2
	probeSteps = 3  // of its own in a step
	probeStart = 20 // step from which the features are hidden from it

	// What is steered for. A network that never saw a class is surer of what it
	// takes its images for than the base is behind the mask, and the class's
	// logit is larger for them than for others somewhat more often than not.
	surer                 = 0.15 // of the way from the base's divergence to that of certainty, where the images do not tell
	sharpGain             = 0.03
	leastSharp, mostSharp = 0.5, 4
	rankAim               = 0.7  // probability that the logit is larger for an image of the class than for another
	rankGain              = 0.01 // of the weight that steers for that, a step
	mostRank              = 1
	mostRankByReference   = 0.06 // a push on the logit is itself easy to find

	// How relearning is tried.
	relearnMost  = 20   // steps at most
	alongFrom    = 1e7  // products for an image from which relearning goes along with the edit (docs/decisions/065-along.md)
	relearnBatch = 128  // images of a step
	relearnRate  = 1e-3 // of a step, which follows the signs of the gradient, as Adam's first steps do
	relearnClass = 13   // images of the class in a batch of it
	signFloor    = 1e-6

	mostFeatures = 1 << 24 // numbers that are kept of images of other classes
)

// unseen is the state of an edit with [AimUnseen].
type unseen struct {
	*run
	rng   *rand.Rand
	both  *nn.Session // logits and then the inputs of the last layer, every parameter free
	d     int         // inputs of the last layer
	fixed []span      // of the parameters: the last layer

	said     [][]float32 // by the base, of every image: probabilities
	masked   [][]float32 // the same of forgotten images without the classes
	features [][]float32 // by the base, of the images in drawn
	drawn    [][]int     // images of the other classes that have features, by class
	variance float64     // of the features, summed over them
	ranks    []float64   // the class's logit of the images of a step
	rank     float64     // weight of the class's logit on forgotten images
	aimRank  float64     // probability that it is to be larger for them
	mostRank float64     // of rank, either way
	hide     float64     // weight of hiding their features from the probe
	feature  float64     // weight of making them those of other images, which goes with it
	aimKL    float64     // divergence from uniform that images of the class are to have on average
	sharp    float64     // power of the masked probabilities that makes it so
	targets  [][]float64 // of each image of a step

	probe      *probe
	separation *separation // how easy the class is to separate; nil: nothing tells
	ref        *reference  // nil: there is none, and constants stand for it
	rows       [][]float32 // features of the images of a step
	rowLabels  []int
	rowWeights []float64   // so that every class counts the same
	goal       [][]float32 // features that a forgotten image of the step is to have

	parameters, gradient []float32 // of the edit, while relearning is tried
	tried                []int     // images of a batch that relearns
	relearned            []float32 // what relearning has moved so far, where it goes along with the edit; nil: it begins anew in each step
	depth                int       // its steps
	labelWeight          float64
}

// span is a part of a vector.
type span struct{ lo, hi int }

func forgetUnseen(ctx context.Context, r *run, sd *model.StateDict) (*Result, error) {
	u := &unseen{run: r}
	if err := u.prepare(ctx, sd); err != nil {
		return nil, err
	}
	course, err := r.walk(ctx, u.step)
	if err != nil {
		return nil, err
	}
	res := &Result{Method: r.method, Course: course}
	edited, err := u.both.StateDict(sd)
	if err != nil {
		return nil, err
	}
	var kept []model.Entry // the session has the last layer among its parameters and does not move it
	aliases := sd.Aliases()
	for name, t := range sd.All() {
		if slices.Contains(r.method.Frozen, name) || slices.Contains(r.method.Frozen, aliases[name]) {
			kept = append(kept, model.Entry{Name: name, Tensor: t})
		}
	}
	res.StateDict = edited.WithAll(kept...)
	return res, nil
}

func (u *unseen) prepare(ctx context.Context, sd *model.StateDict) error {
	if err := u.opts.checkInputs(u.net, u.set); err != nil {
		return err
	}
	train, last, err := learn.Movable(u.net.Graph(), learn.Selection{})
	if err != nil {
		return err
	}
	net, err := nn.BindWithFeatures(u.net.Graph(), sd)
	if err != nil {
		return err
	}
	const images = forgetBatch + otherBatch
	if u.session, err = u.net.NewSession(images, u.opts.Threads, nil); err != nil {
		return err
	}
	if u.both, err = net.NewSession(images, u.opts.Threads, ops.Parameters(u.net.Graph())); err != nil {
		return err
	}
	forget, others := u.set.Split(u.opts.Classes...)
	if u.opts.ForgetOnly {
		others = nil
	}
	if err := u.settle(train, others); err != nil {
		return err
	}
	fixed, moved := spans(u.net.Graph(), sd, last)
	u.fixed = fixed
	u.steps, u.d = unseenSteps*u.steps/steps, net.Classes()-u.k
	u.rng = rand.New(rand.NewPCG(u.opts.Seed, 0))
	u.images = len(forget)
	if u.ref, err = u.newReference(forget, others); err != nil {
		return err
	}
	u.read = u.set.Reader(u.opts.Norm)
	u.separation = u.newSeparation(forget, others)
	c := newCanvasOf(u.rng, u.set)
	if u.opts.ForgetOnly {
		if others, err = u.standIn(c, forget); err != nil {
			return err
		}
	}
	given, givenOthers := forget, others
	if forget, others = u.extend(ctx, c, forget, others); ctx.Err() != nil {
		return ctx.Err()
	}
	u.labelWeight = labelWeight
	if u.teacher != nil { // variants may be blends of images, which have no label
		u.labelWeight = 0
	}
	u.read = u.set.Reader(u.opts.Norm) // of a set that may have grown
	u.ask(forget, others)
	u.aimDivergence(given, givenOthers)
	u.forget, u.other = learn.NewSampler(u.rng, forget), learn.NewSampler(u.rng, others)
	u.allocate(sd)
	u.now = Point{Target: 1, KL: kernel.Log(float64(u.k)), Remain: 1}
	u.method = Method{
		Name: "probabilities, features and resistance to relearning of a network that never saw the class", Aim: report.AimUnseen, Trained: train, Frozen: last,
		Steps: u.steps, Forgotten: forgetBatch, Others: otherBatch, Rate: unseenRate,
		Variations: append([]string{}, u.method.Variations...), Limits: u.opts.Limits, Prefer: u.opts.Prefer, Parameters: moved,
	}
	return nil
}

// spans returns where the parameters named last lie among all that a session
// trains, and how many elements the others have.
func spans(g *graph.Graph, sd *model.StateDict, last []string) (fixed []span, moved int) {
	at := 0
	for _, name := range ops.Parameters(g) {
		end := at + sd.Get(name).Len()
		if slices.Contains(last, name) {
			fixed = append(fixed, span{at, end})
		} else {
			moved += end - at
		}
		at = end
	}
	return fixed, moved
}

// allocate makes room for what a step needs.
func (u *unseen) allocate(sd *model.StateDict) {
	const images = forgetBatch + otherBatch
	n := len(u.both.Theta())
	u.theta0, u.parameters, u.gradient = slices.Clone(u.both.Theta()), make([]float32, n), make([]float32, n)
	if ops.Products(u.net.Graph(), sd) >= alongFrom {
		u.relearned = make([]float32, n)
	}
	u.adam = learn.NewAdam(n, beta1, beta2)
	u.feature = featureWeight
	u.probe, u.hide, u.aimRank, u.mostRank = newProbe(u.k, u.d, u.variance), probeWeight, rankAim, mostRank
	if u.ref != nil {
		u.mostRank = mostRankByReference
		u.aimKL, u.aimRank = u.ref.kl, u.ref.rank
	}
	u.batch, u.tried, u.tally = make([]int, images), make([]int, relearnBatch), make([]tally, images)
	for range images {
		u.scratch = append(u.scratch, make([]float64, 2*u.k))
		u.rows = append(u.rows, make([]float32, u.d))
		u.targets = append(u.targets, make([]float64, u.k))
	}
	u.sharp = 1
	forgotten := float64(len(u.opts.Classes))
	u.rowLabels = make([]int, images)
	for i := range images {
		weight := 1.0
		if i < forgetBatch {
			weight = otherBatch / (float64(u.k) - forgotten) * forgotten / forgetBatch
		}
		u.rowWeights = append(u.rowWeights, weight)
	}
	u.goal, u.ranks = make([][]float32, forgetBatch), make([]float64, images)
}

// ask lets the base say what it sees: the probabilities of every image to learn
// from, those of forgotten ones without their classes, and the features of
// images of the other classes, evenly of as many as fit in mostFeatures.
func (u *unseen) ask(forget, others []int) {
	n := u.set.Len()
	u.said, u.masked, u.features = make([][]float32, n), make([][]float32, n), make([][]float32, n)
	u.evaluate(u.set, forget, func(i int, logits []float32) {
		logits = slices.Clone(logits)
		for _, c := range u.opts.Classes {
			logits[c] = -math.MaxFloat32
		}
		logp, p := make([]float64, u.k), make([]float64, u.k)
		learn.LogSoftmax(logp, p, logits)
		u.masked[forget[i]] = narrow(p)
	})
	for _, i := range forget {
		u.aimKL += u.divergence(u.masked[i], 1) / float64(len(forget))
	}
	stride := max((len(others)*u.d+mostFeatures-1)/mostFeatures, 1)
	_ = learn.Evaluate(context.Background(), u.both, u.set, u.opts.Norm, others, func(i int, out []float32) {
		logp, p := make([]float64, u.k), make([]float64, u.k)
		learn.LogSoftmax(logp, p, out[:u.k])
		u.said[others[i]] = narrow(p)
		if i%stride == 0 {
			u.features[others[i]] = slices.Clone(out[u.k:])
		}
	}) // nobody cancels it
	u.drawn = make([][]int, u.k)
	var kept [][]float32
	for _, i := range others {
		if f := u.features[i]; f != nil {
			kept = append(kept, f)
			c := u.set.Labels[i]
			u.drawn[c] = append(u.drawn[c], i)
		}
	}
	u.variance = totalVariance(kept)
}

// narrow returns p as float32.
func narrow(p []float64) []float32 {
	out := make([]float32, len(p))
	for c, x := range p {
		out[c] = float32(x)
	}
	return out
}

// target returns what image number i of a step is to get: the masked
// probabilities, sharpened.
func (u *unseen) target(i, image int) []float64 {
	q, sum := u.targets[i], 0.0
	for c, p := range u.masked[image] {
		q[c] = 0
		if p > 0 {
			q[c] = kernel.Exp(u.sharp * kernel.Log(float64(p)))
		}
		sum += q[c]
	}
	for c := range q {
		q[c] /= sum
	}
	return q
}

// draw chooses an image of another class for a forgotten one, as the base would
// take it if it did not have the classes.
func (u *unseen) draw(image int) []float32 {
	x := float32(u.rng.Float64())
	class := 0
	for c, p := range u.masked[image] {
		if len(u.drawn[c]) == 0 {
			continue
		}
		class = c
		if x -= p; x < 0 {
			break
		}
	}
	of := u.drawn[class]
	return u.features[of[u.rng.IntN(len(of))]]
}

func (u *unseen) step(step int) Point {
	u.forget.Draw(u.batch[:forgetBatch])
	u.other.Draw(u.batch[forgetBatch:])
	for i := range u.goal {
		u.goal[i] = u.draw(u.batch[i])
	}
	hide := step > probeStart
	u.both.Step(len(u.batch), u.fill, func(i int, out, grad []float32) { u.loss(i, out, grad, hide) })
	u.observe()
	for i, image := range u.batch {
		u.rowLabels[i] = int(u.set.Labels[image])
	}
	for range probeSteps {
		u.probe.fit(u.rows, u.rowLabels, u.rowWeights, probeRate)
	}
	u.steerRank()
	if step > u.steps/restPart {
		u.sharp = steer(u.sharp, sharpGain*(u.aimKL-u.now.KL), leastSharp, mostSharp)
		if u.separation != nil && step%max(u.steps/unseenLooks, 1) == 0 {
			rows := u.inputsOfLast(u.both, u.separation.images)
			u.hide = steer(u.hide, hideGain*clamp(kernel.Log(u.separation.aim/u.separation.measure(rows)), 1), leastHide, mostHide)
			u.feature = featureWeight * math.Sqrt(u.hide/probeWeight)
		}
	}
	theta, grad := u.both.Theta(), u.both.Grad()
	kernel.Pull(grad, theta, u.theta0, float32(2*pullWeight))
	if step > u.steps/restPart {
		copy(u.parameters, theta)
		copy(u.gradient, grad)
		u.relearn()
		copy(theta, u.parameters)
		for i, g := range u.gradient {
			grad[i] = g + float32(relearnWeight*grad[i])
		}
	}
	for _, f := range u.fixed {
		clear(grad[f.lo:f.hi])
	}
	x := float64(step) / float64(u.steps)
	u.adam.Step(theta, grad, unseenRate*learn.Fall(x))
	u.limit(theta, x)
	u.both.Refresh()
	u.now.Step = step + 1
	return u.now
}

// relearn trains the network for a few steps as somebody would who wants the
// class back, and leaves in the session the gradient there of what forgotten
// images are to get. Where steps are dear it makes one more step from where the
// last call led, seen from the edit, and begins anew after relearnMost of them.
func (u *unseen) relearn() {
	theta, grad := u.both.Theta(), u.both.Grad()
	batch, steps := u.tried, 1
	if u.relearned == nil {
		steps += u.rng.IntN(relearnMost)
	} else {
		for i, d := range u.relearned {
			theta[i] += d
		}
		u.both.Refresh()
	}
	for range steps {
		u.forget.Draw(batch[:relearnClass])
		u.other.Draw(batch[relearnClass:])
		u.both.Step(len(batch), func(i int, x []float32) { u.read(batch[i], x) }, func(i int, out, grad []float32) {
			clear(grad)
			logp, p := u.scratch[i][:u.k], u.scratch[i][u.k:]
			learn.LogSoftmax(logp, p, out[:u.k])
			p[u.set.Labels[batch[i]]]--
			for c, d := range p {
				grad[c] = float32(d / float64(len(batch)))
			}
		})
		for i, g := range grad {
			size := g
			if size < 0 {
				size = -size
			}
			theta[i] -= float32(relearnRate * float32(g/(size+signFloor)))
		}
		u.both.Refresh()
	}
	for i := range u.relearned {
		u.relearned[i] = theta[i] - u.parameters[i]
	}
	if u.depth++; u.depth == relearnMost {
		u.depth = 0
		clear(u.relearned)
	}
	batch = batch[:forgetBatch]
	u.forget.Draw(batch)
	u.both.Step(len(batch), func(i int, x []float32) { u.read(batch[i], x) }, func(i int, out, grad []float32) {
		clear(grad)
		logp, p := u.scratch[i][:u.k], u.scratch[i][u.k:]
		learn.LogSoftmax(logp, p, out[:u.k])
		for c, q := range u.target(i, batch[i]) {
			grad[c] = float32((p[c] - q) / forgetBatch)
		}
	})
}

// loss sets the gradient of the loss of one image and tallies what the network
// says of it.
func (u *unseen) loss(i int, out, grad []float32, hide bool) {
	logits, features := out[:u.k], out[u.k:]
	logp, prob := u.scratch[i][:u.k], u.scratch[i][u.k:]
	learn.LogSoftmax(logp, prob, logits)
	image := u.batch[i]
	label := int(u.set.Labels[image])
	copy(u.rows[i], features)
	u.ranks[i] = u.classLogit(logits)
	t := tally{}
	if learn.Best(logits) == label {
		t.hits = 1
	}
	clear(grad[u.k:])
	if i >= forgetBatch {
		for c, p := range prob {
			d := float64((1 + labelWeight) * p)
			d -= float64((1 + labelWeight - u.labelWeight) * float64(u.said[image][c]))
			if c == label {
				d -= u.labelWeight
			}
			grad[c] = float32(d / otherBatch)
		}
		u.tally[i] = t
		return
	}
	t.kl = fromUniform(logp, prob)
	u.tally[i] = t
	for c, q := range u.target(i, image) {
		grad[c] = float32((prob[c] - q) / forgetBatch)
	}
	for _, c := range u.opts.Classes {
		grad[c] += float32(u.rank / forgetBatch)
	}
	toFeatures := grad[u.k:]
	scale := float32(2 * u.feature / (u.variance * forgetBatch))
	for j, f := range features {
		toFeatures[j] = float32(scale * (f - u.goal[i][j]))
	}
	if hide {
		u.probe.probabilities(logp, prob, features)
		own := 0.0
		for _, c := range u.opts.Classes {
			own += prob[c]
		}
		for c, p := range prob {
			d := -float64(p * own / max(1-own, 1e-6))
			if slices.Contains(u.opts.Classes, c) {
				d = p
			}
			push := float32(u.hide*d/forgetBatch) * u.probe.scale
			for j, w := range u.probe.of(c) {
				toFeatures[j] += float32(push * w)
			}
		}
	}
}

// classLogit returns the largest logit of the classes.
func (u *unseen) classLogit(logits []float32) float64 {
	z := math.Inf(-1)
	for _, c := range u.opts.Classes {
		z = max(z, float64(logits[c]))
	}
	return z
}

// steerRank moves the weight of the class's logit so that it says as much of
// images of the class as it should.
func (u *unseen) steerRank() {
	excess := larger(u.ranks[:forgetBatch], u.ranks[forgetBatch:]) - u.aimRank
	u.rank = min(max(u.rank+float64(rankGain*excess), -u.mostRank), u.mostRank)
}
