package aten

import (
	"fmt"
	"slices"

	"lethe/graph"
)

// windowRows take windows out of axes, and put them together again.
func windowRows() map[string]row {
	return map[string]row{
		"aten.unfold":      {schema: "self, dimension, size, step", lower: unfold},
		"aten.unfold_copy": {schema: "self, dimension, size, step", lower: unfold},
		"aten.im2col":      {schema: "self, kernel_size, dilation, padding, stride", lower: imageToColumns},
		"aten.col2im":      {schema: "self, output_size, kernel_size, dilation, padding, stride", lower: columnsToImage},
	}
}

// windowIndices lists the elements of every window: those of the first, then
// those of the next.
func windowIndices(count, size, step, dilation int) []int {
	if size > 0 && count > elementsMax/size {
		panic(refusal{what: fmt.Sprintf("%d windows of %d elements", count, size)})
	}
	indices := make([]int, 0, count*size)
	for i := range count {
		for j := range size {
			indices = append(indices, i*step+j*dilation)
		}
	}
	return indices
}

// unfold gives every axis of windows a new last axis for the elements of a
// window.
func unfold(c *call) {
	x := c.in("self")
	at, size, step := c.axis("dimension", len(x.shape)), c.int("size"), c.int("step")
	whole := fixed(x.shape[at:at+1], "windows")[0]
	count, _ := windows(graph.Size(whole), size, step, 0, 1, false).Int()
	table := windowIndices(count, size, step, 1)
	rank := len(x.shape)
	perm := append(slices.DeleteFunc(upTo(rank+1), func(i int) bool { return i == at+1 }), at+1)
	c.view(0, "self", func(x operand) string {
		indices := c.conv.reshapedInts(table, count, size)
		return c.conv.transpose(c.conv.op("Gather", attrs{"axis": num(int64(at))}, x.name, indices), perm)
	}, nil)
}

// reshapedInts returns a constant matrix of int64.
func (b *builder) reshapedInts(v []int, rows, columns int) string {
	return b.op("Reshape", nil, b.ints(v...), b.ints(rows, columns))
}

// grid is what the arguments of im2col and col2im say of an axis.
type grid struct{ kernel, dilation, padding, stride int }

func (c *call) grids() [2]grid {
	var g [2]grid
	kernel, dilation := perAxis(c.ints("kernel_size"), 2), perAxis(c.ints("dilation"), 2)
	padding, stride := perAxis(c.ints("padding"), 2), perAxis(c.ints("stride"), 2)
	for i := range g {
		g[i] = grid{kernel[i], dilation[i], padding[i], stride[i]}
	}
	return g
}

// count is how many windows fit an axis.
func (g grid) count(size int) int {
	n, _ := windows(graph.Size(size), g.kernel, g.stride, g.padding, g.dilation, false).Int()
	return n
}

// imageToColumns is nn.Unfold: the columns of the result are the windows of the
// image, their rows channels and places in the window.
func imageToColumns(c *call) {
	x := c.in("self")
	rank := len(x.shape)
	if rank != 3 && rank != 4 {
		panic(refusal{what: fmt.Sprintf("windows of shape %v", x.shape)})
	}
	size, g := fixed(x.shape[rank-2:], "windows"), c.grids()
	pads := make([]int, 2*rank)
	for i := range g {
		pads[rank-2+i], pads[2*rank-2+i] = g[i].padding, g[i].padding
	}
	y := x.name
	if g[0].padding != 0 || g[1].padding != 0 {
		y = c.op("Pad", nil, y, c.builder.ints(pads...))
	}
	var count [2]int
	for i := range g {
		count[i] = g[i].count(size[i])
		// One row for each place in the window.
		table := windowIndices(g[i].kernel, count[i], g[i].dilation, g[i].stride)
		y = c.op("Gather", attrs{"axis": num(int64(rank - 2 + 2*i))}, y, c.reshapedInts(table, g[i].kernel, count[i]))
	}
	// Now [N, C, kernel, count, kernel, count].
	lead := rank - 2
	perm := append(upTo(lead), lead, lead+2, lead+1, lead+3)
	wide := slices.Clone(x.shape[:lead])
	for _, n := range []int{g[0].kernel, g[1].kernel, count[0], count[1]} {
		wide = append(wide, graph.Size(n))
	}
	c.ret(c.reshape(operand{c.transpose(y, perm), x.dtype, wide}, c.out(0).Shape))
}

// columnsToImage is nn.Fold, which adds up where windows overlap: a transposed
// convolution whose weights put every row at its place in the window.
func columnsToImage(c *call) {
	x := c.in("self")
	rank, to, g := len(x.shape), perAxis(c.ints("output_size"), 2), c.grids()
	if rank != 2 && rank != 3 {
		panic(refusal{what: fmt.Sprintf("columns of shape %v", x.shape)})
	}
	places := g[0].kernel * g[1].kernel
	rows, ok := x.shape[rank-2].Int()
	if !ok || places < 1 || rows < 1 || rows%places != 0 || rows > elementsMax/places {
		panic(refusal{what: fmt.Sprintf("columns of shape %v for windows of %d", x.shape, places)})
	}
	var count, pads, extra [2]int
	for i := range g {
		count[i], pads[i] = g[i].count(to[i]), g[i].padding
		extra[i] = to[i] - ((count[i]-1)*g[i].stride - 2*g[i].padding + g[i].dilation*(g[i].kernel-1) + 1)
	}
	weight := make([]float64, rows*places)
	for i := range rows {
		weight[i*places+i%places] = 1
	}
	image := operand{x.name, x.dtype, x.shape}
	grids := graph.Shape{graph.Size(1), graph.Size(rows), graph.Size(count[0]), graph.Size(count[1])}
	if rank == 3 {
		grids[0] = x.shape[0]
	}
	y := c.op("ConvTranspose", attrs{
		"kernel_shape": nums([]int{g[0].kernel, g[1].kernel}), "strides": nums([]int{g[0].stride, g[1].stride}),
		"dilations": nums([]int{g[0].dilation, g[1].dilation}), "pads": nums([]int{pads[0], pads[1], pads[0], pads[1]}),
		"output_padding": nums(extra[:]), "group": num(int64(rows / places)),
	}, c.reshape(image, grids), c.reals(x.dtype, []int{rows, 1, g[0].kernel, g[1].kernel}, weight))
	if rank == 2 {
		y = c.squeeze(y, 0)
	}
	c.ret(y)
}

