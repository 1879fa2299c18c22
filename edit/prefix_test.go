package edit

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"lethe/dataset"
	"lethe/internal/learn"
)

// What does not move is computed once for each image, in memory or in a file that
// is gone afterwards, and the edit is the same as if it were computed in every step,
// but for the last digits.
func TestForgetComputesTheFirstLayersOnce(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"TMPDIR", "TMP"} {
		t.Setenv(name, dir)
	}
	net, sd, set := base(t)
	opts := options
	opts.Train = []string{"fc", "fc1"}
	edited := func(memory int64, whole bool) []float32 {
		before := featuresInMemory
		featuresInMemory = memory
		defer func() { featuresInMemory = before }()
		r := &run{opts: opts, net: net, set: set, k: net.Classes(), steps: 12}
		r.opts.MaxLoss = DefaultMaxLoss
		if err := r.prepare(t.Context(), sd); err != nil {
			t.Fatal(err)
		}
		if r.parts == nil {
			t.Fatal("the network is not divided")
		}
		if whole {
			r.parts = nil
		}
		if err := r.shorten(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer r.lengthen()
		if whole != (r.whole == nil) {
			t.Fatalf("shortened is %v", r.whole != nil)
		}
		if !whole {
			if inFile := r.whole.features[0].file != nil; inFile != (memory == 0) {
				t.Errorf("with %d bytes of memory features are in a file: %v", memory, inFile)
			}
		}
		if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) > 0 && runtime.GOOS != "windows" {
			t.Errorf("a kill would leave %v", files)
		}
		if _, err := r.walk(t.Context(), r.step); err != nil {
			t.Fatal(err)
		}
		res, err := r.session.StateDict(sd)
		if err != nil {
			t.Fatal(err)
		}
		all, err := res.Get("fc.weight").Float32s()
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	want, inMemory, inFile := edited(1<<30, true), edited(1<<30, false), edited(0, false)
	moved, largest := 0.0, 0.0
	start, _ := sd.Get("fc.weight").Float32s()
	for i, x := range want {
		moved = max(moved, math.Abs(float64(x-start[i])))
		largest = max(largest, math.Abs(float64(x-inMemory[i])))
		if inMemory[i] != inFile[i] {
			t.Fatalf("element %d is %v from memory and %v from a file", i, inMemory[i], inFile[i])
		}
	}
	if moved == 0 || largest > 1e-3*moved {
		t.Errorf("a parameter moved by up to %v and differs by up to %v", moved, largest)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A whole edit of the last layers leaves the others alone, and further attempts may
// learn from new variants, whose features are computed then.
func TestForgetInTheLastLayers(t *testing.T) {
	net, sd, set := base(t)
	opts := options
	opts.Train = []string{"fc1"}
	res, err := forget(t.Context(), net, sd, set, opts, 20)
	if err != nil {
		t.Fatal(err)
	}
	checkMoved(t, sd, res)

	r := &run{opts: opts, net: net, set: set, k: net.Classes(), steps: 10}
	if err := r.prepare(t.Context(), sd); err != nil {
		t.Fatal(err)
	}
	defer r.lengthen()
	if err := r.shorten(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, err := r.attempt(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	images := r.whole.set.Len()
	r.teacher = nil // as where there are more images
	if !r.guard(t.Context()) {
		t.Fatal("variants of the others cannot be had")
	}
	if err := r.shorten(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.whole == nil || r.whole.set.Len() <= images {
		t.Fatal("the steps do not begin behind the first layers, or there are no new variants")
	}
	second, err := r.try(t.Context(), first.Limits)
	if err != nil {
		t.Fatal(err)
	}
	if !second.Guarded || slices.Equal(first.theta, second.theta) || second.Loss > first.Loss+0.05 {
		t.Errorf("guarded %v, loss %v after %v", second.Guarded, second.Loss, first.Loss)
	}
}

// Features of a set are those of the images that were asked for, and a file that
// fails is an error of the set.
func TestFeatures(t *testing.T) {
	net, sd, set := base(t)
	parts := divide(net, sd, []string{"fc1.weight"})
	if parts == nil {
		t.Fatal("the network is not divided")
	}
	before := featuresInMemory
	featuresInMemory = 0
	defer func() { featuresInMemory = before }()
	f, err := newFeatures(t.Context(), parts.before, set, options.Norm, []int{5, 3, 5}, 1)
	if err != nil || f == nil {
		t.Fatalf("%v, %v", f, err)
	}
	behind := &dataset.Set{Labels: set.Labels, Shape: parts.behind.InputShape(), Classes: set.Classes, Source: f}
	got, err := learn.Outputs(t.Context(), parts.behind, behind, options.Norm, []int{3, 5}, 1)
	if err != nil {
		t.Fatal(err)
	}
	want, err := learn.Outputs(t.Context(), net, set, options.Norm, []int{3, 5}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 1e-5 {
			t.Errorf("logit %d is %v, want %v", i, got[i], want[i])
		}
	}
	f.close()
	f.Sample(3, make([]float32, f.size))
	if behind.Err() == nil {
		t.Error("a file that is closed is no error")
	}
}
