package learn

import "lethe/internal/kernel"

// Exps sets z to the logits less the largest of them and p to the exponentials
// of z, and returns the sum of those. The bits are the same on every machine.
func Exps[F float32 | float64](z, p []float64, logits []F) (sum float64) {
	top := logits[0]
	for _, v := range logits {
		top = max(top, v)
	}
	for c, v := range logits {
		z[c] = float64(v) - float64(top)
	}
	kernel.Exps(p, z)
	for _, x := range p {
		sum += x
	}
	return sum
}

// LogSoftmax sets p to the probabilities that logits give to the classes and
// logp to their natural logarithms, with the same bits on every machine.
func LogSoftmax(logp, p []float64, logits []float32) {
	sum := kernel.Log(Exps(logp, p, logits))
	for c := range logp {
		logp[c] -= sum
	}
	kernel.Exps(p, logp)
}

// Best returns the class with the largest logit, the first of equals.
func Best[F float32 | float64](logits []F) int {
	best := 0
	for c, v := range logits {
		if v > logits[best] {
			best = c
		}
	}
	return best
}
