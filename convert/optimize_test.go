package convert_test

import (
	"errors"
	"math"
	"testing"

	"lethe/convert"
	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// TestOptimize compares a graph with what it becomes, node by node and in what it
// computes.
func TestOptimize(t *testing.T) {
	g, sd := pair(true)
	perm := func(p ...int64) graph.Attrs { return graph.Attrs{"perm": graph.Ints(p...)} }
	g.Nodes = append(g.Nodes[:2:2],
		graph.Node{Name: "id", Op: "Identity", Inputs: []string{"b"}, Outputs: []string{"i"}},
		graph.Node{Name: "t1", Op: "Transpose", Inputs: []string{"i"}, Outputs: []string{"t"}, Attrs: perm(0, 2, 3, 1)},
		graph.Node{Name: "drop", Op: "Dropout", Inputs: []string{"t"}, Outputs: []string{"d"}},
		graph.Node{Name: "t2", Op: "Transpose", Inputs: []string{"d"}, Outputs: []string{"u"}, Attrs: perm(0, 3, 1, 2)},
		graph.Node{Name: "t3", Op: "Transpose", Inputs: []string{"u"}, Outputs: []string{"v"}, Attrs: perm(0, 1, 3, 2)},
		graph.Node{Name: "t4", Op: "Transpose", Inputs: []string{"v"}, Outputs: []string{"w"}, Attrs: perm(0, 2, 1, 3)},
		graph.Node{Name: "relu", Op: "Relu", Inputs: []string{"w"}, Outputs: []string{"out"}},
	)
	g.Outputs[0] = graph.TensorValue("out", model.Float32, graph.Batch(2, 2, 2))
	before := len(g.Nodes)
	small, weights, err := convert.Optimize(g, sd)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range small.Nodes {
		got = append(got, n.Op)
	}
	if len(got) != 3 || got[0] != "Conv" || got[1] != "Transpose" || got[2] != "Relu" {
		t.Fatalf("%d nodes became %v", before, got)
	}
	if weights.Len() != 2 || len(g.Nodes) != before || sd.Get("bn.weight") == nil {
		t.Errorf("weights %q, or the graph that was given changed", weights.Names())
	}
	x := map[string]*ops.Tensor{"input": ops.Float32s([]int{1, 1, 2, 2}, []float32{1, -2, 3, 0.5})}
	want, err := ops.Run(t.Context(), g, sd, x, ops.Options{})
	if err != nil {
		t.Fatal(err)
	}
	have, err := ops.Run(t.Context(), small, weights, x, ops.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := want["out"].Float64s()
	b, _ := have["out"].Float64s()
	for i := range a {
		if math.Abs(a[i]-b[i]) > 1e-5*(1+math.Abs(a[i])) {
			t.Errorf("%v became %v", a, b)
		}
	}
}

// TestOptimizeKeeps has nodes that look as if they did nothing.
func TestOptimizeKeeps(t *testing.T) {
	for name, n := range map[string]graph.Node{
		"in training mode": {Name: "n", Op: "Dropout", Inputs: []string{"input", "ratio", "mode"}, Outputs: []string{"out"}},
		"the output":       {Name: "n", Op: "Identity", Inputs: []string{"input"}, Outputs: []string{"out"}},
		"another domain":   {Name: "n", Op: "Identity", Domain: "mine", Inputs: []string{"input"}, Outputs: []string{"out"}},
	} {
		g := &graph.Graph{Opsets: map[string]int{"": 17, "mine": 1}, Inputs: []graph.Value{graph.TensorValue("input", model.Float32, graph.Batch(2)), graph.TensorValue("mode", model.Bool, graph.Shape{}), graph.TensorValue("ratio", model.Float32, graph.Shape{})},
			Outputs: []graph.Value{graph.TensorValue("out", model.Float32, graph.Batch(2))}, Nodes: []graph.Node{n}}
		sd, _ := model.NewStateDict()
		small, _, err := convert.Optimize(g, sd)
		if name == "another domain" && err != nil {
			continue // what is not known is refused
		}
		if err != nil || len(small.Nodes) != 1 {
			t.Errorf("%s: %v, %v", name, small, err)
		}
	}
	g, sd := pair(true)
	sd = sd.With("conv.weight", typed(t, model.BFloat16, 2, 1, 1, 1))
	var u *model.UnsupportedError
	if _, _, err := convert.FoldWeights(g, sd); !errors.As(err, &u) {
		t.Errorf("bfloat16: %v", err)
	}
}
