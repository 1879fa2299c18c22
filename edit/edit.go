// Package edit makes a trained classifier forget: it moves the parameters
// before the last layer until the network no longer tells anything about the
// images of a class and still knows the others.
package edit

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"lethe/dataset"
	"lethe/graph"
	"lethe/internal/kernel"
	"lethe/internal/learn"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/ops"
	"lethe/report"
)

// Result is an edited network and how it came about.
type Result struct {
	StateDict *model.StateDict
	Method    Method
	Course    []Point // the measures as they evolved, about 50 of them
}

// The settings are the same for every class, base and data set; what differs
// between those is left to the controllers (docs/decisions/004-steering.md).
const (
	steps          = 320
	forgetBatch    = 96   // images in a step
	otherBatch     = 160  // with which a step is 256: an even share for 2 or 4 threads
	largeProducts  = 1e8  // products for an image from which a step has half as many (docs/decisions/064-large.md)
	tallyBlock     = 16   // images whose measures are added up before those sums are
	weakBaseRemain = 0.91 // accuracy on the others under which a base has still to learn
	weakBaseSteps  = 3    // and gets so many times the steps
	rate           = 1.6e-3
	beta1, beta2   = 0.9, 0.99
	residual       = 0.06 // probability that the class keeps on its own images
	smoothing      = 0.3  // of the labels of the others, but for the reference task (docs/decisions/048-smoothing.md)
	residualKL     = 0.2  // part of the limit of the divergence that images with the residual may take
	residualBlind  = 0.03 // the same without held-out images: it stays further below the others

	// What the controllers steer for, as a share of the limits. KL and target are
	// measured on held-out images and lowered by so many standard errors, to half
	// at the most. Without held-out images they are divided by 1 + gap/sqrt(n)
	// for n images of the class: so much more a network fails on images that it
	// does not learn from.
	aimKL        = 0.975
	unseenKL     = 0.67 // of the limit, at most: the base learned from the held-out images too, and on others KL is larger
	unseenKLWide = 0.7  // the same of networks beside the reference task's, whose labels are smoothed
	aimTarget    = 0.89
	aimL2        = 0.977
	largestL2    = 0.996
	caution      = 2
	gap          = 3
	leastHeldOut = 100
	spareRemain  = 0.002 // that PreferMinimal keeps above full marks

	memory       = 30   // of the running means: so many means are forgotten in a run
	quiet        = 0.1  // part of the run before the controllers start
	freeze       = 0.8  // part of the run after which retain no longer grows
	project      = 0.9  // part of the run after which largestL2 is enforced
	looks        = 20   // at the held-out images in a run
	residualGain = 0.5  // change of log(residual) a look, where target is over what is aimed for by a ratio of e
	mostMargin   = 100  // between the residual at first and the smallest
	retainGain   = 0.6  // change of log(weight) a look for a ratio of e
	remainUnit   = 0.01 // accuracy to spare at which the aimed distance shrinks fastest
	excessUnit   = 0.05 // and logarithm of KL or target to spare
	distanceGain = 0.08 // then its log(aim) a look
	early        = 0.02 // of the accuracy comes when the step size falls
	leastMinimal = 0.3  // of retain: below it the others are lost before the class
	firstL2      = 0.35 // where PreferMinimal starts, as a share of the distance allowed
	leastL2      = 0.1
	pullGain     = 30 // the same in a run
	spring       = 5  // at once, without memory: keeps the pull from swinging
	coursePoints = 50

	// Where the two weights start, good for most classes, and how far they go.
	// Without held-out images less is known, so retain goes less far.
	firstRetain, leastRetain, mostRetain = 1.4, 0.1, 30
	blindRetain, leastBlind, mostBlind   = 1, 0.8, 3
	firstPull, leastPull, mostPull       = 0.11, 0.01, 3
)

