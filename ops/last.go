package ops

import (
	"fmt"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// products multiply what was computed by the weights of a layer.
var products = []string{"Gemm", "MatMul", "Conv"}

// probabilities make probabilities, or their logarithms, of logits.
var probabilities = []string{"Softmax", "LogSoftmax"}

// layout only lays a value out, or holds it in another way.
var layout = []string{"Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}

// afterLast is what may follow the product of the last layer beside that: it mixes
// no features of a sample with others but over its positions.
var afterLast = []string{
	"AveragePool", "Clip", "Gather", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "LeakyRelu", "MaxPool",
	"ReduceMax", "ReduceMean", "ReduceSum", "Relu", "Sigmoid", "Slice", "Tanh",
}

// LastLayer returns the names of the parameters of the layer that makes the first
// output, which an edit must leave bit-identical: those of the last product before
// it (Gemm, MatMul, or a convolution before pooling) and of what follows that, a
// sum with a bias, a factor or a normalization, also where weights are transposed,
// normalized or otherwise computed from parameters alone. It is a
// [model.UnsupportedError] if another operator stands between such a product and the
// output, because then the words "last layer" have no agreed meaning.
func LastLayer(g *graph.Graph) ([]string, error) {
	x := newSources(g)
	layer, err := lastLayer(g, x)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, n := range slices.Backward(layer) {
		for _, in := range n.Inputs {
			for _, name := range x.parameters(in) {
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	return names, nil
}

// sources tells what the values of a graph are computed from.
type sources struct {
	*graph.Index
	params []string
	varies map[string]bool // values that are computed from the samples
}

func newSources(g *graph.Graph) *sources {
	s := &sources{Index: graph.NewIndex(g), params: Parameters(g), varies: map[string]bool{}}
	var open []string
	for _, in := range g.Inputs {
		open = append(open, in.Name)
	}
	for len(open) > 0 {
		name := open[len(open)-1]
		open = open[:len(open)-1]
		if s.varies[name] {
			continue
		}
		s.varies[name] = true
		for _, use := range s.Uses(name) {
			if use.Node != nil { // nil: the output of the graph
				open = append(open, use.Node.Outputs...)
			}
		}
	}
	delete(s.varies, "")
	return s
}

// parameters returns the parameters that a value is computed from, in order; none if
// it is computed from samples too.
func (s *sources) parameters(name string) (names []string) {
	if s.varies[name] {
		return nil
	}
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		if slices.Contains(s.params, name) {
			names = append(names, name)
		}
		if n := s.Maker(name); n != nil {
			for _, in := range n.Inputs {
				visit(in)
			}
		}
	}
	visit(name)
	return names
}

// lastLayer returns the nodes of the last layer, from that which makes the output
// to the product.
func lastLayer(g *graph.Graph, x *sources) ([]*graph.Node, error) {
	var n *graph.Node
	if len(g.Outputs) > 0 {
		n = x.Maker(g.Outputs[0].Name)
	}
	if n == nil {
		return nil, &model.UnsupportedError{What: "the graph has no output that a node makes"}
	}
	layer := []*graph.Node{n}
	for !slices.Contains(products, n.Op) || !x.hasParameter(n) {
		data, ok := followed(x, n)
		if next := x.Maker(data); ok && next != nil && len(layer) <= len(g.Nodes) { // a cycle is not a path to a product
			n = next
			layer = append(layer, n)
			continue
		}
		return nil, &model.UnsupportedError{What: fmt.Sprintf("the output of the network is made by %s (node %q), and between it and the last fully connected layer or convolution stands more than a last layer has", n.Op, n.Name)}
	}
	return layer, nil
}

// hasParameter reports whether an input of a node is computed from parameters alone.
func (s *sources) hasParameter(n *graph.Node) bool {
	return slices.ContainsFunc(n.Inputs, func(in string) bool { return len(s.parameters(in)) > 0 })
}

// followed returns the one input of a node that is computed from the samples, if the
// node may stand between the last product and the output.
func followed(x *sources, n *graph.Node) (data string, ok bool) {
	switch {
	case n.Domain != "":
	case slices.Contains(layout, n.Op), slices.Contains(afterLast, n.Op), slices.Contains(probabilities, n.Op), n.Op == "BatchNormalization":
		return n.Input(0), len(n.Inputs) > 0
	case n.Op == "Add" || n.Op == "Sub" || n.Op == "Mul" || n.Op == "Div":
		for _, in := range n.Inputs {
			if !x.varies[in] {
				continue
			}
			if ok {
				return "", false // two of them
			}
			data, ok = in, true
		}
	}
	return data, ok
}

// Logits returns the graph up to its logits: g without the Softmax or LogSoftmax
// that makes its only output, and what only lays that out; g itself if it
// has none, or one over something else than the classes of a sample.
func Logits(g *graph.Graph) *graph.Graph {
	if len(g.Outputs) != 1 {
		return g
	}
	x := graph.NewIndex(g)
	out := g.Outputs[0]
	n := x.Maker(out.Name)
	for n != nil && (n.Op == "Identity" || n.Op == "Cast" || n.Op == "Log") && !slices.Contains(probabilities, n.Op) {
		n = x.Maker(n.Input(0))
	}
	if n == nil || n.Domain != "" || !slices.Contains(probabilities, n.Op) || x.Maker(n.Input(0)) == nil {
		return g
	}
	// One vector a sample: the classes lie on the last axis, which is also the
	// second one.
	axis := -1
	if version := g.Opset(""); version < 13 {
		axis = 1
	}
	if axis = n.Int("axis", axis); axis != 1 && axis != -1 || len(out.Shape) != 0 && len(out.Shape) != 2 {
		return g
	}
	cut := g.Clone()
	cut.Outputs = []graph.Value{graph.TensorValue(n.Input(0), out.DType, out.Shape)}
	cut.Prune()
	return cut
}
