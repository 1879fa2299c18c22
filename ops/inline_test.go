package ops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"lethe/graph"
	"lethe/model"
)

func subgraph(inputs, outputs []string, nodes ...graph.Node) graph.Attr {
	g := &graph.Graph{Nodes: nodes}
	for _, name := range inputs {
		g.Inputs = append(g.Inputs, graph.Value{Name: name})
	}
	for _, name := range outputs {
		g.Outputs = append(g.Outputs, graph.Value{Name: name})
	}
	return graph.Subgraph(g)
}

// inlined are graphs with an input x of shape [N, 3, 2] and one output y that have
// nothing left to inline afterwards.
func inlined(t *testing.T) map[string]*graph.Graph {
	truth := func(v bool) *Tensor { return Bools(nil, []bool{v}) }
	all := map[string]*graph.Graph{}
	add := func(name string, opset int, tensors map[string]*Tensor, nodes ...graph.Node) *graph.Graph {
		all[name] = &graph.Graph{
			Opsets:    map[string]int{"": opset},
			Inputs:    []graph.Value{graph.TensorValue("x", model.Float32, graph.Batch(3, 2))},
			Nodes:     nodes,
			Outputs:   []graph.Value{{Name: "y"}},
			Constants: constants(t, tensors),
		}
		return all[name]
	}
	arms := graph.Attrs{
		"then_branch": subgraph(nil, []string{"a"}, apply("Neg", "x", "a", nil)),
		"else_branch": subgraph(nil, []string{"a"}, apply("Exp", "x", "e", nil), apply("Add", "e x", "a", nil)),
	}
	add("then", 17, map[string]*Tensor{"c": truth(true)}, apply("If", "c", "y", arms))
	add("else", 17, map[string]*Tensor{"c": truth(false)}, apply("If", "c", "y", arms))
	add("a condition of sizes", 17, map[string]*Tensor{"one": i64(nil, 1), "three": i64(nil, 3)},
		apply("Shape", "x", "s", nil), apply("Gather", "s one", "h", nil), apply("Equal", "h three", "c", nil), apply("If", "c", "y", arms))
	add("twice the same names", 17, map[string]*Tensor{"c": truth(true), "d": truth(false)},
		apply("If", "c", "p", arms), apply("If", "d", "q", arms), apply("Add", "p q", "y", nil))
	add("a branch that is a value outside", 17, map[string]*Tensor{"c": truth(true)},
		apply("If", "c", "y", graph.Attrs{"then_branch": subgraph(nil, []string{"x"}), "else_branch": subgraph(nil, []string{"x"})}))
	nested := graph.Attrs{
		"then_branch": subgraph(nil, []string{"b"}, apply("Sin", "x", "z", nil), apply("If", "c", "b", graph.Attrs{
			"then_branch": subgraph(nil, []string{"i"}, apply("Mul", "z x", "i", nil)),
			"else_branch": subgraph(nil, []string{"i"}, apply("Neg", "x", "i", nil)),
		})),
		"else_branch": subgraph(nil, []string{"b"}, apply("Neg", "x", "b", nil)),
	}
	add("nested", 17, map[string]*Tensor{"c": truth(true)}, apply("If", "c", "y", nested))
	constant := subgraph(nil, []string{"b"}, apply("Mul", "x two", "b", nil))
	constant.Graph().Constants = constants(t, map[string]*Tensor{"two": scalar(2)})
	add("a constant inside", 17, map[string]*Tensor{"c": truth(true)}, apply("If", "c", "y", graph.Attrs{"then_branch": constant, "else_branch": constant}))

	for _, opset := range []int{11, 17} {
		add(fmt.Sprint("Loop, opset ", opset), opset, map[string]*Tensor{"n": i64(nil, 3), "c": truth(true)},
			apply("Loop", "n c x", "last all", graph.Attrs{"body": subgraph([]string{"i", "c0", "v"}, []string{"c1", "w", "s"},
				apply("Identity", "c0", "c1", nil), apply("Cast", "i", "f", graph.Attrs{"to": graph.Int(1)}),
				apply("Add", "v f", "u", nil), apply("Tanh", "u", "w", nil), apply("Mul", "w x", "s", nil))}),
			apply("ReduceSum", "all", "sum", graph.Attrs{"keepdims": graph.Int(0)}), apply("Add", "last sum", "y", nil))
	}
	add("a condition of the round", 17, map[string]*Tensor{"four": i64(nil, 4)},
		apply("Loop", "- - x", "y", graph.Attrs{"body": subgraph([]string{"i", "c0", "v"}, []string{"c1", "w"},
			apply("Less", "i four", "c1", nil), apply("Sin", "v", "w", nil))}))
	add("a Loop of no rounds", 17, map[string]*Tensor{"n": i64(nil, 0), "c": truth(true)},
		apply("Loop", "n c x", "y", graph.Attrs{"body": subgraph([]string{"i", "c0", "v"}, []string{"c0", "w"}, apply("Sin", "v", "w", nil))}))
	scan := func(name string, attrs graph.Attrs, sum string) {
		attrs["num_scan_inputs"] = graph.Int(1)
		attrs["body"] = subgraph([]string{"h", "v"}, []string{"g", "o"},
			apply("Add", "h v", "u", nil), apply("Tanh", "u", "g", nil), apply("Mul", "g v", "o", nil))
		add(name, 17, map[string]*Tensor{"axis": i64([]int{1}, 1), "last": i64([]int{1}, 2)},
			apply("ReduceMean", "x", "start", graph.Attrs{"axes": graph.Ints(1), "keepdims": graph.Int(0)}),
			apply("Scan", "start x", "h1 all", attrs), apply("Unsqueeze", "h1 "+sum, "h2", nil), apply("Add", "h2 all", "y", nil))
	}
	scan("Scan", graph.Attrs{"scan_input_axes": graph.Ints(1), "scan_output_axes": graph.Ints(1)}, "axis")
	scan("Scan backwards", graph.Attrs{"scan_input_axes": graph.Ints(-2), "scan_input_directions": graph.Ints(1), "scan_output_axes": graph.Ints(-1), "scan_output_directions": graph.Ints(1)}, "last")

	g := add("functions", 17, map[string]*Tensor{"c": truth(false)},
		graph.Node{Name: "p", Domain: "own", Op: "Scaled", Inputs: []string{"x", "x"}, Outputs: []string{"p"}},
		graph.Node{Name: "q", Domain: "own", Op: "Scaled", Inputs: []string{"p"}, Outputs: []string{"y"}, Attrs: graph.Attrs{"slope": graph.Float(3)}})
	g.Functions = []graph.Function{{Domain: "own", Name: "Scaled", Inputs: []string{"p", "r"}, Outputs: []string{"x"}, Opsets: map[string]int{"": 17, "own": 1},
		Defaults: graph.Attrs{"slope": graph.Float(0.5)},
		// x and p are names outside too, of other values.
		Nodes: []graph.Node{apply("LeakyRelu", "p", "c", graph.Attrs{"alpha": graph.Ref(graph.FloatAttr, "slope")}), apply("Add", "c p", "x", nil)}}}
	return all
}

