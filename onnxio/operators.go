package onnxio

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// operator says what a node of one type may look like in this package's range
// of opsets. Every operator makes one output.
type operator struct {
	minInputs, maxInputs int
	attrs                []attribute
}

// attribute is one attribute of an operator, with its limits and its default.
type attribute struct {
	name     string
	def      graph.Attr // the default; of a list, that of every element
	perAxis  int        // elements per spatial axis; 0 if the attribute is no list
	min, max int64      // of integers

	fixed    bool // values other than the default are not supported
	inert    bool // without effect on inference
	explicit bool // kept where it is the default: readers disagree about what is absent
}

const large = math.MaxInt32 // far beyond any real size, yet safe to add and multiply

var (
	kernelShape = attribute{name: "kernel_shape", def: graph.Int(0), perAxis: 1, min: 1, max: large, explicit: true}
	strides     = attribute{name: "strides", def: graph.Int(1), perAxis: 1, min: 1, max: large, explicit: true}
	pads        = attribute{name: "pads", def: graph.Int(0), perAxis: 2, max: large, explicit: true}
	dilations   = attribute{name: "dilations", def: graph.Int(1), perAxis: 1, min: 1, max: large}
	autoPad     = attribute{name: "auto_pad", def: graph.String("NOTSET"), fixed: true}
)

// operators lists attributes in the order in which they are checked;
// kernel_shape comes first because the length of the other lists follows.
var operators = map[string]operator{
	"Conv": {2, 3, []attribute{kernelShape, strides, pads, dilations, autoPad,
		{name: "group", def: graph.Int(1), min: 1, max: large},
	}},
	"BatchNormalization": {5, 5, []attribute{
		{name: "epsilon", def: graph.Float(1e-5), explicit: true},
		{name: "momentum", def: graph.Float(0.9), inert: true},
		{name: "training_mode", def: graph.Int(0), max: 1, fixed: true},
	}},
	"Relu": {1, 1, nil},
	"MaxPool": {1, 1, []attribute{kernelShape, strides, pads, dilations, autoPad,
		{name: "ceil_mode", def: graph.Int(0), max: 1},
		{name: "storage_order", def: graph.Int(0), max: 1, inert: true}, // of the output Indices
	}},
	"Flatten": {1, 1, []attribute{
		{name: "axis", def: graph.Int(1), min: -large, max: large, explicit: true},
	}},
	"Gemm": {2, 3, []attribute{
		{name: "alpha", def: graph.Float(1)},
		{name: "beta", def: graph.Float(1)},
		{name: "transA", def: graph.Int(0), max: 1},
		{name: "transB", def: graph.Int(0), max: 1},
	}},
}

// attributes returns the attributes of a node as a [graph.Graph] should have
// them: defaults left out, except where programs are known to disagree about
// them. weights is the shape of the node's second input if that is a weight,
// which is where a Conv without kernel_shape has it from.
func (op operator) attributes(n *graph.Node, weights []int) (graph.Attrs, error) {
	for _, name := range slices.Sorted(maps.Keys(n.Attrs)) {
		if !slices.ContainsFunc(op.attrs, func(a attribute) bool { return a.name == name }) {
			return nil, &model.UnsupportedError{What: fmt.Sprintf("attribute %q of %s %q", name, n.Op, n.Name)}
		}
	}
	out := graph.Attrs{}
	axes := 0
	for _, a := range op.attrs {
		value, present := n.Attrs[a.name]
		if a.name == kernelShape.name {
			kernel, err := kernelOf(n, weights)
			if err != nil {
				return nil, err
			}
			axes, value, present = len(kernel), graph.Ints(kernel...), true
		}
		if !present {
			value = a.defaultFor(axes)
		}
		if err := a.check(n, value, axes); err != nil {
			return nil, err
		}
		if !a.inert && (a.explicit || !a.isDefault(value)) {
			out[a.name] = value
		}
	}
	if axis := out["axis"].Int(); axis < 0 {
		return nil, &model.UnsupportedError{
			What:   fmt.Sprintf("axis %d of %s %q counts from the last axis", axis, n.Op, n.Name),
			Advice: "export the model with an axis that counts from the first",
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// kernelOf returns kernel_shape, which a Conv may leave to the shape of its
// weights: [out, in/group, kernel...].
func kernelOf(n *graph.Node, weights []int) ([]int64, error) {
	var fromWeights []int64
	if n.Op == "Conv" && len(weights) > 2 {
		for _, d := range weights[2:] {
			fromWeights = append(fromWeights, int64(d))
		}
	}
	value, present := n.Attrs[kernelShape.name]
	kernel := value.Ints()
	switch {
	case present && value.Kind() != graph.IntsAttr:
		return nil, broken(nodeName(n), "attribute kernel_shape is %v, not %v", value.Kind(), graph.IntsAttr)
	case !present && fromWeights == nil:
		return nil, broken(nodeName(n), "%s has no kernel_shape", n.Op)
	case present && len(kernel) == 0:
		return nil, broken(nodeName(n), "kernel_shape has no axes")
	case present && fromWeights != nil && !slices.Equal(kernel, fromWeights):
		return nil, broken(nodeName(n), "kernel_shape is %v, but the weights have %v", kernel, fromWeights)
	case !present:
		return fromWeights, nil
	}
	return kernel, nil
}

func (a *attribute) defaultFor(axes int) graph.Attr {
	if a.perAxis == 0 {
		return a.def
	}
	return graph.Ints(slices.Repeat([]int64{a.def.Int()}, a.perAxis*axes)...)
}

func (a *attribute) isDefault(value graph.Attr) bool {
	if value.Kind() == graph.IntsAttr {
		return !slices.ContainsFunc(value.Ints(), func(x int64) bool { return x != a.def.Int() })
	}
	return value.Equal(a.def)
}

func (a *attribute) check(n *graph.Node, value graph.Attr, axes int) error {
	want := a.defaultFor(axes).Kind()
	if got := value.Kind(); got != want {
		return broken(nodeName(n), "attribute %s is %v, not %v", a.name, got, want)
	}
	var integers []int64
	switch value.Kind() {
	case graph.IntAttr:
		integers = []int64{value.Int()}
	case graph.IntsAttr:
		if integers = value.Ints(); len(integers) != a.perAxis*axes {
			return broken(nodeName(n), "attribute %s has %d elements, not %d", a.name, len(integers), a.perAxis*axes)
		}
	case graph.FloatAttr:
		if v := value.Float(); v-v != 0 {
			return broken(nodeName(n), "attribute %s is %v, not a finite number", a.name, v)
		}
	}
	for _, x := range integers {
		if x < a.min || x > a.max {
			return broken(nodeName(n), "attribute %s holds %d, outside %d to %d", a.name, x, a.min, a.max)
		}
	}
	if a.fixed && !value.Equal(a.def) {
		return &model.UnsupportedError{What: fmt.Sprintf("%s %v of %s %q (supported: %v)", a.name, value, n.Op, n.Name, a.def)}
	}
	return nil
}
