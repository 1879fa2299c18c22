package graph_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"lethe/graph"
	"lethe/model"
)

func ExampleDim() {
	n := graph.Symbol("N")
	fmt.Println(n.Mul(graph.Size(12)).Div(graph.Size(4)))
	fmt.Println(n.Add(graph.Size(1)).CeilDiv(graph.Size(2)))
	// Output:
	// 3*N
	// -floor((-N - 1)/2)
}

func TestDim(t *testing.T) {
	n, h, size := graph.Symbol("N"), graph.Symbol("H"), graph.Size
	for _, c := range []struct {
		got  graph.Dim
		want string
	}{
		{size(3).Add(size(4)), "7"},
		{n.Add(n), "2*N"},
		{n.Sub(n), "0"},
		{n.Add(size(2)).Mul(n.Sub(size(2))), "N*N - 4"},
		{h.Mul(n).Sub(n.Mul(h)), "0"},
		{n.Mul(h).Div(n), "H"},
		{n.Mul(size(768)).Div(size(-768)), "-N"},
		{n.Mul(size(4)).Add(size(7)).Div(size(2)), "2*N + 3"},
		{n.Mul(size(3)).Div(size(2)), "floor((3*N)/2)"},
		{n.Add(h).Div(n.Add(h)), "1"},
		{n.Mod(size(2)), "N - 2*floor(N/2)"},
		{n.Max(size(1)).Sub(size(1).Max(n)), "0"},
		{n.Max(n.Add(size(1))), "N + 1"},
		{n.Min(n.Add(size(1))), "N"},
		{size(-7).Div(size(2)), "-4"},
		{size(-7).CeilDiv(size(2)), "-3"},
		{size(1).Div(size(0)), "9223372036854775807"},
		{n.Div(size(0)), "9223372036854775807"},
		{size(1 << 62).Mul(size(4)), "9223372036854775807"},
		{size(1 << 62).Add(size(1 << 62)), "9223372036854775807"},
		{n.Mul(h).Add(size(1)).Subst(map[string]graph.Dim{"N": size(2)}), "2*H + 1"},
		{n.Add(size(1)).Div(size(2)).Subst(map[string]graph.Dim{"N": size(4)}), "2"},
	} {
		if got := c.got.String(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
	mixed := n.Add(size(5)).Div(size(2)).Max(h).Min(n.Mul(n))
	for _, c := range []struct{ n, h, want int }{{2, 1, 3}, {2, 9, 4}, {10, 8, 8}, {10, 1, 7}} {
		if got, ok := mixed.Eval(map[string]int{"N": c.n, "H": c.h}); !ok || got != c.want {
			t.Errorf("%v at %d, %d: got %d, %v, want %d", mixed, c.n, c.h, got, ok, c.want)
		}
	}
	if _, ok := mixed.Eval(map[string]int{"N": 1}); ok {
		t.Error("an expression has a value without a value of H")
	}
	if name, ok := n.Symbol(); !ok || name != "N" {
		t.Errorf("got %q, %v", name, ok)
	}
	if _, ok := n.Add(size(1)).Symbol(); ok {
		t.Error("N + 1 is a symbol")
	}
}

// An expression does not grow without end, and stays equal to itself.
func TestDimBounded(t *testing.T) {
	grow := func() graph.Dim {
		d := graph.Symbol("a")
		for i := range 60 {
			d = d.Add(graph.Symbol(fmt.Sprint("s", i))).Mul(d).Add(graph.Size(1)).Div(graph.Size(3))
		}
		return d
	}
	d := grow()
	if len(d.String()) > 2000 {
		t.Errorf("the text has %d bytes", len(d.String()))
	}
	if !d.Equal(grow()) {
		t.Error("the same expression twice is not equal")
	}
}

// branch is a network with a constant, an If and a weight that is read inside.
func branch() *graph.Graph {
	arm := func(op string) graph.Attr {
		return graph.Subgraph(&graph.Graph{
			Name:    op,
			Nodes:   []graph.Node{{Op: op, Inputs: []string{"h", "w2"}, Outputs: []string{op + ".out"}}},
			Outputs: []graph.Value{{Name: op + ".out"}},
		})
	}
	return &graph.Graph{
		Name:      "branch",
		Inputs:    []graph.Value{graph.TensorValue("x", model.Float32, graph.Batch(4)), graph.TensorValue("flag", model.Bool, graph.Sizes())},
		Outputs:   []graph.Value{graph.TensorValue("y", model.Float32, graph.Batch(2))},
		Constants: map[string]*model.Tensor{"c": model.Float32Tensor([]int{1}, []float32{1}), "unused": model.Float32Tensor(nil, []float32{1})},
		Nodes: []graph.Node{
			{Name: "a", Op: "MatMul", Inputs: []string{"x", "w1"}, Outputs: []string{"p"}},
			{Name: "b", Op: "Add", Inputs: []string{"p", "c"}, Outputs: []string{"h"}},
			{Name: "dead", Op: "Relu", Inputs: []string{"h"}, Outputs: []string{"d"}},
			{Name: "if", Op: "If", Inputs: []string{"flag"}, Outputs: []string{"y"},
				Attrs: graph.Attrs{"then_branch": arm("Add"), "else_branch": arm("Mul")}},
		},
	}
}

func TestGraph(t *testing.T) {
	g := branch()
	if err := g.Check(); err != nil {
		t.Fatal(err)
	}
	if got := g.Weights(); !slices.Equal(got, []string{"w1", "w2"}) {
		t.Errorf("weights %q", got)
	}
	x := graph.NewIndex(g)
	if x.Maker("h").Name != "b" || x.Maker("x") != nil || len(x.Uses("h")) != 3 || x.Uses("y")[0].Node != nil {
		t.Errorf("makers and uses are wrong: %v", x.Uses("h"))
	}
	c := g.Clone()
	c.Replace("h", "p")
	c.Prune()
	if got := graph.NewIndex(c).Uses("p"); len(c.Nodes) != 2 || len(got) != 2 || len(c.Constants) != 0 {
		t.Errorf("after the rewriting %d nodes, uses of p %v, constants %v", len(c.Nodes), got, c.Constants)
	}
	if got := graph.NewIndex(g).Uses("h"); len(got) != 3 || len(g.Nodes) != 4 || len(g.Constants) != 2 {
		t.Error("the graph that was cloned changed")
	}
	g = branch()
	slices.Reverse(g.Nodes)
	if err := g.Check(); err == nil {
		t.Error("nodes in reverse order pass the check")
	}
	if err := g.Sort(); err != nil || g.Nodes[0].Name != "a" || g.Check() != nil {
		t.Errorf("sorting: %v, first %s", err, g.Nodes[0].Name)
	}
}

func TestCheckRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*graph.Graph){
		"is empty":              func(g *graph.Graph) { g.Inputs[0].Name = "" },
		"not UTF-8":             func(g *graph.Graph) { g.Nodes[0].Outputs[0] = "\xff" },
		`"x" is already taken`:  func(g *graph.Graph) { g.Nodes[0].Outputs[0] = "x" },
		`"c" is already taken`:  func(g *graph.Graph) { g.Nodes[0].Outputs[0] = "c" },
		"made by a later node":  func(g *graph.Graph) { g.Nodes[0].Inputs[0] = "h" },
		"is already taken":      func(g *graph.Graph) { g.Nodes[1].Outputs[0] = "p" },
		"nesting depth":         func(g *graph.Graph) { nest(g, 40) },
		"by way of other nodes": func(g *graph.Graph) { g.Nodes[0].Inputs[0] = "h" },
	} {
		g := branch()
		spoil(g)
		err := g.Check()
		if name == "by way of other nodes" {
			err = g.Sort()
		}
		var format *model.FormatError
		var limit *model.LimitError
		if !errors.As(err, &format) && !errors.As(err, &limit) || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %q", err, name)
		}
	}
}

