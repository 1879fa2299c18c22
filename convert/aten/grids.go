package aten

import (
	"fmt"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// gridRows make grids of points, and read images at them.
func gridRows() map[string]row {
	return map[string]row{
		"aten.meshgrid": {schema: "tensors, indexing=ij", lower: func(c *call) {
			list := c.list("tensors")
			var names []string
			for i, x := range list {
				at := meshAxis(i, c.str("indexing"))
				shape := graph.Sizes(slices.Repeat([]int{1}, len(list))...)
				shape[at] = x.shape.Elements()
				names = append(names, c.expand(operand{c.reshape(x, shape), x.dtype, shape}, c.out(i).Shape))
			}
			c.ret(names...)
		}},
		"aten.broadcast_tensors": {schema: "tensors", lower: func(c *call) {
			var names []string
			for i, x := range c.list("tensors") {
				names = append(names, c.expand(x, c.out(i).Shape))
			}
			c.ret(names...)
		}},
		"aten.grid_sampler":    {schema: gridSchema, lower: gridSample},
		"aten.grid_sampler_2d": {schema: gridSchema, lower: gridSample},
		"aten.affine_grid_generator": {schema: "theta, size, align_corners", lower: func(c *call) {
			x, size := c.in("theta"), c.dims("size")
			if len(size) != 4 {
				panic(refusal{what: fmt.Sprintf("a grid for shape %v", size)})
			}
			n := fixed(size[2:], "a grid")
			if n[0] < 1 || n[1] < 1 || n[0] > elementsMax/n[1] {
				panic(refusal{what: fmt.Sprintf("a grid for shape %v", size)})
			}
			at := func(i, n int) float64 {
				if c.bool("align_corners") {
					if n == 1 {
						return 0
					}
					return -1 + 2*float64(i)/float64(n-1)
				}
				return (2*float64(i)+1)/float64(n) - 1
			}
			points := make([]float64, 0, 3*n[0]*n[1])
			for y := range n[0] {
				for x := range n[1] {
					points = append(points, at(x, n[1]), at(y, n[0]), 1)
				}
			}
			base := c.reals(x.dtype, []int{n[0] * n[1], 3}, points)
			flat := graph.Shape{x.shape[0], graph.Size(n[0] * n[1]), graph.Size(2)}
			c.ret(c.reshape(operand{c.op("MatMul", nil, base, c.transpose(x.name, []int{0, 2, 1})), x.dtype, flat}, c.out(0).Shape))
		}},
		"aten.rot90": {schema: "self, k=1, dims=[]", lower: func(c *call) {
			x := c.in("self")
			y, dims := x.name, c.rotated(len(x.shape))
			back := func(at int) {
				y = c.op("Slice", nil, y, c.builder.ints(-1), c.builder.ints(-1<<62), c.builder.ints(at), c.builder.ints(-1))
			}
			perm := upTo(len(x.shape))
			perm[dims[0]], perm[dims[1]] = dims[1], dims[0]
			switch ((c.int("k") % 4) + 4) % 4 {
			case 1:
				back(dims[1])
				y = c.transpose(y, perm)
			case 2:
				back(dims[0])
				back(dims[1])
			case 3:
				back(dims[0])
				y = c.transpose(y, perm)
			}
			c.ret(y)
		}},
	}
}

const gridSchema = "input, grid, interpolation_mode, padding_mode, align_corners"

func gridSample(c *call) {
	c.since(16, "GridSample")
	x := c.in("input")
	mode, padding := c.int("interpolation_mode"), c.int("padding_mode")
	modes, paddings := []string{"bilinear", "nearest", "bicubic"}, []string{"zeros", "border", "reflection"}
	if len(x.shape) != 4 || mode < 0 || mode >= len(modes) || padding < 0 || padding >= len(paddings) {
		panic(refusal{what: fmt.Sprintf("grid_sample of shape %v in mode %d", x.shape, mode)})
	}
	a := attrs{"mode": text(modes[mode]), "padding_mode": text(paddings[padding])}
	if c.opset >= 20 {
		a["mode"] = text([]string{"linear", "nearest", "cubic"}[mode])
	}
	if c.bool("align_corners") {
		a["align_corners"] = num(1)
	}
	c.ret(c.op("GridSample", a, x.name, c.in("grid").name))
}

// meshAxis is the axis along which a tensor of meshgrid varies.
func meshAxis(i int, indexing string) int {
	switch {
	case indexing == "xy" && i < 2:
		return 1 - i
	case indexing == "xy" || indexing == "ij":
		return i
	}
	panic(refusal{what: fmt.Sprintf("meshgrid with indexing %.20q", indexing)})
}

// rotated returns the two axes of rot90.
func (c *call) rotated(rank int) []int {
	dims := c.ints("dims")
	if len(dims) == 0 {
		dims = []int{0, 1}
	}
	dims = normalAll(dims, rank)
	if len(dims) != 2 || dims[0] == dims[1] {
		panic(refusal{what: fmt.Sprintf("a rotation of the axes %v", dims)})
	}
	return dims
}

func inferGrids() map[string]inferRule {
	return map[string]inferRule{
		"broadcast_tensors": func(c *call) []*Value {
			list := c.tensors("tensors")
			shape := graph.Shape{}
			for _, x := range list {
				shape = broadcast(shape, x.Shape)
			}
			var out []*Value
			for _, x := range list {
				out = append(out, made1(x.DType, slices.Clone(shape))...)
			}
			return out
		},
		"meshgrid": func(c *call) []*Value {
			list := c.tensors("tensors")
			shape := graph.Sizes(slices.Repeat([]int{1}, len(list))...)
			for i, x := range list {
				at := meshAxis(i, c.str("indexing"))
				if len(x.Shape) > 1 || at >= len(list) {
					panic(refusal{what: fmt.Sprintf("meshgrid of shape %v", x.Shape)})
				}
				shape[at] = x.Shape.Elements()
			}
			var out []*Value
			for _, x := range list {
				out = append(out, made1(x.DType, slices.Clone(shape))...)
			}
			return out
		},
		"grid_sampler grid_sampler_2d": func(c *call) []*Value {
			x, g := c.tensor("input"), c.tensor("grid")
			if len(x.Shape) != 4 || len(g.Shape) != 4 || !g.Shape[0].Equal(x.Shape[0]) {
				panic(refusal{what: fmt.Sprintf("an image of shape %v and a grid of shape %v", x.Shape, g.Shape)})
			}
			return made1(x.DType, graph.Shape{x.Shape[0], x.Shape[1], g.Shape[1], g.Shape[2]})
		},
		"affine_grid_generator": func(c *call) []*Value {
			size := c.asDims("size")
			if len(size) != 4 {
				panic(refusal{what: fmt.Sprintf("a grid for shape %v", size)})
			}
			return made1(model.Float32, graph.Shape{size[0], size[2], size[3], graph.Size(2)})
		},
		"rot90": func(c *call) []*Value {
			x := c.tensor("self")
			shape := slices.Clone(x.Shape)
			if dims := c.rotated(len(shape)); c.int("k")%2 != 0 {
				shape[dims[0]], shape[dims[1]] = shape[dims[1]], shape[dims[0]]
			}
			return made1(x.DType, shape)
		},
	}
}

// gridBatch reads every image at its own points.
func gridBatch(f *freer, n *Node) {
	all := tensors(n)
	out := f.result(n, 0)
	in := f.of(all[0])
	f.onlyFirst(in)
	if len(all) == 2 {
		f.onlyFirst(f.of(all[1]))
		f.same(in[0], f.of(all[1])[0])
	}
	out[0] = in[0]
	f.set(n, out)
}
