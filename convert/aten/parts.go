package aten

import (
	"fmt"
	"math"
	"slices"

	"lethe/graph"
	"lethe/model"
)

func partRows() map[string]row {
	return map[string]row{
		"aten.slice": {schema: "self, dim=0, start=None, end=None, step=1", lower: func(c *call) {
			x := c.in("self")
			at := c.axis("dim", len(x.shape))
			start, end, step := c.bounds()
			c.view(0, "self", func(x operand) string { return c.conv.slice(x, at, start, end, step) },
				func(whole operand, part string) string { return c.conv.putSlice(whole, part, at, start, end, step) })
		}},
		"aten.slice_scatter": {schema: "self, src, dim=0, start=None, end=None, step=1", lower: func(c *call) {
			x := c.in("self")
			at := c.axis("dim", len(x.shape))
			start, end, step := c.bounds()
			src := c.number("src", x.dtype)
			part := slices.Clone(x.shape)
			part[at] = c.between(x.shape[at], start, end, step)
			c.ret(c.putSlice(x, c.expand(src, part), at, start, end, step))
		}},
		"aten.select": {schema: "self, dim, index", lower: func(c *call) {
			x := c.in("self")
			at, i := c.axis("dim", len(x.shape)), c.dim("index")
			c.view(0, "self", func(x operand) string { return c.conv.pick(x, at, i) },
				func(whole operand, part string) string { return c.conv.putIndex(whole, part, at, i) })
		}},
		"aten.select_scatter": {schema: "self, src, dim, index", lower: func(c *call) {
			x := c.in("self")
			c.ret(c.putIndex(x, c.number("src", x.dtype).name, c.axis("dim", len(x.shape)), c.dim("index")))
		}},
		"aten.narrow": {schema: "self, dim, start, length", lower: func(c *call) {
			x := c.in("self")
			at, start := c.axis("dim", len(x.shape)), c.dim("start")
			end := start.Add(c.dim("length"))
			c.view(0, "self", func(x operand) string { return c.conv.slice(x, at, start, end, 1) },
				func(whole operand, part string) string { return c.conv.putSlice(whole, part, at, start, end, 1) })
		}},
		"aten.split": splitting("self, split_size, dim=0"), "aten.split_with_sizes": splitting("self, split_sizes, dim=0"),
		"aten.chunk": splitting("self, chunks, dim=0"), "aten.tensor_split": splitting("self, sections=None, indices=None, dim=0"),
		"aten.split.sizes": splitting("self, split_size, dim=0"), "aten.split_with_sizes_copy": splitting("self, split_sizes, dim=0"),
		"aten.unbind": {schema: "self, dim=0", lower: func(c *call) {
			at := c.axis("dim", len(c.in("self").shape))
			for i := range c.node.Outputs {
				index := graph.Size(i)
				c.view(i, "self", func(x operand) string { return c.conv.pick(x, at, index) },
					func(whole operand, part string) string { return c.conv.putIndex(whole, part, at, index) })
			}
		}},
		"aten.cat": {schema: "tensors, dim=0", lower: func(c *call) { c.ret(c.concat(c.list("tensors"), false)) }},
	}
}

