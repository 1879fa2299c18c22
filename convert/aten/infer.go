package aten

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"lethe/graph"
	"lethe/model"
)

// Infer gives a node new outputs without names, with the types and shapes that
// follow from its arguments by the rules of PyTorch. It is for programs that do
// not say them. An operator that is not known, arguments that do not fit, and
// sizes of which it cannot be shown that they do, are a
// [model.UnsupportedError].
func Infer(n *Node) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case refusal:
			what := strings.TrimPrefix(n.Op, "aten.") + ": " + r.what
			err = &model.UnsupportedError{What: "operator " + what, Advice: r.advice}
		case runtime.Error: // an axis or an element that is not there
			err = &model.UnsupportedError{What: "operator " + strings.TrimPrefix(n.Op, "aten.") + ": arguments that do not fit its tensors"}
		default:
			panic(r)
		}
	}()
	r, inPlace := lookUp(n)
	if r == nil || r.lower == nil {
		return &model.UnsupportedError{What: "operator " + strings.TrimPrefix(n.Op, "aten."), Advice: Advice(n.Op)}
	}
	c := (&converter{builder: &builder{}}).newCall(n, r)
	if inPlace && !reshapesInPlace[n.Op] {
		x := c.tensor(r.params[0].name)
		n.Outputs = []*Value{{DType: x.DType, Shape: slices.Clone(x.Shape), Scattered: x.Scattered}}
		return nil
	}
	base := n.Op
	if inPlace {
		base = strings.TrimSuffix(base, "_")
	}
	if name, ok := synonyms[base]; ok {
		base = name
	}
	rules := known().infer
	rule := rules[base+"."+n.Overload]
	if rule == nil {
		rule = rules[base]
	}
	if rule == nil {
		panic(refusal{what: "its sizes are not known", advice: "export the network with torch.export, which says them"})
	}
	n.Outputs = rule(c)
	for _, v := range n.Outputs {
		if v == nil {
			continue
		}
		for _, d := range v.Shape {
			if size, ok := d.Int(); ok && size < 0 {
				panic(refusal{what: fmt.Sprintf("a result of shape %v", v.Shape)})
			}
		}
	}
	return nil
}

// reshapesInPlace are the operators that give their tensor another shape in place.
var reshapesInPlace = map[string]bool{
	"aten.unsqueeze_": true, "aten.squeeze_": true, "aten.transpose_": true, "aten.t_": true, "aten.swapaxes_": true, "aten.swapdims_": true,
}

// ReshapesInPlace reports whether an operator, such as "aten.unsqueeze_", gives its
// tensor another shape in place.
func ReshapesInPlace(op string) bool { return reshapesInPlace[op] }

// inferRule returns the outputs of a node.
type inferRule func(c *call) []*Value

// inferRules returns the rules by operator, and by overload where those differ.
func inferRules() map[string]inferRule {
	rules := map[string]inferRule{}
	for _, part := range []map[string]inferRule{
		{
			"relu neg abs floor ceil round sign square trunc fix frac silu mish log_sigmoid softsign gelu hardsigmoid hardswish relu6 hardtanh leaky_relu rrelu rrelu_with_noise elu celu selu softplus hardshrink softshrink threshold prelu bitwise_not dropout feature_dropout alpha_dropout feature_alpha_dropout": likeFirst,
			"alias detach lift lift_fresh_copy clone alias_copy detach_copy positive cpu cuda data requires_grad_ detach_ contiguous roll flip tril triu":                                                                                                                                                              likeFirst,
			"batch_norm instance_norm layer_norm group_norm rms_norm zero fill copy channel_shuffle":                                                                                                                                                                                                                   likeFirst,
			"sigmoid tanh exp log sqrt erf sin cos tan asin acos atan sinh cosh asinh acosh atanh reciprocal rsqrt log2 log10 log1p expm1 erfc":                                                                                                                                                                        realFirst,
			"logical_not isnan isinf":                  boolFirst,
			"float double half bfloat16 bool long int": converted,
			"to _to_copy":                              convertedTo,
			"to.other type_as":                         convertedAs,
			"clamp clamp_min clamp_max":                clamped,
			"add sub rsub mul fmod remainder pow maximum minimum max.other min.other": promotedBroadcast("self", "other", "exponent"),
			"floor_divide": promotedBroadcast("self", "other"), "bitwise_and bitwise_or bitwise_xor": promotedBroadcast("self", "other"),
			"div":                         divided,
			"eq ne not_equal lt gt le ge": compared, "logical_and logical_or logical_xor": compared,
			"addcmul addcdiv": promotedBroadcast("self", "tensor1", "tensor2"), "lerp": promotedBroadcast("self", "end", "weight"),
			"where": chosen, "masked_fill": masked, "glu": halved,
		}, inferShapes(), inferLayers(), inferReductions(), inferMakers(), inferCells(), inferDiagonals(), inferDistances(), inferWindows(), inferBags(), inferScatters(), inferGrids(), inferComplex(), inferComposites(),
	} {
		for names, rule := range part {
			for name := range strings.FieldsSeq(names) {
				rules["aten."+name] = rule
			}
		}
	}
	return rules
}