// What is written out computes the same, bit by bit, and nothing is left to choose.
func TestInline(t *testing.T) {
	for name, g := range inlined(t) {
		before := fmt.Sprint(g.Nodes)
		flat, err := Inline(g, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, n := range flat.Nodes {
			if len(slices.Collect(n.Subgraphs())) > 0 || n.Domain != "" {
				t.Errorf("%s: %s is left", name, n.Label())
			}
		}
		if after := fmt.Sprint(g.Nodes); after != before {
			t.Errorf("%s: the graph that was given changed", name)
		}
		x := map[string]*Tensor{"x": f32([]int{2, 3, 2}, 0.1, -0.2, 0.3, 0.5, -0.7, 0.4, 1.5, -1.2, 0.9, -0.3, 0.2, 0.6)}
		want, err := Run(context.Background(), g, nil, x, Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := Run(context.Background(), flat, nil, x, Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		a, _ := got["y"].Float64s()
		b, _ := want["y"].Float64s()
		if !slices.Equal(a, b) || !slices.Equal(got["y"].Shape(), want["y"].Shape()) {
			t.Errorf("%s: got %v of shape %v, want %v of shape %v", name, a, got["y"].Shape(), b, want["y"].Shape())
		}
	}
}

// What depends on data stays, in a body that is written too, and what would be
// endless or too long is not written.
func TestInlineKeeps(t *testing.T) {
	all := inlined(t)
	flag := graph.TensorValue("flag", model.Bool, graph.Sizes())
	body := subgraph([]string{"i", "c0", "v"}, []string{"c0", "w"}, apply("Sin", "v", "w", nil))
	loop := func(n int) *graph.Graph {
		g := all["a Loop of no rounds"].Clone()
		g.Constants["n"] = constants(t, map[string]*Tensor{"n": i64(nil, int64(n))})["n"]
		return g
	}
	inside := all["nested"].Clone()
	inside.Inputs = append(inside.Inputs, flag)
	inside.Nodes[0].Attrs["then_branch"].Graph().Nodes[1].Inputs[0] = "flag"
	endless := loop(1)
	endless.Nodes = []graph.Node{apply("Loop", "- - x", "y", graph.Attrs{"body": body})}
	data := loop(1)
	data.Inputs = append(data.Inputs, graph.TensorValue("m", model.Int64, graph.Sizes()))
	data.Nodes[0].Inputs[0] = "m"
	of := all["functions"].Clone()
	of.Functions[0].Opsets = map[string]int{"": 13}
	for name, g := range map[string]*graph.Graph{"inside": inside, "endless": endless, "data": data, "rounds": loop(MostRounds + 1), "another opset": of} {
		flat, err := Inline(g, nil)
		if err != nil || !slices.ContainsFunc(flat.Nodes, func(n graph.Node) bool { return len(slices.Collect(n.Subgraphs())) > 0 || n.Domain != "" }) {
			t.Errorf("%s: nothing is left, or %v", name, err)
			continue
		}
		if name == "endless" || name == "rounds" {
			continue
		}
		x := map[string]*Tensor{"x": f32([]int{1, 3, 2}, 0.1, -0.2, 0.3, 0.5, -0.7, 0.4), "flag": Bools(nil, []bool{true}), "m": i64(nil, 2)}
		want, err := Run(context.Background(), g, nil, x, Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := Run(context.Background(), flat, nil, x, Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		a, _ := got["y"].Float64s()
		if b, _ := want["y"].Float64s(); !slices.Equal(a, b) {
			t.Errorf("%s: got %v, want %v", name, a, b)
		}
	}
	if flat, err := Inline(loop(MostRounds), nil); err != nil || len(flat.Nodes) != MostRounds+1 {
		t.Errorf("a loop of as many rounds as may be: %v", err)
	}

	// Loops in loops have more nodes than are written.
	outer := loop(MostRounds)
	outer.Nodes[0].Attrs = graph.Attrs{"body": subgraph([]string{"i", "c0", "v"}, []string{"c0", "w"}, apply("Loop", "n c v", "w", graph.Attrs{"body": body}))}
	var limit *model.LimitError
	if _, err := Inline(outer, nil); !errors.As(err, &limit) {
		t.Errorf("loops in loops: %v", err)
	}
	if plain := all["then"].Clone(); true {
		plain.Nodes = []graph.Node{apply("Neg", "x", "y", nil)}
		if flat, err := Inline(plain, nil); err != nil || flat != plain {
			t.Errorf("a graph with nothing to inline is another one, %v", err)
		}
	}
}
