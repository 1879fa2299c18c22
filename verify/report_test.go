package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lethe/dataset"
	"lethe/graph"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/report"
)

// deep is a network of two layers: the first passes pixels on, so that an edit
// of it can forget, the last is that of flat.
func deep(t testing.TB) (*nn.Net, *model.StateDict) {
	t.Helper()
	net, sd := flat(t, weights)
	g := *net.Graph()
	g.Name = "deep"
	g.Nodes = []graph.Node{
		g.Nodes[0],
		{Name: "pass", Op: "Gemm", Inputs: []string{"flatten", "pass.weight", "pass.bias"}, Outputs: []string{"pass"}, Attrs: graph.Attrs{"transB": graph.Int(1)}},
		g.Nodes[1],
	}
	g.Nodes[2].Inputs = []string{"pass", "fc.weight", "fc.bias"}
	sd = stateDict(t, append([]model.Entry{
		{Name: "pass.weight", Tensor: model.Float32Tensor([]int{4, 4}, []float32{8, 0, 0, 0, 0, 8, 0, 0, 0, 0, 8, 0, 0, 0, 0, 8})},
		{Name: "pass.bias", Tensor: model.Float32Tensor([]int{4}, make([]float32, 4))},
	}, entries(sd)...)...)
	return bind(t, &g, sd), sd
}

// question asks about an edit of deep that forgets class 2: pixel 2 is not
// passed on any more, all logits become 0 and the first class wins.
func question(t testing.TB) Edit {
	net, sd := deep(t)
	before := NewNetwork(net.Graph(), sd)
	return Edit{
		Before: before, After: changed(t, before, "pass.weight", 10, to(0)),
		Gate: GateHard, Classes: []int{2}, Source: "by hand", Norm: plain,
		Train: images(3, lit{0, 0}, lit{1, 1}, lit{2, 2}), Test: images(1, lit{0, 0}, lit{1, 1}, lit{2, 2}, lit{2, 1}),
	}
}

// changed returns a network of the same graph with one other number.
func changed(t testing.TB, n *Network, name string, at int, f func(float32) float32) *Network {
	t.Helper()
	return NewNetwork(n.Graph(), set(t, n.State(), name, at, f))
}

