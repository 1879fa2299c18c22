package nn

import (
	"fmt"

	"lethe/graph"
)

// expansions are the operators that are run as others: each returns the nodes
// that a node stands for.
var expansions = map[string]func(e *expansion) string{
	"ReduceL2": func(e *expansion) string {
		return e.op("Sqrt", nil, e.op("ReduceSum", e.node.Attrs, append([]string{e.squares()}, e.node.Inputs[1:]...)...))
	},
	"ReduceSumSquare": func(e *expansion) string {
		return e.op("ReduceSum", e.node.Attrs, append([]string{e.squares()}, e.node.Inputs[1:]...)...)
	},
	"Sum": func(e *expansion) string {
		sum := e.node.Inputs[0]
		for _, in := range e.node.Inputs[1:] {
			sum = e.op("Add", nil, sum, in)
		}
		return sum
	},
}

// expansion writes out one node.
type expansion struct {
	node  *graph.Node
	nodes []graph.Node
}

func (e *expansion) squares() string { return e.op("Mul", nil, e.node.Inputs[0], e.node.Inputs[0]) }

func (e *expansion) op(op string, attrs graph.Attrs, inputs ...string) string {
	name := fmt.Sprintf("\xff%s.%d", e.node.Outputs[0], len(e.nodes)) // no name in a file is like that
	e.nodes = append(e.nodes, graph.Node{Name: e.node.Name, Op: op, Attrs: attrs, Inputs: inputs, Outputs: []string{name}})
	return name
}

// expand returns the nodes that a node of [expansions] stands for.
func expand(node *graph.Node) []graph.Node {
	e := &expansion{node: node}
	last := expansions[node.Op](e)
	e.nodes = append(e.nodes, graph.Node{Name: node.Name, Op: "Identity", Inputs: []string{last}, Outputs: node.Outputs[:1]})
	return e.nodes
}