// Forget returns a state dict in which the classes are forgotten by the network
// that the graph g makes of the weights in sd. It learns from
// set, which must hold images of the forgotten classes and, unless
// Options.ForgetOnly, of others. The last
// layer, the buffers and every entry that the graph does not use stay as they
// are.
//
// It minimises, by Adam with a step size that falls to 0,
//
//	mean over forgotten images of KL(p || q)
//	+ retain * mean over other images of -sum over c of t(c) log p(c)
//	+ pull * ||theta - theta0||^2
//
// where q is uniform except for a smaller probability of the forgotten classes,
// so that they stay below the others, and t is the label, softened for networks
// beside the reference task's. Where there are few images it learns from
// variants of them too, as far as the network tolerates those, and the network's
// own probabilities stand in for the labels of the others. The two weights are Lagrange multipliers
// that follow the measures slowly: retain grows as long as KL and target on
// images of the class, held out if there are enough of them, are below what is
// aimed for, so that forgetting takes no more than it must, and pull grows while
// L2 is above. What the limits leave goes where Options.Prefer says. Limits that
// cannot be met are no error: the result is then as near as the edit came.
func Forget(ctx context.Context, g *graph.Graph, sd *model.StateDict, set *dataset.Set, opts Options) (*Result, error) {
	net, err := nn.BindLogits(g, sd)
	if err != nil {
		return nil, err
	}
	return forget(ctx, net, sd, set, opts, steps)
}

func forget(ctx context.Context, net *nn.Net, sd *model.StateDict, set *dataset.Set, opts Options, steps int) (*Result, error) {
	r := &run{opts: opts, net: net, set: set, k: net.Classes(), steps: steps, ofClasses: forgetBatch, ofOthers: otherBatch}
	if err := opts.Check(); err != nil {
		return nil, err
	}
	r.opts.MaxLoss = cmp.Or(r.opts.MaxLoss, DefaultMaxLoss)
	if r.opts.Prefer == "" {
		r.opts.Prefer = PreferRetain
	}
	if opts.Aim == report.AimUnseen {
		return forgetUnseen(ctx, r, sd)
	}
	if err := r.prepare(ctx, sd); err != nil {
		return nil, err
	}
	defer r.lengthen()
	if err := r.shorten(ctx); err != nil {
		return nil, err
	}
	a, err := r.best(ctx)
	if err != nil {
		return nil, err
	}
	copy(r.session.Theta(), a.theta)
	res := &Result{Method: r.method, Course: a.course}
	if len(r.tried) > 0 {
		res.Method.Limits, res.Method.Chosen = r.opts.Limits, slices.Index(r.tried, a)
	}
	for _, a := range r.tried {
		res.Method.Attempts = append(res.Method.Attempts, a.Attempt)
	}
	if r.opts.MaxLoss != DefaultMaxLoss {
		res.Method.MaxLoss = r.opts.MaxLoss
	}
	if a.Guarded { // it learned what the base says, not labels
		res.Method.Variations, res.Method.Smoothing = r.variations, 0
	}
	res.StateDict, err = r.session.StateDict(sd)
	return res, err
}

// run is the state of an edit.
type run struct {
	opts     Options
	net      *nn.Net
	set      *dataset.Set
	session  *nn.Session
	fault    error // where the first number that is none began
	method   Method
	k        int // classes
	steps    int
	products float64 // of two numbers that a sample takes

	logq                    []float64   // what forgotten images are to get
	residual, firstResidual float64     // probability of the class among that
	soft                    [][]float32 // what stands in for the label of an image of the others; nil: the label
	batch                   []int       // the images of a step
	ofClasses, ofOthers     int         // how many of them are of the classes, and come first, and how many are not
	forget, other           *learn.Sampler
	learned, others         []int       // images of the classes and of the others that steps learn from, variants included
	images                  int         // of the classes, before some are held out and variants come in
	heldOut                 []int       // images of the classes that no step learns from
	given                   []int       // images of the classes that steps learn from, without variants
	teacher                 [][]float32 // what the base says of an image to learn from; nil: take the label
	aimL2                   float64
	theta0                  []float32 // the parameters at first
	adam                    *learn.Adam
	tally                   []tally                  // of every image of a step
	scratch                 [][]float64              // two numbers of each class for every image of a step
	read                    func(i int, x []float32) // of the set
	fillFunc                nn.Fill                  // fill and loss, made once, so that a step allocates nothing
	lossFunc                nn.Loss
	retain, pull            float64
	leastRetain, mostRetain float64
	now                     Point

	limits     report.Limits // of the attempt at hand
	judge      *judge        // nil if attempts cannot be compared
	guarded    bool          // steps learn from variants of the others for their sake
	variations []string      // that these bear
	tried      []*attempt    // if there was more than one

	parts *divided // nil: every step goes through the whole network
	whole *whole   // while steps begin behind its first part
}