// choiceRows choose elements by index, or put them in another order.
func choiceRows() map[string]row {
	return map[string]row{
		"aten.stack": {schema: "tensors, dim=0", lower: func(c *call) { c.ret(c.concat(c.list("tensors"), true)) }},
		"aten.index": {schema: "self, indices", lower: index},
		"aten.index_select": {schema: "self, dim, index", lower: func(c *call) {
			x := c.in("self")
			at := c.axis("dim", len(x.shape))
			c.ret(c.op("Gather", attrs{"axis": num(int64(at))}, x.name, c.in("index").name))
		}},
		"aten.gather": {schema: "self, dim, index, sparse_grad=False", lower: func(c *call) {
			x := c.in("self")
			at := c.axis("dim", len(x.shape))
			c.ret(c.op("GatherElements", attrs{"axis": num(int64(at))}, x.name, c.in("index").name))
		}},
		"aten.embedding": {schema: "weight, indices, padding_idx=-1, scale_grad_by_freq=False, sparse=False", lower: func(c *call) {
			c.ret(c.op("Gather", nil, c.in("weight").name, c.in("indices").name))
		}},
		"aten.roll": {schema: "self, shifts, dims=[]", lower: roll},
		"aten.flip": {schema: "self, dims", lower: func(c *call) {
			x := c.in("self")
			y := x.name
			for _, at := range c.axes("dims", len(x.shape)) {
				y = c.op("Slice", nil, y, c.builder.ints(-1), c.builder.ints(math.MinInt64+1), c.builder.ints(at), c.builder.ints(-1))
			}
			c.ret(y)
		}},
		"aten.tril": triangle(false), "aten.triu": triangle(true),
		"aten.topk": {schema: "self, k, dim=-1, largest=True, sorted=True", lower: func(c *call) {
			c.top(c.size(c.dim("k")), c.bool("largest"))
		}},
		"aten.sort": {schema: "self, dim=-1, descending=False, stable=None", lower: func(c *call) {
			x := c.in("self")
			c.top(c.size(x.shape[c.axis("dim", len(x.shape))]), c.bool("descending"))
		}},
		"aten.argsort": {schema: "self, dim=-1, descending=False, stable=None", lower: func(c *call) {
			x := c.in("self")
			c.top(c.size(x.shape[c.axis("dim", len(x.shape))]), c.bool("descending"))
			c.ret(c.results[1])
		}},
		"aten.one_hot": {schema: "self, num_classes=-1", lower: func(c *call) {
			x := c.in("self")
			n := c.int("num_classes")
			if n < 1 {
				panic(refusal{what: "one_hot without num_classes"})
			}
			c.ret(c.op("OneHot", attrs{"axis": num(-1)}, x.name, c.builder.ints(n), c.reals(model.Int64, []int{2}, []float64{0, 1})))
		}},
	}
}

// bounds returns the bounds of a slice; those that are left out are the ends.
func (c *call) bounds() (start, end graph.Dim, step int) {
	end = graph.Size(math.MaxInt64)
	if c.has("start") {
		start = c.dim("start")
	}
	if c.has("end") {
		end = c.dim("end")
	}
	if step = c.int("step"); step < 1 {
		panic(refusal{what: fmt.Sprintf("a step of %d", step)})
	}
	return start, end, step
}

// absolute returns a bound of a slice counted from the start, inside the axis.
// It refuses where that depends on the size of the batch.
func absolute(at, size graph.Dim) graph.Dim {
	bound, ok := counted(at, size)
	if !ok {
		panic(refusal{what: fmt.Sprintf("writing in place to elements %v of an axis of size %v", at, size)})
	}
	return bound
}

// counted returns a bound of a slice counted from the start, inside the axis, if
// that does not depend on a size that is open.
func counted(at, size graph.Dim) (bound graph.Dim, ok bool) {
	n, ok := at.Int()
	limit, sized := size.Int()
	switch {
	case ok && sized:
		if n < 0 {
			n += limit
		}
		return graph.Size(min(max(n, 0), limit)), true
	case ok && n == math.MaxInt64 || at.Equal(size):
		return size, true
	case ok && n == 0:
		return at, true
	}
	return graph.Dim{}, false
}

// between returns how many elements a slice has.
func (c *call) between(size, start, end graph.Dim, step int) graph.Dim {
	from, to := absolute(start, size), absolute(end, size)
	return to.Sub(from).CeilDiv(graph.Size(step)).Max(graph.Size(0))
}

// pick returns the element at an index of an axis, without that axis.
func (v *builder) pick(x operand, at int, i graph.Dim) string {
	if n, ok := i.Int(); ok {
		return v.op("Gather", attrs{"axis": num(int64(at))}, x.name, v.index(n))
	}
	return v.op("Gather", attrs{"axis": num(int64(at))}, x.name, v.squeeze(v.size(i), 0))
}

// putSlice returns whole with a slice replaced by part.
func (v *builder) putSlice(whole operand, part string, at int, start, end graph.Dim, step int) string {
	size := whole.shape[at]
	from, to := absolute(start, size), absolute(end, size)
	if step != 1 {
		return v.putSteps(whole, part, at, from, to, step)
	}
	var parts []string
	if !from.Is(0) {
		parts = append(parts, v.slice(whole, at, graph.Size(0), from, 1))
	}
	parts = append(parts, part)
	if !to.Equal(size) {
		parts = append(parts, v.slice(whole, at, to, size, 1))
	}
	if len(parts) == 1 {
		return part
	}
	return v.op("Concat", attrs{"axis": num(int64(at))}, parts...)
}

