package network

import (
	"encoding/binary"
	"testing"

	"lethe/graph"
	"lethe/internal/weights"
	"lethe/model"
	"lethe/ops"
	"lethe/verify"
)

func whole(v, shape []int) *model.Tensor {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, uint64(x))
	}
	t, err := model.NewTensor(model.Int64, shape, nil, 0, model.BytesStorage(b))
	if err != nil {
		panic(err)
	}
	return t
}

// strided returns a network as exporters write one whose features are looked up in the
// whole batch: element (n, c) is element n*stride + first + c of all in a row.
func strided(stride, first int) (*graph.Graph, *model.StateDict) {
	node := func(op, out string, attrs graph.Attrs, in ...string) graph.Node {
		return graph.Node{Name: out, Op: op, Inputs: in, Outputs: []string{out}, Attrs: attrs}
	}
	g := &graph.Graph{
		Opsets:  map[string]int{"": 18},
		Inputs:  []graph.Value{graph.TensorValue("x", model.Float32, graph.Batch(4))},
		Outputs: []graph.Value{graph.TensorValue("y", model.Float32, graph.Batch(2))},
		Constants: map[string]*model.Tensor{
			"0": whole([]int{0}, nil), "1": whole([]int{1}, nil), "axis": whole([]int{1}, []int{1}), "row": whole([]int{-1}, []int{1}),
			"stride": whole([]int{stride}, nil), "offsets": whole([]int{first, first + 1}, []int{1, 2}),
		},
		Nodes: []graph.Node{
			node("Shape", "sizes", graph.Attrs{"start": graph.Int(0), "end": graph.Int(1)}, "x"),
			node("Squeeze", "batch", nil, "sizes"),
			node("Reshape", "flat", nil, "x", "row"),
			node("Range", "samples", nil, "0", "batch", "1"),
			node("Mul", "starts", nil, "samples", "stride"),
			node("Unsqueeze", "columns", nil, "starts", "axis"),
			node("Add", "at", nil, "columns", "offsets"),
			node("Gather", "features", nil, "flat", "at"),
			node("MatMul", "y", nil, "features", "w"),
		},
	}
	sd, err := model.NewStateDict(model.Entry{Name: "w", Tensor: model.Float32Tensor([]int{2, 2}, []float32{1, 0, 0, 1})})
	if err != nil {
		panic(err)
	}
	return g, sd
}

func TestUnstride(t *testing.T) {
	g, sd := strided(4, 1)
	if verify.NewNetwork(g, sd).Check() == nil {
		t.Fatal("the engine looks up elements of a batch by itself: this is not needed any more")
	}
	n := &Network{Checkpoint: &weights.Checkpoint{State: sd}, Graph: g}
	if err := n.bind(); err != nil {
		t.Fatal(err)
	}
	got, err := n.Net.Logits([]float32{1, 2, 3, 4, 5, 6, 7, 8}, 1)
	if want := []float32{2, 3, 6, 7}; err != nil || len(got) != 4 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] || got[3] != want[3] {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for _, other := range [][2]int{{3, 0}, {4, 3}, {0, 0}} { // across samples
		g, sd := strided(other[0], other[1])
		if ops.Unstride(g, sd) != nil {
			t.Errorf("a stride of %d from %d on is taken for one sample at a time", other[0], other[1])
		}
	}
}

// Weights that are tied are one weight of the graph.
func TestOneName(t *testing.T) {
	g, sd := strided(4, 1)
	sd = sd.With("u", sd.Get("w"))
	g.Nodes[len(g.Nodes)-1].Inputs[1] = "u"
	if one := oneName(g, sd); one.Nodes[len(one.Nodes)-1].Inputs[1] != "w" || g.Nodes[len(g.Nodes)-1].Inputs[1] != "u" {
		t.Error("the graph does not know the weight by its first name, or the one that was given changed")
	}
	if g, sd := strided(4, 1); oneName(g, sd.With("u", sd.Get("w"))) != g {
		t.Error("a graph that knows a weight by its first name was copied")
	}
}
