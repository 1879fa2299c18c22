package ops

import (
	"context"
	"fmt"
	"math"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// Head is the last layer of a classifier as an affine map of one vector of each
// sample to its logits: logit c of a sample with the features x is the sum over j of
// x[j] * Weights[j*Classes+c], plus Weights[Inputs*Classes+c].
type Head struct {
	// Graph is that of the classifier; one of its values is Features, [batch, Inputs].
	Graph    *graph.Graph
	Features string
	Inputs   int
	Classes  int
	Weights  []float64 // (Inputs + 1) x Classes, row by row; the last row is the bias
}

// NewHead returns the last layer of g, see [LastLayer]: a fully connected one, with
// what scales and shifts its outputs, or a convolution of kernel 1 whose results
// are averaged over all positions, which is the same map of the averages of its
// input. It fails with a [model.UnsupportedError] where the last layer is no such
// map.
func NewHead(g *graph.Graph, sd *model.StateDict) (*Head, error) {
	x := newSources(g)
	layer, err := lastLayer(g, x)
	if err != nil {
		return nil, err
	}
	facts, err := Infer(g, sd)
	if err != nil {
		return nil, err
	}
	h := &Head{Graph: g}
	for i, n := range slices.Backward(layer) {
		switch {
		case i == len(layer)-1:
			err = h.product(n, facts, sd)
		case n.Op == "Add" || n.Op == "Sub" || n.Op == "Mul" || n.Op == "Div":
			err = h.arithmetic(n, x, sd)
		case n.Op == "BatchNormalization":
			err = h.normalization(n, sd)
		case n.Op == "GlobalAveragePool":
		case n.Op == "ReduceMean" && facts.hasClasses(n.Output(0), h.Classes):
		case n.Op == "Transpose" || !slices.Contains(layout, n.Op):
			err = notAffine(n)
		}
		if err != nil {
			return nil, err
		}
	}
	if out := g.Outputs[0].Name; len(facts.Type(out).Shape) != 2 || !facts.hasClasses(out, h.Classes) {
		return nil, notAffine(layer[0])
	}
	return h, nil
}

// hasClasses reports whether the second dimension of a value is the number of classes.
func (f *Facts) hasClasses(name string, classes int) bool {
	dims := f.Type(name).Shape
	return len(dims) > 1 && dims[1].Is(classes)
}

func notAffine(n *graph.Node) error {
	return &model.UnsupportedError{What: fmt.Sprintf("the last layer of the network is not an affine map of one vector of a sample: %s (node %q) is part of it", n.Op, n.Name)}
}

// product takes over the weights of the product of the layer.
func (h *Head) product(n *graph.Node, facts *Facts, sd *model.StateDict) error {
	weight, shape, err := parameterValue(h.Graph, sd, n.Input(1))
	if err != nil {
		return err
	}
	dims := facts.Type(n.Input(0)).Shape
	h.Features = n.Input(0)
	transposed, scale := n.Int("transB", 0) != 0, 1.0
	switch {
	case n.Op == "Conv" && len(shape) > 2 && len(dims) == len(shape) && isPointwise(n, shape):
		transposed = true
		h.average(dims)
	case n.Op == "Conv" || len(dims) != 2 || len(shape) != 2 || n.Int("transA", 0) != 0:
		return notAffine(n)
	case n.Op == "Gemm":
		scale = float64(n.Float("alpha", 1))
	}
	h.Inputs, h.Classes = shape[0], shape[1]
	if transposed {
		h.Inputs, h.Classes = shape[1], shape[0]
	}
	h.Weights = make([]float64, (h.Inputs+1)*h.Classes)
	for j := range h.Inputs {
		for c := range h.Classes {
			at := j*h.Classes + c
			if transposed {
				at = c*h.Inputs + j
			}
			h.Weights[j*h.Classes+c] = scale * weight[at]
		}
	}
	if n.Input(2) == "" {
		return nil
	}
	bias, _, err := parameterValue(h.Graph, sd, n.Input(2))
	if err != nil {
		return err
	}
	return h.shift(n, bias, float64(n.Float("beta", 1)))
}

// isPointwise reports whether a convolution with a weight of the shape is a product at
// each position.
func isPointwise(n *graph.Node, shape []int) bool {
	isNot := func(value int) func(int) bool { return func(x int) bool { return x != value } }
	return !slices.ContainsFunc(shape[2:], isNot(1)) && n.Int("group", 1) == 1 &&
		!slices.ContainsFunc(n.Ints("pads"), isNot(0)) && !slices.ContainsFunc(n.Ints("strides"), isNot(1))
}

// average makes the features the averages of a value over its positions.
func (h *Head) average(dims []graph.Dim) {
	const averaged, features = "average of the last layer's input", "features of the last layer"
	h.Graph = h.Graph.Clone()
	h.Graph.Nodes = append(h.Graph.Nodes,
		graph.Node{Name: averaged, Op: "GlobalAveragePool", Inputs: []string{h.Features}, Outputs: []string{averaged}},
		graph.Node{Name: features, Op: "Flatten", Inputs: []string{averaged}, Outputs: []string{features}})
	h.Features = features
}

// arithmetic takes over a node that shifts or scales the logits by parameters.
func (h *Head) arithmetic(n *graph.Node, x *sources, sd *model.StateDict) error {
	const data, operand = 0, 1
	if x.varies[n.Input(data)] && x.varies[n.Input(operand)] {
		return notAffine(n)
	}
	name, first := n.Input(operand), true
	if !x.varies[n.Input(data)] {
		name, first = n.Input(data), false
	}
	v, shape, err := parameterValue(h.Graph, sd, name)
	if err != nil {
		return err
	}
	if len(v) != 1 && (len(v) != h.Classes || shape[len(shape)-1] != h.Classes) {
		return notAffine(n)
	}
	switch {
	case n.Op == "Add":
		return h.shift(n, v, 1)
	case n.Op == "Sub" && first:
		return h.shift(n, v, -1)
	case n.Op == "Mul":
		return h.scale(n, v)
	case n.Op == "Div" && first:
		for i := range v {
			v[i] = 1 / v[i]
		}
		return h.scale(n, v)
	}
	return notAffine(n) // a difference or quotient the other way round
}

// normalization takes over a BatchNormalization in evaluation mode.
func (h *Head) normalization(n *graph.Node, sd *model.StateDict) error {
	var v [4][]float64 // scale, bias, mean and variance
	for i := range v {
		var err error
		if v[i], _, err = parameterValue(h.Graph, sd, n.Input(i+1)); err != nil {
			return err
		}
		if len(v[i]) != h.Classes {
			return notAffine(n)
		}
	}
	epsilon := float64(n.Float("epsilon", 1e-5))
	for c := range h.Classes {
		v[0][c] /= math.Sqrt(v[3][c] + epsilon)
		v[1][c] -= v[0][c] * v[2][c]
	}
	if err := h.scale(n, v[0]); err != nil {
		return err
	}
	return h.shift(n, v[1], 1)
}

// shift adds factor times v, a number for each class or one for all, to the logits.
func (h *Head) shift(n *graph.Node, v []float64, factor float64) error {
	if len(v) != 1 && len(v) != h.Classes {
		return notAffine(n)
	}
	for c := range h.Classes {
		h.Weights[h.Inputs*h.Classes+c] += factor * v[c%len(v)]
	}
	return nil
}

// scale multiplies the logits by v, a number for each class or one for all.
func (h *Head) scale(n *graph.Node, v []float64) error {
	if len(v) != 1 && len(v) != h.Classes {
		return notAffine(n)
	}
	for i := range h.Weights {
		h.Weights[i] *= v[i%h.Classes%len(v)]
	}
	return nil
}

// parameterValue returns a value that is computed from parameters alone, and its shape.
func parameterValue(g *graph.Graph, sd *model.StateDict, name string) ([]float64, []int, error) {
	const copied = "value of a parameter"
	g = g.Clone()
	g.Nodes = append(g.Nodes, graph.Node{Name: copied, Op: "Identity", Inputs: []string{name}, Outputs: []string{copied}})
	g.Outputs = []graph.Value{graph.TensorValue(copied, model.Float32, nil)}
	g.Prune()
	g.Inputs = nil
	out, err := Run(context.Background(), g, sd, nil, Options{})
	if err != nil {
		return nil, nil, err
	}
	v, ok := out[copied].Float64s()
	if !ok {
		return nil, nil, &model.UnsupportedError{What: fmt.Sprintf("%s of the last layer has no real numbers", name)}
	}
	return v, out[copied].Shape(), nil
}
