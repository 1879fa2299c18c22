package wiring

import (
	"fmt"
	"math"
	"slices"

	"lethe/dataset"
)

// Norms returns the normalizations of pixels that recipes use: the usual one of
// such images, none, half and half, and the mean and the deviation of the images
// themselves.
func Norms(set *dataset.Set) []dataset.Norm {
	list := []dataset.Norm{dataset.DefaultNorm(set.Shape[0]), dataset.OneNorm(0, 1), dataset.OneNorm(0.5, 0.5), own(set)}
	var out []dataset.Norm
	for _, n := range list {
		if !slices.ContainsFunc(out, func(o dataset.Norm) bool { return near(o, n) }) {
			out = append(out, n)
		}
	}
	return out
}

// near reports whether two normalizations are the same up to rounding.
func near(a, b dataset.Norm) bool {
	equal := func(p, q dataset.PerChannel) bool {
		for c := range max(len(p), len(q)) {
			if math.Abs(float64(p[min(c, len(p)-1)]-q[min(c, len(q)-1)])) > 0.01 {
				return false
			}
		}
		return true
	}
	return equal(a.Mean, b.Mean) && equal(a.Std, b.Std)
}

// own returns the mean and the deviation of the pixels of each channel, rounded as
// recipes round them.
func own(set *dataset.Set) dataset.Norm {
	var n dataset.Norm
	channels := set.Shape[0]
	plane := set.Size() / channels
	for c := range channels {
		var counts [256]int
		for i := range set.Len() {
			for _, p := range set.Image(i)[c*plane : (c+1)*plane] {
				counts[p]++
			}
		}
		var sum, squares, count float64
		for p, k := range counts {
			x := float64(p) / 255
			sum, squares, count = sum+x*float64(k), squares+x*x*float64(k), count+float64(k)
		}
		mean := sum / count
		round := func(x float64) float32 { return float32(math.Round(x*1e4) / 1e4) }
		n.Mean = append(n.Mean, round(mean))
		n.Std = append(n.Std, max(round(math.Sqrt(max(squares/count-mean*mean, 0))), 1e-4))
	}
	return n
}

// Describe writes a normalization for a person.
func Describe(n dataset.Norm) string { return fmt.Sprintf("mean %v and deviation %v", n.Mean, n.Std) }
