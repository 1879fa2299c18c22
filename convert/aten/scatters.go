package aten

import (
	"fmt"
	"slices"
	"strings"

	"lethe/graph"
	"lethe/model"
)

// scatterRows write elements to places that a tensor tells.
func scatterRows() map[string]row {
	return map[string]row{
		"aten.scatter":       {schema: "self, dim, index, src=None, value=None, reduce=None", lower: func(c *call) { c.scatter("src", "none") }},
		"aten.scatter.value": {schema: "self, dim, index, value, reduce=None, src=None", lower: func(c *call) { c.scatter("src", "none") }},
		"aten.scatter_add":   {schema: "self, dim, index, src, value=None, reduce=None", lower: func(c *call) { c.scatter("src", "add") }},
		"aten.index_add":     {schema: "self, dim, index, source, alpha=1", lower: indexAdd},
		"aten.index_fill": {schema: "self, dim, index, value", lower: func(c *call) {
			x, index := c.in("self"), c.in("index")
			at := c.axis("dim", len(x.shape))
			shape := slices.Clone(x.shape)
			shape[at] = index.shape.Elements()
			value := c.number("value", x.dtype)
			if len(value.shape) > 0 {
				panic(refusal{what: fmt.Sprintf("a value of shape %v", value.shape)})
			}
			part := operand{c.expand(value, shape), x.dtype, shape}
			c.ret(c.scattered(x, c.alongAxis(index, at, shape), part, at, "none"))
		}},
		"aten.index_put": {schema: "self, indices, values, accumulate=False, unsafe=False", lower: indexPut},
		"aten.bucketize": {schema: "self, boundaries, out_int32=False, right=False", lower: func(c *call) {
			d := c.promoted("self", "boundaries")
			x, b := c.number("self", d), c.number("boundaries", d)
			if len(b.shape) != 1 {
				panic(refusal{what: fmt.Sprintf("boundaries of shape %v", b.shape)})
			}
			op := "Greater"
			if c.bool("right") {
				op = "GreaterOrEqual"
			}
			above := c.op(op, nil, c.unsqueeze(x.name, len(x.shape)), b.name)
			c.ret(c.reduce("ReduceSum", c.cast(above, model.Bool, c.out(0).DType), []int{-1}, false))
		}},
		"aten.median.dim": {schema: "self, dim, keepdim=False", lower: func(c *call) {
			x := c.in("self")
			at := c.axis("dim", len(x.shape))
			n, ok := x.shape[at].Int()
			if !ok || n < 1 {
				panic(refusal{what: fmt.Sprintf("the median of an axis of %v", x.shape[at])})
			}
			for i, y := range c.ops("TopK", 2, attrs{"axis": num(int64(at)), "largest": num(0)}, x.name, c.builder.ints((n+1)/2)) {
				last := c.op("Slice", nil, y, c.builder.ints((n-1)/2), c.builder.ints((n+1)/2), c.builder.ints(at))
				if !c.bool("keepdim") {
					last = c.squeeze(last, at)
				}
				if i == 0 {
					c.results = nil
				}
				c.results = append(c.results, last)
			}
		}},
	}
}

// scatter writes along an axis. The index is as large as what is written.
func (c *call) scatter(from, reduction string) {
	x, index := c.in("self"), c.in("index")
	if c.has("reduce") {
		panic(refusal{what: "scatter with a reduction"})
	}
	var part operand
	if c.has(from) {
		part = c.number(from, x.dtype)
	} else {
		part = c.number("value", x.dtype)
	}
	if len(part.shape) == 0 {
		part = operand{c.expand(part, index.shape), x.dtype, index.shape}
	}
	if !part.shape.Equal(index.shape) {
		panic(refusal{what: fmt.Sprintf("an index of shape %v for elements of shape %v", index.shape, part.shape)})
	}
	c.ret(c.scattered(x, index, part, c.axis("dim", len(x.shape)), reduction))
}

func (c *call) scattered(x, index, part operand, at int, reduction string) string {
	a := attrs{"axis": num(int64(at))}
	if reduction != "none" {
		c.since(16, "ScatterElements that adds")
		a["reduction"] = text(reduction)
	}
	return c.op("ScatterElements", a, x.name, c.cast(index.name, index.dtype, model.Int64), part.name)
}

func indexAdd(c *call) {
	x, index, part := c.in("self"), c.in("index"), c.number("source", c.in("self").dtype)
	at := c.axis("dim", len(x.shape))
	if len(index.shape) != 1 || len(part.shape) != len(x.shape) {
		panic(refusal{what: fmt.Sprintf("an index of shape %v for elements of shape %v", index.shape, part.shape)})
	}
	if alpha := c.args["alpha"]; alpha != int64(1) && alpha != 1.0 {
		part.name = c.op("Mul", nil, part.name, c.number("alpha", x.dtype).name)
	}
	c.ret(c.scattered(x, c.alongAxis(index, at, part.shape), part, at, "add"))
}