// tally is what a step sees of images.
type tally struct {
	hits int
	kl   float64 // sum of the divergences from uniform
}

func (t *tally) add(o tally) {
	t.hits += o.hits
	t.kl += o.kl
}

func (r *run) prepare(ctx context.Context, sd *model.StateDict) error {
	if err := r.opts.checkInputs(r.net, r.set); err != nil {
		return err
	}
	train, last, err := learn.Movable(r.net.Graph(), learn.Selection{Train: r.opts.Train, Freeze: r.opts.Freeze})
	if err != nil {
		return err
	}
	selected := len(r.opts.Train)+len(r.opts.Freeze) > 0
	products := ops.Products(r.net.Graph(), sd)
	if selected {
		if r.parts = divide(r.net, sd, train); r.parts != nil {
			products = r.parts.products
		}
	}
	r.products = products
	r.ofClasses, r.ofOthers = batchFor(products)
	forget, others := r.set.Split(r.opts.Classes...)
	if r.opts.ForgetOnly {
		others = nil
	}
	images := r.ofClasses + r.ofOthers
	if r.session, err = r.net.NewSession(images, r.opts.Threads, train); err != nil {
		return err
	}
	if err := r.settle(train, others); err != nil {
		return err
	}
	r.fillFunc, r.lossFunc = r.fill, r.loss
	r.batch = make([]int, images)
	r.tally = make([]tally, images)
	for range images {
		r.scratch = append(r.scratch, make([]float64, 2*r.k))
	}
	rng := rand.New(rand.NewPCG(r.opts.Seed, 0))
	r.images = len(forget)
	r.heldOut, forget = holdOut(rng, forget)
	drawing := newCanvasOf(rng, r.set)
	if r.opts.ForgetOnly {
		if others, err = r.standIn(drawing, forget); err != nil {
			return err
		}
	}
	if (len(r.heldOut) > 0 || !r.reference()) && len(others) > 0 && !r.opts.ForgetOnly {
		r.judge = r.newJudge(others)
	}
	r.given = forget
	if forget, others = r.extend(ctx, drawing, forget, others); ctx.Err() != nil {
		return ctx.Err()
	}
	sample := slices.Clone(others)
	rng.Shuffle(len(sample), func(a, b int) { sample[a], sample[b] = sample[b], sample[a] })
	r.method.BaseRemain = r.accuracy(r.set, sample[:min(len(sample), 4000)])
	if r.weakBase() {
		r.steps *= weakBaseSteps
	} else if !r.reference() {
		r.steps += r.steps / 2
	}
	r.read = r.set.Reader(r.opts.Norm)
	r.learned, r.others = forget, others
	smooth := 0.0
	if r.teacher == nil && !r.reference() {
		smooth, r.soft = smoothing, r.soften(others)
	}
	r.firstResidual = r.residualAtFirst()
	r.logq = make([]float64, r.k)
	r.restart(rng)
	r.method = Method{
		Name: "KL to near-uniform, cross-entropy and distance, with adaptive weights", Trained: train, Selected: selected, Frozen: last,
		Steps: r.steps, Forgotten: r.ofClasses, Others: r.ofOthers, Rate: rate, Residual: r.firstResidual, Smoothing: smooth,
		HeldOut: len(r.heldOut), BaseRemain: r.method.BaseRemain, Variations: append([]string{}, r.method.Variations...), Limits: r.opts.Limits, Prefer: r.opts.Prefer, Parameters: len(r.theta0),
	}
	return nil
}

