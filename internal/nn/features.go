package nn

import (
	"slices"

	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// BindWithFeatures binds the network of g whose output is the logits and, behind
// them, the inputs of the last layer that makes them, in one row; so a loss can be
// one of both. It fails with a [model.UnsupportedError] where the last layer has no
// such inputs, see [ops.NewHead].
func BindWithFeatures(g *graph.Graph, sd *model.StateDict) (*Net, error) {
	head, err := ops.NewHead(g, sd)
	if err != nil {
		return nil, err
	}
	g = head.Graph.Clone()
	const joined = "logits and features"
	g.Nodes = append(g.Nodes, graph.Node{Name: joined, Op: "Concat", Inputs: []string{g.Outputs[0].Name, head.Features}, Outputs: []string{joined}, Attrs: graph.Attrs{"axis": graph.Int(1)}})
	g.Outputs = []graph.Value{graph.TensorValue(joined, model.Float32, nil)}
	return Bind(g, sd)
}

// InputsOfLayers returns the names of the values that the layers of a graph read
// which have a weight of two dimensions or more, in the order of the graph,
// without what goes into the graph and what the last layer reads.
func InputsOfLayers(g *graph.Graph, sd *model.StateDict) []string {
	var names []string
	seen := map[string]bool{}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		weight := sd.Get(n.Input(1))
		if weight == nil || len(weight.Shape()) < 2 || seen[n.Inputs[0]] {
			continue
		}
		seen[n.Inputs[0]] = true
		isInput := slices.ContainsFunc(g.Inputs, func(v graph.Value) bool { return v.Name == n.Inputs[0] })
		if !isInput && sd.Get(n.Inputs[0]) == nil && n.Outputs[0] != g.Outputs[0].Name {
			names = append(names, n.Inputs[0])
		}
	}
	return names
}

// BindTo binds the part of a network that makes the value of the given name,
// one vector a sample, and returns the shape that the value has of one sample.
func BindTo(net *Net, sd *model.StateDict, value string) (*Net, []int, error) {
	s, ok := net.shapes[value]
	if !ok || s.batch != 0 || s.dims[0] != 1 || len(s.dims) < 2 {
		return nil, nil, &model.UnsupportedError{What: "the value is not one of every sample"}
	}
	const vector = "value as a vector"
	g := net.graph.Clone()
	g.Nodes = append(g.Nodes, graph.Node{Name: vector, Op: "Flatten", Inputs: []string{value}, Outputs: []string{vector}})
	g.Outputs = []graph.Value{graph.TensorValue(vector, model.Float32, nil)}
	g.Prune()
	part, err := Bind(g, sd)
	return part, slices.Clone(s.dims[1:]), err
}

// BindWithShift binds the network of g with one parameter more, of the shape of a
// sample and 0 everywhere, that is added to each sample: its gradient is that with
// respect to the sample, in a batch of one. It returns the name of the parameter.
func BindWithShift(g *graph.Graph, sd *model.StateDict, sample []int) (*Net, string, error) {
	const shift, shifted = "shift", "shifted sample"
	g = ops.Logits(g).Clone()
	in := g.Inputs[0].Name
	for i := range g.Nodes {
		for j, name := range g.Nodes[i].Inputs {
			if name == in {
				g.Nodes[i].Inputs[j] = shifted
			}
		}
	}
	g.Nodes = slices.Insert(g.Nodes, 0, graph.Node{Name: shifted, Op: "Add", Inputs: []string{in, shift}, Outputs: []string{shifted}})
	shape := append([]int{1}, sample...)
	net, err := Bind(g, sd.With(shift, model.Float32Tensor(shape, make([]float32, product(shape)))))
	return net, shift, err
}
