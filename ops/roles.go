// Package ops knows what each operator of ONNX means.
package ops

import (
	"fmt"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// Parameters returns the names of the state-dict entries that a graph trains,
// in order of first use: everything that it refers to except [Buffers].
func Parameters(g *graph.Graph) []string { return weights(g, false) }

// Buffers returns the names of the state-dict entries that a graph reads but
// never trains: BatchNormalization's running mean and variance.
func Buffers(g *graph.Graph) []string { return weights(g, true) }

func weights(g *graph.Graph, buffers bool) []string {
	statistic := map[string]bool{}
	for _, n := range g.Nodes {
		for i, in := range n.Inputs {
			if n.Op == "BatchNormalization" && i >= 3 {
				statistic[in] = true
			}
		}
	}
	return slices.DeleteFunc(g.Weights(), func(name string) bool { return statistic[name] != buffers })
}

// LastLayer returns the names of the parameters of the node that makes the
// first output: the layer that an edit must leave bit-identical. It is a
// [model.UnsupportedError] if that node is not a fully connected layer, because
// then the words "last layer" have no agreed meaning.
func LastLayer(g *graph.Graph) ([]string, error) {
	var last *graph.Node
	if len(g.Outputs) > 0 {
		last = graph.NewIndex(g).Maker(g.Outputs[0].Name)
	}
	if last == nil {
		return nil, &model.UnsupportedError{What: "the graph has no output that a node makes"}
	}
	if last.Op != "Gemm" {
		return nil, &model.UnsupportedError{What: fmt.Sprintf("the output of the network is made by %s, not by a fully connected layer", last.Op)}
	}
	params := Parameters(g)
	return slices.DeleteFunc(slices.Clone(last.Inputs), func(in string) bool { return !slices.Contains(params, in) }), nil
}
