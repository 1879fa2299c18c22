package model

import (
	"fmt"
	"slices"
)

// Opset is the version of the default ONNX operator set whose names and
// attribute semantics a [Graph] uses, whatever file it came from.
const Opset = 17

// Dynamic is the size of a dimension that is known only when the graph runs:
// the batch.
const Dynamic = -1

// Graph is a network in ONNX's vocabulary. It holds no weights: an input of a
// node that no node produces and that is no input of the graph names an entry
// of a [StateDict]. Nodes are in topological order.
type Graph struct {
	Name    string // the architecture, such as "LeNet"
	Inputs  []Value
	Outputs []Value
	Nodes   []Node
}

// Value is a named tensor that enters or leaves a graph.
type Value struct {
	Name  string
	DType DType
	Shape []int // Dynamic for the batch
}

// Node is one application of an operator.
type Node struct {
	Name    string
	Op      string   // ONNX's operator name, such as "Conv"
	Inputs  []string // "" for an optional input that is left out
	Outputs []string
	Attrs   map[string]any // int64, float32, string, []int64 or []float32
}

// Int returns an integer attribute, or def if it is absent.
func (n *Node) Int(name string, def int) int {
	if v, ok := n.Attrs[name].(int64); ok {
		return int(v)
	}
	return def
}

// Float returns a float attribute, or def if it is absent.
func (n *Node) Float(name string, def float32) float32 {
	if v, ok := n.Attrs[name].(float32); ok {
		return v
	}
	return def
}

// String returns a string attribute, or def if it is absent.
func (n *Node) String(name, def string) string {
	if v, ok := n.Attrs[name].(string); ok {
		return v
	}
	return def
}

// Ints returns a list attribute, or def if it is absent.
func (n *Node) Ints(name string, def ...int) []int {
	v, ok := n.Attrs[name].([]int64)
	if !ok {
		return def
	}
	out := make([]int, len(v))
	for i, x := range v {
		out[i] = int(x)
	}
	return out
}

// Parameters returns the names of the state-dict entries that the graph
// trains, in order of first use: everything that it refers to except
// [Graph.Buffers].
func (g *Graph) Parameters() []string { return g.weights(false) }

// Buffers returns the names of the state-dict entries that the graph reads but
// never trains: BatchNormalization's running mean and variance.
func (g *Graph) Buffers() []string { return g.weights(true) }

func (g *Graph) weights(buffers bool) []string {
	made := map[string]bool{"": true}
	for _, v := range g.Inputs {
		made[v.Name] = true
	}
	var names []string
	for _, n := range g.Nodes {
		for i, in := range n.Inputs {
			isBuffer := n.Op == "BatchNormalization" && i >= 3
			if !made[in] && isBuffer == buffers && !slices.Contains(names, in) {
				names = append(names, in)
			}
		}
		for _, out := range n.Outputs {
			made[out] = true
		}
	}
	return names
}

// LastLayer returns the names of the parameters of the node that makes the
// first output: the layer that an edit must leave bit-identical. It is an
// [UnsupportedError] if that node is not a fully connected layer, because then
// the words "last layer" have no agreed meaning.
func (g *Graph) LastLayer() ([]string, error) {
	if len(g.Outputs) > 0 {
		for _, n := range g.Nodes {
			if !slices.Contains(n.Outputs, g.Outputs[0].Name) {
				continue
			}
			if n.Op != "Gemm" {
				return nil, &UnsupportedError{What: fmt.Sprintf("the output of the network is made by %s, not by a fully connected layer", n.Op)}
			}
			params := g.Parameters()
			return slices.DeleteFunc(slices.Clone(n.Inputs), func(in string) bool { return !slices.Contains(params, in) }), nil
		}
	}
	return nil, &UnsupportedError{What: "the graph has no output that a node makes"}
}
