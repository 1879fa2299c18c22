package edit

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"lethe/dataset"
)

func newCanvas() *canvas { return &canvas{rand.New(rand.NewPCG(1, 2)), 28, 28, 1} }

// A recipe of nothing changes nothing, and each kind of variation something.
func TestVary(t *testing.T) {
	_, _, set := base(t)
	c, src, dst := newCanvas(), set.Image(0), make([]uint8, 28*28)
	c.vary(dst, src, recipe{})
	if !slices.Equal(dst, src) {
		t.Error("no variation changes the image")
	}
	for kind := range kinds {
		var r recipe
		r[kind] = fixedOne
		changed := 0
		for range 20 {
			c.vary(dst, src, r)
			if !slices.Equal(dst, src) {
				changed++
			}
		}
		if changed == 0 {
			t.Errorf("%s changes nothing", kindNames[kind])
		}
	}
}

func TestWarpMirrorsAndShifts(t *testing.T) {
	c := &canvas{rows: 2, cols: 4}
	src, dst := []uint8{1, 2, 3, 4, 5, 6, 7, 8}, make([]uint8, 8)
	for _, w := range []struct {
		m    warp
		want []uint8
	}{
		{warp{fixedOne, 0, 0, fixedOne, 0, 0}, src},
		{warp{-fixedOne, 0, 0, fixedOne, 0, 0}, []uint8{4, 3, 2, 1, 8, 7, 6, 5}},
		{warp{fixedOne, 0, 0, fixedOne, fixedOne, 0}, []uint8{2, 3, 4, 0, 6, 7, 8, 0}},
		{warp{fixedOne, 0, 0, fixedOne, 0, -fixedOne}, []uint8{0, 0, 0, 0, 1, 2, 3, 4}},
		{warp{fixedOne, 0, 0, fixedOne, fixedOne / 2, 0}, []uint8{2, 3, 4, 2, 6, 7, 8, 4}}, // 1.5, 2.5, ... rounded up
	} {
		c.warp(dst, src, w.m)
		if !slices.Equal(dst, w.want) {
			t.Errorf("%v: got %v, want %v", w.m, dst, w.want)
		}
	}
}

// The network decides what its images bear: where it calls an image by another
// name once left and right are exchanged, as with most digits, nothing is
// mirrored; where each image is its own mirror image, mirroring is harmless.
func TestTolerated(t *testing.T) {
	net, sd, set := base(t)
	r := &run{opts: options, net: net, set: set, k: net.Classes(), steps: 1}
	if err := r.prepare(t.Context(), sd); err != nil {
		t.Fatal(err)
	}
	// Images that the network judges otherwise in the mirror, and symmetric ones,
	// each with the label that the network gives.
	handed := &dataset.Set{Shape: []int{1, 28, 28}, Classes: 10}
	both := &dataset.Set{Shape: []int{1, 28, 28}, Classes: 10}
	symmetric := &dataset.Set{Shape: []int{1, 28, 28}, Classes: 10}
	c := newCanvas()
	for i := range 3000 {
		mirrored := make([]uint8, 28*28)
		c.warp(mirrored, set.Image(i), warp{-fixedOne, 0, 0, fixedOne, 0, 0})
		both.Pixels = append(append(both.Pixels, set.Image(i)...), mirrored...)
		both.Labels = append(both.Labels, 0, 0)
		for y := range 28 {
			copy(mirrored[y*28:y*28+14], set.Image(i)[y*28:y*28+14])
			slices.Reverse(mirrored[y*28 : y*28+14])
			copy(mirrored[y*28+14:y*28+28], mirrored[y*28:y*28+14])
			slices.Reverse(mirrored[y*28 : y*28+14])
		}
		symmetric.Pixels = append(symmetric.Pixels, mirrored...)
		symmetric.Labels = append(symmetric.Labels, 0)
	}
	label(r, both)
	label(r, symmetric)
	for i := 0; i < both.Len(); i += 2 {
		if both.Labels[i] != both.Labels[i+1] {
			handed.Pixels = append(handed.Pixels, both.Image(i)...)
			handed.Labels = append(handed.Labels, both.Labels[i])
		}
	}
	for _, w := range []struct {
		name   string
		set    *dataset.Set
		mirror bool
	}{{"handed", handed, false}, {"symmetric", symmetric, true}} {
		if w.set.Len() < 100 {
			t.Fatalf("only %d %s images", w.set.Len(), w.name)
		}
		r.set = w.set
		got := r.tolerated(t.Context(), newCanvas(), indices(w.set.Len()), tolerance)
		if (got[mirror] > 0) != w.mirror {
			t.Errorf("%s images: mirrored by %d of %d", w.name, got[mirror], fixedOne)
		}
		if got[tone] == 0 {
			t.Errorf("%s images bear no change of tone", w.name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := r.tolerated(ctx, newCanvas(), indices(r.set.Len()), tolerance); got != (recipe{}) {
		t.Errorf("cancelled: got %v", got)
	}
}

// label gives every image the class that the network sees in it.
func label(r *run, set *dataset.Set) {
	r.evaluate(set, indices(set.Len()), func(i int, logits []float32) {
		set.Labels[i] = slices.Index(logits, slices.Max(logits))
	})
}

// The variants of large images fill no more memory than those of small ones may.
func TestEnough(t *testing.T) {
	for _, c := range []struct {
		shape             []int
		classes, ofOthers int
	}{{[]int{1, 28, 28}, leastForget, leastOthers}, {[]int{3, 32, 32}, leastForget, leastOthers}, {[]int{3, 224, 224}, 1783, 1783}} {
		r := &run{set: &dataset.Set{Shape: c.shape}}
		if classes, others := r.enough(); classes != c.classes || others != c.ofOthers {
			t.Errorf("images of shape %v: got %d and %d, want %d and %d", c.shape, classes, others, c.classes, c.ofOthers)
		}
	}
}
