package structure

import (
	"slices"
	"strings"
	"testing"

	"lethe/model"
	"lethe/ops"
)

// The graph of a program, exported or traced, with the weights of a state dict
// computes what those weights make, not what the program had, also where all names
// of the state dict have a prefix.
func TestLikeProgram(t *testing.T) {
	for _, path := range []string{"convert/script/testdata/lenet-2.15.pt2", "convert/script/testdata/lenet-traced-2.15.pt"} {
		f := open(t, path)
		own, err := Read(f, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var sd, prefixed []model.Entry
		for name, w := range f.State().All() {
			if w.DType().IsFloat() {
				v, err := w.Float32s()
				if err != nil {
					t.Fatal(err)
				}
				for i := range v {
					v[i] /= 2
				}
				if w, err = model.FromFloat32s(w.DType(), w.Shape(), v); err != nil {
					t.Fatal(err)
				}
			}
			sd = append(sd, model.Entry{Name: name, Tensor: w})
			prefixed = append(prefixed, model.Entry{Name: "module." + name, Tensor: w})
		}
		want := outputs(t, own, state(t, sd))
		if slices.Equal(want, outputs(t, own, own.State)) {
			t.Fatalf("%s: other weights give the same", path)
		}
		for _, entries := range [][]model.Entry{sd, prefixed} {
			s, err := Like(state(t, entries), f, Options{})
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			if got := outputs(t, s, s.State); !slices.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", path, got, want)
			}
		}
		// Another name of the same tensor is one too many only if the graph has neither.
		if _, err := Like(state(t, append(slices.Clone(sd), model.Entry{Name: "again", Tensor: sd[0].Tensor})), f, Options{}); err != nil {
			t.Errorf("%s: with a second name of %q: %v", path, sd[0].Name, err)
		}
		// One entry less, and one of another shape.
		if _, err := Like(state(t, sd[1:]), f, Options{}); err == nil || !strings.Contains(err.Error(), sd[0].Name) {
			t.Errorf("%s: without %q: got %v", path, sd[0].Name, err)
		}
		sd[0].Tensor = sd[1].Tensor
		if _, err := Like(state(t, sd), f, Options{}); err == nil || !strings.Contains(err.Error(), sd[0].Name) {
			t.Errorf("%s: %q of another shape: got %v", path, sd[0].Name, err)
		}
	}
}

// Scripted TorchScript says no shape: the options do.
func TestLikeScripted(t *testing.T) {
	f := open(t, "convert/script/testdata/lenet-scripted-2.15.pt")
	if _, err := Like(f.State(), f, Options{}); err == nil || !strings.Contains(err.Error(), "--input") {
		t.Errorf("got %v", err)
	}
	s, err := Like(f.State(), f, Options{Input: []int{1, 12, 12}})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(outputs(t, s, s.State)); n != 5 {
		t.Errorf("%d outputs", n)
	}
}

func state(t *testing.T, entries []model.Entry) *model.StateDict {
	t.Helper()
	sd, err := model.NewStateDict(entries...)
	if err != nil {
		t.Fatal(err)
	}
	return sd
}

// outputs runs a network of images of 1x12x12 pixels on one.
func outputs(t *testing.T, s *Structure, sd *model.StateDict) []float64 {
	t.Helper()
	x := make([]float32, 144)
	for i := range x {
		x[i] = float32(i%7) - 3
	}
	in := s.Graph.Inputs[0].Name
	out, err := ops.Run(t.Context(), s.Graph, sd, map[string]*ops.Tensor{in: ops.Float32s([]int{1, 1, 12, 12}, x)}, ops.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v, _ := out[s.Graph.Outputs[0].Name].Float64s()
	return v
}
