package verify

import (
	"context"
	"fmt"
	"slices"

	"lethe/dataset"
	"lethe/internal/kernel"
	"lethe/internal/learn"
	"lethe/internal/nn"
)

// Measures is what a network does on labelled images, seen from the classes
// that it is to forget.
type Measures struct {
	Images    int     `json:"images"`
	Forgotten int     `json:"forgotten_images"` // images of the forgotten classes
	Target    float64 `json:"target"`           // accuracy on the forgotten classes, 0 to 1
	Remain    float64 `json:"remain"`           // accuracy on all other images together, 0 to 1
	KL        float64 `json:"kl"`               // mean divergence from uniform on forgotten images, nats
	Accuracy  float64 `json:"accuracy"`         // on all images
	Confusion [][]int `json:"confusion"`        // [label][prediction]
}

// alone reports whether all images were of the forgotten classes, so that nothing
// is known of the others.
func (m *Measures) alone() bool { return m.Forgotten > 0 && m.Images == m.Forgotten }

// Measure evaluates the network on a set, on up to threads goroutines (0: one for
// each processor); the result does not depend on their number. norm is the
// normalization that the network was trained with. The divergence of an image is
//
//	sum over classes c of p(c) log(p(c) K)
//
// for K classes and the softmax p of the logits. Without images of a kind, the
// figures of that kind are 0. It is an error if the images or a class do not fit
// the network, if a logit is NaN or infinite, or if ctx is done.
func (n *Network) Measure(ctx context.Context, set *dataset.Set, classes []int, norm dataset.Norm, threads int) (*Measures, error) {
	net, err := n.logits()
	if err != nil {
		return nil, err
	}
	return measure(ctx, net, set, classes, norm, threads)
}

func measure(ctx context.Context, net *nn.Net, set *dataset.Set, classes []int, norm dataset.Norm, threads int) (*Measures, error) {
	if err := set.CheckNetwork(net.InputShape(), net.Classes()); err != nil {
		return nil, err
	}
	const none = -1 // no class, because the logits are not finite
	s, err := net.NewSession(min(learn.Batch, set.Len()), threads, nil)
	if err != nil {
		return nil, err
	}
	k := net.Classes()
	m := &Measures{Images: set.Len(), Confusion: make([][]int, k)}
	for i := range m.Confusion {
		m.Confusion[i] = make([]int, k)
	}
	forgotten := make([]bool, k)
	for _, c := range classes {
		if c < 0 || c >= k {
			return nil, fmt.Errorf("class %d does not exist: the network has classes 0 to %d", c, k-1)
		}
		forgotten[c] = true
	}
	best, kl := make([]int, set.Len()), make([]float64, set.Len())
	err = learn.Evaluate(ctx, s, set, norm, all(set), func(i int, logits []float32) {
		best[i] = none
		if !finiteLogits(logits) {
			return
		}
		best[i] = learn.Best(logits)
		if forgotten[set.Labels[i]] {
			logp, p := make([]float64, k), make([]float64, k)
			learn.LogSoftmax(logp, p, logits)
			kl[i] = kernel.Log(float64(k))
			for c, lp := range logp {
				kl[i] += float64(p[c] * lp)
			}
			kl[i] = max(0, kl[i]) // rounding can take it below
		}
	})
	if err != nil {
		return nil, err
	}
	for i, label := range set.Labels {
		if best[i] == none {
			return nil, fmt.Errorf("the network gives logits that are NaN or infinite for image %d: its weights or the normalization (mean %v, standard deviation %v) are out of all proportion", i, norm.Mean, norm.Std)
		}
		m.Confusion[label][best[i]]++
		if forgotten[label] {
			m.Forgotten++
			m.KL += kl[i]
		}
	}
	hits := map[bool]int{}
	for c := range k {
		hits[forgotten[c]] += m.Confusion[c][c]
	}
	m.Target = ratio(float64(hits[true]), m.Forgotten)
	m.Remain = ratio(float64(hits[false]), m.Images-m.Forgotten)
	m.Accuracy = ratio(float64(hits[true]+hits[false]), m.Images)
	m.KL = ratio(m.KL, m.Forgotten)
	return m, nil
}

// finiteLogits reports whether all logits are numbers, without which they have no
// largest.
func finiteLogits(logits []float32) bool {
	return !slices.ContainsFunc(logits, func(v float32) bool { return !isFinite(v) })
}

// ratio returns sum / n, or 0 of nothing.
func ratio(sum float64, n int) float64 {
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}