// circular pads axes with what is at their other ends; pads lists the
// beginnings, then the ends.
func (c *call) circular(x operand, pads []int) string {
	rank := len(x.shape)
	for i := range rank {
		before, after := pads[i], pads[rank+i]
		if before == 0 && after == 0 {
			continue
		}
		size, ok := x.shape[i].Int()
		if !ok || before < 0 || after < 0 || before > size || after > size {
			panic(refusal{what: fmt.Sprintf("circular padding of %d and %d of an axis of %v", before, after, x.shape[i])})
		}
		var parts []string
		if before > 0 {
			parts = append(parts, c.slice(x, i, graph.Size(size-before), graph.Size(size), 1))
		}
		parts = append(parts, x.name)
		if after > 0 {
			parts = append(parts, c.slice(x, i, graph.Size(0), graph.Size(after), 1))
		}
		x.name = c.op("Concat", attrs{"axis": num(int64(i))}, parts...)
		x.shape = slices.Clone(x.shape)
		x.shape[i] = graph.Size(size + before + after)
	}
	return x.name
}

func inferWindows() map[string]inferRule {
	return map[string]inferRule{
		"unfold unfold_copy": func(c *call) []*Value {
			x := c.tensor("self")
			at, size := c.place("dimension", x.Shape), c.int("size")
			shape := slices.Clone(x.Shape)
			shape[at] = windows(shape[at], size, c.int("step"), 0, 1, false)
			return viewOf(x, append(shape, graph.Size(size)), true)
		},
		"im2col": func(c *call) []*Value {
			x, g := c.tensor("self"), c.grids()
			rank := len(x.Shape)
			if rank != 3 && rank != 4 {
				panic(refusal{what: fmt.Sprintf("windows of shape %v", x.Shape)})
			}
			size := fixed(x.Shape[rank-2:], "windows")
			shape := slices.Clone(x.Shape[:rank-1])
			shape[rank-3] = shape[rank-3].Mul(graph.Size(g[0].kernel * g[1].kernel))
			shape[rank-2] = graph.Size(g[0].count(size[0]) * g[1].count(size[1]))
			return made1(x.DType, shape)
		},
		"col2im": func(c *call) []*Value {
			x, g, to := c.tensor("self"), c.grids(), perAxis(c.ints("output_size"), 2)
			rank := len(x.Shape)
			if rank != 2 && rank != 3 {
				panic(refusal{what: fmt.Sprintf("columns of shape %v", x.Shape)})
			}
			places := graph.Size(g[0].kernel * g[1].kernel)
			if !x.Shape[rank-2].Mod(places).Is(0) || !x.Shape[rank-1].Is(g[0].count(to[0])*g[1].count(to[1])) {
				panic(refusal{what: fmt.Sprintf("columns of shape %v for windows of %v", x.Shape, places)})
			}
			shape := append(slices.Clone(x.Shape[:rank-2]), x.Shape[rank-2].Div(places), graph.Size(to[0]), graph.Size(to[1]))
			return made1(x.DType, shape)
		},
	}
}

// unfoldBatch makes windows of an axis inside the samples.
func unfoldBatch(f *freer, n *Node) {
	in, out := f.of(f.first(n)), f.result(n, 0)
	at := f.axisOf(n, "dimension", len(in), 0)
	if f.kind(in[at]) == batchSize {
		f.fail("it mixes samples")
	}
	for i, e := range in {
		if i != at {
			out[i] = e
		}
	}
	f.set(n, out)
}

// interleavedBatch repeats the elements of an axis inside the samples.
func interleavedBatch(f *freer, n *Node) {
	in, out := f.of(f.first(n)), f.result(n, 0)
	if f.arg(n, "dim") == nil {
		f.fail("it mixes samples")
	}
	at := f.axisOf(n, "dim", len(in), 0)
	if f.kind(in[at]) == batchSize || len(out) != len(in) {
		f.fail("it mixes samples")
	}
	for i, e := range in {
		if i != at {
			out[i] = e
		}
	}
	f.set(n, out)
}

// columnBatch keeps axis 0, which images and columns without a batch do not
// have.
func columnBatch(f *freer, n *Node) {
	in, out := f.of(f.first(n)), f.result(n, 0)
	whole := 4
	if n.Op == "aten.col2im" {
		whole = 3
	}
	f.onlyFirst(in)
	if f.batched(in) && len(in) != whole {
		f.fail("the input has no batch axis")
	}
	out[0] = in[0]
	f.set(n, out)
}
