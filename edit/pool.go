package edit

import (
	"context"
	"math"
	"slices"

	"lethe/dataset"
	"lethe/internal/learn"
	"lethe/model"
)

// Few images are varied until there are so many of each kind to learn from.
const (
	leastForget = 4800
	leastOthers = 7200

	copies     = 10 // of an image of a class, at most, beside its variants
	copiesPart = 4  // and no more than make such a part of what is learned from

	inventRounds = 6 // of as many distorted images as are enough each

	tolerance         = 0.9     // share of its accuracy that the base keeps on variants that suit the images
	gentle            = 0.97    // the same of variants that have the label of the image
	mostProbabilities = 1 << 26 // of all images, in 256 MiB

	inquiry = 1000 // images that are asked for that, at most
)

// mostVariants returns how many variants of images there may be: 20,000, in 256 MiB.
func mostVariants(set *dataset.Set) int { return min(20000, 1<<28/set.Size()) }

// enough returns how many images of the classes and of the others are enough to learn
// from: the least numbers above or, of large images, as many as mostVariants allows.
func (r *run) enough() (ofClasses, ofOthers int) {
	most := mostVariants(r.set)
	return min(leastForget, most), min(leastOthers, most)
}

// extend adds variants to the images to learn from, as many as make enough of
// them, and lets the base say what it sees in the others. Variants of a
// forgotten image may be spliced with another one: both halves are to be
// forgotten. Variants of the others may be blended with one another: the base's
// probabilities label the blend.
func (r *run) extend(ctx context.Context, c *canvas, forget, others []int) (moreForget, moreOthers []int) {
	if c == nil || len(forget) >= leastForget && len(others) >= leastOthers && !r.opts.ForgetOnly {
		return forget, others
	}
	asked := slices.Concat(forget, others)
	if r.opts.ForgetOnly {
		asked = forget // of the others the network said itself what they are
	}
	ofClasses, ofOthers := r.enough()
	recipe := r.tolerated(ctx, c, asked, tolerance)
	r.method.Variations = recipe.names()
	if !r.reference() {
		forget = repeated(forget, ofClasses)
	}
	if len(others) >= leastOthers && !r.opts.ForgetOnly {
		// The labels of the others say more than the base does, also of variants
		// that it hardly minds.
		moreForget = r.vary(c, recipe, forget, ofClasses, c.splice)
		return moreForget, r.vary(c, r.tolerated(ctx, c, others, gentle).only(shift, mirror), others, min(2*len(others), len(others)+mostVariants(r.set)), nil)
	}
	moreForget = r.vary(c, recipe, forget, ofClasses, c.splice)
	moreOthers = r.vary(c, recipe, others, ofOthers, c.blend)
	r.teacher = r.probabilities(moreOthers)
	return moreForget, moreOthers
}

// repeated returns images several times over, where they are few beside so many to learn
// from: their variants have less of the class than they do, and alone would leave them as
// they are.
func repeated(images []int, least int) []int {
	return slices.Repeat(images, max(min(copies, least/(copiesPart*len(images))), 1))
}

// standIn returns images that stand in for those of the other classes where there
// are none.
func (r *run) standIn(c *canvas, forget []int) ([]int, error) {
	if c == nil {
		return nil, &model.UnsupportedError{What: "samples of the classes alone that are not images: nothing stands in for the others", Advice: "give samples of the other classes too"}
	}
	others := r.invent(c, forget)
	if len(others) == 0 {
		return nil, &model.UnsupportedError{What: "the network sees nothing but the forgotten classes in any distortion of their images: give images of the other classes too"}
	}
	return others, nil
}

// vary adds variants of images to the set, and combinations of two of them, until
// there are at least so many with the images. It returns them all.
func (r *run) vary(c *canvas, recipe recipe, images []int, least int, combine func(dst, other []uint8)) []int {
	pool := slices.Clone(images)
	var pixels []uint8
	var labels []int
	dst, other := make([]uint8, r.set.Size()), make([]uint8, r.set.Size())
	for i := 0; len(pool) < least; i++ {
		at := images[i%len(images)]
		c.vary(dst, r.set.Image(at), recipe)
		if combine != nil && c.rng.IntN(2) == 0 {
			c.vary(other, r.set.Image(images[c.rng.IntN(len(images))]), recipe)
			combine(dst, other)
		}
		pool = append(pool, r.set.Len()+len(labels))
		pixels, labels = append(pixels, dst...), append(labels, r.set.Labels[at])
	}
	r.set = r.set.With(pixels, labels)
	return pool
}