// tensor returns a tensor argument.
func (c *call) tensor(name string) *Value {
	v, ok := c.args[name].(*Value)
	if !ok {
		panic(wrong(name, "a tensor", c.args[name]))
	}
	return v
}

// tensors returns a list of tensors.
func (c *call) tensors(name string) []*Value {
	list, ok := c.args[name].([]*Value)
	if !ok || slices.Contains(list, nil) {
		panic(wrong(name, "a list of tensors", c.args[name]))
	}
	return list
}

// first returns the first tensor argument of the schema.
func (c *call) first() *Value {
	r, _ := lookUp(c.node)
	for _, p := range r.params {
		if v, ok := c.args[p.name].(*Value); ok {
			return v
		}
	}
	panic(refusal{what: "it has no tensor"})
}

// place returns an axis of a shape that has axes.
func (c *call) place(name string, shape graph.Shape) int {
	if len(shape) == 0 {
		panic(refusal{what: "an axis of a tensor that has none"})
	}
	return c.axis(name, len(shape))
}

func made1(d model.DType, shape graph.Shape) []*Value {
	if shape == nil {
		shape = graph.Shape{}
	}
	return []*Value{{DType: d, Shape: shape}}
}

func likeFirst(c *call) []*Value {
	x := c.first()
	out := made1(x.DType, slices.Clone(x.Shape))
	out[0].Scattered = x.Scattered && c.node.Op != "aten.contiguous"
	return out
}

func floatOf(d model.DType) model.DType {
	if d.IsFloat() {
		return d
	}
	return model.Float32
}

func realFirst(c *call) []*Value {
	out := likeFirst(c)
	out[0].DType = floatOf(out[0].DType)
	return out
}

func boolFirst(c *call) []*Value {
	out := likeFirst(c)
	out[0].DType = model.Bool
	return out
}

var castTypes = map[string]model.DType{
	"aten.float": model.Float32, "aten.double": model.Float64, "aten.half": model.Float16, "aten.bfloat16": model.BFloat16,
	"aten.bool": model.Bool, "aten.long": model.Int64, "aten.int": model.Int32,
}

func converted(c *call) []*Value {
	out := likeFirst(c)
	out[0].DType = castTypes[c.node.Op]
	return out
}

func convertedTo(c *call) []*Value {
	out := likeFirst(c)
	out[0].DType = c.typeOr("dtype", out[0].DType)
	return out
}

func convertedAs(c *call) []*Value {
	out := likeFirst(c)
	out[0].DType = c.tensor("other").DType
	return out
}

// typeOr returns an argument that is an element type, or another one if it is
// left out.
func (c *call) typeOr(name string, otherwise model.DType) model.DType {
	switch d := c.args[name].(type) {
	case nil:
		return otherwise
	case model.DType:
		return d
	}
	panic(wrong(name, "an element type", c.args[name]))
}

// joined returns the shape that tensors and numbers are repeated to, in which
// sizes must be shown to fit.
func (c *call) joined(names ...string) (shape graph.Shape, scattered bool) {
	shape = graph.Shape{}
	for _, name := range names {
		if v, ok := c.args[name].(*Value); ok {
			shape = fitting(shape, v.Shape)
			scattered = scattered || v.Scattered
		}
	}
	return shape, scattered
}

func fitting(a, b graph.Shape) graph.Shape {
	out := broadcast(a, b)
	for _, s := range []graph.Shape{a, b} {
		for i, d := range s {
			if o := out[len(out)-len(s)+i]; !d.Is(1) && !d.Equal(o) {
				panic(refusal{what: fmt.Sprintf("the shapes %v and %v cannot be shown to fit", a, b)})
			}
		}
	}
	return out
}

//go:noinline
func promotedBroadcast(names ...string) inferRule {
	return func(c *call) []*Value {
		var have []string
		for _, name := range names {
			if _, ok := c.args[name]; ok && c.args[name] != nil {
				have = append(have, name)
			}
		}
		shape, scattered := c.joined(have...)
		out := made1(c.promoted(have...), shape)
		out[0].Scattered = scattered
		return out
	}
}

func divided(c *call) []*Value {
	out := promotedBroadcast("self", "other")(c)
	if c.args["rounding_mode"] == nil {
		out[0].DType = floatOf(out[0].DType)
	}
	return out
}

func compared(c *call) []*Value {
	out := promotedBroadcast("self", "other")(c)
	out[0].DType = model.Bool
	return out
}

func clamped(c *call) []*Value { return promotedBroadcast("self", "min", "max")(c) }

func chosen(c *call) []*Value {
	shape, _ := c.joined("condition", "self", "other")
	return made1(c.promoted("self", "other"), shape)
}

