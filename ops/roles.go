package ops

import (
	"slices"

	"lethe/graph"
)

// RoleOf returns what input i of a node is for, counted from 0. It is [Data] if the
// operator is not known or has no such input.
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
