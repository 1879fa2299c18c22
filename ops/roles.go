package ops

import (
	"fmt"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// RoleOf returns what input i of a node is for. It is [Data] if the operator is
// not known.
func RoleOf(g *graph.Graph, n *graph.Node, i int) Role { return roleOf(opsetsOf(g), n, i) }

func roleOf(sets opsets, n *graph.Node, i int) Role {
	if found := find(sets, n); found != nil {
		if spec := found.inputSpec(i); spec != nil {
			return spec.role
		}
	}
	return Data
}

// Parameters returns the names of the state-dict entries that a graph trains,
// in order of first use: everything that it refers to except [Buffers].
func Parameters(g *graph.Graph) []string { return weights(g, true) }

// Buffers returns the names of the state-dict entries that a graph reads but
// never trains: what is nowhere read as data or as a weight, such as the running
// mean and variance of BatchNormalization.
func Buffers(g *graph.Graph) []string { return weights(g, false) }

func weights(g *graph.Graph, trained bool) []string {
	parameters := map[string]bool{}
	markTrained(g.Nodes, opsetsOf(g), parameters)
	return slices.DeleteFunc(g.Weights(), func(name string) bool { return parameters[name] != trained })
}

// markTrained marks the names that nodes, also of subgraphs, read as data or as
// a weight.
func markTrained(nodes []graph.Node, sets opsets, parameters map[string]bool) {
	for i := range nodes {
		n := &nodes[i]
		for j, name := range n.Inputs {
			if role := roleOf(sets, n, j); role == Data || role == Weight {
				parameters[name] = true
			}
		}
		for sub := range n.Subgraphs() {
			markTrained(sub.Nodes, sets, parameters)
			for _, v := range sub.Outputs {
				parameters[v.Name] = true
			}
		}
	}
}

// LastLayer returns the names of the parameters of the layer that makes the
// first output, which an edit must leave bit-identical: those of a Gemm, or of a
// MatMul and the sum with its bias, also where weights are transposed or
// converted on their way. It is a [model.UnsupportedError] if the output is not
// made by a fully connected layer, because then the words "last layer" have no
// agreed meaning.
func LastLayer(g *graph.Graph) ([]string, error) {
	x := graph.NewIndex(g)
	var last *graph.Node
	if len(g.Outputs) > 0 {
		last = x.Maker(g.Outputs[0].Name)
	}
	if last == nil {
		return nil, &model.UnsupportedError{What: "the graph has no output that a node makes"}
	}
	layer := []*graph.Node{last}
	if last.Op == "Add" { // of a bias?
		for _, in := range last.Inputs {
			if n := x.Maker(in); n != nil && n.Op == "MatMul" {
				layer = append(layer, n)
			}
		}
	}
	if op := layer[len(layer)-1].Op; op != "Gemm" && op != "MatMul" {
		return nil, &model.UnsupportedError{What: fmt.Sprintf("the output of the network is made by %s, not by a fully connected layer", last.Op)}
	}
	params := Parameters(g)
	var names []string
	for _, n := range slices.Backward(layer) {
		for _, in := range n.Inputs {
			if name := origin(x, in); slices.Contains(params, name) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// origin returns the name that a value has before nodes that only lay it out or
// hold it in another way.
func origin(x *graph.Index, name string) string {
	for range 8 {
		n := x.Maker(name)
		if n == nil {
			break
		}
		switch n.Op {
		case "Transpose", "Identity", "Reshape", "Cast", "DequantizeLinear":
			name = n.Input(0)
		default:
			return name
		}
	}
	return name
}