// batchFor returns how many images of the classes and of the others a step has, of a
// network in which an image takes so many products of two numbers. Both are multiples
// of tallyBlock.
func batchFor(products float64) (ofClasses, ofOthers int) {
	if products < largeProducts {
		return forgetBatch, otherBatch
	}
	return forgetBatch / 2, otherBatch / 2
}

// settle finds the rules and the limits that nobody gave.
func (r *run) settle(train []string, others []int) error {
	if r.opts.Rules == (report.Rules{}) {
		remain := 0.0 // unknown
		if len(others) > 0 {
			remain = r.accuracy(r.set, others)
		}
		r.opts.Rules = learn.Rules(r.net, train, remain)
		if r.opts.Aim == report.AimUnseen {
			r.opts.Rules = report.Unseen(r.opts.Rules, remain)
		}
	}
	r.opts.Limits = r.opts.Limits.Or(r.opts.Rules.FullMarks())
	r.limits = r.opts.Limits
	return r.opts.Rules.Check()
}

// startingPoint returns what is taken to be measured before the first step.
func startingPoint(classes int) Point {
	return Point{Target: 1, KL: kernel.Log(float64(classes)), Remain: 1}
}

// walk makes all steps and returns the measures on the way. It ends early with the
// error of ctx, or of images that cannot be read.
func (r *run) walk(ctx context.Context, step func(step int) Point) (course []Point, err error) {
	for i := range r.steps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p := step(i)
		if err := r.set.Err(); err != nil {
			return nil, err
		}
		if r.fault != nil {
			return nil, fmt.Errorf("the loss of step %d is not a number: %w", i+1, r.fault)
		}
		if (i+1)%max(r.steps/coursePoints, 1) == 0 {
			course = append(course, p)
		}
		if r.opts.Progress != nil {
			r.opts.Progress(p, r.steps)
		}
	}
	return course, nil
}

// step draws a batch, moves the parameters and the weights of the loss, and
// returns the measures. Explicit conversions keep products from being fused
// with sums, which would make the result depend on the processor.
func (r *run) step(step int) Point {
	r.forget.Draw(r.batch[:r.ofClasses])
	r.other.Draw(r.batch[r.ofClasses:])
	r.session.Step(len(r.batch), r.fillFunc, r.lossFunc)
	r.observe()
	if math.IsNaN(r.now.KL) {
		r.fault = r.session.Fault(len(r.batch), r.fillFunc)
		return r.now
	}

	theta, grad := r.session.Theta(), r.session.Grad()
	x := float64(step) / float64(r.steps)
	tension := clamp(kernel.Log(max(r.now.L2/r.aimL2, 0.1)), 0.5)
	kernel.Pull(grad, theta, r.theta0, float32(2*r.pull*kernel.Exp(spring*tension)))
	r.adam.Step(theta, grad, rate*learn.Fall(x))
	r.limit(theta, x)
	r.session.Refresh()
	if x >= quiet {
		r.pull = steer(r.pull, pullGain/float64(r.steps)*tension, leastPull, mostPull)
	}
	if x >= quiet && step%max(r.steps/looks, 1) == 0 {
		// Late in the run there is no time left to see what more weight on the
		// others does to forgetting, but still some for less.
		ofKL, ofTarget := r.excess()
		excess := max(ofKL, ofTarget)
		if !r.reference() { // whose limit of the target is far from none of its images
			r.aimAt(steer(r.residual, -residualGain*clamp(ofTarget, 1), r.firstResidual/mostMargin, r.firstResidual))
		}
		if x <= freeze || excess > 0 {
			r.retain = steer(r.retain, -retainGain*clamp(excess, 1), r.leastRetain, r.mostRetain)
		}
		if r.minimal() {
			// What is to spare of every measure buys a smaller distance.
			need := min(max(r.opts.Rules.Remain.Full+spareRemain, r.method.BaseRemain-float64(lossShare*r.opts.MaxLoss)), r.method.BaseRemain) - float64(early*(1-x))
			spare := (r.now.Remain - need) / remainUnit
			r.aimL2 = steer(r.aimL2, distanceGain*clamp(-min(spare, -excess/excessUnit), 1), leastL2, aimL2*r.limits.L2)
		}
	}
	r.now.Step, r.now.Retain, r.now.Pull = step+1, r.retain, r.pull
	return r.now
}

