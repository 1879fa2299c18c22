package aten

import (
	"fmt"
	"slices"

	"lethe/graph"
)

// reshaping is an operator that gives the elements another shape, which the
// output tells. It is a view, unless the elements lie in memory in another
// order: then it may be one.
//
//go:noinline
func reshaping(schema string, certain bool) row {
	return row{schema: schema, lower: func(c *call) {
		to := c.out(0).Shape
		show := func(x operand) string { return c.conv.reshape(x, to) }
		if c.node.Op == "aten.flatten" {
			flat := show
			show = func(x operand) string {
				if len(to) == 2 && len(x.shape) > 2 && to[0].Equal(x.shape[0]) {
					return c.conv.op("Flatten", attrs{"axis": num(1)}, x.name)
				}
				return flat(x)
			}
		}
		c.mayView(show, func(whole operand, part string) string {
			return c.conv.reshape(operand{part, whole.dtype, to}, whole.shape)
		}, certain)
	}}
}

// mayView binds output 0 as a view of self, or as a copy that may be one.
func (c *call) mayView(show func(operand) string, write func(operand, string) string, certain bool) {
	x := c.binding("self")
	if certain || !x.value.Scattered {
		c.view(0, "self", show, write)
		return
	}
	root, version := x.root(), x.root().version
	v := c.out(0)
	c.conv.bind(v, &binding{value: v, name: show(x.current()), doubt: func() bool { return root.version != version }})
	c.bound = true
}

// permuting is an operator that puts the axes into another order.
//
//go:noinline
func permuting(schema string, order func(c *call, rank int) []int) row {
	return row{schema: schema, lower: func(c *call) {
		perm := order(c, len(c.in("self").shape))
		seen := make([]bool, len(perm))
		inverse := make([]int, len(perm))
		for i, p := range perm {
			if p >= len(perm) || seen[p] || len(perm) != len(c.in("self").shape) {
				panic(refusal{what: fmt.Sprintf("the order %v of axes", perm)})
			}
			seen[p], inverse[p] = true, i
		}
		c.view(0, "self", func(x operand) string { return c.conv.transpose(x.name, perm) },
			func(whole operand, part string) string { return c.conv.transpose(part, inverse) })
	}}
}

func swapped(first, second string) func(c *call, rank int) []int {
	return func(c *call, rank int) []int {
		perm := upTo(rank)
		i, j := c.axis(first, rank), c.axis(second, rank)
		if rank > 0 {
			perm[i], perm[j] = perm[j], perm[i]
		}
		return perm
	}
}

func upTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

func normalAll(list []int, rank int) []int {
	out := make([]int, len(list))
	for i, x := range list {
		out[i] = normal(x, rank)
	}
	return out
}

func shapeRows() map[string]row {
	return map[string]row{
		"aten.view": reshaping("self, size", true), "aten.reshape": reshaping("self, shape", false), "aten._reshape_alias": reshaping("self, size, stride=None", true),
		"aten.view_as": reshaping("self, other", true), "aten.reshape_as": reshaping("self, other", false),
		"aten.flatten": reshaping("self, start_dim=0, end_dim=-1", false), "aten.unflatten": reshaping("self, dim, sizes", true), "aten.ravel": reshaping("self", false),
		"aten.view.dtype": {schema: "self, dtype", lower: func(c *call) {
			if c.in("self").dtype != c.out(0).DType {
				panic(refusal{what: "the bits of a tensor as another type"})
			}
			c.alias("self")
		}},
		"aten.squeeze": squeezing("self"), "aten.squeeze.dim": squeezing("self, dim"), "aten.squeeze.dims": squeezing("self, dim"),
		"aten.unsqueeze": {schema: "self, dim", lower: func(c *call) {
			at := normal(c.int("dim"), len(c.in("self").shape)+1)
			c.view(0, "self", func(x operand) string { return c.conv.unsqueeze(x.name, at) },
				func(whole operand, part string) string { return c.conv.squeeze(part, at) })
		}},
		"aten.permute":   permuting("self, dims", func(c *call, rank int) []int { return normalAll(c.ints("dims"), rank) }),
		"aten.transpose": permuting("self, dim0, dim1", swapped("dim0", "dim1")),
		"aten.swapaxes":  permuting("self, axis0, axis1", swapped("axis0", "axis1")),
		"aten.mT": permuting("self", func(c *call, rank int) []int {
			c.args["a"], c.args["b"] = int64(-1), int64(-2)
			return swapped("a", "b")(c, rank)
		}),
		"aten.t":           permuting("self", func(c *call, rank int) []int { return reversed(rank) }),
		"aten.numpy_T":     permuting("self", func(c *call, rank int) []int { return reversed(rank) }),
		"aten.movedim":     permuting("self, source, destination", moved),
		"aten.moveaxis":    permuting("self, source, destination", moved),
		"aten.movedim.int": permuting("self, source, destination", moved),
		"aten.expand":      expanding("self, size, implicit=None"), "aten.expand_as": expanding("self, other"), "aten.broadcast_to": expanding("self, size"),
		"aten.repeat": {schema: "self, repeats", lower: func(c *call) {
			x := c.in("self")
			c.ret(c.tile(x, c.dims("repeats")))
		}},
		"aten.tile": {schema: "self, dims", lower: func(c *call) {
			x := c.in("self")
			c.ret(c.tile(x, c.dims("dims")))
		}},
	}
}