// putSteps returns whole with every step-th element of an axis replaced. The
// axis goes to the front for that, where ScatterND counts.
func (v *builder) putSteps(whole operand, part string, at int, from, to graph.Dim, step int) string {
	n, ok := from.Int()
	m, isFixed := to.Int()
	if !ok || !isFixed || (m-n)/step > elementsMax {
		panic(refusal{what: "writing in place to a slice with steps of an axis that is not fixed"})
	}
	perm := upTo(len(whole.shape))
	perm[0], perm[at] = at, 0
	var indices []float64
	for i := n; i < m; i += step {
		indices = append(indices, float64(i))
	}
	front := v.op("ScatterND", nil, v.transpose(whole.name, perm), v.reals(model.Int64, []int{len(indices), 1}, indices), v.transpose(part, perm))
	return v.transpose(front, perm)
}

// putIndex returns whole with the elements at one index of an axis replaced.
func (v *builder) putIndex(whole operand, part string, at int, i graph.Dim) string {
	n, ok := i.Int()
	size, sized := whole.shape[at].Int()
	if !ok || n < 0 && !sized {
		panic(refusal{what: "writing in place to an element whose index is not fixed"})
	}
	if n < 0 {
		n += size
	}
	if n < 0 || sized && n >= size {
		panic(refusal{what: fmt.Sprintf("index %d of an axis of size %v", n, whole.shape[at])})
	}
	return v.putSlice(whole, v.unsqueeze(part, at), at, graph.Size(n), graph.Size(n+1), 1)
}

// splitting is an operator that cuts an axis into pieces, whose sizes the
// outputs tell.
//
//go:noinline
func splitting(schema string) row {
	return row{schema: schema, lower: func(c *call) {
		x := c.in("self")
		at := c.axis("dim", len(x.shape))
		var sizes graph.Shape
		for i := range c.node.Outputs {
			sizes = append(sizes, c.out(i).Shape[at])
		}
		names := []string{x.name}
		if len(sizes) > 1 {
			names = c.ops("Split", len(sizes), attrs{"axis": num(int64(at))}, x.name, c.shape(sizes))
		}
		var from graph.Dim
		for i, n := range sizes {
			start, end := from, from.Add(n)
			from = end
			show := func(x operand) string { return c.conv.slice(x, at, start, end, 1) }
			parent, v := c.binding("self"), c.out(i)
			c.conv.bind(v, &binding{value: v, name: names[i], parent: parent, version: parent.root().version, show: show,
				write: func(whole operand, part string) string { return c.conv.putSlice(whole, part, at, start, end, 1) }})
		}
		c.bound = true
	}}
}

// concat joins tensors along an axis, in the type of the output. A tensor of
// the shape (0,) is left out, as PyTorch does.
func (c *call) concat(list []operand, stacked bool) string {
	out := c.out(0)
	at := c.axis("dim", len(out.Shape))
	var names []string
	for _, x := range list {
		if !stacked && len(x.shape) == 1 && x.shape[0].Is(0) && len(out.Shape) > 1 {
			continue
		}
		name := c.cast(x.name, x.dtype, out.DType)
		if stacked {
			name = c.unsqueeze(name, at)
		}
		names = append(names, name)
	}
	if len(names) == 1 {
		return names[0]
	}
	return c.op("Concat", attrs{"axis": num(int64(at))}, names...)
}

