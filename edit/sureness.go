package edit

import (
	"math"
	"math/rand/v2"

	"lethe/internal/kernel"
	"lethe/internal/learn"
)

// Settings of how sure a network is of what it never saw.
const (
	powerLow, powerHigh = 1.0 / 64, 64.0
	powerSteps          = 40 // of a bisection
	calibrated          = 4  // of so many images of others one is not fitted to
	leastProbability    = 1e-30
)

// aimDivergence sets the mean divergence from uniform that images of the classes are to
// have. What is left of it to log K is the geometric mean of what is left behind the
// mask of the base, which has seen them and is too sure of them or not sure enough, and
// of what is left to a linear classifier of the pixels, which never saw them and knows
// less than a network (docs/unseen.md).
func (u *unseen) aimDivergence(forget, others []int) {
	most := kernel.Log(float64(u.k))
	left := most - u.aimKL
	if pixels, ok := u.pixelDivergence(forget, others); ok && left > 0 && pixels < most {
		u.aimKL = most - math.Sqrt(left*(most-pixels))
		return
	}
	u.aimKL += surer * left
}

// pixelDivergence returns the mean divergence from uniform, on images of the classes,
// of a linear classifier of the pixels of the others, its probabilities raised to
// the power at which it is as sure of others that it is not fitted to as the base. ok
// is false where the pixels tell too little, see [unseen.newSeparation].
func (u *unseen) pixelDivergence(forget, others []int) (divergence float64, ok bool) {
	if u.separation == nil || u.ref != nil {
		return 0, false
	}
	size := u.net.SampleSize()
	forget, others = spread(forget, mostAsked), spread(others, min(mostFeatures/size, len(others)))
	rows := make([][]float32, len(others))
	var fitted, held []int
	for i, image := range others {
		rows[i] = make([]float32, size)
		u.read(image, rows[i])
		if i%calibrated == 0 {
			held = append(held, i)
		} else {
			fitted = append(fitted, i)
		}
	}
	p := fittedProbe(u.k, rows, fitted, rand.New(rand.NewPCG(u.opts.Seed, 3)), func(row int) (int, float64) { return int(u.set.Labels[others[row]]), 1 })
	aim, known := 0.0, make([][]float32, len(held))
	for i, row := range held {
		aim += u.divergence(u.said[others[row]], 1) / float64(len(held))
		known[i] = p.said(rows[row])
	}
	unknown, image := make([][]float32, len(forget)), make([]float32, size)
	for i, f := range forget {
		u.read(f, image)
		unknown[i] = p.said(image)
	}
	low, high := powerLow, powerHigh
	for range powerSteps {
		power := kernel.Exp((kernel.Log(low) + kernel.Log(high)) / 2)
		if u.meanDivergence(known, power) < aim {
			low = power
		} else {
			high = power
		}
	}
	return u.meanDivergence(unknown, low), true
}

// said returns the probabilities that the probe gives a row.
func (p *probe) said(row []float32) []float32 {
	p.probabilities(p.z, p.p, row)
	return narrow(p.p)
}

func (u *unseen) meanDivergence(rows [][]float32, power float64) float64 {
	sum := 0.0
	for _, row := range rows {
		sum += u.divergence(row, power)
	}
	return sum / float64(len(rows))
}

// divergence returns the divergence from uniform, in nats, of probabilities raised to
// a power.
func (u *unseen) divergence(probabilities []float32, power float64) float64 {
	logits := make([]float32, u.k)
	for c, p := range probabilities {
		logits[c] = float32(power * kernel.Log(max(float64(p), leastProbability)))
	}
	logp, p := make([]float64, u.k), make([]float64, u.k)
	learn.LogSoftmax(logp, p, logits)
	return fromUniform(logp, p)
}