// layoutRows repeat elements, pad, and move channels into images and back.
func layoutRows() map[string]row {
	return map[string]row{
		"aten.repeat_interleave.self_int": {schema: "self, repeats, dim=None, output_size=None", lower: func(c *call) {
			x, n := c.in("self"), c.int("repeats")
			if !c.has("dim") {
				panic(refusal{what: "repeat_interleave without an axis"})
			}
			at := c.axis("dim", len(x.shape))
			wide := slices.Insert(slices.Clone(x.shape), at+1, graph.Size(n))
			one := operand{c.unsqueeze(x.name, at+1), x.dtype, slices.Insert(slices.Clone(x.shape), at+1, graph.Size(1))}
			c.ret(c.reshape(operand{c.expand(one, wide), x.dtype, wide}, c.out(0).Shape))
		}},
		"aten.as_strided": {schema: "self, size, stride, storage_offset=None", lower: func(c *call) {
			x := c.in("self")
			if !x.shape.Equal(c.out(0).Shape) || !dense(x.shape, c.dims("stride")) || c.has("storage_offset") && c.int("storage_offset") != 0 {
				panic(refusal{what: "as_strided to another shape", advice: "use view, slices or unfold"})
			}
			c.alias("self")
		}},
		"aten.pixel_shuffle": {schema: "self, upscale_factor", lower: func(c *call) {
			c.ret(c.op("DepthToSpace", attrs{"blocksize": num(int64(c.int("upscale_factor"))), "mode": text("CRD")}, c.in("self").name))
		}},
		"aten.pixel_unshuffle": {schema: "self, downscale_factor", lower: func(c *call) {
			x, r := c.in("self"), graph.Size(c.int("downscale_factor"))
			if len(x.shape) != 4 || r.Is(0) {
				panic(refusal{what: fmt.Sprintf("pixel_unshuffle of shape %v", x.shape)})
			}
			h, w := x.shape[2].Div(r), x.shape[3].Div(r)
			split := graph.Shape{x.shape[0], x.shape[1], h, r, w, r}
			y := c.transpose(c.reshape(x, split), []int{0, 1, 3, 5, 2, 4})
			c.ret(c.reshape(operand{y, x.dtype, graph.Shape{x.shape[0], x.shape[1], r, r, h, w}}, c.out(0).Shape))
		}},
		"aten.channel_shuffle": {schema: "self, groups", lower: func(c *call) {
			x, g := c.in("self"), graph.Size(c.int("groups"))
			if len(x.shape) < 3 || g.Is(0) {
				panic(refusal{what: fmt.Sprintf("channel_shuffle of shape %v", x.shape)})
			}
			rest := x.shape[2:]
			per := x.shape[1].Div(g)
			split := append(graph.Shape{x.shape[0], g, per}, rest...)
			perm := upTo(len(split))
			perm[1], perm[2] = 2, 1
			c.ret(c.reshape(operand{c.transpose(c.reshape(x, split), perm), x.dtype, append(graph.Shape{x.shape[0], per, g}, rest...)}, x.shape))
		}},
		"aten.pad":              padding("self, pad, mode=constant, value=None"),
		"aten.constant_pad_nd":  padding("self, pad, value=0, mode=constant"),
		"aten.reflection_pad1d": padding("self, padding, mode=reflect"), "aten.reflection_pad2d": padding("self, padding, mode=reflect"),
		"aten.replication_pad1d": padding("self, padding, mode=replicate"), "aten.replication_pad2d": padding("self, padding, mode=replicate"),
		"aten.replication_pad3d": padding("self, padding, mode=replicate"), "aten.reflection_pad3d": padding("self, padding, mode=reflect"),
	}
}

// dense reports whether strides are those of elements in the order of the axes.
func dense(shape, strides graph.Shape) bool {
	if len(shape) != len(strides) {
		return false
	}
	step := graph.Size(1)
	for i := len(shape) - 1; i >= 0; i-- {
		if !shape[i].Is(1) && !strides[i].Equal(step) {
			return false
		}
		step = step.Mul(shape[i])
	}
	return true
}

