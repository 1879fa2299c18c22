package edit

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"lethe/dataset"
	"lethe/internal/learn"
	"lethe/report"
)

// Where the limits of full marks cannot all be had, or only at the price of what
// the network knows of the other classes, Forget tries others
// (docs/decisions/035-trade.md).
const (
	enough        = 99.0 // marks with which there is nothing to look for
	lossShare     = 0.9  // of MaxLoss, that the others may lose on variants of their images
	sampleImages  = 4000 // of the others, that are measured for the score
	lossImages    = 3000 // of these, that are varied for the loss
	widening      = 1.15 // of a limit from one attempt to the next
	narrowest     = 1.05 // between two attempts
	mostAttempts  = 8
	moreAttempts  = 16 // of a network other than the reference task's in which a sample takes fewer than smallProducts
	smallProducts = 2e6
	laxer         = 2.5  // times the limit of the divergence: there it has no marks any more
	farthest      = 0.8  // of the hard limit of the distance
	stepL2        = 1.3  // of the limit of the distance, from one attempt to the next, at first
	stepKL        = 1.5  // the same of the divergence
	nearby        = 1.02 // ratio of two limits that are taken for the same
	searchRounds  = 4    // each with steps of the square root of those before
	without       = 75.0 // marks of an edit that has all but those of the distance
)

// DefaultMaxLoss is what the accuracy on the other classes may lose.
const DefaultMaxLoss = 0.02

// attempt is an edit that was tried, and what came of it.
type attempt struct {
	report.Attempt
	theta  []float32
	course []Point
	broken bool // a measure is beyond its hard limit
}

// judge is what attempts are measured on beside the held-out images.
type judge struct {
	set      *dataset.Set
	sample   []int        // others in set
	variants *dataset.Set // of some of these, as the base hardly minds
	known    float64      // accuracy of the base on variants
}

// newJudge takes a sample of the others, and varies some. Nothing in it draws from
// the numbers of the edit.
func (r *run) newJudge(others []int) *judge {
	rng := rand.New(rand.NewPCG(r.opts.Seed, 1))
	j := &judge{set: r.set, sample: slices.Clone(others)}
	rng.Shuffle(len(j.sample), func(a, b int) { j.sample[a], j.sample[b] = j.sample[b], j.sample[a] })
	j.sample = j.sample[:min(len(j.sample), sampleImages)]
	varied := j.sample[:min(len(j.sample), lossImages)]
	if c := newCanvasOf(rng, r.set); c == nil {
		j.variants = r.set.Subset(varied)
	} else {
		j.variants = r.set.Copy(varied)
		var mild recipe
		mild[shift], mild[affine], mild[tone] = fixedOne/2, fixedOne/2, fixedOne/2
		for i, at := range varied {
			c.vary(j.variants.Image(i), r.set.Image(at), mild)
		}
	}
	j.known = r.accuracy(j.variants, indices(j.variants.Len()))
	return j
}

// attempt runs the steps from the base network.
func (r *run) attempt(ctx context.Context) (*attempt, error) {
	a := &attempt{Attempt: report.Attempt{Limits: r.limits, Guarded: r.guarded}}
	var err error
	if a.course, err = r.walk(ctx, r.step); err != nil {
		return nil, err
	}
	a.theta = slices.Clone(r.session.Theta())
	if j := r.judge; j != nil {
		images := r.heldOut
		if images == nil {
			images = r.given
		}
		kl, target, _ := r.look(images)
		rules := r.opts.Rules
		for _, measure := range []struct {
			rule  report.Rule
			value float64
		}{{rules.Target, target}, {rules.KL, kl}, {rules.L2, r.now.L2}, {rules.Remain, r.accuracy(j.set, j.sample)}} {
			a.Score += measure.rule.Mark(measure.value) / 4
			a.broken = a.broken || measure.rule.Broken(measure.value)
		}
		a.Loss = j.known - r.accuracy(j.variants, indices(j.variants.Len()))
	}
	return a, nil
}

// damaged reports whether the others lose more than they may.
func (r *run) damaged(a *attempt) bool { return a.Loss > lossShare*r.opts.MaxLoss }

// refused reports whether the gate would not let an edit pass.
func (r *run) refused(a *attempt) bool { return a.broken || r.damaged(a) }

// lacks reports whether another attempt could be worth something.
func (r *run) lacks(a *attempt) bool { return a.Score < enough || r.refused(a) }

