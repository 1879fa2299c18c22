package wiring

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"lethe/convert/arch"
	"lethe/convert/aten"
	"lethe/convert/layers"
	"lethe/dataset"
	"lethe/internal/learn"
	"lethe/internal/nn"
	"lethe/model"
)

// squares are images of a bright square on noise; its place is the class.
func squares(n int) *dataset.Set {
	rng := rand.New(rand.NewPCG(1, 1))
	set := &dataset.Set{Shape: []int{1, 12, 12}, Classes: 4}
	for i := range n {
		label := i % 4
		image := make([]uint8, 144)
		for j := range image {
			image[j] = uint8(rng.IntN(140))
		}
		y, x := label/2*6+rng.IntN(3), label%2*6+rng.IntN(3)
		for dy := range 4 {
			for dx := range 4 {
				image[(y+dy)*12+x+dx] = uint8(100 + rng.IntN(100))
			}
		}
		set.Pixels = append(set.Pixels, image...)
		set.Labels = append(set.Labels, label)
	}
	return set
}

// trained returns weights of a small network that was trained with a description.
func trained(t *testing.T, description string, set *dataset.Set) *model.StateDict {
	t.Helper()
	net, err := layers.Parse(strings.NewReader(description))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(2, 2))
	var entries []model.Entry
	add := func(name string, shape ...int) {
		n, _ := model.Elements(shape)
		draw := func(n int) []float32 {
			v := make([]float32, n)
			for i := range v {
				v[i] = float32((2*rng.Float64() - 1) / math.Sqrt(float64(shape[1]*9)))
			}
			return v
		}
		entries = append(entries, model.Entry{Name: name + ".weight", Tensor: model.Float32Tensor(shape, draw(n))},
			model.Entry{Name: name + ".bias", Tensor: model.Float32Tensor(shape[:1], draw(shape[0]))})
	}
	add("conv", 6, 1, 3, 3)
	add("fc1", 16, 6*36)
	add("fc2", 4, 16)
	sd, err := model.NewStateDict(entries...)
	if err != nil {
		t.Fatal(err)
	}
	n, err := arch.Layers(sd, net)
	if err != nil {
		t.Fatal(err)
	}
	r, err := aten.Convert(n.Program, aten.Options{})
	if err != nil {
		t.Fatal(err)
	}
	bound, err := nn.Bind(r.Graph, r.State)
	if err != nil {
		t.Fatal(err)
	}
	session, err := bound.NewTrainingSession(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	images := make([]int, set.Len())
	for i := range images {
		images[i] = i
	}
	f := learn.NewFitter(session, set, dataset.OneNorm(0, 1), images, 64, rng)
	const steps = 300
	for step := range steps {
		f.Step(4e-3 * learn.Fall(float64(step)/steps))
	}
	if sd, err = session.StateDict(sd); err != nil {
		t.Fatal(err)
	}
	return sd
}

// TestFind trains small networks and finds their wirings.
func TestFind(t *testing.T) {
	set := squares(512)
	for _, want := range []string{
		"{conv: conv, padding: 1} tanh {avg_pool: 2} flatten {linear: fc1} tanh {linear: fc2}",
		"{conv: conv, padding: 1} {max_pool: 2} elu flatten {linear: fc1} elu {linear: fc2}",
	} {
		yaml := "input: [1, 12, 12]\nlayers:\n  - " + strings.ReplaceAll(strings.NewReplacer(": ", ":\x00", ", ", ",\x00").Replace(want), " ", "\n  - ")
		sd := trained(t, strings.ReplaceAll(yaml, "\x00", " "), set)
		draft, err := layers.Draft(sd, set.Shape)
		if err != nil {
			t.Fatal(err)
		}
		var first *Found
		for _, threads := range []int{1, 3} { // the result does not depend on them
			f, err := Find(t.Context(), sd, draft, set, Options{Norms: []dataset.Norm{dataset.OneNorm(0, 1)}, Threads: threads})
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = f
			} else if first.Best.Loss != f.Best.Loss || first.Tried != f.Tried || Difference(first.Best, f.Best) != "" {
				t.Errorf("%d threads: loss %v of %d tried, not %v of %d", threads, f.Best.Loss, f.Tried, first.Best.Loss, first.Tried)
			}
			if testing.Short() {
				break
			}
		}
		list, err := first.Best.Net.Fixed()
		if err != nil {
			t.Fatal(err)
		}
		got := strings.ReplaceAll(strings.ReplaceAll(layers.Text(list), ", ", " "), "conv padding", "conv, padding")
		got = strings.ReplaceAll(got, "{elu: 1}", "elu")
		// Of a pooling of the largest and a function that rises the order does not matter.
		same := strings.ReplaceAll(got, "elu {max_pool: 2}", "{max_pool: 2} elu")
		if same != want && len(first.Doubts) == 0 {
			t.Errorf("found %s\nwant  %s, rivals %v", got, want, first.Notes())
		}
		if same != want {
			t.Logf("not found, but doubted: %q", first.Doubts)
		}
	}
}

