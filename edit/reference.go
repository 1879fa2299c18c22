package edit

import (
	"context"
	"fmt"
	"slices"

	"lethe/internal/learn"
	"lethe/internal/nn"
	"lethe/model"
)

// Settings of an edit with [report.AimUnseen] that looks at a network which never
// saw the class.
const mostAsked = 2000 // images of the classes, and of the others, that it is asked about

// reference is a network that never saw the classes. It tells how sure an edited
// network is to be of their images, how often their logit is to rank first, and
// how easy their features are to be told from those of others.
type reference struct {
	session *nn.Session // logits and then the inputs of the last layer
	kl      float64     // mean divergence of its probabilities from uniform on images of the classes
	rank    float64     // probability that the classes' logit is larger for one of them than for another image
}

// newReference returns the network that the options give, or nil if there is none.
func (u *unseen) newReference(forget, others []int) (*reference, error) {
	weights := u.opts.Reference
	if weights == nil {
		return nil, nil
	}
	if len(others) == 0 {
		return nil, &model.UnsupportedError{What: "a reference without images of other classes: it says nothing of how to tell them apart", Advice: "give samples of the other classes too"}
	}
	ref := &reference{}
	net, err := nn.BindWithFeatures(u.net.Graph(), weights)
	if err != nil {
		return nil, fmt.Errorf("the reference: %w", err)
	}
	if net.Classes()-u.k != u.d {
		return nil, fmt.Errorf("the reference has %d inputs of the last layer, the network %d: it must be of the same architecture", net.Classes()-u.k, u.d)
	}
	if ref.session, err = net.NewSession(forgetBatch+otherBatch, u.opts.Threads, nil); err != nil {
		return nil, err
	}
	forget, others = spread(forget, mostAsked), spread(others, mostAsked)
	own, strange := u.logits(ref.session, forget), u.logits(ref.session, others)
	ref.kl = u.sureness(own)
	ref.rank = u.order(own, strange)
	return ref, nil
}

// spread returns at most so many of the images, evenly.
func spread(images []int, most int) []int {
	stride := (len(images) + most - 1) / most
	var out []int
	for i := 0; i < len(images); i += stride {
		out = append(out, images[i])
	}
	return out
}

// logits returns what a session says of images.
func (u *unseen) logits(s *nn.Session, images []int) [][]float32 {
	rows := make([][]float32, len(images))
	_ = learn.Evaluate(context.Background(), s, u.set, u.opts.Norm, images, func(i int, out []float32) {
		rows[i] = slices.Clone(out[:u.k])
	}) // nobody cancels it
	return rows
}

// sureness returns the mean divergence from uniform, in nats, of the softmax of
// logits.
func (u *unseen) sureness(rows [][]float32) float64 {
	logp, p, sum := make([]float64, u.k), make([]float64, u.k), 0.0
	for _, row := range rows {
		learn.LogSoftmax(logp, p, row)
		sum += fromUniform(logp, p)
	}
	return sum / float64(len(rows))
}

// order returns the probability that the classes' logit is larger for one of own
// than for one of strange.
func (u *unseen) order(own, strange [][]float32) float64 {
	a, b := make([]float64, len(own)), make([]float64, len(strange))
	for i, row := range own {
		a[i] = u.classLogit(row)
	}
	for i, row := range strange {
		b[i] = u.classLogit(row)
	}
	return larger(a, b)
}

// larger returns the probability that one of a is larger than one of b, ties
// counting one half.
func larger(a, b []float64) float64 {
	pairs := 0.0
	for _, x := range a {
		for _, y := range b {
			switch {
			case x > y:
				pairs++
			case x == y:
				pairs += 0.5
			}
		}
	}
	return pairs / (float64(len(a)) * float64(len(b)))
}

// inputsOfLast returns what the inputs of the last layer are for images.
func (u *unseen) inputsOfLast(s *nn.Session, images []int) [][]float32 {
	rows := make([][]float32, len(images))
	_ = learn.Evaluate(context.Background(), s, u.set, u.opts.Norm, images, func(i int, out []float32) {
		rows[i] = slices.Clone(out[u.k:])
	}) // nobody cancels it
	return rows
}

// totalVariance returns the variances of the columns together.
func totalVariance(rows [][]float32) float64 {
	total := 0.0
	for j := range rows[0] {
		var sum, squares float64
		for _, f := range rows {
			sum += float64(f[j])
		}
		mean := sum / float64(len(rows))
		for _, f := range rows {
			squares += float64((float64(f[j]) - mean) * (float64(f[j]) - mean))
		}
		total += squares / float64(len(rows))
	}
	return total
}