func reversed(rank int) []int {
	list := upTo(rank)
	slices.Reverse(list)
	return list
}

func moved(c *call, rank int) []int {
	from, to := normalAll(c.ints("source"), rank), normalAll(c.ints("destination"), rank)
	if len(from) != len(to) {
		panic(refusal{what: "movedim with lists of different lengths"})
	}
	perm := slices.Repeat([]int{-1}, rank)
	for i := range from {
		perm[to[i]] = from[i]
	}
	next := 0
	for i, p := range perm {
		if p >= 0 {
			continue
		}
		for slices.Contains(from, next) {
			next++
		}
		perm[i] = next
		next++
	}
	return perm
}

// squeezing removes axes of size 1; another size is let be, as PyTorch does.
//
//go:noinline
func squeezing(schema string) row {
	return row{schema: schema, lower: func(c *call) {
		x := c.in("self")
		axes := upTo(len(x.shape))
		if _, given := c.args["dim"]; given {
			axes = normalAll(c.ints("dim"), len(x.shape))
		}
		axes = slices.DeleteFunc(axes, func(i int) bool { return i >= len(x.shape) || !x.shape[i].Is(1) })
		if len(axes) == 0 {
			c.alias("self")
			return
		}
		c.view(0, "self", func(x operand) string { return c.conv.squeeze(x.name, axes...) },
			func(whole operand, part string) string { return c.conv.unsqueeze(part, axes...) })
	}}
}

//go:noinline
func expanding(schema string) row {
	return row{schema: schema, lower: func(c *call) {
		to := c.out(0).Shape
		var write func(operand, string) string
		if c.in("self").shape.Equal(to) {
			write = func(whole operand, part string) string { return part }
		}
		c.view(0, "self", func(x operand) string { return c.conv.expand(x, to) }, write)
	}}
}

// dims returns a list of sizes.
func (c *call) dims(name string) graph.Shape {
	if s, ok := c.args[name].(graph.Shape); ok {
		return s
	}
	return graph.Sizes(c.ints(name)...)
}

// tile repeats a tensor along its axes; more numbers than axes add axes in
// front, fewer leave the first axes alone.
func (c *call) tile(x operand, repeats graph.Shape) string {
	if lead := len(repeats) - len(x.shape); lead > 0 {
		shape := append(graph.Sizes(slices.Repeat([]int{1}, lead)...), x.shape...)
		x = operand{c.reshape(x, shape), x.dtype, shape}
	} else if lead < 0 {
		repeats = append(graph.Sizes(slices.Repeat([]int{1}, -lead)...), repeats...)
	}
	repeats = slices.Clone(repeats)
	for i, d := range c.out(0).Shape { // a number may have been the batch that was freed
		if i < len(repeats) && !x.shape[i].Mul(repeats[i]).Equal(d) && !x.shape[i].Is(0) {
			repeats[i] = d.Div(x.shape[i])
		}
	}
	if !slices.ContainsFunc(repeats, func(d graph.Dim) bool { return !d.Is(1) }) {
		return x.name
	}
	return c.op("Tile", nil, x.name, c.shape(repeats))
}

// padding lists the sides of the last axis first: left, right, then those of
// the axis before.
//
//go:noinline
func padding(schema string) row {
	return row{schema: schema, lower: func(c *call) {
		x := c.in("self")
		name := "pad"
		if c.has("padding") {
			name = "padding"
		}
		pad := c.asDims(name)
		rank := len(x.shape)
		if len(pad)%2 != 0 || len(pad) > 2*rank {
			panic(refusal{what: fmt.Sprintf("padding %v of shape %v", pad, x.shape)})
		}
		if !slices.ContainsFunc(pad, func(p graph.Dim) bool { return !p.Is(0) }) {
			c.ret(x.name)
			return
		}
		sides := make(graph.Shape, 2*rank)
		for i := range len(pad) / 2 {
			sides[rank-1-i], sides[2*rank-1-i] = pad[2*i], pad[2*i+1]
		}
		modes := map[string]string{"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
		mode, ok := modes[c.str("mode")]
		if !ok {
			panic(refusal{what: "padding mode " + c.str("mode")})
		}
		if mode == "wrap" && c.opset < 19 {
			c.ret(c.circular(x, fixed(sides, "circular padding")))
			return
		}
		value := ""
		if mode == "constant" && c.args["value"] != nil && c.args["value"] != int64(0) && c.args["value"] != 0.0 {
			value = c.number("value", x.dtype).name
		}
		a := attrs{"mode": text(mode)}
		if mode == "constant" {
			a = nil
		}
		c.ret(c.op("Pad", a, x.name, c.shape(sides), value))
	}}
}