// better reports whether a is to be preferred to b: first no network may come
// back damaged, nor beyond a hard limit.
func (r *run) better(a, b *attempt) bool {
	if x, y := r.refused(a), r.refused(b); x != y {
		return y
	}
	if x, y := r.damaged(a), r.damaged(b); x != y {
		return y
	} else if x {
		return a.Loss < b.Loss
	}
	return a.Score > b.Score
}

// mostTried returns how many attempts there may be.
func (r *run) mostTried() int {
	if r.products < smallProducts && !r.reference() {
		return moreAttempts
	}
	return mostAttempts
}

// try makes one more attempt within other limits.
func (r *run) try(ctx context.Context, limits report.Limits) (*attempt, error) {
	r.limits = limits
	r.restart(rand.New(rand.NewPCG(r.opts.Seed, uint64(len(r.tried))+1)))
	a, err := r.attempt(ctx)
	if err == nil {
		r.tried = append(r.tried, a)
	}
	return a, err
}

// best returns the best of several attempts: the first, if nothing is missing.
func (r *run) best(ctx context.Context) (best *attempt, err error) {
	best, err = r.attempt(ctx)
	if err != nil || r.judge == nil || !r.lacks(best) {
		return best, err
	}
	r.tried = []*attempt{best}
	if r.damaged(best) && r.guard(ctx) {
		if err := r.shorten(ctx); err != nil {
			return nil, err
		}
		a, err := r.try(ctx, best.Limits)
		if err != nil {
			return nil, err
		}
		if r.better(a, best) {
			best = a
		}
	}
	// Limits that somebody asked for stay.
	full := r.opts.Rules.FullMarks()
	try := func(l report.Limits) (*attempt, error) { return r.try(ctx, l) }
	if !r.reference() {
		return r.search(best, try)
	}
	if best.Limits.L2 == full.L2 {
		if best, err = r.widen(best, try, func(l *report.Limits) *float64 { return &l.L2 }); err != nil {
			return nil, err
		}
	}
	if best.Limits.KL == full.KL && !r.refused(best) && !r.guarded {
		best, err = r.widen(best, try, func(l *report.Limits) *float64 { return &l.KL })
	}
	return best, err
}

// widen tries larger values of a limit as long as that makes the edit better, or may
// do so later, and then smaller steps.
func (r *run) widen(best *attempt, try func(report.Limits) (*attempt, error), limit func(*report.Limits) *float64) (*attempt, error) {
	with := func(v float64) (*attempt, error) {
		l := best.Limits
		*limit(&l) = v
		return try(l)
	}
	by, at, reach := widening, *limit(&best.Limits), best.Score
	for by > narrowest && len(r.tried) < mostAttempts && r.lacks(best) {
		a, err := with(at * by)
		if err != nil {
			return nil, err
		}
		better := r.better(a, best)
		switch {
		case better && r.refused(best) && !r.refused(a):
			return r.least(a, at, at*by, with, limit)
		case better:
			best, at = a, at*by
		case by == widening && (r.refused(best) || a.Score > reach):
			at *= by // what the others lose may rise before it falls
		default:
			by, at = math.Sqrt(by), *limit(&best.Limits)
		}
		reach = max(reach, a.Score)
	}
	return best, nil
}