// index reads at tensors of indices: one for an axis, or several that are
// broadcast against each other. The axes that they make stand where the indexed
// ones stood if those are neighbours, and in front otherwise.
func index(c *call) {
	x := c.in("self")
	values, ok := c.args["indices"].([]*Value)
	if !ok || len(values) > len(x.shape) {
		panic(wrong("indices", "a list of tensors", c.args["indices"]))
	}
	var at []int
	var by []operand
	for i, v := range values {
		if v == nil {
			continue
		}
		o := c.conv.bindingOf(v).current()
		if o.dtype == model.Bool || o.dtype == model.Uint8 {
			panic(refusal{what: "indexing by a mask, which gives a size that depends on data", advice: "use where or masked_fill"})
		}
		at, by = append(at, i), append(by, operand{c.cast(o.name, o.dtype, model.Int64), model.Int64, o.shape})
	}
	switch len(at) {
	case 0:
		c.ret(x.name)
		return
	case 1:
		c.ret(c.op("Gather", attrs{"axis": num(int64(at[0]))}, x.name, by[0].name))
		return
	}
	shape := by[0].shape
	for _, o := range by[1:] {
		shape = broadcast(shape, o.shape)
	}
	var parts []string
	for _, o := range by {
		parts = append(parts, c.unsqueeze(c.expand(o, shape), len(shape)))
	}
	perm := slices.Clone(at)
	for i := range x.shape {
		if !slices.Contains(at, i) {
			perm = append(perm, i)
		}
	}
	y := c.op("GatherND", nil, c.transpose(x.name, perm), c.op("Concat", attrs{"axis": num(-1)}, parts...))
	if at[len(at)-1]-at[0] == len(at)-1 && at[0] > 0 { // neighbours: back to their place
		rank := len(shape) + len(x.shape) - len(at)
		back := make([]int, 0, rank)
		for i := range at[0] {
			back = append(back, len(shape)+i)
		}
		for i := range len(shape) {
			back = append(back, i)
		}
		for i := len(shape) + at[0]; i < rank; i++ {
			back = append(back, i)
		}
		y = c.transpose(y, back)
	}
	c.ret(y)
}

// broadcast returns the shape that two shapes are repeated to.
func broadcast(a, b graph.Shape) graph.Shape {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	for i, d := range b {
		if at := len(a) - len(b) + i; out[at].Is(1) {
			out[at] = d
		}
	}
	return out
}

func roll(c *call) {
	x := c.in("self")
	shifts := c.ints("shifts")
	if len(c.ints("dims")) == 0 || len(c.ints("dims")) != len(shifts) {
		panic(refusal{what: "roll without axes"})
	}
	y := x
	for i, at := range c.axes("dims", len(x.shape)) {
		shift := shifts[i]
		size, ok := x.shape[at].Int()
		if ok && size > 0 {
			if shift %= size; shift < 0 {
				shift += size
			}
		}
		if shift == 0 {
			continue
		}
		cut := graph.Size(-shift).Mod(x.shape[at])
		if ok {
			cut = graph.Size(size - shift)
		}
		end := graph.Size(math.MaxInt64)
		y.name = c.op("Concat", attrs{"axis": num(int64(at))}, c.slice(y, at, cut, end, 1), c.slice(y, at, graph.Size(0), cut, 1))
	}
	c.ret(y.name)
}

// triangle keeps one side of a diagonal.
//
//go:noinline
func triangle(upper bool) row {
	return row{schema: "self, diagonal=0", lower: func(c *call) {
		c.ret(c.triangleOf(c.in("self"), c.int("diagonal"), upper))
	}}
}

// triangleOf keeps one side of a diagonal of matrices, by Trilu or, before
// opset 14, by a mask.
func (c *call) triangleOf(x operand, diagonal int, upper bool) string {
	side := int64(0)
	if upper {
		side = 1
	}
	if size, ok := x.shape[max(len(x.shape)-2, 0):].Ints(); ok && c.opset < 14 && len(size) == 2 && size[0] > 0 && size[1] > 0 && size[0] <= elementsMax/size[1] {
		keep := make([]byte, 0, size[0]*size[1])
		for i := range size[0] {
			for j := range size[1] {
				on := byte(0)
				if upper && j-i >= diagonal || !upper && j-i <= diagonal {
					on = 1
				}
				keep = append(keep, on)
			}
		}
		return c.op("Where", nil, c.constant(model.Bool, size, keep), x.name, c.scalar(x.dtype, int64(0)))
	}
	c.since(14, "Trilu")
	if x.dtype == model.Bool { // which runtimes do not do
		wide := c.op("Trilu", attrs{"upper": num(side)}, c.cast(x.name, x.dtype, model.Int64), c.index(diagonal))
		return c.cast(wide, model.Int64, x.dtype)
	}
	return c.op("Trilu", attrs{"upper": num(side)}, x.name, c.index(diagonal))
}

func (c *call) top(k string, largest bool) {
	x := c.in("self")
	a := attrs{"axis": num(int64(c.axis("dim", len(x.shape)))), "largest": num(0)}
	if largest {
		a["largest"] = num(1)
	}
	c.ret(c.ops("TopK", 2, a, x.name, k)...)
}
