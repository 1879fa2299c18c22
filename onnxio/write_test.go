package onnxio

import (
	"bytes"
	"io"
	"testing"

	"lethe/graph"
	"lethe/model"
)

// writeExample returns a graph with attributes of all kinds that a file can
// hold, and its weights.
func writeExample(t *testing.T) (*graph.Graph, *model.StateDict) {
	t.Helper()
	tensor := func(d model.DType, shape []int, b ...byte) *model.Tensor {
		x, err := model.NewTensor(d, shape, nil, 0, model.BytesStorage(b))
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	sd, err := model.NewStateDict(
		model.Entry{Name: "unused", Tensor: model.Float32Tensor([]int{1}, []float32{1})},
		model.Entry{Name: "w", Tensor: model.Float32Tensor([]int{2, 300}, make([]float32, 600))},
		model.Entry{Name: "half", Tensor: tensor(model.BFloat16, []int{1}, 0x80, 0x3f)},
	)
	if err != nil {
		t.Fatal(err)
	}
	sub := &graph.Graph{Name: "sub", Outputs: []graph.Value{graph.TensorValue("c", model.Int64, graph.Shape{})},
		Constants: map[string]*model.Tensor{"c": tensor(model.Int64, []int{}, 1, 0, 0, 0, 0, 0, 0, 0)}}
	g := &graph.Graph{
		Name: "example", Opsets: map[string]int{"": 20, "mine": 3}, Constants: map[string]*model.Tensor{"k": tensor(model.Bool, []int{2}, 1, 0)},
		Inputs:  []graph.Value{graph.TensorValue("x", model.Float32, graph.Batch(300))},
		Outputs: []graph.Value{graph.TensorValue("y", model.Float32, graph.Batch(2))},
		Types:   map[string]graph.Type{"h": {DType: model.Float32, Shape: graph.Batch(2)}},
		Nodes: []graph.Node{
			{Name: "a", Op: "Gemm", Inputs: []string{"x", "w"}, Outputs: []string{"h"}, Attrs: graph.Attrs{"transB": graph.Int(1), "alpha": graph.Float(0.5)}},
			{Name: "b", Domain: "mine", Op: "Op", Inputs: []string{"h", "", "half", "k"}, Outputs: []string{"", "y"}, Attrs: graph.Attrs{
				"s": graph.String("text"), "is": graph.Ints(-1, 0, 1<<40), "fs": graph.Floats(1, -2), "ss": graph.Strings("a", ""),
				"t": graph.Tensor(tensor(model.Int8, []int{2}, 1, 255)), "g": graph.Subgraph(sub), "none": graph.Int(0), "empty": graph.String("")}},
		},
	}
	return g, sd
}

// What is written is read back: nodes, attributes, types, weights.
func TestEncode(t *testing.T) {
	g, sd := writeExample(t)
	var out bytes.Buffer
	if err := Encode(&out, g, sd, EncodeOptions{Props: map[string]string{"key": "value"}}); err != nil {
		t.Fatal(err)
	}
	f, err := Decode(bytes.NewReader(out.Bytes()), int64(out.Len()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Graph()
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != g.Name || got.Opset("") != 20 || got.Opset("mine") != 3 || got.Props["key"] != "value" || !got.Types["h"].Equal(g.Types["h"]) {
		t.Errorf("the graph is %+v", got)
	}
	if !got.Inputs[0].Equal(g.Inputs[0].Type) || !got.Outputs[0].Equal(g.Outputs[0].Type) {
		t.Errorf("it goes from %v to %v", got.Inputs, got.Outputs)
	}
	for i := range g.Nodes {
		want, n := g.Nodes[i], got.Nodes[i]
		if n.Name != want.Name || n.Op != want.Op || n.Domain != want.Domain || len(n.Inputs) != len(want.Inputs) || len(n.Outputs) != len(want.Outputs) || len(n.Attrs) != len(want.Attrs) {
			t.Errorf("node %d is %+v", i, n)
		}
		for name, a := range want.Attrs {
			switch a.Kind() {
			case graph.TensorAttr:
				if same, err := model.SameBits(a.Tensor(), n.Attrs[name].Tensor()); err != nil || !same {
					t.Errorf("attribute %s has other bits", name)
				}
			case graph.GraphAttr:
				if s := n.Attrs[name].Graph(); s == nil || len(s.Outputs) != 1 || s.Constants["c"] == nil {
					t.Errorf("attribute %s is %v", name, n.Attrs[name])
				}
			default:
				if !a.Equal(n.Attrs[name]) {
					t.Errorf("attribute %s is %v, want %v", name, n.Attrs[name], a)
				}
			}
		}
	}
	for _, name := range []string{"w", "half"} {
		if same, err := model.SameBits(sd.Get(name), f.StateDict().Get(name)); err != nil || !same {
			t.Errorf("%q has other bits: %v", name, err)
		}
	}
	if f.StateDict().Get("unused") != nil {
		t.Error("a weight that nothing reads is written")
	}
}

// With a location, all but small tensors are in the second file.
func TestEncodeTensors(t *testing.T) {
	g, sd := writeExample(t)
	var out, data bytes.Buffer
	opts := EncodeOptions{Location: "out.onnx.data"}
	if err := Encode(&out, g, sd, opts); err != nil {
		t.Fatal(err)
	}
	if err := EncodeTensors(&data, g, sd); err != nil {
		t.Fatal(err)
	}
	if data.Len() != 2400 {
		t.Errorf("the second file has %d bytes", data.Len())
	}
	f, err := Decode(bytes.NewReader(out.Bytes()), int64(out.Len()), Options{External: func(location string) (io.ReaderAt, int64, error) {
		if location != opts.Location {
			t.Errorf("the location is %q", location)
		}
		return bytes.NewReader(data.Bytes()), int64(data.Len()), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if same, err := model.SameBits(sd.Get("w"), f.StateDict().Get("w")); err != nil || !same {
		t.Errorf("the weight has other bits: %v", err)
	}
}

// What cannot be written is an error before anything is.
func TestEncodeRefusesGraphs(t *testing.T) {
	tests := map[string]func(g *graph.Graph){
		"a weight that is not there": func(g *graph.Graph) { g.Nodes[0].Inputs[1] = "other" },
		"a name twice":               func(g *graph.Graph) { g.Nodes[1].Outputs[1] = "h" },
		"an opset of the future":     func(g *graph.Graph) { g.Opsets[""] = 99 },
		"an attribute without value": func(g *graph.Graph) { g.Nodes[0].Attrs["x"] = graph.Attr{} },
	}
	for name, change := range tests {
		g, sd := writeExample(t)
		change(g)
		var out bytes.Buffer
		if err := Encode(&out, g, sd, EncodeOptions{}); err == nil || out.Len() > 0 {
			t.Errorf("%s: %d bytes and the error %v", name, out.Len(), err)
		}
	}
}