// search tries limits of the distance and of the divergence at once, for networks whose
// limits are proportions and may all be out of reach: first where the distance has half
// of its marks, where the divergence has none any more, and where the distance has none,
// if that could be worth it, because on the way there each step may cost more than it
// gives. From the best of these
// it goes in steps, up and down, as long as that makes the edit better, and then in
// smaller ones.
func (r *run) search(best *attempt, try func(report.Limits) (*attempt, error)) (*attempt, error) {
	full, rule := r.opts.Rules.FullMarks(), r.opts.Rules.L2
	type axis struct {
		limit       func(*report.Limits) *float64
		least, most float64
		by          float64
	}
	var axes []*axis
	look := func(l report.Limits) (better bool, err error) {
		same := func(a *attempt) bool { return near(a.Limits.KL, l.KL) && near(a.Limits.L2, l.L2) }
		if len(r.tried) >= r.mostTried() || !r.lacks(best) || slices.ContainsFunc(r.tried, same) {
			return false, nil
		}
		a, err := try(l)
		if err != nil {
			return false, err
		}
		// Where the distance has no marks, a smaller one is on the way to some.
		if r.better(a, best) || a.Score == best.Score && a.Limits.L2 < best.Limits.L2 && !r.refused(a) {
			best, better = a, true
		}
		return better, nil
	}
	first := best.Limits
	var starts []report.Limits
	if first.L2 == full.L2 {
		axes = append(axes, &axis{func(l *report.Limits) *float64 { return &l.L2 }, full.L2, farthest * rule.Hard, stepL2})
		starts = append(starts, report.Limits{Target: first.Target, KL: first.KL, L2: (full.L2 + rule.None) / 2})
	}
	if first.KL == full.KL {
		axes = append(axes, &axis{func(l *report.Limits) *float64 { return &l.KL }, full.KL, full.KL * laxer, stepKL})
		starts = append(starts, report.Limits{Target: first.Target, KL: full.KL * laxer, L2: first.L2})
	}
	for _, l := range starts {
		if _, err := look(l); err != nil {
			return nil, err
		}
	}
	if first.L2 == full.L2 && (best.Score < without || r.refused(best)) {
		if _, err := look(report.Limits{Target: first.Target, KL: first.KL, L2: farthest * rule.Hard}); err != nil {
			return nil, err
		}
	}
	for rounds := 0; rounds < searchRounds; {
		moved := false
		for _, x := range axes {
			for _, by := range []float64{x.by, 1 / x.by} {
				for again := true; again; {
					l := best.Limits
					at := x.limit(&l)
					*at = min(max(*at*by, x.least), x.most)
					var err error
					if again, err = look(l); err != nil {
						return nil, err
					}
					moved = moved || again
				}
			}
		}
		if !moved {
			rounds++
			for _, x := range axes {
				x.by = math.Sqrt(x.by)
			}
		}
	}
	return best, nil
}

// near reports whether two limits are about the same.
func near(a, b float64) bool { return max(a, b) <= nearby*min(a, b) }

// least looks between a limit that does not do and a larger one that does, that of
// best, for a smaller one with which the edit is better still.
func (r *run) least(best *attempt, low, high float64, with func(v float64) (*attempt, error), limit func(*report.Limits) *float64) (*attempt, error) {
	for high > low*narrowest && len(r.tried) < mostAttempts {
		a, err := with(math.Sqrt(low * high))
		if err != nil {
			return nil, err
		}
		if r.better(a, best) {
			best, high = a, *limit(&a.Limits)
		} else {
			low = *limit(&a.Limits)
		}
	}
	return best, nil
}

// guard lets further attempts learn what the base says of the other images and
// of as many variants of them. So they keep what it knows of images that it did
// not learn by heart. It reports whether that is possible.
func (r *run) guard(ctx context.Context) bool {
	images := r.set
	if r.whole != nil {
		images = r.whole.set
	}
	c := newCanvasOf(rand.New(rand.NewPCG(r.opts.Seed, 2)), images)
	if r.teacher != nil || c == nil {
		return false
	}
	r.lengthen()
	copy(r.session.Theta(), r.theta0)
	r.session.Refresh()
	others := slices.Clone(r.others)
	c.rng.Shuffle(len(others), func(a, b int) { others[a], others[b] = others[b], others[a] })
	others = others[:min(len(others), mostVariants(r.set))]
	recipe := r.tolerated(ctx, c, others, tolerance)
	r.others = r.vary(c, recipe, others, 2*len(others), c.blend)
	r.teacher = r.probabilities(r.others)
	r.read = r.set.Reader(r.opts.Norm)
	r.variations, r.guarded = recipe.names(), true
	return true
}

// restart puts everything back to where the steps begin.
func (r *run) restart(rng *rand.Rand) {
	theta := r.session.Theta()
	if r.theta0 == nil {
		r.theta0 = slices.Clone(theta)
	}
	copy(theta, r.theta0)
	r.session.Refresh()
	r.forget, r.other = learn.NewSampler(rng, r.learned), learn.NewSampler(rng, r.others)
	r.adam = learn.NewAdam(len(theta), beta1, beta2)
	r.pull, r.retain, r.leastRetain, r.mostRetain = firstPull, firstRetain, leastRetain, mostRetain
	if r.heldOut == nil {
		r.retain, r.leastRetain, r.mostRetain = blindRetain, leastBlind, mostBlind
	}
	r.aimAt(r.firstResidual)
	r.aimL2 = aimL2 * r.limits.L2
	if r.minimal() {
		r.aimL2 *= firstL2
		r.leastRetain = leastMinimal
	}
	r.now = startingPoint(r.k)
}