func nest(g *graph.Graph, depth int) {
	for range depth {
		inner := &graph.Graph{}
		g.Nodes = append(g.Nodes, graph.Node{Op: "If", Attrs: graph.Attrs{"then_branch": graph.Subgraph(inner)}})
		g = inner
	}
}

func TestAttr(t *testing.T) {
	one := model.Float32Tensor(nil, []float32{1})
	all := []graph.Attr{{}, graph.Int(1), graph.Float(1), graph.String("1"), graph.Tensor(one), graph.Subgraph(&graph.Graph{Name: "g"}),
		graph.TypeOf(graph.Type{DType: model.Float32}), graph.Ints(1), graph.Floats(1), graph.Strings("1"), graph.Tensors(one), graph.Subgraphs(&graph.Graph{}),
		graph.TypesOf(graph.Type{}), graph.Ref(graph.IntAttr, "k"), graph.Ints(1, 2), graph.Int(2)}
	for i, a := range all {
		for j, b := range all {
			if a.Equal(b) != (i == j) {
				t.Errorf("%v equals %v: %v", a, b, i != j)
			}
		}
		if a.String() == "" {
			t.Errorf("attribute %d of kind %v has no text", i, a.Kind())
		}
	}
	n := graph.Node{Attrs: graph.Attrs{"i": graph.Int(3), "f": graph.Float(2), "s": graph.String("x"), "l": graph.Ints(1, 2), "r": graph.Ref(graph.IntAttr, "k")}}
	if n.Int("i", 0) != 3 || n.Int("f", 7) != 7 || n.Int("r", 7) != 7 || n.Float("f", 0) != 2 || n.String("s", "") != "x" || !slices.Equal(n.Ints("l"), []int{1, 2}) || !slices.Equal(n.Ints("no", 5), []int{5}) {
		t.Error("an accessor gives another value")
	}
}