// alongAxis repeats a vector of indices of an axis to a shape.
func (c *call) alongAxis(index operand, at int, to graph.Shape) operand {
	shape := graph.Sizes(slices.Repeat([]int{1}, len(to))...)
	shape[at] = index.shape.Elements()
	return operand{c.expand(operand{c.reshape(index, shape), index.dtype, shape}, to), index.dtype, to}
}

// indexPut is x[mask] = number, or x[i, j] = y with tensors of indices.
func indexPut(c *call) {
	x := c.in("self")
	list, ok := c.args["indices"].([]*Value)
	if !ok || len(list) == 0 || len(list) > len(x.shape) {
		panic(wrong("indices", "a list of tensors", c.args["indices"]))
	}
	value := c.number("values", x.dtype)
	if first := list[0]; len(list) == 1 && first != nil && first.DType == model.Bool {
		mask := c.conv.bindingOf(first).current()
		single := !slices.ContainsFunc(value.shape, func(d graph.Dim) bool { return !d.Is(1) })
		if !single || c.bool("accumulate") || len(value.shape) > 1 {
			panic(refusal{what: "writing several values to the elements of a mask", advice: "use where or masked_fill"})
		}
		name := mask.name
		for i := len(mask.shape); i < len(x.shape); i++ {
			name = c.unsqueeze(name, i)
		}
		c.ret(c.op("Where", nil, name, value.name, x.name))
		return
	}
	var at []int
	var by []operand
	shape := graph.Shape{}
	for i, v := range list {
		if v == nil {
			continue
		}
		o := c.conv.bindingOf(v).current()
		if o.dtype == model.Bool || o.dtype == model.Uint8 {
			panic(refusal{what: "writing to a mask beside other indices", advice: "use where or masked_fill"})
		}
		at, by = append(at, i), append(by, operand{c.cast(o.name, o.dtype, model.Int64), model.Int64, o.shape})
		shape = broadcast(shape, o.shape)
	}
	if len(at) == 0 || at[len(at)-1]-at[0] != len(at)-1 {
		panic(refusal{what: "writing to indices of axes that are not neighbours"})
	}
	var parts []string
	for _, o := range by {
		parts = append(parts, c.unsqueeze(c.expand(o, shape), len(shape)))
	}
	front := at[0]
	perm := slices.Clone(at)
	for i := range x.shape {
		if !slices.Contains(at, i) {
			perm = append(perm, i)
		}
	}
	rest := x.shape[front+len(at):]
	target := slices.Concat(x.shape[:front], shape, rest)
	order := make([]int, 0, len(target)) // of the axes of what is written: those of the index first
	for i := range shape {
		order = append(order, front+i)
	}
	for i := range target {
		if i < front || i >= front+len(shape) {
			order = append(order, i)
		}
	}
	a := attrs{}
	if c.bool("accumulate") {
		c.since(16, "ScatterND that adds")
		a["reduction"] = text("add")
	}
	y := c.op("ScatterND", a, c.transpose(x.name, perm), c.op("Concat", attrs{"axis": num(-1)}, parts...), c.transpose(c.expand(value, target), order))
	inverse := make([]int, len(perm))
	for i, p := range perm {
		inverse[p] = i
	}
	c.ret(c.transpose(y, inverse))
}

func inferScatters() map[string]inferRule {
	return map[string]inferRule{
		"scatter scatter_add index_add index_fill": func(c *call) []*Value { return c.withIndex("self", "index") },
		"index_put": likeFirst,
		"bucketize": func(c *call) []*Value {
			d := model.Int64
			if c.bool("out_int32") {
				d = model.Int32
			}
			return made1(d, slices.Clone(c.tensor("self").Shape))
		},
		"median.dim": extremes,
	}
}

// scatterBatch writes inside the samples: an axis of the batch is that of the
// index and of what is written, too.
func scatterBatch(f *freer, n *Node) {
	in := f.of(f.first(n))
	at := f.axisOf(n, "dim", len(in), 0)
	if f.kind(in[at]) == batchSize {
		f.fail("it mixes samples")
	}
	others := tensors(n)[1:]
	slices.SortStableFunc(others, func(a, b *Value) int { // what is settled comes first
		if f.batched(f.of(a)) && !f.batched(f.of(b)) {
			return -1
		}
		return 0
	})
	for _, v := range others {
		shape := f.of(v)
		if len(shape) == 0 || strings.HasPrefix(n.Op, "aten.index_") && len(shape) == 1 && len(in) > 1 {
			if f.batched(shape) {
				f.fail("it mixes samples")
			}
			continue
		}
		if len(shape) != len(in) {
			f.fail("its index is not understood")
		}
		for i, e := range in {
			if i != at && (f.kind(e) != fixedSize || f.kind(shape[i]) != fixedSize) {
				f.same(e, shape[i])
			}
		}
	}
	f.set(n, in)
}
