package script_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lethe/convert/aten"
	"lethe/convert/exported"
	"lethe/convert/script"
	"lethe/file"
	"lethe/graph"
	"lethe/model"
	"lethe/ops"
	"lethe/pickle"
)

func open(t testing.TB, path string) *pickle.Checkpoint {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := pickle.Decode(bytes.NewReader(b), int64(len(b)), pickle.Options{})
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return c
}

func read(t testing.TB, name string) *file.Script {
	t.Helper()
	s, err := open(t, filepath.Join("testdata", name)).Script()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

// sample is what PyTorch computes for a file of testdata.
type sample struct {
	Input   []int
	Outputs []struct {
		Shape  []int
		Values []float64
	}
}

func golden(t testing.TB) map[string]sample {
	t.Helper()
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g map[string]sample
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// input returns the elements that make.py describes, for three samples.
func input(v graph.Value, sample []int) *ops.Tensor {
	shape := append([]int{3}, sample...)
	n, _ := model.Elements(shape)
	if v.DType == model.Int64 {
		list := make([]int64, n)
		for i := range list {
			list[i] = int64(i*31%29 + 1)
		}
		return ops.Int64s(shape, list)
	}
	list := make([]float32, n)
	for i := range list {
		list[i] = float32(i*7919%1000)/500 - 1
	}
	return ops.Float32s(shape, list)
}

func convert(t testing.TB, name string, s *file.Script, opts script.Options) *aten.Result {
	t.Helper()
	p, err := script.Decode(s, opts)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	r, err := aten.Convert(p, aten.Options{ForceEval: opts.ForceEval, Batch: opts.Batch})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return r
}

// compare runs a graph on three samples and compares it with what PyTorch
// computes.
func compare(t *testing.T, name string, r *aten.Result, want sample) {
	t.Helper()
	out, err := ops.Run(t.Context(), r.Graph, r.State, map[string]*ops.Tensor{r.Graph.Inputs[0].Name: input(r.Graph.Inputs[0], want.Input)}, ops.Options{})
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if len(r.Graph.Outputs) != len(want.Outputs) {
		t.Errorf("%s: %d outputs, PyTorch has %d", name, len(r.Graph.Outputs), len(want.Outputs))
		return
	}
	for i, w := range want.Outputs {
		x := out[r.Graph.Outputs[i].Name]
		got, _ := x.Float64s()
		if !slices.Equal(x.Shape(), w.Shape) || len(got) != len(w.Values) {
			t.Errorf("%s: output %d has shape %v, PyTorch's %v", name, i, x.Shape(), w.Shape)
			continue
		}
		var most, d float64
		for j := range got {
			most, d = max(most, math.Abs(w.Values[j])), max(d, math.Abs(got[j]-w.Values[j]))
		}
		if !(d <= 1e-5*most) {
			t.Errorf("%s: output %d differs from PyTorch's by %.2g of %.2g", name, i, d, most)
		}
	}
}

// Traced and scripted modules of two versions of PyTorch compute what PyTorch
// does, on a batch of another size than they were traced with.
func TestGolden(t *testing.T) {
	all := golden(t)
	if len(all) < 20 {
		t.Fatalf("only %d samples", len(all))
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := read(t, name)
		opts := script.Options{}
		if s.Inputs == nil {
			if strings.Contains(name, "traced-2") {
				t.Errorf("%s does not say the shapes of its inputs", name)
			}
			opts.Input = [][]int{all[name].Input}
		} else if !strings.Contains(name, "traced") {
			t.Errorf("%s says the shapes of its inputs", name)
		}
		r := convert(t, name, s, opts)
		if d := r.Graph.Inputs[0].Shape[0]; !d.Equal(graph.Symbol(graph.BatchSymbol)) {
			t.Errorf("%s has a batch of %v", name, d)
			continue
		}
		compare(t, name, r, all[name])
		if strings.Contains(name, "frozen") {
			continue
		}
		state := open(t, filepath.Join("testdata", name)).StateDict()
		for weight, have := range r.State.All() {
			if want := state.Get(weight); want == nil {
				t.Errorf("%s: the state dict has no %q", name, weight)
			} else if same, err := model.SameBits(have, want); err != nil || !same {
				t.Errorf("%s: %q is another tensor", name, weight)
			}
		}
	}
}

// outline returns the structure of a graph without the names of values: the
// operators with their attributes, and where each input comes from.
func outline(r *aten.Result) []string {
	from := map[string]string{}
	for _, in := range r.Graph.Inputs {
		from[in.Name] = fmt.Sprintf("input %v%v", in.DType, in.Shape)
	}
	for name := range r.State.All() {
		from[name] = name
	}
	for name, c := range r.Graph.Constants {
		b, _ := c.Bytes()
		from[name] = fmt.Sprintf("constant %v%v %x", c.DType(), c.Shape(), b)
	}
	var lines []string
	for i, n := range r.Graph.Nodes {
		line := n.Op
		for _, in := range n.Inputs {
			line += " (" + from[in] + ")"
		}
		keys := slices.Sorted(maps.Keys(n.Attrs))
		for _, k := range keys {
			line += fmt.Sprintf(" %s=%v", k, n.Attrs[k])
		}
		for j, out := range n.Outputs {
			from[out] = fmt.Sprintf("%d.%d", i, j)
		}
		lines = append(lines, line)
	}
	for _, out := range r.Graph.Outputs {
		lines = append(lines, from[out.Name])
	}
	return lines
}

// The exported program, the traced and the scripted module of a network are the
// same graph with the same weights, whatever PyTorch wrote them.
func TestSameGraph(t *testing.T) {
	c := open(t, "testdata/lenet-2.15.pt2")
	p, err := c.Program()
	if err != nil {
		t.Fatal(err)
	}
	program, err := exported.Decode(exported.Source{Member: p.Member, Graph: p.Graph, State: p.State, Constants: p.Constants, Unpack: p.Unpack})
	if err != nil {
		t.Fatal(err)
	}
	want, err := aten.Convert(program, aten.Options{})
	if err != nil {
		t.Fatal(err)
	}
	state := open(t, "testdata/lenet-state-2.15.pt").StateDict()
	for _, name := range []string{"lenet-traced-2.15.pt", "lenet-scripted-2.15.pt", "lenet-traced-1.13.pt", "lenet-scripted-1.13.pt"} {
		opts := script.Options{}
		if name != "lenet-traced-2.15.pt" {
			opts.Input = [][]int{{1, 12, 12}}
		}
		got := convert(t, name, read(t, name), opts)
		if a, b := outline(got), outline(want); !slices.Equal(a, b) {
			t.Errorf("%s: the graph differs:\n%s\n\n%s", name, strings.Join(a, "\n"), strings.Join(b, "\n"))
		}
		names := slices.DeleteFunc(slices.Clone(state.Names()), func(n string) bool { return strings.HasSuffix(n, "num_batches_tracked") })
		if a := got.State.Names(); !slices.Equal(a, names) || len(a) != want.State.Len() {
			t.Errorf("%s: the weights are %q, not %q", name, a, names)
		}
		for weight, have := range got.State.All() {
			if same, err := model.SameBits(have, state.Get(weight)); strings.Contains(name, "2.15") && (err != nil || !same) {
				t.Errorf("%s: %q is not what the state dict has", name, weight)
			}
		}
	}
}

// A module that was saved in training mode is refused, unless it is taken for one
// in evaluation mode.
func TestTraining(t *testing.T) {
	s := read(t, "lenet-training-2.15.pt")
	p, err := script.Decode(s, script.Options{Input: [][]int{{1, 12, 12}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = aten.Convert(p, aten.Options{})
	var u *aten.UnsupportedError
	if !errors.As(err, &u) || !strings.Contains(err.Error(), "--force-eval") {
		t.Errorf("it says: %v", err)
	}
	convert(t, "in evaluation mode", s, script.Options{Input: [][]int{{1, 12, 12}}, ForceEval: true})
}

// Compressed code is read: torch.jit.save deflates it.
func TestCompressed(t *testing.T) {
	s, err := open(t, "../../pickle/testdata/script.pt").Script()
	if err != nil {
		t.Fatal(err)
	}
	root, ok := s.Root.(*file.Object)
	if !ok {
		t.Fatalf("the root is %T", s.Root)
	}
	path := strings.ReplaceAll(root.Class[:strings.LastIndexByte(root.Class, '.')], ".", "/") + ".py"
	if code, err := s.Code(path); err != nil || !strings.Contains(code, "class ") {
		t.Fatalf("the code is %.100q: %v", code, err)
	}
	if code, err := s.Code("../data.pkl"); err != nil || code != "" {
		t.Fatalf("outside of the code is %.100q: %v", code, err)
	}
}
