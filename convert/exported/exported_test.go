package exported_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lethe/convert/aten"
	"lethe/convert/exported"
	"lethe/graph"
	"lethe/internal/oracle"
	"lethe/model"
	"lethe/onnxio"
	"lethe/ops"
	"lethe/pickle"
)

// open opens an archive of testdata.
func open(t testing.TB, name string) *pickle.Program {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	p, err := pickle.OpenProgram(bytes.NewReader(b), int64(len(b)), pickle.Options{})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return p
}

// decode reads a program of testdata.
func decode(t testing.TB, name string) *aten.Program {
	t.Helper()
	p := open(t, name)
	program, err := exported.Decode(exported.Source{Member: p.Member, Graph: p.Graph, State: p.State, Constants: p.Constants, Unpack: p.Unpack})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return program
}

// values are the elements of a tensor in golden.json.
type values struct {
	Shape  []int     `json:"shape"`
	Values []float64 `json:"values"`
}

// golden returns what PyTorch computes for the programs of testdata.
func golden(t testing.TB) map[string][]values {
	t.Helper()
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g map[string][]values
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// compare reports outputs that differ from PyTorch's by more than 1e-4 of the
// largest.
func compare(t *testing.T, name string, got, want []values) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d outputs, PyTorch has %d", name, len(got), len(want))
		return
	}
	for i := range want {
		if !slices.Equal(got[i].Shape, want[i].Shape) || len(got[i].Values) != len(want[i].Values) {
			t.Errorf("%s: output %d has shape %v, PyTorch's %v", name, i, got[i].Shape, want[i].Shape)
			continue
		}
		var largest, difference float64
		for j, w := range want[i].Values {
			largest = max(largest, math.Abs(w))
			difference = max(difference, math.Abs(w-got[i].Values[j]))
		}
		if !(difference <= 1e-4*largest) {
			t.Errorf("%s: output %d differs by %g, the largest element is %g", name, i, difference, largest)
		}
	}
}

// What is written for the programs of five versions of torch computes in ONNX
// Runtime what PyTorch computes, at another batch size than that of the export.
func TestONNXRuntime(t *testing.T) {
	python := oracle.Python(t, "onnx", "onnxruntime")
	want := golden(t)
	for _, opset := range []int{13, 17, 20} {
		dir := t.TempDir()
		args := []string{"testdata/run.py"}
		for name := range want {
			r, err := aten.Convert(decode(t, name), aten.Options{Opset: opset})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var b bytes.Buffer
			if err := onnxio.Encode(&b, r.Graph, r.State, onnxio.EncodeOptions{}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			path := filepath.Join(dir, name+".onnx")
			if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			args = append(args, path)
		}
		var errs bytes.Buffer
		cmd := exec.Command(python, args...)
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("opset %d: %v\n%s", opset, err, errs.Bytes())
		}
		var got map[string][]values
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		for name := range want {
			compare(t, fmt.Sprintf("%s, opset %d", name, opset), got[filepath.Join(dir, name+".onnx")], want[name])
		}
	}
}

// Names come from the program: of the class, of inputs and outputs, of weights.
// Of two names of one tensor the first in the state dict is used.
func TestNames(t *testing.T) {
	tests := []struct {
		file, name, inputs, outputs, weights, unused, tied string
	}{
		{"torch-2.1-odd_dynamic.pt2", "network", "input", "sum pair.0 pair.1 mean", "a.weight a.bias scale tmp k view0 view1", "count", "b.weight=a.weight"},
		{"torch-2.5-odd_dynamic.pt2", "Odd", "x", "sum pair.0 pair.1 mean", "a.weight a.bias scale view0 view1", "count", "b.weight=a.weight"},
		{"torch-2.6-odd_dynamic.pt2", "Odd", "x", "sum pair.0 pair.1 mean", "a.weight a.bias scale view0 view1", "count", "b.weight=a.weight"},
		{"torch-2.15-odd_dynamic.pt2", "Odd", "x", "sum pair.0 pair.1 mean", "a.weight a.bias scale view0 view1", "count", "b.weight=a.weight"},
		{"torch-2.15-bert_manual_dynamic.pt2", "BertManual", "ids mask", "output", "", "", ""},
		{"torch-2.5-gpt_tied.pt2", "GPTLike", "ids", "output", "", "", "head.weight=wte.weight"},
		{"torch-2.1-lstm_static.pt2", "network", "input", "output", "emb.weight rnn.weight_ih_l0 rnn.weight_hh_l0 rnn.bias_ih_l0 rnn.bias_hh_l0 fc.weight fc.bias", "", ""},
	}
	for _, test := range tests {
		r, err := aten.Convert(decode(t, test.file), aten.Options{})
		if err != nil {
			t.Errorf("%s: %v", test.file, err)
			continue
		}
		var inputs, outputs, tied []string
		for _, v := range r.Graph.Inputs {
			inputs = append(inputs, v.Name)
		}
		for _, v := range r.Graph.Outputs {
			outputs = append(outputs, v.Name)
		}
		for name, as := range r.Tied {
			tied = append(tied, name+"="+as)
		}
		check := func(what, got, want string) {
			if got != want {
				t.Errorf("%s: %s is %q, want %q", test.file, what, got, want)
			}
		}
		check("the name", r.Graph.Name, test.name)
		check("inputs", strings.Join(inputs, " "), test.inputs)
		check("outputs", strings.Join(outputs, " "), test.outputs)
		if test.weights != "" {
			check("weights", strings.Join(r.State.Names(), " "), test.weights)
		}
		check("unused", strings.Join(r.Unused, " "), test.unused)
		check("tied", strings.Join(tied, " "), test.tied)
	}
}