// limit brings the parameters back into the largest distance late in the run, and
// measures where they are; x is the part of the run that is over.
func (r *run) limit(theta []float32, x float64) {
	r.now.L2 = kernel.Distance(theta, r.theta0)
	if largest := largestL2 * r.limits.L2; x > project && r.now.L2 > largest {
		shrink := float32(largest / r.now.L2)
		for i, t := range theta {
			theta[i] = r.theta0[i] + float32(shrink*(t-r.theta0[i]))
		}
		r.now.L2 = kernel.Distance(theta, r.theta0)
	}
}

// reference reports whether the rules are those of the reference task, for which
// the settings were found; other networks take longer.
func (r *run) reference() bool {
	ours := report.FashionMNIST
	return r.opts.Rules.KL == ours.KL && r.opts.Rules.L2 == ours.L2
}

// weakBase reports whether the base network has still to learn, as the rules have it.
func (r *run) weakBase() bool {
	return r.teacher == nil && r.method.BaseRemain < weakBaseRemain && r.opts.Rules.Remain == report.FashionMNIST.Remain
}

// minimal reports whether the distance aimed for shrinks. Without held-out images
// too little is known for that.
func (r *run) minimal() bool { return r.opts.Prefer == PreferMinimal && len(r.heldOut) > 0 }

// steer multiplies a weight by e^by within bounds.
func steer(weight, by, least, most float64) float64 {
	return min(max(weight*kernel.Exp(by), least), most)
}

func clamp(v, limit float64) float64 { return min(max(v, -limit), limit) }

func (r *run) fill(i int, x []float32) { r.read(r.batch[i], x) }

// loss sets the gradient of the loss of one image and tallies what the network
// says of it.
func (r *run) loss(i int, logits, grad []float32) {
	logp, prob := r.scratch[i][:r.k], r.scratch[i][r.k:]
	learn.LogSoftmax(logp, prob, logits)
	label := r.set.Labels[r.batch[i]]
	t := tally{}
	if learn.Best(logits) == label {
		t.hits = 1
	}
	if i < r.ofClasses {
		t.kl = fromUniform(logp, prob)
		kl := 0.0
		for c, lp := range logp {
			kl += float64(prob[c] * (lp - r.logq[c]))
		}
		for c, lp := range logp {
			grad[c] = float32(prob[c] * (lp - r.logq[c] - kl) / float64(r.ofClasses))
		}
	} else {
		for c, d := range prob {
			switch {
			case r.teacher != nil:
				d -= float64(r.teacher[r.batch[i]][c])
			case r.soft != nil:
				d -= float64(r.soft[r.batch[i]][c])
			case c == label:
				d--
			}
			grad[c] = float32(r.retain * d / float64(r.ofOthers))
		}
	}
	r.tally[i] = t
}

// observe updates the running means with what the last step saw.
func (r *run) observe() {
	var forget, other tally
	for at := 0; at < len(r.tally); at += tallyBlock {
		var sum tally
		for _, t := range r.tally[at : at+tallyBlock] {
			sum.add(t)
		}
		if at < r.ofClasses {
			forget.add(sum)
		} else {
			other.add(sum)
		}
	}
	follow := func(mean *float64, sum float64, images int) {
		*mean += float64(min(memory/float64(r.steps), 1) * (sum/float64(images) - *mean))
	}
	follow(&r.now.Target, float64(forget.hits), r.ofClasses)
	follow(&r.now.KL, forget.kl, r.ofClasses)
	follow(&r.now.Remain, float64(other.hits), r.ofOthers)
}
