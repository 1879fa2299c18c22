package nn

import (
	"lethe/graph"
	"lethe/model"
)

// BindWithFeatures binds the network of g whose output is the logits and, behind
// them, the inputs of the fully connected layer that makes them, in one row; so a
// loss can be one of both. It fails with a [model.UnsupportedError] where the last
// operator is no such layer.
func BindWithFeatures(g *graph.Graph, sd *model.StateDict) (*Net, error) {
	g = g.Clone()
	last := graph.NewIndex(g).Maker(g.Outputs[0].Name)
	if last == nil || sd.Get(last.Input(1)) == nil || len(sd.Get(last.Input(1)).Shape()) != 2 {
		return nil, &model.UnsupportedError{What: "this needs a network whose last operator is a fully connected layer"}
	}
	const joined = "logits and features"
	g.Nodes = append(g.Nodes, graph.Node{Name: joined, Op: "Concat", Inputs: []string{g.Outputs[0].Name, last.Inputs[0]}, Outputs: []string{joined}, Attrs: graph.Attrs{"axis": graph.Int(1)}})
	g.Outputs = []graph.Value{graph.TensorValue(joined, model.Float32, nil)}
	return Bind(g, sd)
}
