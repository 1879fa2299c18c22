package aten

import (
	"fmt"
	"slices"

	"lethe/graph"
	"lethe/model"
)

//go:noinline
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

//go:noinline
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

//go:noinline
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
		if n < 1 || n > partsMax {
			panic(refusal{what: fmt.Sprintf("%d chunks", n)})
		}
		if by := graph.Size(n); !fixed && x.Shape[at].Mod(by).Is(0) {
			sizes = slices.Repeat(graph.Shape{x.Shape[at].Div(by)}, n)
			break
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
		if v.DType == model.Bool && len(list) == 1 && len(v.Shape) <= len(x.Shape) {
			return made1(x.DType, append(graph.Shape{graph.Symbol("masked")}, x.Shape[len(v.Shape):]...))
		}
		if v.DType == model.Bool || v.DType == model.Uint8 {
			panic(refusal{what: "indexing by a mask, which gives a size that depends on data", advice: "use where or masked_fill"})
		}
		if v.DType.IsFloat() {
			panic(refusal{what: fmt.Sprintf("indices of type %v", v.DType)})
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

// withIndex returns a tensor like the first argument, if the second holds
// integers.
func (c *call) withIndex(name, index string) []*Value {
	if d := c.tensor(index).DType; d.IsFloat() || d == model.Bool {
		panic(refusal{what: fmt.Sprintf("indices of type %v", d)})
	}
	x := c.tensor(name)
	return made1(x.DType, slices.Clone(x.Shape))
}

func indexSelected(c *call) []*Value {
	x, i := c.withIndex("self", "index")[0], c.tensor("index")
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
	pad := c.asDims(name)
	if len(pad)%2 != 0 || len(pad) > 2*len(x.Shape) {
		panic(refusal{what: fmt.Sprintf("padding %v of shape %v", pad, x.Shape)})
	}
	shape := slices.Clone(x.Shape)
	for i := range len(pad) / 2 {
		at := len(shape) - 1 - i
		shape[at] = shape[at].Add(pad[2*i]).Add(pad[2*i+1])
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
