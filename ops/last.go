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

// afterLast is what may follow the product of the last layer beside that: it has no
// matrix of its own.
var afterLast = []string{
	"Abs", "AveragePool", "BatchNormalization", "Clip", "Elu", "Exp", "Expand", "Gather", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool",
	"LayerNormalization", "LeakyRelu", "Log", "MaxPool", "Neg", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceSum",
	"Relu", "Sigmoid", "Slice", "Softplus", "Sqrt", "Tanh",
}

// arithmetic is what may follow it with several inputs that are computed from its product.
var arithmetic = []string{"Add", "Div", "Greater", "Less", "Max", "Min", "Mul", "Pow", "Sub", "Where"}

// LastLayer returns the names of the parameters of the layer that makes the first
// output, which an edit must leave bit-identical: those of the last product before
// it (Gemm, MatMul, or a convolution before pooling) and of what follows that, a
// sum with a bias, a factor or a normalization, also where weights are transposed,
// normalized or otherwise computed from parameters alone. It is a
// [model.UnsupportedError] if another operator stands between such a product and the
// output, or something goes around it, because then the words "last layer" have no
// agreed meaning.
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
// to the product, through which all goes that the output is computed from.
func lastLayer(g *graph.Graph, x *sources) (layer []*graph.Node, err error) {
	open := map[string]bool{} // what the nodes so far read
	if len(g.Outputs) > 0 {
		open[g.Outputs[0].Name] = true
	}
	why := "the graph has no output that a node makes"
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		n := &g.Nodes[i]
		if !slices.ContainsFunc(n.Outputs, func(name string) bool { return open[name] }) {
			continue
		}
		for _, name := range n.Outputs {
			delete(open, name)
		}
		layer = append(layer, n)
		isProduct := slices.Contains(products, n.Op) && x.hasParameter(n)
		if isProduct && len(open) == 0 {
			return layer, nil
		}
		why = fmt.Sprintf("the output of the network does not come from one fully connected layer or convolution alone: %s (node %q) is on the way to it", n.Op, n.Name)
		data := followed(x, n)
		if isProduct || len(data) == 0 {
			break
		}
		for _, name := range data {
			open[name] = true
		}
	}
	return nil, &model.UnsupportedError{What: why,
		Advice: "an edit leaves the last layer as it is, and must be able to tell which that is: the one layer that makes a number for each class, with no way around it"}
}

// hasParameter reports whether an input of a node is computed from parameters alone.
func (s *sources) hasParameter(n *graph.Node) bool {
	return slices.ContainsFunc(n.Inputs, func(in string) bool { return len(s.parameters(in)) > 0 })
}

// followed returns the inputs of a node that are computed from the samples, none if the
// node may not stand between the last product and the output.
func followed(x *sources, n *graph.Node) []string {
	inputs := n.Inputs
	switch {
	case n.Domain != "":
		return nil
	case slices.Contains(layout, n.Op), slices.Contains(afterLast, n.Op), slices.Contains(probabilities, n.Op):
		inputs = inputs[:min(1, len(inputs))]
	case !slices.Contains(arithmetic, n.Op):
		return nil
	}
	return slices.DeleteFunc(slices.Clone(inputs), func(in string) bool { return !x.varies[in] })
}

// Logits returns the graph up to its logits: g without the Softmax, LogSoftmax or
// Sigmoid that makes its only output, and what only lays that out; g itself if it
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
	isSigmoid := n != nil && n.Op == "Sigmoid" // of each class by itself
	if n == nil || n.Domain != "" || !isSigmoid && !slices.Contains(probabilities, n.Op) || x.Maker(n.Input(0)) == nil {
		return g
	}
	// One vector a sample: the classes lie on the last axis, which is also the
	// second one.
	axis := -1
	if version := g.Opset(""); version < 13 {
		axis = 1
	}
	if axis = n.Int("axis", axis); !isSigmoid && axis != 1 && axis != -1 || len(out.Shape) != 0 && len(out.Shape) != 2 {
		return g
	}
	cut := g.Clone()
	cut.Outputs = []graph.Value{graph.TensorValue(n.Input(0), out.DType, out.Shape)}
	cut.Prune()
	return cut
}
