package ops

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"lethe/graph"
	"lethe/model"
)

func apply(op, inputs, outputs string, attrs graph.Attrs) graph.Node {
	split := func(s string) []string {
		names := strings.Split(s, " ")
		for i, name := range names {
			if name == "-" {
				names[i] = ""
			}
		}
		if s == "" {
			return nil
		}
		return names
	}
	return graph.Node{Name: op + "_" + outputs, Op: op, Inputs: split(inputs), Outputs: split(outputs), Attrs: attrs}
}

func constants(t testing.TB, tensors map[string]*Tensor) map[string]*model.Tensor {
	t.Helper()
	out := map[string]*model.Tensor{}
	for name, x := range tensors {
		m, err := x.Model()
		if err != nil {
			t.Fatal(err)
		}
		out[name] = m
	}
	return out
}

func TestCheckListsAll(t *testing.T) {
	g := &graph.Graph{Nodes: []graph.Node{
		apply("Relu", "x", "a", nil), {Name: "first", Op: "Warp", Inputs: []string{"a"}, Outputs: []string{"b"}},
		{Name: "other", Domain: "com.example", Op: "Relu", Inputs: []string{"b"}, Outputs: []string{"c"}},
		{Name: "if", Op: "If", Inputs: []string{"f"}, Outputs: []string{"d"}, Attrs: graph.Attrs{
			"then_branch": graph.Subgraph(&graph.Graph{Nodes: []graph.Node{{Name: "inner", Op: "Warp", Outputs: []string{"e"}}}}),
			"else_branch": graph.Subgraph(&graph.Graph{})}},
	}}
	err := Check(g)
	var unsupported *model.UnsupportedError
	want := `2 operators that are not supported: Warp (2 times, first in node "first"), com.example.Relu (in node "other")`
	if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// The arithmetic that exporters write around Reshape, for a batch of any size.
func TestInferFoldsShapes(t *testing.T) {
	cat := graph.Attrs{"axis": graph.Int(0)}
	for _, c := range []struct {
		name      string
		nodes     []graph.Node
		constants map[string]*Tensor
		want      string
	}{
		{"torch.flatten", []graph.Node{
			apply("Shape", "x", "s", nil), apply("Gather", "s zero", "n", nil), apply("Unsqueeze", "n axis0", "n1", nil),
			apply("Concat", "n1 minus", "t", cat), apply("Reshape", "x t", "y", nil),
		}, map[string]*Tensor{"zero": i64(nil, 0), "axis0": list(0), "minus": list(-1)}, "[N 48]"},
		{"windows of a transformer", []graph.Node{
			apply("Shape", "x", "s", nil), apply("Gather", "s two", "h", nil), apply("Div", "h win", "hw", nil),
			apply("Unsqueeze", "hw axis0", "hw1", nil), apply("Slice", "s zero1 one1 axis0", "n", nil),
			apply("Concat", "n c hw1 win1 minus", "t", cat), apply("Reshape", "x t", "y", nil),
		}, map[string]*Tensor{"two": i64(nil, 2), "win": i64(nil, 2), "win1": list(2), "axis0": list(0), "zero1": list(0), "one1": list(1),
			"c": list(3), "minus": list(-1)}, "[N 3 2 2 4]"},
		{"tokens and a class token", []graph.Node{
			apply("Shape", "x", "s", nil), apply("Slice", "s zero1 one1", "n", nil), apply("Concat", "n minus12", "t", cat),
			apply("ConstantOfShape", "three", "ones", graph.Attrs{"value": tensorAttr(t, list(1))}),
			apply("Mul", "ones negative", "minusones", nil), apply("Equal", "t minusones", "keep", nil), apply("Where", "keep ones t", "e", nil),
			apply("Expand", "token e", "tokens", nil), apply("Reshape", "x flat", "z", nil), apply("Concat", "tokens z", "y", graph.Attrs{"axis": graph.Int(1)}),
		}, map[string]*Tensor{"zero1": list(0), "one1": list(1), "minus12": list(-1, 12), "three": list(3), "negative": i64(nil, -1),
			"token": count(1, 1, 12), "flat": list(0, 4, -1)}, "[N 5 12]"},
		{"a size by a cast and a product", []graph.Node{
			apply("Shape", "x", "s", nil), apply("ReduceProd", "s", "all", graph.Attrs{"keepdims": graph.Int(0)}), apply("Cast", "all", "p", graph.Attrs{"to": graph.Int(7)}),
			apply("Div", "p twelve", "q", nil), apply("Unsqueeze", "q axis0", "q1", nil), apply("Concat", "q1 twelve1", "t", cat), apply("Reshape", "x t", "y", nil),
		}, map[string]*Tensor{"twelve": i64(nil, 12), "twelve1": list(12), "axis0": list(0)}, "[4*N 12]"},
		{"convolution and pooling", []graph.Node{
			apply("Conv", "x w", "a", graph.Attrs{"strides": graph.Ints(2, 2), "pads": graph.Ints(1, 1, 1, 1)}),
			apply("GlobalAveragePool", "a", "b", nil), apply("Flatten", "b", "y", nil),
		}, map[string]*Tensor{"w": count(8, 3, 3, 3)}, "[N 8]"},
		{"heads", []graph.Node{
			apply("Reshape", "x t", "a", nil), apply("Transpose", "a", "b", graph.Attrs{"perm": graph.Ints(0, 2, 1, 3)}),
			apply("MatMul", "b w", "c", nil), apply("Split", "c", "y y2", graph.Attrs{"axis": graph.Int(-1)}),
		}, map[string]*Tensor{"t": list(0, 4, 4, 3), "w": count(3, 10)}, "[N 4 4 5]"},
		{"a sequence as long as the batch", []graph.Node{
			apply("Shape", "x", "s", nil), apply("Gather", "s zero", "n", nil), apply("Range", "zero n one", "y", nil),
		}, map[string]*Tensor{"zero": i64(nil, 0), "one": i64(nil, 1)}, "[N]"},
	} {
		g := &graph.Graph{
			Inputs:  []graph.Value{graph.TensorValue("x", model.Float32, graph.Batch(3, 4, 4))},
			Outputs: []graph.Value{{Name: "y"}}, Nodes: c.nodes, Constants: constants(t, c.constants),
		}
		facts, err := Infer(g, nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := fmt.Sprint(facts.Type("y").Shape); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
		got, err := Run(context.Background(), g, nil, map[string]*Tensor{"x": count(2, 3, 4, 4)}, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for i, d := range facts.Type("y").Shape {
			if n, ok := d.Eval(map[string]int{"N": 2}); !ok || n != got["y"].Shape()[i] {
				t.Errorf("%s: inferred %v, but with two samples it is %v", c.name, facts.Type("y").Shape, got["y"].Shape())
			}
		}
		folded, err := Fold(g, nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		again, err := Run(context.Background(), folded, nil, map[string]*Tensor{"x": count(2, 3, 4, 4)}, Options{})
		if err != nil || !slices.Equal(again["y"].Shape(), got["y"].Shape()) || len(folded.Nodes) > len(g.Nodes) {
			t.Errorf("%s: after folding %v, %v", c.name, again, err)
		}
	}
}

func tensorAttr(t testing.TB, x *Tensor) graph.Attr {
	t.Helper()
	m, err := x.Model()
	if err != nil {
		t.Fatal(err)
	}
	return graph.Tensor(m)
}

func TestFold(t *testing.T) {
	g := &graph.Graph{
		Inputs:  []graph.Value{graph.TensorValue("x", model.Float32, graph.Sizes(2))},
		Outputs: []graph.Value{{Name: "y"}},
		Nodes: []graph.Node{
			apply("Constant", "", "two", graph.Attrs{"value_float": graph.Float(2)}),
			apply("Sqrt", "two", "root", nil), apply("Neg", "w", "minus", nil),
			apply("Mul", "x root", "a", nil), apply("Add", "a minus", "y", nil), apply("Relu", "a", "dead", nil),
		},
	}
	sd, err := model.NewStateDict(model.Entry{Name: "w", Tensor: model.Float32Tensor([]int{2}, []float32{1, 2})})
	if err != nil {
		t.Fatal(err)
	}
	folded, err := Fold(g, sd)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, n := range folded.Nodes {
		left = append(left, n.Op)
	}
	if !slices.Equal(left, []string{"Neg", "Mul", "Add"}) || len(folded.Constants) != 1 || len(g.Nodes) != 6 {
		t.Errorf("nodes %v, constants %v: a weight must stay one", left, folded.Constants)
	}
	got, err := Run(context.Background(), folded, sd, map[string]*Tensor{"x": f32([]int{2}, 1, 1)}, Options{})
	if err != nil || !is(got["y"], []int{2}, math.Sqrt2-1, math.Sqrt2-2) {
		t.Errorf("got %v, %v", got, err)
	}
}

// Contradicting shapes name the node and both shapes.
func TestInferContradictions(t *testing.T) {
	for _, c := range []struct {
		n    graph.Node
		text []string
	}{
		{apply("Add", "x w", "y", nil), []string{"Add_y", "[N 3 4 4]", "[5]"}},
		{apply("MatMul", "x w2", "y", nil), []string{"MatMul_y", "[N 3 4 4]", "[5 2]"}},
		{apply("Conv", "x k", "y", nil), []string{"Conv_y", "[N 3 4 4]", "[8 2 3 3]"}},
		{apply("Reshape", "x t", "y", nil), []string{"Reshape_y", "[N 3 4 4]", "[N 7]"}},
		{apply("BatchNormalization", "x w w w w", "y", nil), []string{"BatchNormalization_y", "[N 3 4 4]", "[5]"}},
		{apply("Concat", "x w", "y", graph.Attrs{"axis": graph.Int(0)}), []string{"Concat_y", "[N 3 4 4]", "[5]"}},
		{apply("Gemm", "m w2", "y", nil), []string{"Gemm_y", "[3 4]", "[5 2]"}},
	} {
		g := &graph.Graph{
			Inputs:  []graph.Value{graph.TensorValue("x", model.Float32, graph.Batch(3, 4, 4)), graph.TensorValue("m", model.Float32, graph.Sizes(3, 4))},
			Outputs: []graph.Value{{Name: "y"}}, Nodes: []graph.Node{c.n},
			Constants: constants(t, map[string]*Tensor{"w": count(5), "w2": count(5, 2), "k": count(8, 2, 3, 3), "t": list(0, 7)}),
		}
		_, err := Infer(g, nil)
		var format *model.FormatError
		if !errors.As(err, &format) || slices.ContainsFunc(c.text, func(s string) bool { return !strings.Contains(err.Error(), s) }) {
			t.Errorf("%s: got %v, want %q", c.n.Op, err, c.text)
		}
	}
}

func TestRunNamesNaN(t *testing.T) {
	g := &graph.Graph{
		Inputs: []graph.Value{graph.TensorValue("x", model.Float32, graph.Sizes(2))}, Outputs: []graph.Value{{Name: "y"}},
		Nodes: []graph.Node{apply("Neg", "x", "a", nil), apply("Log", "a", "b", nil), apply("Relu", "b", "y", nil)},
	}
	in := map[string]*Tensor{"x": f32([]int{2}, 1, -1)}
	if _, err := Run(context.Background(), g, nil, in, Options{}); err != nil {
		t.Fatal(err)
	}
	_, err := Run(context.Background(), g, nil, in, Options{StopAtNaN: true})
	var nan *NaNError
	if !errors.As(err, &nan) || nan.Node != "Log_b" {
		t.Errorf("got %v, want the node Log_b", err)
	}
	in["x"] = f32([]int{2}, float32(math.NaN()), -1)
	if _, err := Run(context.Background(), g, nil, in, Options{StopAtNaN: true}); err != nil {
		t.Errorf("a NaN of the input is blamed on a node: %v", err)
	}
}

func TestRunChecksInputs(t *testing.T) {
	g := &graph.Graph{
		Inputs: []graph.Value{graph.TensorValue("x", model.Float32, graph.Batch(2)), graph.TensorValue("z", model.Float32, graph.Batch(1))},
		Nodes:  []graph.Node{apply("Add", "x z", "y", nil)}, Outputs: []graph.Value{{Name: "y"}},
	}
	for _, c := range []struct {
		x, z *Tensor
		text string
	}{
		{nil, count(3, 1), "no value is given"},
		{list(1), count(3, 1), "int64 of shape [1]"},
		{count(3, 1), count(3, 1), "takes float32 of shape [N 2]"},
		{count(3, 2), count(4, 1), "takes float32 of shape [N 1]"},
	} {
		in := map[string]*Tensor{"z": c.z}
		if c.x != nil {
			in["x"] = c.x
		}
		if _, err := Run(context.Background(), g, nil, in, Options{}); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("got %v, want %q", err, c.text)
		}
	}
}

// A value lives until its last use and no longer.
func TestRunLetsGo(t *testing.T) {
	g := &graph.Graph{Inputs: []graph.Value{graph.TensorValue("x", model.Float32, graph.Sizes(2))}, Outputs: []graph.Value{{Name: "y"}},
		Nodes: []graph.Node{apply("Relu", "x", "a", nil), apply("Neg", "a", "b", nil), apply("Add", "a b", "c", nil), apply("Abs", "c", "y", nil)}}
	r := newRunner(context.Background(), g, &model.StateDict{}, Options{})
	v := &values{own: map[string]*Tensor{"x": count(2)}, uses: countUses(g), made: map[string]int{}, sd: r.sd}
	for i, want := range []string{"a", "a b", "c", "y"} {
		if err := r.eval(&g.Nodes[i], v); err != nil {
			t.Fatal(err)
		}
		var alive []string
		for name := range v.own {
			alive = append(alive, name)
		}
		slices.Sort(alive)
		if got := strings.Join(alive, " "); got != want {
			t.Errorf("after node %d, %q are held, want %q", i, got, want)
		}
	}
	if r.live != 2 {
		t.Errorf("%d elements are held, want the 2 of the output", r.live)
	}

	// Many values at once are too much where each is not.
	hoard := &graph.Graph{Outputs: []graph.Value{{Name: "y"}}, Constants: constants(t, map[string]*Tensor{"n": list(1000)}),
		Nodes: []graph.Node{apply("ConstantOfShape", "n", "a", nil), apply("Neg", "a", "b", nil), apply("Sum", "a b", "y", nil)}}
	var limit *model.LimitError
	if _, err := Run(context.Background(), hoard, nil, nil, Options{Live: 2500}); !errors.As(err, &limit) {
		t.Errorf("three values of 1000 elements within a limit of 2500: %v", err)
	}
	if _, err := Run(context.Background(), hoard, nil, nil, Options{Live: 3000}); err != nil {
		t.Errorf("three values of 1000 elements within a limit of 3000: %v", err)
	}
}

func TestControlFlow(t *testing.T) {
	body := &graph.Graph{ // adds x to a sum, for as long as it is below 10
		Inputs:  []graph.Value{graph.TensorValue("i", model.Int64, graph.Sizes()), graph.TensorValue("c", model.Bool, graph.Sizes()), graph.TensorValue("s", model.Float32, graph.Sizes())},
		Nodes:   []graph.Node{apply("Add", "s x", "sum", nil), apply("Less", "sum ten", "more", nil), apply("Identity", "sum", "seen", nil)},
		Outputs: []graph.Value{{Name: "more"}, {Name: "sum"}, graph.TensorValue("seen", model.Float32, graph.Sizes())},
	}
	arm := func(op string) graph.Attr {
		return graph.Subgraph(&graph.Graph{Nodes: []graph.Node{apply(op, "x", op+"_out", nil)}, Outputs: []graph.Value{{Name: op + "_out"}}})
	}
	g := &graph.Graph{
		Inputs: []graph.Value{graph.TensorValue("x", model.Float32, graph.Sizes()), graph.TensorValue("flag", model.Bool, graph.Sizes())},
		Nodes: []graph.Node{
			apply("Loop", "count - zero", "last all", graph.Attrs{"body": graph.Subgraph(body)}),
			apply("If", "flag", "either", graph.Attrs{"then_branch": arm("Neg"), "else_branch": arm("Sqrt")}),
		},
		Outputs:   []graph.Value{{Name: "last"}, {Name: "all"}, {Name: "either"}},
		Constants: constants(t, map[string]*Tensor{"count": i64(nil, 100), "zero": scalar(0), "ten": scalar(10)}),
	}
	got, err := Run(context.Background(), g, nil, map[string]*Tensor{"x": scalar(4), "flag": Bools(nil, []bool{false})}, Options{})
	if err != nil || !is(got["last"], []int{}, 12) || !is(got["all"], []int{3}, 4, 8, 12) || !is(got["either"], []int{}, 2) {
		t.Errorf("got %v, %v", got, err)
	}
	facts, err := Infer(g, nil)
	if err != nil || fmt.Sprint(facts.Type("either").Shape) != "[]" {
		t.Errorf("either branch gives %v, %v", facts.Type("either"), err)
	}

	// A loop without an end is ended, also if its body has no nodes.
	endless := &graph.Graph{
		Nodes: []graph.Node{apply("Loop", "- yes", "", graph.Attrs{"body": graph.Subgraph(&graph.Graph{
			Inputs:  []graph.Value{graph.TensorValue("i", model.Int64, nil), graph.TensorValue("c", model.Bool, nil)},
			Outputs: []graph.Value{{Name: "yes"}},
		})})},
		Constants: constants(t, map[string]*Tensor{"yes": Bools(nil, []bool{true})}),
	}
	var limit *model.LimitError
	if _, err := Run(context.Background(), endless, nil, nil, Options{Nodes: 1000}); !errors.As(err, &limit) {
		t.Errorf("an endless loop: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, g, nil, map[string]*Tensor{"x": scalar(4), "flag": Bools(nil, []bool{false})}, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled evaluation: %v", err)
	}
}

// Functions are evaluated with the attributes of the node that calls them, and
// those that call themselves end.
func TestFunctions(t *testing.T) {
	f := graph.Function{Domain: "own", Name: "Scaled", Inputs: []string{"a"}, Outputs: []string{"b"}, Opsets: map[string]int{"": 17},
		Defaults: graph.Attrs{"slope": graph.Float(0.5)},
		Nodes:    []graph.Node{apply("LeakyRelu", "a", "b", graph.Attrs{"alpha": graph.Ref(graph.FloatAttr, "slope")})}}
	call := func(out string, attrs graph.Attrs) graph.Node {
		n := apply("Scaled", "x", out, attrs)
		n.Domain = "own"
		return n
	}
	g := &graph.Graph{Inputs: []graph.Value{graph.TensorValue("x", model.Float32, graph.Batch())}, Outputs: []graph.Value{{Name: "p"}, {Name: "q"}},
		Nodes: []graph.Node{call("p", nil), call("q", graph.Attrs{"slope": graph.Float(3)})}, Functions: []graph.Function{f}}
	got, err := Run(context.Background(), g, nil, map[string]*Tensor{"x": f32([]int{1}, -2)}, Options{})
	if err != nil || !is(got["p"], []int{1}, -1) || !is(got["q"], []int{1}, -6) {
		t.Errorf("got %v, %v", got, err)
	}
	if facts, err := Infer(g, nil); err != nil || fmt.Sprint(facts.Type("q").Shape) != "[N]" {
		t.Errorf("inferred %v, %v", facts.Type("q").Shape, err)
	}
	inner := call("b", nil)
	inner.Inputs = []string{"a"}
	g.Functions[0].Nodes = []graph.Node{inner}
	g.Functions[0].Opsets["own"] = 1
	var limit *model.LimitError
	if _, err := Run(context.Background(), g, nil, map[string]*Tensor{"x": f32([]int{1}, -2)}, Options{}); !errors.As(err, &limit) {
		t.Errorf("a function that calls itself: %v", err)
	}
	if _, err := Infer(g, nil); !errors.As(err, &limit) {
		t.Errorf("the inference of a function that calls itself: %v", err)
	}
}

func TestRoles(t *testing.T) {
	g := &graph.Graph{Inputs: []graph.Value{graph.TensorValue("x", model.Float32, graph.Batch(2))}, Outputs: []graph.Value{{Name: "y"}},
		Nodes: []graph.Node{
			apply("BatchNormalization", "x scale bias mean var", "a", nil), apply("Clip", "a lo hi", "b", nil),
			apply("Transpose", "w", "wt", nil), apply("MatMul", "b wt", "c", nil), apply("Add", "c bias2", "y", nil),
		}}
	if got := Parameters(g); !slices.Equal(got, []string{"scale", "bias", "w", "bias2"}) {
		t.Errorf("parameters %q", got)
	}
	if got := Buffers(g); !slices.Equal(got, []string{"mean", "var", "lo", "hi"}) {
		t.Errorf("buffers %q", got)
	}
	if got, err := LastLayer(g); err != nil || !slices.Equal(got, []string{"w", "bias2"}) {
		t.Errorf("last layer %q, %v", got, err)
	}
	if RoleOf(g, &g.Nodes[0], 4) != Statistic || RoleOf(g, &g.Nodes[0], 1) != Weight || RoleOf(g, &g.Nodes[1], 1) != Constant {
		t.Error("roles of inputs are wrong")
	}
	g.Outputs[0].Name = "b"
	if _, err := LastLayer(g); err == nil {
		t.Error("a Clip is a last layer")
	}
}

// The table has every operator once, and every operator is a file.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, op := range Operators() {
		if key := op.Domain + "." + op.Name; seen[key] {
			t.Errorf("%s is in the table twice", key)
		} else {
			seen[key] = true
		}
		if _, err := os.Stat(strings.ToLower(op.Name) + ".go"); err != nil {
			t.Errorf("%s has no file of its own: %v", op.Name, err)
		}
		if (op.eval == nil) == (op.body == nil) {
			t.Errorf("%s is evaluated in no way, or in two", op.Name)
		}
	}
	if len(seen) < 110 {
		t.Errorf("%d operators", len(seen))
	}
}