func masked(c *call) []*Value {
	shape, scattered := c.joined("self", "mask", "value")
	out := made1(c.tensor("self").DType, shape)
	out[0].Scattered = scattered
	return out
}

func halved(c *call) []*Value {
	x := c.tensor("self")
	shape := slices.Clone(x.Shape)
	at := c.place("dim", shape)
	if !shape[at].Mod(graph.Size(2)).Is(0) {
		panic(refusal{what: fmt.Sprintf("an axis of %v", shape[at])})
	}
	shape[at] = shape[at].Div(graph.Size(2))
	return made1(x.DType, shape)
}

// asDims returns a list of sizes, or a single one, as sizes.
func (c *call) asDims(name string) graph.Shape {
	switch v := c.args[name].(type) {
	case graph.Shape:
		return slices.Clone(v)
	case graph.Dim:
		return graph.Shape{v}
	}
	return graph.Sizes(c.ints(name)...)
}

// filledIn replaces the one size of -1 by what remains of the elements.
func filledIn(have graph.Dim, sizes graph.Shape) graph.Shape {
	open, rest := -1, graph.Size(1)
	for i, d := range sizes {
		if !d.Is(-1) {
			rest = rest.Mul(d)
			continue
		}
		if open >= 0 {
			panic(refusal{what: fmt.Sprintf("the sizes %v", sizes)})
		}
		open = i
	}
	if open >= 0 {
		if rest.Is(0) {
			panic(refusal{what: "a size that nothing tells"})
		}
		sizes[open] = have.Div(rest)
		rest = rest.Mul(sizes[open])
	}
	if !rest.Equal(have) {
		panic(refusal{what: fmt.Sprintf("%v elements cannot be shown to fill the sizes %v", have, sizes)})
	}
	return sizes
}

func inferShapes() map[string]inferRule {
	return map[string]inferRule{
		"view": viewed("size"), "reshape": viewed("shape"), "_reshape_alias": viewed("size"), "view.dtype": viewed("dtype"),
		"view_as reshape_as": likeOther, "flatten": flattened, "unflatten": unflattened,
		"ravel":     func(c *call) []*Value { x := c.tensor("self"); return made1(x.DType, graph.Shape{x.Shape.Elements()}) },
		"unsqueeze": unsqueezedShape, "squeeze squeeze.dim squeeze.dims": squeezedShape,
		"permute":   permutedShape(func(c *call, rank int) []int { return normalAll(c.ints("dims"), rank) }),
		"transpose": permutedShape(swapped("dim0", "dim1")), "swapaxes": permutedShape(swapped("axis0", "axis1")),
		"t numpy_T": permutedShape(func(c *call, rank int) []int { return reversed(rank) }),
		"mT": permutedShape(func(c *call, rank int) []int {
			c.args["a"], c.args["b"] = int64(-1), int64(-2)
			return swapped("a", "b")(c, rank)
		}),
		"movedim moveaxis movedim.int": permutedShape(moved), "expand expand_as broadcast_to": expandedShape,
		"repeat": tiled("repeats"), "tile": tiled("dims"), "repeat_interleave.self_int": repeatedInterleave,
		"as_strided":    func(c *call) []*Value { return made1(c.tensor("self").DType, c.asDims("size")) },
		"pixel_shuffle": shuffledPixels, "pixel_unshuffle": shuffledPixels,
		"pad constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d": paddedShape,
		"slice": slicedShape, "narrow": narrowed, "select": selectedShape, "slice_scatter select_scatter": likeFirst,
		"split split_with_sizes chunk tensor_split split.sizes split_with_sizes_copy": splitShapes, "unbind": unbound,
		"cat": catted, "stack": stacked, "index": indexedShape, "index_select": indexSelected,
		"gather": func(c *call) []*Value {
			return made1(c.withIndex("self", "index")[0].DType, slices.Clone(c.tensor("index").Shape))
		},
		"embedding": func(c *call) []*Value {
			w, i := c.tensor("weight"), c.tensor("indices")
			if len(w.Shape) != 2 || i.DType.IsFloat() {
				panic(refusal{what: fmt.Sprintf("a table of shape %v for indices of type %v", w.Shape, i.DType)})
			}
			return made1(w.DType, append(slices.Clone(i.Shape), w.Shape[1]))
		},
		"topk sort argsort": topped,
		"one_hot": func(c *call) []*Value {
			if d := c.tensor("self").DType; d.IsFloat() {
				panic(refusal{what: fmt.Sprintf("one_hot of type %v", d)})
			}
			return made1(model.Int64, append(slices.Clone(c.tensor("self").Shape), graph.Size(c.int("num_classes"))))
		},
	}
}

// Parameters returns the names of an operator's arguments, in order, or nil if
// the operator is not known.
func Parameters(op, overload string) []string {
	r, _ := lookUp(&Node{Op: op, Overload: overload})
	if r == nil {
		return nil
	}
	names := make([]string, len(r.params))
	for i, p := range r.params {
		names[i] = p.name
	}
	return names
}
