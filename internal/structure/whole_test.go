package structure_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"lethe/internal/structure"
	"lethe/model"
	"lethe/ops"
	"lethe/pickle"
)

func whole(t *testing.T, name string, input []int) (*structure.Structure, error) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".pt")
	if err != nil {
		t.Fatal(err)
	}
	c, err := pickle.Decode(bytes.NewReader(b), int64(len(b)), pickle.Options{Inert: true})
	if err != nil {
		t.Fatal(err)
	}
	return structure.Read(pickle.File{Checkpoint: c}, structure.Options{Input: input})
}

// Networks that were saved whole compute what PyTorch computes, with the strides,
// paddings, epsilons and poolings of their modules: an nn.Sequential, networks of
// torchvision in which modules were replaced, and classifiers of Ultralytics.
func TestWholeModules(t *testing.T) {
	var golden map[string]struct {
		Input  []int
		Values []float64
	}
	for _, name := range []string{"golden", "ultralytics", "torchvision"} {
		b, err := os.ReadFile("testdata/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &golden); err != nil {
			t.Fatal(err)
		}
	}
	if len(golden) != 15 {
		t.Fatalf("%d samples", len(golden))
	}
	for name, want := range golden {
		input := want.Input
		if name == "lenet" || name == "table" {
			input = nil // the first usual one fits
		}
		s, err := whole(t, name, input)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		shape := append([]int{3}, want.Input...)
		n, _ := model.Elements(shape)
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(i*7919%1000)/500 - 1
		}
		out, err := ops.Run(t.Context(), s.Graph, s.State, map[string]*ops.Tensor{s.Graph.Inputs[0].Name: ops.Float32s(shape, x)}, ops.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, _ := out[s.Graph.Outputs[0].Name].Float64s()
		if len(got) != len(want.Values) {
			t.Errorf("%s: %d elements, PyTorch has %d", name, len(got), len(want.Values))
			continue
		}
		var most, d float64
		for i, w := range want.Values {
			most, d = max(most, math.Abs(w)), max(d, math.Abs(got[i]-w))
		}
		if !(d <= 1e-5*most) {
			t.Errorf("%s differs from PyTorch's by %.2g of %.2g", name, d, most)
		}
	}
}

// What the state dict does not show, but the modules do, refuses a network.
func TestWholeModulesRefused(t *testing.T) {
	for name, word := range map[string]string{"hook": "forward_pre_hooks"} {
		_, err := whole(t, name, nil)
		var unsupported *model.UnsupportedError
		if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}
