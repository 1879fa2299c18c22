package network

import (
	"encoding/binary"
	"os"
	"testing"

	"lethe/convert"
	"lethe/graph"
	"lethe/model"
	"lethe/pickle"
)

// fixedLeNet returns the LeNet as an exporter writes it for a batch of three.
func fixedLeNet(t *testing.T) (*graph.Graph, *model.StateDict) {
	t.Helper()
	f, err := os.Open("../../fixtures/lenet-fashion.pt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	c, err := pickle.Decode(f, info.Size(), pickle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := convert.Recognize(c.StateDict())
	if err != nil {
		t.Fatal(err)
	}
	g = g.Clone()
	g.Inputs[0].Shape = graph.Sizes(3, 1, 28, 28)
	g.Outputs[0].Shape = graph.Sizes(3, 10)
	b := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 3), 256)
	target, err := model.NewTensor(model.Int64, []int{2}, nil, 0, model.BytesStorage(b))
	if err != nil {
		t.Fatal(err)
	}
	g.Constants = map[string]*model.Tensor{"target": target}
	for i := range g.Nodes {
		if n := &g.Nodes[i]; n.Op == "Flatten" {
			n.Op, n.Attrs, n.Inputs = "Reshape", nil, append(n.Inputs, "target")
		}
	}
	return g, c.StateDict()
}

// A network that was exported for one batch is one for all, if it is; one that
// mixes the samples of a batch is none.
func TestAnyBatch(t *testing.T) {
	g, sd := fixedLeNet(t)
	net := anyBatch(t.Context(), g, sd)
	if net == nil || net.Classes() != 10 || net.Graph().Inputs[0].Shape[0].Fixed() {
		t.Fatal("the LeNet for a batch of three is not one for any")
	}
	if size, fixed := g.Inputs[0].Shape[0].Int(); !fixed || size != 3 {
		t.Error("the graph that was given changed")
	}
	last := &g.Nodes[len(g.Nodes)-1]
	out := last.Outputs[0]
	last.Outputs = []string{"before"}
	g.Nodes = append(g.Nodes, graph.Node{Name: "mix", Op: "Softmax", Inputs: []string{"before"}, Outputs: []string{out}, Attrs: graph.Attrs{"axis": graph.Int(0)}})
	if net := anyBatch(t.Context(), g, sd); net != nil {
		t.Error("a network that mixes its samples is one for any batch")
	}
}
