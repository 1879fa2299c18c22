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
	if inPlace {
		x := c.tensor(r.params[0].name)
		n.Outputs = []*Value{{DType: x.DType, Shape: slices.Clone(x.Shape), Scattered: x.Scattered}}
		return nil
	}
	base := n.Op
	if name, ok := synonyms[base]; ok {
		base = name
	}
	rule := inferRules[base+"."+n.Overload]
	if rule == nil {
		rule = inferRules[base]
	}
	if rule == nil {
		panic(refusal{what: "its sizes are not known", advice: "export the network with torch.export, which says them"})
	}
	n.Outputs = rule(c)
	for _, v := range n.Outputs {
		for _, d := range v.Shape {
			if size, ok := d.Int(); ok && size < 0 {
				panic(refusal{what: fmt.Sprintf("a result of shape %v", v.Shape)})
			}
		}
	}
	return nil
}

// inferRule returns the outputs of a node.
type inferRule func(c *call) []*Value

// inferRules are the rules by operator, and by overload where those differ.
var inferRules = map[string]inferRule{}

func init() {
	for _, part := range []map[string]inferRule{
		{
			"relu neg abs floor ceil round sign square trunc fix frac silu mish log_sigmoid softsign gelu hardsigmoid hardswish relu6 hardtanh leaky_relu elu celu selu softplus hardshrink softshrink threshold prelu bitwise_not dropout feature_dropout alpha_dropout feature_alpha_dropout": likeFirst,
			"alias detach lift lift_fresh_copy clone alias_copy detach_copy positive data requires_grad_ detach_ contiguous roll flip tril triu":                                                                                                                                                likeFirst,
			"batch_norm instance_norm layer_norm group_norm rms_norm zero fill copy channel_shuffle":                                                                                                                                                                                            likeFirst,
			"sigmoid tanh exp log sqrt erf sin cos tan asin acos atan sinh cosh asinh acosh atanh reciprocal rsqrt log2 log10 log1p expm1 erfc":                                                                                                                                                 realFirst,
			"logical_not isnan isinf":                  boolFirst,
			"float double half bfloat16 bool long int": converted,
			"to _to_copy":                              convertedTo,
			"to.other type_as":                         convertedAs,
			"clamp clamp_min clamp_max":                clamped,
			"add sub rsub mul fmod remainder pow maximum minimum max.other min.other": promotedBroadcast("self", "other", "exponent"),
			"floor_divide": promotedBroadcast("self", "other"), "bitwise_and bitwise_or bitwise_xor __and__ __or__": promotedBroadcast("self", "other"),
			"div":                         divided,
			"eq ne not_equal lt gt le ge": compared, "logical_and logical_or logical_xor": compared,
			"addcmul addcdiv": promotedBroadcast("self", "tensor1", "tensor2"), "lerp": promotedBroadcast("self", "end", "weight"),
			"where": chosen, "masked_fill": masked, "glu": halved,
		}, inferShapes, inferLayers, inferReductions, inferMakers, inferCells,
	} {
		for names, rule := range part {
			for name := range strings.FieldsSeq(names) {
				inferRules["aten."+name] = rule
			}
		}
	}
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

func viewed(name string) inferRule {
	return func(c *call) []*Value {
		x := c.tensor("self")
		if d, ok := c.args[name].(model.DType); ok && d == x.DType {
			return likeFirst(c)
		}
		out := made1(x.DType, filledIn(x.Shape.Elements(), c.asDims(name)))
		out[0].Scattered = x.Scattered && c.node.Op == "aten.view"
		return out
	}
}

func likeOther(c *call) []*Value {
	return made1(c.tensor("self").DType, slices.Clone(c.tensor("other").Shape))
}

func flattened(c *call) []*Value {
	x := c.tensor("self")
	if len(x.Shape) == 0 {
		return made1(x.DType, graph.Sizes(1))
	}
	from, to := c.axis("start_dim", len(x.Shape)), c.axis("end_dim", len(x.Shape))
	if from > to {
		panic(refusal{what: fmt.Sprintf("axes %d to %d", from, to)})
	}
	shape := slices.Clone(x.Shape[:from])
	shape = append(shape, x.Shape[from:to+1].Elements())
	return made1(x.DType, append(shape, x.Shape[to+1:]...))
}

func unflattened(c *call) []*Value {
	x := c.tensor("self")
	at := c.place("dim", x.Shape)
	inner := filledIn(x.Shape[at], c.asDims("sizes"))
	out := made1(x.DType, slices.Concat(x.Shape[:at], inner, x.Shape[at+1:]))
	out[0].Scattered = x.Scattered
	return out
}

// viewOf returns a view with another shape; its elements lie scattered unless
// those of the whole do not and the view keeps their order.
func viewOf(x *Value, shape graph.Shape, scattered bool) []*Value {
	out := made1(x.DType, shape)
	out[0].Scattered = x.Scattered || scattered
	return out
}

func unsqueezedShape(c *call) []*Value {
	x := c.tensor("self")
	at := normal(c.int("dim"), len(x.Shape)+1)
	return viewOf(x, slices.Insert(slices.Clone(x.Shape), at, graph.Size(1)), false)
}

func squeezedShape(c *call) []*Value {
	x := c.tensor("self")
	axes := upTo(len(x.Shape))
	if _, given := c.args["dim"]; given {
		axes = normalAll(c.ints("dim"), len(x.Shape))
	}
	shape := graph.Shape{}
	for i, d := range x.Shape {
		if d.Is(1) && slices.Contains(axes, i) {
			continue
		}
		shape = append(shape, d)
	}
	return viewOf(x, shape, false)
}

func permutedShape(order func(c *call, rank int) []int) inferRule {
	return func(c *call) []*Value {
		x := c.tensor("self")
		perm := order(c, len(x.Shape))
		shape := graph.Shape{}
		for _, p := range perm {
			if p < 0 || p >= len(x.Shape) {
				panic(refusal{what: fmt.Sprintf("the order %v of axes", perm)})
			}
			shape = append(shape, x.Shape[p])
		}
		if len(perm) != len(x.Shape) {
			panic(refusal{what: fmt.Sprintf("the order %v of axes", perm)})
		}
		return viewOf(x, shape, true)
	}
}

func expandedShape(c *call) []*Value {
	x := c.tensor("self")
	var to graph.Shape
	if c.args["other"] != nil {
		to = slices.Clone(c.tensor("other").Shape)
	} else {
		to = c.asDims("size")
	}
	lead := len(to) - len(x.Shape)
	if lead < 0 {
		panic(refusal{what: fmt.Sprintf("expanding %v to %v", x.Shape, to)})
	}
	for i, d := range x.Shape {
		switch t := to[lead+i]; {
		case t.Is(-1):
			to[lead+i] = d
		case !d.Is(1) && !d.Equal(t):
			panic(refusal{what: fmt.Sprintf("expanding %v to %v", x.Shape, to)})
		}
	}
	if slices.ContainsFunc(to, func(d graph.Dim) bool { return d.Is(-1) }) {
		panic(refusal{what: fmt.Sprintf("expanding %v to %v", x.Shape, to)})
	}
	return viewOf(x, to, true)
}

func tiled(name string) inferRule {
	return func(c *call) []*Value {
		x, by := c.tensor("self"), c.asDims(name)
		shape := slices.Clone(x.Shape)
		for len(shape) < len(by) {
			shape = append(graph.Sizes(1), shape...)
		}
		for i, d := range by {
			at := len(shape) - len(by) + i
			shape[at] = shape[at].Mul(d)
		}
		return made1(x.DType, shape)
	}
}

func slicedShape(c *call) []*Value {
	x := c.tensor("self")
	at := c.place("dim", x.Shape)
	start, end, step := c.bounds()
	shape := slices.Clone(x.Shape)
	size := shape[at]
	from, to := within(start, size), within(end, size)
	if shape[at] = to.Sub(from).CeilDiv(graph.Size(step)); !shape[at].Add(graph.Size(1)).Positive() {
		shape[at] = shape[at].Max(graph.Size(0))
	}
	return viewOf(x, shape, !shape[at].Equal(size) && at > 0 || step != 1)
}

// within returns a bound of a slice counted from the start, inside the axis.
func within(at, size graph.Dim) graph.Dim {
	if bound, ok := counted(at, size); ok {
		return bound
	}
	switch n, ok := at.Int(); {
	case ok && n < 0:
		return size.Add(at).Max(graph.Size(0))
	case ok && n == 1: // no axis is empty
		return at
	}
	return at.Min(size)
}

func narrowed(c *call) []*Value {
	x := c.tensor("self")
	at := c.place("dim", x.Shape)
	shape := slices.Clone(x.Shape)
	shape[at] = c.dim("length")
	return viewOf(x, shape, at > 0)
}

func selectedShape(c *call) []*Value {
	x := c.tensor("self")
	at := c.place("dim", x.Shape)
	if n, ok := c.dim("index").Int(); ok {
		if size, sized := x.Shape[at].Int(); sized && (n >= size || n < -size) {
			panic(refusal{what: fmt.Sprintf("index %d of an axis of %d", n, size)})
		}
	}
	return viewOf(x, slices.Delete(slices.Clone(x.Shape), at, at+1), at > 0)
}

// partsMax is how many tensors an operator may make.
const partsMax = 1 << 16

func splitShapes(c *call) []*Value {
	x := c.tensor("self")
	at := c.place("dim", x.Shape)
	var sizes graph.Shape
	total, fixed := x.Shape[at].Int()
	equal := func(each int) {
		if !fixed || each < 1 || total/each > partsMax {
			panic(refusal{what: fmt.Sprintf("splitting an axis of %v", x.Shape[at])})
		}
		for from := 0; from < total || from == 0; from += each {
			sizes = append(sizes, graph.Size(min(each, total-from)))
		}
	}
	switch {
	case c.node.Op == "aten.chunk":
		n := c.int("chunks")
		if n < 1 {
			panic(refusal{what: fmt.Sprintf("%d chunks", n)})
		}
		equal(max((total+n-1)/n, 1))
	case c.node.Op == "aten.tensor_split":
		n := c.int("sections")
		if !fixed || n < 1 || n > partsMax {
			panic(refusal{what: fmt.Sprintf("splitting an axis of %v", x.Shape[at])})
		}
		for i := range n {
			size := total / n
			if i < total%n {
				size++
			}
			sizes = append(sizes, graph.Size(size))
		}
	default:
		name := "split_size"
		if _, ok := c.args["split_sizes"]; ok {
			name = "split_sizes"
		}
		if _, one := c.args[name].(int64); one {
			equal(c.int(name))
		} else {
			sizes = c.asDims(name)
			sum := graph.Size(0)
			for _, d := range sizes {
				sum = sum.Add(d)
			}
			if !sum.Equal(x.Shape[at]) {
				panic(refusal{what: fmt.Sprintf("splitting an axis of %v into %v", x.Shape[at], sizes)})
			}
		}
	}
	var out []*Value
	for _, size := range sizes {
		shape := slices.Clone(x.Shape)
		shape[at] = size
		out = append(out, viewOf(x, shape, at > 0)...)
	}
	return out
}

func unbound(c *call) []*Value {
	x := c.tensor("self")
	at := c.place("dim", x.Shape)
	n, ok := x.Shape[at].Int()
	if !ok || n > partsMax {
		panic(refusal{what: fmt.Sprintf("taking an axis of %v apart", x.Shape[at])})
	}
	var out []*Value
	for range n {
		out = append(out, viewOf(x, slices.Delete(slices.Clone(x.Shape), at, at+1), at > 0)...)
	}
	return out
}

func catted(c *call) []*Value {
	list := c.tensors("tensors")
	if len(list) == 0 {
		panic(refusal{what: "no tensors"})
	}
	var d [3]model.DType
	rank := 0
	for _, x := range list {
		rank = max(rank, len(x.Shape))
	}
	if rank == 0 {
		panic(refusal{what: "joining tensors without axes"})
	}
	var shape graph.Shape
	at := c.axis("dim", rank)
	for _, x := range list {
		d[0] = widest(d[0], x.DType)
		if len(x.Shape) == 1 && x.Shape[0].Is(0) && rank > 1 {
			continue
		}
		if len(x.Shape) != rank {
			panic(refusal{what: fmt.Sprintf("joining %d and %d axes", len(x.Shape), rank)})
		}
		if shape == nil {
			shape = slices.Clone(x.Shape)
			continue
		}
		for i := range shape {
			if i == at {
				shape[i] = shape[i].Add(x.Shape[i])
			} else if !shape[i].Equal(x.Shape[i]) {
				panic(refusal{what: fmt.Sprintf("the shapes %v and %v cannot be shown to fit", shape, x.Shape)})
			}
		}
	}
	if shape == nil { // all are empty
		return made1(d[0], graph.Sizes(0))
	}
	return made1(d[0], shape)
}

func stacked(c *call) []*Value {
	list := c.tensors("tensors")
	if len(list) == 0 {
		panic(refusal{what: "no tensors"})
	}
	d := list[0].DType
	for _, x := range list {
		d = widest(d, x.DType)
		if !x.Shape.Equal(list[0].Shape) {
			panic(refusal{what: fmt.Sprintf("the shapes %v and %v cannot be shown to fit", list[0].Shape, x.Shape)})
		}
	}
	at := normal(c.int("dim"), len(list[0].Shape)+1)
	return made1(d, slices.Insert(slices.Clone(list[0].Shape), at, graph.Size(len(list))))
}

func indexedShape(c *call) []*Value {
	x := c.tensor("self")
	list, ok := c.args["indices"].([]*Value)
	if !ok || len(list) > len(x.Shape) {
		panic(wrong("indices", "a list of tensors", c.args["indices"]))
	}
	var at []int
	shape := graph.Shape{}
	for i, v := range list {
		if v == nil {
			continue
		}
		if v.DType == model.Bool || v.DType == model.Uint8 {
			panic(refusal{what: "indexing by a mask, which gives a size that depends on data", advice: "use where or masked_fill"})
		}
		at = append(at, i)
		shape = fitting(shape, v.Shape)
	}
	if len(at) == 0 {
		return likeFirst(c)
	}
	rest := graph.Shape{}
	for i, d := range x.Shape {
		if !slices.Contains(at, i) {
			rest = append(rest, d)
		}
	}
	front := 0
	if at[len(at)-1]-at[0] == len(at)-1 {
		front = at[0]
	}
	return made1(x.DType, slices.Concat(rest[:front], shape, rest[front:]))
}

func indexSelected(c *call) []*Value {
	x, i := c.tensor("self"), c.tensor("index")
	shape := slices.Clone(x.Shape)
	shape[c.place("dim", shape)] = i.Shape.Elements()
	return made1(x.DType, shape)
}

func paddedShape(c *call) []*Value {
	x := c.tensor("self")
	name := "pad"
	if c.has("padding") {
		name = "padding"
	}
	pad := c.ints(name)
	if len(pad)%2 != 0 || len(pad) > 2*len(x.Shape) {
		panic(refusal{what: fmt.Sprintf("padding %v of shape %v", pad, x.Shape)})
	}
	shape := slices.Clone(x.Shape)
	for i := range len(pad) / 2 {
		at := len(shape) - 1 - i
		shape[at] = shape[at].Add(graph.Size(pad[2*i] + pad[2*i+1]))
	}
	return made1(x.DType, shape)
}

func shuffledPixels(c *call) []*Value {
	x := c.tensor("self")
	if len(x.Shape) != 4 {
		panic(refusal{what: fmt.Sprintf("the shape %v", x.Shape)})
	}
	s := slices.Clone(x.Shape)
	if c.has("upscale_factor") {
		r := graph.Size(c.int("upscale_factor"))
		s[1], s[2], s[3] = s[1].Div(r.Mul(r)), s[2].Mul(r), s[3].Mul(r)
	} else {
		r := graph.Size(c.int("downscale_factor"))
		s[1], s[2], s[3] = s[1].Mul(r.Mul(r)), s[2].Div(r), s[3].Div(r)
	}
	return made1(x.DType, s)
}

func topped(c *call) []*Value {
	x := c.tensor("self")
	shape := slices.Clone(x.Shape)
	if _, ok := c.args["k"]; ok && len(shape) > 0 {
		shape[c.axis("dim", len(shape))] = c.dim("k")
	}
	out := append(made1(x.DType, shape), made1(model.Int64, shape)...)
	if c.node.Op == "aten.argsort" {
		return out[1:]
	}
	return out
}

func repeatedInterleave(c *call) []*Value {
	x := c.tensor("self")
	shape := slices.Clone(x.Shape)
	at := c.place("dim", shape)
	shape[at] = shape[at].Mul(graph.Size(c.int("repeats")))
	return made1(x.DType, shape)
}

var inferShapes = map[string]inferRule{
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
	"gather": func(c *call) []*Value { return made1(c.tensor("self").DType, slices.Clone(c.tensor("index").Shape)) },
	"embedding": func(c *call) []*Value {
		w, i := c.tensor("weight"), c.tensor("indices")
		if len(w.Shape) != 2 || i.DType.IsFloat() {
			panic(refusal{what: fmt.Sprintf("a table of shape %v for indices of type %v", w.Shape, i.DType)})
		}
		return made1(w.DType, append(slices.Clone(i.Shape), w.Shape[1]))
	},
	"topk sort argsort": topped,
	"one_hot": func(c *call) []*Value {
		return made1(model.Int64, append(slices.Clone(c.tensor("self").Shape), graph.Size(c.int("num_classes"))))
	},
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