// invent makes images that the network does not take for the forgotten classes,
// out of theirs, and labels them as the network does. They stand in for the
// images of the other classes where there are none.
func (r *run) invent(c *canvas, forget []int) []int {
	var pixels []uint8
	var labels, others []int
	dst, other := make([]uint8, r.set.Size()), make([]uint8, r.set.Size())
	_, most := r.enough()
	for range inventRounds {
		tried := &dataset.Set{Shape: r.set.Shape, Classes: r.set.Classes}
		for range most {
			c.distort(dst, r.set.Image(forget[c.rng.IntN(len(forget))]))
			c.distort(other, r.set.Image(forget[c.rng.IntN(len(forget))]))
			switch c.rng.IntN(3) {
			case 0:
				c.splice(dst, other)
			case 1:
				c.blend(dst, other)
			}
			tried.Pixels = append(tried.Pixels, dst...)
			tried.Labels = append(tried.Labels, 0)
		}
		r.evaluate(tried, indices(tried.Len()), func(i int, logits []float32) {
			tried.Labels[i] = learn.Best(logits)
		})
		for i, label := range tried.Labels {
			if !slices.Contains(r.opts.Classes, label) && len(others) < most {
				others = append(others, r.set.Len()+len(labels))
				pixels, labels = append(pixels, tried.Image(i)...), append(labels, label)
			}
		}
	}
	r.set = r.set.With(pixels, labels)
	return others
}

// tolerated returns the recipe of the variations under which the base still
// gets the images right: each kind as strong as leaves tolerance of the
// accuracy, or half or a quarter as strong. So digits are not mirrored, and
// shirts are. Where ctx ends it returns none: a large network takes minutes.
func (r *run) tolerated(ctx context.Context, c *canvas, images []int, share float64) recipe {
	images = slices.Clone(images)
	c.rng.Shuffle(len(images), func(a, b int) { images[a], images[b] = images[b], images[a] })
	images = images[:min(len(images), inquiry)]
	varied := r.set.Copy(images)
	all := indices(len(images))
	needed := share * r.accuracy(varied, all)
	var accepted recipe
	for kind := range c.kinds() {
		for strength := fixedOne; strength >= fixedOne/4; strength /= 2 {
			var only recipe
			only[kind] = strength
			for i, at := range images {
				c.vary(varied.Image(i), r.set.Image(at), only)
			}
			right, err := learn.Reaches(ctx, r.session, varied, r.opts.Norm, all, needed)
			if err != nil {
				return recipe{}
			}
			if right {
				accepted[kind] = strength
				break
			}
		}
	}
	return accepted
}

// indices returns 0 to n-1.
func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// probabilities returns what the network says of images, by the index of the
// image.
func (r *run) probabilities(images []int) [][]float32 {
	p := make([][]float32, r.set.Len())
	r.evaluate(r.set, images, func(i int, logits []float32) {
		logp, prob := make([]float64, r.k), make([]float64, r.k)
		learn.LogSoftmax(logp, prob, logits)
		p[images[i]] = narrow(prob)
	})
	return p
}

// soften returns what the network is to say of images of the others, by the index
// of the image: half of it the label, of which a part goes to the other classes that
// stay, and half what it says itself at twice the temperature, without the classes
// that are forgotten. Where that takes too much memory it is the label alone.
func (r *run) soften(images []int) [][]float32 {
	stays := make([]bool, r.k)
	n := 0.0
	for c := range stays {
		if stays[c] = !slices.Contains(r.opts.Classes, c); stays[c] {
			n++
		}
	}
	labels := make([][]float32, r.k)
	for label := range labels {
		labels[label] = make([]float32, r.k)
		for c := range stays {
			if stays[c] {
				labels[label][c] = float32(smoothing / n)
			}
		}
		labels[label][label] += 1 - smoothing
	}
	soft := make([][]float32, r.set.Len())
	if len(images)*r.k > mostProbabilities {
		for _, i := range images {
			soft[i] = labels[r.set.Labels[i]]
		}
		return soft
	}
	r.evaluate(r.set, images, func(i int, logits []float32) {
		logp, p := make([]float64, r.k), make([]float64, r.k)
		learn.LogSoftmax(logp, p, logits)
		sum := 0.0
		for c, x := range p {
			p[c] = 0
			if stays[c] {
				p[c] = math.Sqrt(x)
				sum += p[c]
			}
		}
		label := labels[r.set.Labels[images[i]]]
		if soft[images[i]] = label; sum == 0 {
			return // it is sure of a forgotten class
		}
		mixed := make([]float32, r.k)
		for c, x := range p {
			mixed[c] = float32((float64(label[c]) + x/sum) / 2)
		}
		soft[images[i]] = mixed
	})
	return soft
}

// accuracy returns the share of images that the network gets right.
func (r *run) accuracy(set *dataset.Set, images []int) float64 {
	share, _ := learn.Accuracy(context.Background(), r.session, set, r.opts.Norm, images) // nobody cancels it
	return share
}

// evaluate calls done with the logits of the image at every i of images, on
// several goroutines, for different images.
func (r *run) evaluate(set *dataset.Set, images []int, done func(i int, logits []float32)) {
	_ = learn.Evaluate(context.Background(), r.session, set, r.opts.Norm, images, done) // nobody cancels it
}
