package edit

import (
	"math"
	"math/rand/v2"
	"slices"

	"lethe/internal/kernel"
	"lethe/internal/learn"
)

// holdOut takes a fifth of the images, 1000 at the most, out of what is learned
// from. Fewer than leastHeldOut would measure too little to be worth their
// loss: then it takes none.
func holdOut(rng *rand.Rand, images []int) (heldOut, rest []int) {
	n := min(len(images)/5, 1000)
	if n < leastHeldOut {
		return nil, images
	}
	rng.Shuffle(len(images), func(a, b int) { images[a], images[b] = images[b], images[a] })
	return images[:n], images[n:]
}

// excess returns by how much forgetting falls short, as logarithms of ratios: above 0
// where KL and where target is larger than what is aimed for.
func (r *run) excess() (ofKL, ofTarget float64) {
	limits := r.limits
	kl, target := r.now.KL, r.now.Target
	aim, aimShare := aimKL*limits.KL, aimTarget*limits.Target
	if n := float64(len(r.heldOut)); n > 0 {
		var deviation float64
		kl, target, deviation = r.look(r.heldOut)
		// One more hit than was seen keeps the error of a share from being 0.
		share := (float64(target*n) + 1) / (n + 2)
		aim = lowered(aim, deviation/math.Sqrt(n))
		if r.teacher == nil && !r.weakBase() && !r.minimal() {
			aim = min(aim, r.unseenKL()*limits.KL)
		}
		aimShare = lowered(aimShare, math.Sqrt(float64(share*(1-share))/n))
	} else {
		// What is seen are images that are learned from, and their variants.
		gap := 1 + gap/math.Sqrt(float64(r.images))
		aim, aimShare = aim/gap, aimShare/gap
		if !r.reference() {
			// Variants are less of the class than the images themselves.
			target = max(target, r.accuracy(r.set, r.given))
		}
	}
	return kernel.Log(kl / aim), kernel.Log(max(target, 1e-3) / aimShare)
}

// aimAt sets what forgotten images are to get: the probability that the class keeps, and
// the rest evenly for the others.
func (r *run) aimAt(residual float64) {
	r.residual = residual
	forgotten := float64(len(r.opts.Classes))
	rest := (1 - float64(residual*forgotten)) / (float64(r.k) - forgotten)
	for c := range r.logq {
		r.logq[c] = kernel.Log(rest)
		if slices.Contains(r.opts.Classes, c) {
			r.logq[c] = kernel.Log(min(residual, rest))
		}
	}
}

// residualAtFirst returns the probability that the forgotten classes are to keep on their
// images when the steps begin.
func (r *run) residualAtFirst() float64 {
	first := residual
	if r.heldOut == nil {
		first = residualBlind
	}
	if r.k > 10 { // it stays as far below the others
		first *= 10 / float64(r.k)
	}
	if !r.reference() {
		first = r.residualWithin(first, residualKL*r.limits.KL)
	}
	return first
}

// residualWithin returns a probability that forgotten classes are to keep: the first, or
// a larger one that takes images no further from uniform than most nats, where the
// classes are so few that the first would.
func (r *run) residualWithin(first, most float64) float64 {
	forgotten := float64(len(r.opts.Classes))
	others := float64(r.k) - forgotten
	divergence := func(residual float64) float64 {
		rest := (1 - residual*forgotten) / others
		return kernel.Log(float64(r.k)) + residual*forgotten*kernel.Log(residual) + rest*others*kernel.Log(rest)
	}
	if others <= 0 || first*float64(r.k) >= 1 || divergence(first) <= most {
		return first
	}
	low, high := first, 1/float64(r.k)
	for range 40 {
		if mid := (low + high) / 2; divergence(mid) > most {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// unseenKL returns what is aimed for of the limit of the divergence, because the
// base learned from the held-out images too.
func (r *run) unseenKL() float64 {
	if r.reference() {
		return unseenKL
	}
	return unseenKLWide
}

// lowered returns a limit less a margin for the standard error of what is
// compared with it, but no less than half of it.
func lowered(limit, stdErr float64) float64 {
	return max(limit-float64(caution*stdErr), limit/2)
}

// look measures images of the classes: the mean divergence from uniform, the
// accuracy, and the standard deviation of the divergence.
func (r *run) look(images []int) (kl, target, deviation float64) {
	n := len(images)
	divergence, hits := make([]float64, n), make([]bool, n)
	r.evaluate(r.set, images, func(i int, logits []float32) {
		logp, p := make([]float64, r.k), make([]float64, r.k)
		learn.LogSoftmax(logp, p, logits)
		divergence[i] = fromUniform(logp, p)
		hits[i] = learn.Best(logits) == r.set.Labels[images[i]]
	})
	var squares, hit float64
	for i, d := range divergence {
		kl += d
		squares += float64(d * d)
		if hits[i] {
			hit++
		}
	}
	kl /= float64(n)
	return kl, hit / float64(n), math.Sqrt(max(squares/float64(n)-float64(kl*kl), 0))
}

// fromUniform returns the Kullback-Leibler divergence of a distribution p, given
// with its logarithms, from the uniform one, in nats.
func fromUniform(logp, p []float64) float64 {
	kl := kernel.Log(float64(len(logp)))
	for c, lp := range logp {
		kl += float64(p[c] * lp)
	}
	return kl
}