func TestJudge(t *testing.T) {
	q := question(t)
	r, err := Judge(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	if r.Schema != ReportSchema || r.Architecture != "deep" || !slices.Equal(r.Classes, []int{2}) || r.Gate != GateHard {
		t.Errorf("got %+v", r)
	}
	// The distance is 8, the hard limit: the gate holds, and no marks for it.
	if !r.Passed || r.Comparison.L2 != 8 || *r.Score != (Score{75, 100, 100, 0, 100}) {
		t.Errorf("passed %v, L2 %v, %+v", r.Passed, r.Comparison.L2, r.Score)
	}
	for name, m := range map[string]struct {
		got            *Measures
		images         int
		target, remain float64
	}{
		"train before": {r.Data.TrainBefore, 9, 1, 1},
		"train after":  {r.Data.TrainAfter, 9, 0, 1},
		"test before":  {r.Data.TestBefore, 4, 0.5, 1},
		"test after":   {r.Data.TestAfter, 4, 0, 1},
	} {
		if m.got == nil || m.got.Images != m.images || m.got.Target != m.target || m.got.Remain != m.remain {
			t.Errorf("%s: got %+v, want %+v", name, m.got, m)
		}
	}
	if r.Data.Source != "by hand" || r.Data.Mean.String() != "0" || r.Data.Std.String() != "1" || len(r.Data.TrainSHA256) != 64 || len(r.Data.TestSHA256) != 64 || r.Data.TrainSHA256 == r.Data.TestSHA256 {
		t.Errorf("got %+v", r.Data)
	}
	if want := notMeasured(nil); !slices.Equal(r.NotMeasured, want) || len(want) != 15 {
		t.Errorf("not measured: %q, want %q", r.NotMeasured, want)
	}
	var names []string
	for _, c := range r.AllChecks() {
		names = append(names, c.Name)
	}
	if want := append(slices.Clone(invariants), "gate hard"); !slices.Equal(names, want) {
		t.Errorf("checks %q, want %q", names, want)
	}
}

func TestJudgeGates(t *testing.T) {
	for _, c := range []struct {
		gate  Gate
		edit  float64 // what becomes of the weight 8
		fails string
	}{
		{GateNone, 0, ""},
		{GateHard, 0, ""},
		{GateFull, 0, "L2 8.0000 is over 1.3"},
		{GateNone, 8, ""},
		{GateHard, 8, "target 1.0000 is over 0.5"},
		{GateNone, -1, ""},
		{GateHard, -1, "L2 9.0000 is over 8"},
		{"", 0, "unknown gate"},
	} {
		q := question(t)
		q.Gate, q.After = c.gate, changed(t, q.Before, "pass.weight", 10, to(c.edit))
		r, err := Judge(context.Background(), q)
		if err != nil {
			t.Errorf("gate %q of %v: %v", c.gate, c.edit, err)
			continue
		}
		last := r.AllChecks()[len(invariants)]
		if r.Passed != (c.fails == "") || last.OK != r.Passed || !strings.HasPrefix(last.Detail, c.fails) {
			t.Errorf("gate %q of %v: passed %v, %+v, want %q", c.gate, c.edit, r.Passed, last, c.fails)
		}
	}
}

// A broken invariant is no error, and what was measured would mislead.
func TestJudgeBrokenInvariant(t *testing.T) {
	for _, gate := range []Gate{GateNone, GateHard, GateFull} {
		q := question(t)
		q.Gate, q.After = gate, changed(t, q.After, "fc.bias", 0, add(1))
		r, err := Judge(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		if r.Passed || r.Data != nil || r.Score != nil || len(r.Checks) != 0 {
			t.Errorf("gate %s: got %+v", gate, r)
		}
		if got := failing(r.AllChecks()); !slices.Equal(got, []string{SameLastLayer}) {
			t.Errorf("gate %s: %q fail", gate, got)
		}
	}
}

func TestJudgeWithoutClasses(t *testing.T) {
	q := question(t)
	r, err := Judge(context.Background(), Edit{Before: q.Before, After: q.After})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Passed || r.Data != nil || r.Score != nil || len(r.AllChecks()) != len(invariants) || r.Comparison.L2 != 8 {
		t.Errorf("got %+v", r)
	}
}

func TestJudgeWithoutTestImages(t *testing.T) {
	q := question(t)
	q.Test = nil
	r, err := Judge(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Passed || r.Data.TestBefore != nil || r.Data.TestAfter != nil || r.Data.TestSHA256 != "" {
		t.Errorf("got %+v", r.Data)
	}
}

func TestJudgeTakesWhatIsKnown(t *testing.T) {
	q := question(t)
	q.TrainBefore = &Measures{Images: 12345}
	r, err := Judge(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	if r.Data.TrainBefore != q.TrainBefore || r.Data.TrainAfter.Images != 9 {
		t.Errorf("got %+v", r.Data)
	}
}

// Whoever reads a report knows what it holds: none of its members can be anything.
func TestReportIsTyped(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var walk func(path string, of reflect.Type)
	walk = func(path string, of reflect.Type) {
		if seen[of] {
			return
		}
		seen[of] = true
		switch of.Kind() {
		case reflect.Interface:
			t.Errorf("%s is of type %v", path, of)
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			walk(path, of.Elem())
		case reflect.Struct:
			for _, f := range reflect.VisibleFields(of) {
				if f.IsExported() {
					walk(path+"."+f.Name, f.Type)
				}
			}
		}
	}
	walk("Report", reflect.TypeFor[Report]())
}

func TestReportJSON(t *testing.T) {
	marshal := func(q Edit) []byte {
		r, err := Judge(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		r.Parity = &report.Parity{Samples: 16, Evaluator: 1e-7, Skipped: "no"}
		r.Files = map[string]report.Digest{"onnx": {SHA256: "ab", Bytes: 2}, "input": {SHA256: "cd", Bytes: 3}}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var again Report
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(r, &again) {
			t.Errorf("got back %+v, want %+v", again, r)
		}
		return b
	}
	q := question(t)
	q.Norm = dataset.FashionNorm
	first := marshal(q)
	for q.Threads = range 4 {
		if !bytes.Equal(marshal(q), first) {
			t.Errorf("%d threads give another report", q.Threads)
		}
	}
	if !bytes.Contains(first, []byte(`"mean":0.286,"std":0.353,`)) {
		t.Errorf("the normalization is not written as it was given: %s", first)
	}
}

// Whatever a file holds, its report can be written.
func TestReportJSONOfDamage(t *testing.T) {
	q := question(t)
	for _, bits := range []uint32{0x7fc00000, 0x7f800000, 0xff800000, 0x7f7fffff} {
		q.After = NewNetwork(q.Before.Graph(), poke(t, q.Before.State(), "pass.bias", 0, func(uint32) uint32 { return bits }))
		r, err := Judge(context.Background(), Edit{Before: q.Before, After: q.After})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%#x: %v", bits, err)
		}
	}
}

func TestJudgeErrors(t *testing.T) {
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		name  string
		ctx   context.Context
		spoil func(q *Edit)
		want  string
	}{
		{"no images", context.Background(), func(q *Edit) { q.Train = nil }, "verify: there are classes and no training images"},
		{"no image of the class", context.Background(), func(q *Edit) { q.Train = images(4, lit{0, 0}, lit{1, 1}) },
			"none of the 8 training images is of class 2: there is nothing to measure its forgetting on"},
		{"no image of one of the classes", context.Background(), func(q *Edit) { q.Classes, q.Train = []int{0, 2}, images(1, lit{0, 0}, lit{1, 1}) },
			"none of the 2 training images is of class 2"},
		{"no such class", context.Background(), func(q *Edit) { q.Classes = []int{3} }, "class 3 does not exist"},
		{"a class that is a label modulo 256", context.Background(), func(q *Edit) { q.Classes = []int{258} }, "class 258 does not exist"},
		{"other test images", context.Background(), func(q *Edit) { q.Test.Shape = []int{1, 1, 4} }, "the network takes inputs of shape [1 2 2]"},
		{"cancelled", cancelled, func(*Edit) {}, "context canceled"},
	} {
		q := question(t)
		c.spoil(&q)
		if r, err := Judge(c.ctx, q); err == nil || r != nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v", c.name, r, err)
		}
	}
	q := question(t)
	if _, err := Judge(cancelled, q); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	// Without one last layer there is no invariant to check.
	g := *q.Before.Graph()
	g.Nodes = append(slices.Clone(g.Nodes), graph.Node{Name: "both", Op: "Concat", Inputs: []string{"logits", "logits"}, Outputs: []string{"both"}, Attrs: graph.Attrs{"axis": graph.Int(1)}})
	g.Outputs = []graph.Value{graph.TensorValue("both", model.Float32, graph.Batch(6))}
	if _, err := Judge(context.Background(), Edit{Before: q.Before, After: NewNetwork(&g, q.After.State())}); err == nil || !strings.Contains(err.Error(), "two graphs") {
		t.Errorf("an edit of two graphs: %v", err)
	}
	q.Before, q.After = NewNetwork(&g, q.Before.State()), NewNetwork(&g, q.After.State())
	var unsupported *model.UnsupportedError
	if _, err := Judge(context.Background(), q); !errors.As(err, &unsupported) {
		t.Errorf("a network that ends in two outputs side by side: %v", err)
	}
}

// Where the forgotten images go, by class.
func TestJudgePredicted(t *testing.T) {
	q := question(t)
	q.Classes, q.Names = []int{1, 2}, []string{"shoe", "hat", "coat"}
	r, err := Judge(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	// Of 3 and 3 images, those of class 2 become class 0: see question.
	want := []Predicted{{0, "shoe", 0, 0.5}, {1, "hat", 0.5, 0.5}, {2, "coat", 0.5, 0}}
	if !slices.Equal(r.Data.Predicted, want) {
		t.Errorf("got %+v, want %+v", r.Data.Predicted, want)
	}
}
