package edit

import (
	"math"
	"slices"
	"testing"
)

// Where more images of the class are still taken for it than is aimed for, the class is
// led farther below the others; with the reference task's rules it stays where it is.
func TestMargin(t *testing.T) {
	net, sd, set := base(t)
	for _, test := range []struct {
		name   string
		target float64 // limit of it; 0: that of the reference task
		lower  bool
	}{
		{"reference task", 0, false},
		{"no image", 0.0001, true},
		{"every image", 1, false},
	} {
		opts := options
		opts.Classes = []int{3}
		r := &run{opts: opts, net: net, set: set, k: net.Classes(), steps: looks}
		if err := r.prepare(t.Context(), sd); err != nil {
			t.Fatal(err)
		}
		if test.target > 0 {
			r.opts.Rules.KL.Full *= 2 // no longer the reference task
			r.limits.Target = test.target
		}
		first := r.residual
		for step := range r.steps / 2 {
			r.step(step)
		}
		if (r.residual < first) != test.lower {
			t.Errorf("%s: the class is to keep %v, at first %v", test.name, r.residual, first)
		}
		sum := 0.0
		for _, lp := range r.logq {
			sum += math.Exp(lp)
		}
		if math.Abs(sum-1) > 1e-9 || math.Abs(math.Exp(slices.Min(r.logq))-r.residual) > 1e-9 {
			t.Errorf("%s: what images are to get sums up to %v, its least is %v of %v", test.name, sum, math.Exp(slices.Min(r.logq)), r.residual)
		}
	}
}

// Few images come several times, many once, and their copies make no more than a fourth.
func TestRepeated(t *testing.T) {
	for images, want := range map[int]int{1: copies, 20: copies, 100: copies, 240: 5, 600: 2, 1201: 1, 5000: 1} {
		if got := len(repeated(make([]int, images), leastForget)) / images; got != want {
			t.Errorf("%d images come %d times, want %d", images, got, want)
		}
	}
}
