package aten

import (
	"errors"
	"strings"
	"testing"

	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// Every synonym has a row, every row arguments, and no row reads an argument
// that its schema does not have twice.
func TestTable(t *testing.T) {
	for alias, name := range synonyms {
		if known().rows[alias] == nil || known().rows[name] == nil {
			t.Errorf("%s is a synonym of %s, which has no row", alias, name)
		}
	}
	for name, r := range known().rows {
		if r.lower == nil {
			continue
		}
		seen := map[string]bool{}
		for _, p := range r.params {
			if seen[p.name] || p.name == "" {
				t.Errorf("%s: the argument %q is there twice, or has no name", name, p.name)
			}
			seen[p.name] = true
		}
		if len(r.params) == 0 {
			t.Errorf("%s has no arguments", name)
		}
	}
}

// program is a program of values of shape [N, 4] that is written down by hand.
type program struct {
	Program
	values map[string]*Value
}

func newProgram() *program {
	p := &program{values: map[string]*Value{}}
	p.Inputs = []*Value{p.value("x", 4)}
	return p
}

func (p *program) value(name string, sizes ...int) *Value {
	v := &Value{Name: name, DType: model.Float32, Shape: graph.Batch(sizes...)}
	p.values[name] = v
	return v
}

// add adds a node with one output of a shape after the batch.
func (p *program) add(op, out string, sizes []int, args ...any) {
	n := &Node{Op: op, Outputs: []*Value{p.value(out, sizes...)}}
	for _, a := range args {
		if name, ok := a.(string); ok && p.values[name] != nil {
			a = p.values[name]
		}
		n.Args = append(n.Args, Arg{Value: a})
	}
	p.Nodes = append(p.Nodes, n)
}

func (p *program) returns(name string) { p.Outputs = []Output{{"y", p.values[name]}} }

// run converts the program and runs it on the numbers 1 to 8, as two samples.
func (p *program) run(t *testing.T) []float64 { return p.runAs(t, Options{}) }

func (p *program) runAs(t *testing.T, opts Options) []float64 {
	t.Helper()
	r, err := Convert(&p.Program, opts)
	if err != nil {
		t.Fatal(err)
	}
	out, err := ops.Run(t.Context(), r.Graph, r.State, map[string]*ops.Tensor{"x": ops.Float32s([]int{2, 4}, []float32{1, 2, 3, 4, 5, 6, 7, 8})}, ops.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v, _ := out["y"].Float64s()
	return v
}

func expect(t *testing.T, got []float64, want ...float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("it is %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("it is %v, want %v", got, want)
		}
	}
}

// Who writes to a view changes what the view is of, and other views of that.
func TestWritingThroughViews(t *testing.T) {
	p := newProgram()
	p.add("aten.clone", "copy", []int{4}, "x")
	p.add("aten.view", "square", []int{2, 2}, "copy", []int64{-1, 2, 2})
	p.add("aten.transpose", "turned", []int{2, 2}, "square", int64(1), int64(2))
	p.add("aten.select", "column", []int{2}, "turned", int64(1), int64(0)) // elements 0 and 2
	p.add("aten.mul_", "_", []int{2}, "column", int64(10))
	p.add("aten.slice", "part", []int{2}, "copy", int64(1), int64(1), int64(3)) // elements 1 and 2
	p.add("aten.add_", "__", []int{2}, "part", 0.5)
	p.returns("square")
	expect(t, p.run(t), 10, 2.5, 30.5, 4, 50, 6.5, 70.5, 8)
}

// What was read before somebody writes keeps its value, and a copy is not
// written to.
func TestReadingBeforeWriting(t *testing.T) {
	p := newProgram()
	p.add("aten.clone", "copy", []int{4}, "x")
	p.add("aten.neg", "before", []int{4}, "copy")
	p.add("aten.relu_", "_", []int{4}, "copy")
	p.add("aten.zero_", "__", []int{4}, "copy")
	p.add("aten.add", "sum", []int{4}, "before", "copy")
	p.add("aten.add", "y", []int{4}, "sum", "x")
	p.returns("y")
	expect(t, p.run(t), 0, 0, 0, 0, 0, 0, 0, 0)
}

// Where it is not certain whether memory is shared, writing is refused.
func TestUncertainViews(t *testing.T) {
	p := newProgram()
	p.values["x"].Scattered = true
	p.add("aten.reshape", "flat", []int{2, 2}, "x", []int64{-1, 2, 2})
	p.add("aten.relu_", "_", []int{2, 2}, "flat")
	p.returns("flat")
	_, err := Convert(&p.Program, Options{})
	if err == nil || !strings.Contains(err.Error(), "clone()") {
		t.Errorf("the error is %v", err)
	}
}

// All that cannot be converted is listed, with how often and where it is first.
func TestUnsupported(t *testing.T) {
	p := newProgram()
	p.Unknown = []Unknown{{What: "a custom object"}}
	p.add("mine.operator", "a", []int{4}, "x")
	p.add("aten.rand_like", "b", []int{4}, "a")
	p.Nodes[1].Module = "noise"
	p.add("mine.operator", "c", []int{4}, "b")
	p.add("aten.relu", "d", []int{4}, "c")
	p.returns("d")
	_, err := Convert(&p.Program, Options{})
	var list *UnsupportedError
	if !errors.As(err, &list) || len(list.Parts) != 3 {
		t.Fatalf("the error is %v", err)
	}
	if got := list.Parts[1]; got.Count != 2 || !strings.Contains(got.Advice, "another library") {
		t.Errorf("the second part is %+v", got)
	}
	if advice := Advice("torch._functorch.predispatch._add_batch_dim"); !strings.Contains(advice, "run_decompositions()") {
		t.Errorf("of vmap it says: %s", advice)
	}
	if got := list.Parts[2]; got.First != "noise" || !strings.Contains(got.Advice, "random") {
		t.Errorf("the third part is %+v", got)
	}
}

// Instance normalization that was exported in training mode is refused where it has
// running statistics, which evaluation would take.
func TestInstanceNormInTraining(t *testing.T) {
	p := newProgram()
	vector := func(name string, v ...float32) *Value {
		w := &Value{Name: name, DType: model.Float32, Shape: graph.Sizes(len(v))}
		p.Weights = append(p.Weights, Weight{Value: w, Name: name, Tensor: model.Float32Tensor([]int{len(v)}, v)})
		return w
	}
	p.add("aten.view", "image", []int{2, 2}, "x", []int64{-1, 2, 2})
	p.add("aten.instance_norm", "y", []int{2, 2}, "image", nil, nil, vector("mean", 1, 2), vector("var", 1, 4), true, 0.1, 0.0, false)
	p.returns("y")
	if _, err := Convert(&p.Program, Options{}); err == nil || !strings.Contains(err.Error(), "--force-eval") {
		t.Errorf("the error is %v", err)
	}
	expect(t, p.runAs(t, Options{ForceEval: true}), 0, 1, 0.5, 1, 4, 5, 2.5, 3)
}

// fixed gives every value of a program a batch of n.
func (p *program) fixed(n int) *program {
	for _, v := range p.values {
		v.Shape[0] = graph.Size(n)
	}
	return p
}

// A fixed batch is freed where samples stay apart, and kept where they do not.
func TestFreeBatch(t *testing.T) {
	for _, n := range []int{1, 2} {
		p := newProgram()
		p.add("aten.view", "square", []int{2, 2}, "x", []int64{int64(n), 2, 2})
		p.add("aten.permute", "turned", []int{2, 2}, "square", []int64{0, 2, 1})
		p.add("aten.flatten", "flat", []int{4}, "turned", int64(1))
		p.add("aten.zeros", "zeros", []int{4}, []int64{int64(n), 4})
		p.add("aten.add", "y", []int{4}, "flat", "zeros")
		p.returns("y")
		expect(t, p.fixed(n).run(t), 1, 3, 2, 4, 5, 7, 6, 8)
	}
	for _, n := range []int{1, 2} { // steps before samples, merged and split again
		p := newProgram()
		p.add("aten.view", "square", []int{2, 2}, "x", []int64{int64(n), 2, 2})
		p.add("aten.transpose", "steps", []int{n, 2}, "square", int64(0), int64(1))
		p.add("aten.reshape", "merged", []int{2}, "steps", []int64{2 * int64(n), 2})
		p.add("aten.mul", "scaled", []int{2}, "merged", 10.0)
		p.add("aten.view", "again", []int{n, 2}, "scaled", []int64{2, int64(n), 2})
		p.add("aten.transpose", "y", []int{2, 2}, "again", int64(0), int64(1))
		p.returns("y")
		p.fixed(n)
		p.values["steps"].Shape[0], p.values["again"].Shape[0] = graph.Size(2), graph.Size(2)
		p.values["merged"].Shape[0], p.values["scaled"].Shape[0] = graph.Size(2*n), graph.Size(2*n)
		expect(t, p.run(t), 10, 20, 30, 40, 50, 60, 70, 80)
	}
	p := newProgram() // a size that is written out is the batch where another tensor of it is, and half of an axis is a part of a sample
	p.add("aten.zeros", "zeros", []int{2}, []int64{2, 2})
	p.add("aten.zeros_like", "again", []int{2}, "zeros")
	p.add("aten.ones", "ones", []int{2}, []int64{2, 2})
	p.add("aten.cat", "token", []int{4}, []*Value{p.values["again"], p.values["ones"]}, int64(1))
	p.add("aten.mul", "both", []int{4}, "token", "x")
	p.add("aten.glu", "y", []int{2}, "both", int64(1))
	p.returns("y")
	r, err := Convert(&p.fixed(2).Program, Options{})
	if err != nil || r.Graph.Inputs[0].Shape[0].Is(2) {
		t.Errorf("the batch stays fixed, or %v", err)
	}
	p = newProgram() // elements of every sample are written
	three, err := model.NewTensor(model.Int64, []int{2}, []int{1}, 0, model.BytesStorage([]byte{3, 15: 0}))
	if err != nil {
		t.Fatal(err)
	}
	places := &Value{Name: "places", DType: model.Int64, Shape: graph.Sizes(2)}
	p.Weights = append(p.Weights, Weight{Value: places, Name: "places", Tensor: three})
	p.add("aten.clone", "y", []int{4}, "x")
	p.add("aten.slice", "part", []int{2}, "x", int64(1), int64(0), int64(2))
	p.add("aten.index_put_", "z", []int{4}, "y", []*Value{nil, places}, "part")
	p.returns("z")
	expect(t, p.fixed(2).run(t), 2, 2, 3, 1, 6, 6, 7, 5)
	if d := p.Inputs[0].Shape[0]; d.Is(2) {
		t.Errorf("the batch stays %v", d)
	}
	mixing := map[string]func(p *program){
		"view":    func(p *program) { p.add("aten.view", "y", []int{2}, "x", []int64{4, 2}) },
		"softmax": func(p *program) { p.add("aten.softmax", "y", []int{4}, "x", int64(0)) },
		"flip":    func(p *program) { p.add("aten.flip", "y", []int{4}, "x", []int64{0}) },
		"sort":    func(p *program) { p.add("aten.sort", "y", []int{4}, "x", int64(0)) },
	}
	for name, add := range mixing {
		p := newProgram()
		add(p)
		p.returns("y")
		p.fixed(2)
		if name == "view" {
			p.values["y"].Shape[0] = graph.Size(4)
		}
		r, err := Convert(&p.Program, Options{})
		switch {
		case err != nil && name != "flip":
			t.Errorf("%s: %v", name, err)
		case err == nil && name != "view" && !r.Graph.Inputs[0].Shape[0].Is(2):
			t.Errorf("%s: the batch is %v", name, r.Graph.Inputs[0].Shape[0])
		}
	}
}