func TestShape(t *testing.T) {
	if !graph.Batch(3, 4).Equal(graph.Shape{graph.Symbol("N"), graph.Size(3), graph.Size(4)}) || graph.Shape(nil).Equal(graph.Sizes()) {
		t.Error("shapes are equal that are not, or the other way round")
	}
	if got := graph.Batch(3, 4).Elements().String(); got != "12*N" {
		t.Errorf("a batch of 3x4 has %s elements", got)
	}
	if got, ok := graph.Sizes(2, 3).Ints(); !ok || !slices.Equal(got, []int{2, 3}) {
		t.Errorf("got %v, %v", got, ok)
	}
	if _, ok := graph.Batch(3).Ints(); ok {
		t.Error("a batch has sizes that are known")
	}
}

func TestForSamples(t *testing.T) {
	free := graph.Shape{graph.Symbol("N"), graph.Symbol("T"), graph.Size(4)}
	double := graph.Shape{graph.Symbol("N"), graph.Symbol("T").Mul(graph.Size(2))}
	for _, c := range []struct {
		input  graph.Shape
		sample []int
		want   string // "" if it does not fit
	}{
		{free, []int{7, 4}, "[N 7 4]"},
		{free, []int{1, 7, 4}, "[N 7 4]"},
		{free, []int{4}, "[N 1 4]"},
		{free, []int{7, 5}, ""},
		{free, []int{2, 7, 4}, ""},
		{graph.Batch(3, 4), []int{3, 4}, "[N 3 4]"},
		{graph.Shape{graph.Symbol("N"), graph.Symbol("S"), graph.Symbol("S")}, []int{5, 5}, "[N 5 5]"},
		{graph.Shape{graph.Symbol("N"), graph.Symbol("S"), graph.Symbol("S")}, []int{5, 6}, ""},
		{graph.Shape{graph.Symbol("N"), graph.Symbol("N")}, []int{5}, ""},
		{double, []int{6}, ""},
		{nil, []int{6}, ""},
	} {
		g := &graph.Graph{Inputs: []graph.Value{graph.TensorValue("x", model.Float32, c.input)},
			Types: map[string]graph.Type{"y": {DType: model.Float32, Shape: double}}}
		fixed, ok := g.ForSamples(c.sample)
		if ok != (c.want != "") || ok && fmt.Sprint(fixed.Inputs[0].Shape) != c.want {
			t.Errorf("%v with samples of %v: %v", c.input, c.sample, fixed)
		}
		if c.want == "[N 7 4]" && !fixed.Types["y"].Shape[1].Is(14) {
			t.Errorf("a value inside has shape %v", fixed.Types["y"].Shape)
		}
	}
}