// Every tensor of the state dict that the graph reads has its bits.
func TestWeightsAreKept(t *testing.T) {
	files, err := filepath.Glob("testdata/*.pt2")
	if err != nil || len(files) == 0 {
		t.Fatal("no programs", err)
	}
	for _, path := range files {
		program := decode(t, filepath.Base(path))
		r, err := aten.Convert(program, aten.Options{ForceEval: true})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		for _, w := range program.Weights {
			got := r.State.Get(w.Name)
			if got == nil {
				continue
			}
			if same, err := model.SameBits(got, w.Tensor); err != nil || !same {
				t.Errorf("%s: %q has other bits: %v", path, w.Name, err)
			}
		}
	}
}

// A network that was exported in training mode is refused with the whole list,
// and converted on demand.
func TestTrainingMode(t *testing.T) {
	program := decode(t, "torch-2.15-lenet_train.pt2")
	_, err := aten.Convert(program, aten.Options{})
	var list *aten.UnsupportedError
	if !errors.As(err, &list) || len(list.Parts) != 2 || list.Parts[0].Count != 2 || list.Parts[0].First != "bn1" {
		t.Fatalf("the error is %v", err)
	}
	if unsupported := (*model.UnsupportedError)(nil); !errors.As(err, &unsupported) {
		t.Error("the error is not an UnsupportedError of model")
	}
	for _, p := range list.Parts {
		if !strings.Contains(p.String(), "--force-eval") {
			t.Errorf("no advice: %s", p)
		}
	}
	if _, err := aten.Convert(program, aten.Options{ForceEval: true}); err != nil {
		t.Error(err)
	}
}

// inputs makes what testdata/make.py describes, for a batch of 3.
func inputs(g *graph.Graph) map[string]*ops.Tensor {
	feeds := map[string]*ops.Tensor{}
	for _, v := range g.Inputs {
		shape := []int{3}
		for _, d := range v.Shape[1:] {
			n, _ := d.Int()
			shape = append(shape, n)
		}
		n, _ := model.Elements(shape)
		if v.DType == model.Int64 {
			list := make([]int64, n)
			for i := range list {
				list[i] = int64(i*31%29 + 1)
				if v.Name == "mask" {
					list[i] = 1
					if i >= shape[1]/2 && i < shape[1] {
						list[i] = 0
					}
				}
			}
			feeds[v.Name] = ops.Int64s(shape, list)
			continue
		}
		list := make([]float32, n)
		for i := range list {
			list[i] = float32(i*7919%1000)/500 - 1
		}
		feeds[v.Name] = ops.Float32s(shape, list)
	}
	return feeds
}

// What is written for the programs of five versions of torch computes what
// PyTorch computes.
func TestReference(t *testing.T) {
	for name, want := range golden(t) {
		r, err := aten.Convert(decode(t, name), aten.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		outputs, err := ops.Run(t.Context(), r.Graph, r.State, inputs(r.Graph), ops.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []values
		for _, v := range r.Graph.Outputs {
			f, _ := outputs[v.Name].Float64s()
			got = append(got, values{outputs[v.Name].Shape(), f})
		}
		compare(t, name, got, want)
	}
}
