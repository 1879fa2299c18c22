// Package nn runs graphs: the forward pass, and the gradient of a loss with
// respect to the parameters. Values are gorgonia tensors whose arithmetic is
// internal/kernel.
//
// # Layout
//
// A value that has shape [N, C, H, W] in the graph is held as [N/16, C, H, W,
// 16]: sixteen samples, a group, travel in the innermost dimension (see
// [kernel.Lanes]). Up to four groups, a chunk, are computed at a time by one
// goroutine from the input to the loss and back, so that activations stay in
// its cache. What is summed over the batch is summed chunk by chunk in a fixed
// order: results do not depend on the number of threads.
package nn

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"lethe/graph"
	"lethe/internal/kernel"
	"lethe/model"
	"lethe/ops"
)

// Net is a graph bound to the weights of a state dict: every name is there,
// every shape is known and every number is finite. It is immutable.
type Net struct {
	graph   *graph.Graph
	shapes  map[string][]int     // of every value, without the batch dimension
	weights map[string][]float32 // of every parameter and buffer
	dims    map[string][]int     // of every parameter and buffer
}

// operator is one row of the table of operators.
type operator struct {
	// infer returns the shape of the output, without the batch dimension, from
	// the shape of the data input and the shapes of the other inputs (nil where
	// one is left out). It refuses attributes that build does not honour.
	infer func(n *graph.Node, in []int, weights [][]int) ([]int, error)
	// build makes the node ready to run.
	build func(b *builder) layer
}

// operators is the table of everything that nn can run: to add one, write its
// file and its line.
var operators = map[string]operator{
	"BatchNormalization": {inferBatchNorm, buildBatchNorm},
	"Conv":               {inferConv, buildConv},
	"Flatten":            {inferFlatten, buildFlatten},
	"Gemm":               {inferGemm, buildGemm},
	"MaxPool":            {inferMaxPool, buildMaxPool},
	"Relu":               {inferRelu, buildRelu},
}

// Bind checks a graph against a state dict and returns the two as one. A name
// that the state dict lacks, a shape that does not fit or a number that is not
// finite is a [model.FormatError]; an operator, an attribute or a wiring that
// nn cannot run is a [model.UnsupportedError].
func Bind(g *graph.Graph, sd *model.StateDict) (*Net, error) {
	if len(g.Inputs) != 1 || len(g.Outputs) != 1 {
		return nil, unsupported("the graph has %d inputs and %d outputs, one of each is supported", len(g.Inputs), len(g.Outputs))
	}
	in := g.Inputs[0]
	sample := sampleShape(g)
	if sample == nil || in.DType != model.Float32 {
		return nil, unsupported("the input %q is %v of shape %v, not float32 with a dynamic batch and fixed other dimensions", in.Name, in.DType, in.Shape)
	}
	n := &Net{graph: g, shapes: map[string][]int{in.Name: sample}, weights: map[string][]float32{}, dims: map[string][]int{}}
	for _, name := range append(ops.Parameters(g), ops.Buffers(g)...) {
		if err := n.load(name, sd.Get(name)); err != nil {
			return nil, err
		}
	}
	value := in.Name
	for i := range g.Nodes {
		node := &g.Nodes[i]
		op, ok := operators[node.Op]
		if !ok {
			return nil, unsupported("node %q is a %s, an operator that is not supported", node.Name, node.Op)
		}
		if len(node.Inputs) == 0 || node.Inputs[0] != value || len(node.Outputs) != 1 {
			return nil, unsupported("node %q does not continue the chain at %q: only networks without branches are supported", node.Name, value)
		}
		var weights [][]int
		for _, w := range node.Inputs[1:] {
			if w != "" && n.dims[w] == nil {
				return nil, unsupported("input %q of node %q is not a weight", w, node.Name)
			}
			weights = append(weights, n.dims[w])
		}
		shape, err := op.infer(node, n.shapes[value], weights)
		if err != nil {
			return nil, fmt.Errorf("node %q: %w", node.Name, err)
		}
		value = node.Outputs[0]
		n.shapes[value] = shape
	}
	if out := g.Outputs[0]; out.Name != value || len(n.shapes[value]) != 1 {
		return nil, unsupported("the output %q is not the end of the chain, %q of shape %v, or is not one vector a sample", out.Name, value, n.shapes[value])
	}
	return n, nil
}

func (n *Net) load(name string, t *model.Tensor) error {
	if t == nil {
		return &model.FormatError{Format: "state dict", Offset: -1, Reason: fmt.Sprintf("the graph needs %q, which is not there", name)}
	}
	v, err := t.Float32s()
	if err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	for i, x := range v {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return &model.FormatError{Format: "state dict", Offset: -1, Reason: fmt.Sprintf("element %d of %q is %v: the weights are damaged or the training diverged, and a network with such a weight cannot be evaluated", i, name, x)}
		}
	}
	n.weights[name], n.dims[name] = v, t.Shape()
	return nil
}

// sampleShape returns the shape of one sample, without the batch dimension, or
// nil if the input of the graph is not a batch of samples of one shape.
func sampleShape(g *graph.Graph) []int {
	shape := g.Inputs[0].Shape
	if len(shape) < 2 || shape[0].Fixed() {
		return nil
	}
	sizes, _ := shape[1:].Ints()
	return sizes
}

// InputShape returns the shape of one sample, without the batch dimension.
func (n *Net) InputShape() []int { return sampleShape(n.graph) }

// Classes returns the number of outputs of one sample.
func (n *Net) Classes() int { return n.shapes[n.graph.Outputs[0].Name][0] }

// Graph returns the graph that was bound.
func (n *Net) Graph() *graph.Graph { return n.graph }

func product(shape []int) int {
	p := 1
	for _, d := range shape {
		p *= d
	}
	return p
}

func unsupported(format string, args ...any) error {
	return &model.UnsupportedError{What: fmt.Sprintf(format, args...)}
}

func misfit(format string, args ...any) error {
	return &model.FormatError{Format: "network", Offset: -1, Reason: fmt.Sprintf(format, args...)}
}

// only refuses attributes of a node other than the ones named.
func only(n *graph.Node, names ...string) error {
	for _, name := range slices.Sorted(maps.Keys(n.Attrs)) {
		if !slices.Contains(names, name) {
			return unsupported("attribute %q of %s is not supported", name, n.Op)
		}
	}
	return nil
}

// Lanes is the number of samples in a group.
const Lanes = kernel.Lanes
