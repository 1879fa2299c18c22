package ops

import (
	"testing"

	"lethe/graph"
	"lethe/model"
)

// Two branches that meet again can only be divided before they part or where they
// have met.
func TestDivide(t *testing.T) {
	weight := func(shape ...int) *model.Tensor {
		n, _ := model.Elements(shape)
		return model.Float32Tensor(shape, make([]float32, n))
	}
	sd, err := model.NewStateDict(
		model.Entry{Name: "first", Tensor: weight(4, 3)}, model.Entry{Name: "left", Tensor: weight(4, 4)},
		model.Entry{Name: "right", Tensor: weight(4, 4)}, model.Entry{Name: "last", Tensor: weight(2, 4)})
	if err != nil {
		t.Fatal(err)
	}
	gemm := func(in, weight, out string) graph.Node {
		return graph.Node{Op: "Gemm", Inputs: []string{in, weight}, Outputs: []string{out}, Attrs: map[string]graph.Attr{"transB": graph.Int(1)}}
	}
	g := &graph.Graph{
		Inputs:  []graph.Value{graph.TensorValue("x", model.Float32, graph.Batch(3))},
		Outputs: []graph.Value{graph.TensorValue("y", model.Float32, nil)},
		Nodes: []graph.Node{gemm("x", "first", "a"), {Op: "Relu", Inputs: []string{"a"}, Outputs: []string{"b"}}, gemm("b", "left", "c"), gemm("b", "right", "d"),
			{Op: "Add", Inputs: []string{"c", "d"}, Outputs: []string{"e"}}, gemm("e", "last", "y")},
	}
	if got := Products(g, sd); got != 3*4+2*4*4+4*2 {
		t.Errorf("%v products, want 52", got)
	}
	for _, test := range []struct {
		moves string
		at    string // "": not at all
	}{{"first", ""}, {"left", "b"}, {"right", "b"}, {"last", "e"}} {
		d, ok := Divide(g, sd, []string{test.moves})
		if ok != (test.at != "") {
			t.Errorf("%s: ok is %v", test.moves, ok)
		}
		if !ok {
			continue
		}
		if got := d.Behind.Inputs[0]; got.Name != test.at || len(got.Shape) != 2 || !got.Shape[1].Is(4) || got.Shape[0].Fixed() {
			t.Errorf("%s: the rest takes %v of shape %v, want %s", test.moves, got.Name, got.Shape, test.at)
		}
		if before, behind := Products(d.Before, sd), Products(d.Behind, sd); before+behind != 52 || d.ProductsBefore != before || d.ProductsBehind != behind {
			t.Errorf("%s: %v and %v products in the parts, %v and %v by the division", test.moves, before, behind, d.ProductsBefore, d.ProductsBehind)
		}
	}
}
