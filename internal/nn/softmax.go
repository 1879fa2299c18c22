package nn

import "lethe/internal/kernel"

// LogSoftmax sets p[c] to the probability that the logits of a group,
// [len(p)][Lanes], give to class c in one lane, and logp[c] to its natural
// logarithm, with the same bits on every machine.
func LogSoftmax(logp, p []float64, logits []float32, lane int) {
	top := logits[lane]
	for c := range logp {
		top = max(top, logits[c*Lanes+lane])
	}
	for c := range logp {
		logp[c] = float64(logits[c*Lanes+lane]) - float64(top)
	}
	kernel.Exps(p, logp)
	sum := 0.0
	for _, x := range p {
		sum += x
	}
	sum = kernel.Log(sum)
	for c := range logp {
		logp[c] -= sum
	}
	kernel.Exps(p, logp)
}

// Best returns the class with the largest logit in one lane of a group, the
// first of equals.
func Best(logits []float32, classes, lane int) int {
	best := 0
	for c := 1; c < classes; c++ {
		if logits[c*Lanes+lane] > logits[best*Lanes+lane] {
			best = c
		}
	}
	return best
}