// TestFindRefuses has data that do not fit.
func TestFindRefuses(t *testing.T) {
	net, err := layers.Parse(strings.NewReader("input: [1, 28, 28]\nlayers: [flatten, {linear: fc}]"))
	if err != nil {
		t.Fatal(err)
	}
	sd, err := model.NewStateDict(model.Entry{Name: "fc.weight", Tensor: model.Float32Tensor([]int{2, 784}, make([]float32, 2*784))})
	if err != nil {
		t.Fatal(err)
	}
	norms := []dataset.Norm{dataset.OneNorm(0, 1)}
	if _, err := Find(t.Context(), sd, net, squares(8), Options{Norms: norms}); err == nil || !strings.Contains(err.Error(), "[1 28 28]") {
		t.Errorf("images of another size: %v", err)
	}
	net.Input = nil
	if _, err := Find(t.Context(), sd, net, squares(8), Options{Norms: norms}); err == nil || !strings.Contains(err.Error(), "no wiring") {
		t.Errorf("features of another number: %v", err)
	}
	fits, err := layers.Parse(strings.NewReader("layers: [flatten, {linear: fc}]"))
	if err != nil {
		t.Fatal(err)
	}
	small := sd.With("fc.weight", model.Float32Tensor([]int{2, 144}, make([]float32, 2*144)))
	if _, err := Find(t.Context(), small, fits, squares(8), Options{Norms: norms}); err == nil || !strings.Contains(err.Error(), "label") {
		t.Errorf("labels that the network does not have: %v", err)
	}
	wide := sd.With("fc.weight", model.Float32Tensor([]int{4, 144}, make([]float32, 4*144)))
	f, err := Find(t.Context(), wide, fits, squares(64), Options{Norms: norms})
	if err != nil || len(f.Doubts) == 0 {
		t.Errorf("a network that guesses: %v, %v", f, err)
	}
}

// TestNorms leaves out what is the same up to rounding.
func TestNorms(t *testing.T) {
	set := squares(8)
	list := Norms(set)
	if len(list) != 4 || Describe(list[1]) != "mean 0 and deviation 1" {
		t.Errorf("%v", list)
	}
	for i := range set.Pixels {
		set.Pixels[i] = uint8(i % 2 * 255) // mean and deviation are 0.5
	}
	if list = Norms(set); len(list) != 3 {
		t.Errorf("%v", list)
	}
}

// Poolings follow one another, wherever there is such an alternative, and convolutions stay
// as they are.
func TestFollow(t *testing.T) {
	set := squares(64)
	sd := normalized(t, squares(2048), pooledAfter)
	net, err := layers.Draft(sd, set.Shape)
	if err != nil {
		t.Fatal(err)
	}
	s := &search{net: net}
	first := func(i int) string { return fmt.Sprint(net.Slots[i].Alternatives[0]) }
	if got := first(0) + first(1) + first(2) + first(3); got != "[{conv: a, padding: 1}][{batch_norm: an} activation {pool: 2}][{conv: b, padding: 1}][{batch_norm: bn} activation {pool: 2}]" {
		t.Fatalf("the draft is another one: %s", got)
	}
	follows := 0
	for a, list := range net.Slots[1].Alternatives {
		alternative := make([]int, len(net.Slots))
		s.follow(alternative, 1, a)
		if fmt.Sprint(net.Slots[1].Alternatives[alternative[1]]) != fmt.Sprint(list) || alternative[0] != 0 || alternative[2] != 0 {
			t.Errorf("%v: the alternatives are %v", list, alternative)
		}
		want := strings.Replace(fmt.Sprint(list), "batch_norm: an", "batch_norm: bn", 1)
		switch got := fmt.Sprint(net.Slots[3].Alternatives[alternative[3]]); {
		case got == want:
			follows++
		case alternative[3] != 0:
			t.Errorf("%v is followed by %s", list, got)
		}
	}
	if follows < 20 {
		t.Errorf("%d of %d alternatives are followed", follows, len(net.Slots[1].Alternatives))
	}
}
