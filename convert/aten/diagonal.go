package aten

import (
	"fmt"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// diagonalRows are operators that read a diagonal, or make a matrix that is zero
// beside one.
func diagonalRows() map[string]row {
	return map[string]row{
		"aten.diagonal":      {schema: "self, offset=0, dim1=0, dim2=1", lower: readDiagonal},
		"aten.diagonal_copy": {schema: "self, offset=0, dim1=0, dim2=1", lower: readDiagonal},
		"aten.diag_embed":    {schema: "self, offset=0, dim1=-2, dim2=-1", lower: func(c *call) { c.ret(c.diagonalMatrix(c.in("self"))) }},
		"aten.diag": {schema: "self, diagonal=0, dim1=0, dim2=1", lower: func(c *call) {
			c.args["offset"] = c.args["diagonal"]
			if x := c.in("self"); len(x.shape) == 1 {
				c.ret(c.diagonalMatrix(x))
				return
			}
			readDiagonal(c)
		}},
		"aten.trace": {schema: "self, offset=0, dim1=0, dim2=1", lower: func(c *call) {
			x, d := c.in("self"), c.out(0).DType
			if len(x.shape) != 2 {
				panic(refusal{what: fmt.Sprintf("the trace of shape %v", x.shape)})
			}
			c.ret(c.reduce("ReduceSum", c.cast(c.diagonalOf(x, 0, 0, 1), x.dtype, d), []int{0}, false))
		}},
	}
}

// readDiagonal binds the output as a view, which cannot be written through.
func readDiagonal(c *call) {
	rank := len(c.in("self").shape)
	offset, first, second := c.int("offset"), c.axis("dim1", rank), c.axis("dim2", rank)
	c.view(0, "self", func(x operand) string { return c.diagonalOf(x, offset, first, second) }, nil)
}

// diagonalLength is how many elements a diagonal has; an offset above 0 is above
// the main one.
func diagonalLength(rows, columns, offset int) int {
	if offset >= 0 {
		return max(min(rows, columns-offset), 0)
	}
	return max(min(rows+offset, columns), 0)
}

// diagonalOf returns a diagonal of two axes as the last axis.
func (c *call) diagonalOf(x operand, offset, first, second int) string {
	rank := len(x.shape)
	if rank < 2 || first == second {
		panic(refusal{what: fmt.Sprintf("a diagonal of shape %v", x.shape)})
	}
	size := fixed(graph.Shape{x.shape[first], x.shape[second]}, "a diagonal")
	n := diagonalLength(size[0], size[1], offset)
	if n > elementsMax || size[0] > 1<<31 || size[1] > 1<<31 || offset > 1<<31 || offset < -1<<31 {
		panic(refusal{what: fmt.Sprintf("diagonal %d of shape %v", offset, x.shape)})
	}
	if n == 0 {
		panic(refusal{what: fmt.Sprintf("diagonal %d of shape %v, which has no elements", offset, x.shape)})
	}
	perm := slices.DeleteFunc(upTo(rank), func(i int) bool { return i == first || i == second })
	var flat graph.Shape
	for _, i := range perm {
		flat = append(flat, x.shape[i])
	}
	turned := operand{c.transpose(x.name, append(perm, first, second)), x.dtype, append(slices.Clone(flat), x.shape[first], x.shape[second])}
	flat = append(flat, graph.Size(size[0]*size[1]))
	indices := make([]int, n)
	for i := range indices {
		indices[i] = (i+max(-offset, 0))*size[1] + i + max(offset, 0)
	}
	return c.op("Gather", attrs{"axis": num(int64(rank - 2))}, c.reshape(turned, flat), c.builder.ints(indices...))
}

// diagonalMatrix returns a matrix for every row of the last axis, which has that
// on a diagonal and is zero elsewhere. Its axes stand where dim1 and dim2 say.
func (c *call) diagonalMatrix(x operand) string {
	rank, offset := len(x.shape)+1, c.int("offset")
	first, second := rank-2, rank-1
	if len(x.shape) != 1 {
		first, second = c.axis("dim1", rank), c.axis("dim2", rank)
	}
	size, ok := x.shape[rank-2].Int()
	n := size + max(offset, -offset)
	if !ok || size < 1 || first == second || size > 1<<11 || offset > 1<<11 || offset < -1<<11 || n > 1<<11 {
		panic(refusal{what: fmt.Sprintf("a matrix with the diagonal %v", x.shape)})
	}
	pads := make([]int, 2*(rank-1))
	pads[len(pads)-1] = n - size
	wide := x.name
	if n != size {
		if x.dtype == model.Bool {
			panic(refusal{what: "truth values beside the main diagonal"})
		}
		wide = c.op("Pad", nil, wide, c.builder.ints(pads...))
	}
	// Rows have the numbers of the elements if the diagonal is above the main one, columns otherwise.
	at := rank - 2
	if offset >= 0 {
		at = rank - 1
	}
	on := make([]byte, n*n)
	for i := range size {
		on[(i+max(-offset, 0))*n+i+max(offset, 0)] = 1
	}
	y := c.op("Where", nil, c.constant(model.Bool, []int{n, n}, on), c.unsqueeze(wide, at), c.scalar(x.dtype, int64(0)))
	perm := make([]int, 0, rank)
	for i, next := 0, 0; i < rank; i++ {
		switch i {
		case first:
			perm = append(perm, rank-2)
		case second:
			perm = append(perm, rank-1)
		default:
			perm = append(perm, next)
			next++
		}
	}
	return c.transpose(y, perm)
}

func inferDiagonals() map[string]inferRule {
	return map[string]inferRule{
		"diagonal diagonal_copy": diagonalShape,
		"trace":                  func(c *call) []*Value { return made1(summed(c.tensor("self").DType), graph.Shape{}) },
		"diag": func(c *call) []*Value {
			c.args["offset"] = c.args["diagonal"]
			if x := c.tensor("self"); len(x.Shape) == 1 {
				c.args["dim1"], c.args["dim2"] = int64(0), int64(1)
				return embeddedShape(c)
			}
			return diagonalShape(c)
		},
		"diag_embed": embeddedShape,
	}
}

func diagonalShape(c *call) []*Value {
	x := c.tensor("self")
	first, second := c.place("dim1", x.Shape), c.place("dim2", x.Shape)
	size := fixed(graph.Shape{x.Shape[first], x.Shape[second]}, "a diagonal")
	var shape graph.Shape
	for i, d := range x.Shape {
		if i != first && i != second {
			shape = append(shape, d)
		}
	}
	return viewOf(x, append(shape, graph.Size(diagonalLength(size[0], size[1], c.int("offset")))), true)
}

func embeddedShape(c *call) []*Value {
	x, offset := c.tensor("self"), c.int("offset")
	rank := len(x.Shape) + 1
	first, second := c.axis("dim1", rank), c.axis("dim2", rank)
	n := x.Shape[rank-2].Add(graph.Size(max(offset, -offset)))
	var shape graph.Shape
	for i, next := 0, 0; i < rank; i++ {
		if i == first || i == second {
			shape = append(shape, n)
		} else {
			shape = append(shape, x.Shape[next])
			next++
		}
	}
	return made1(x.DType, shape)
}

// diagonalBatch keeps the axes beside those of the diagonal.
func diagonalBatch(f *freer, n *Node) {
	in, out := f.of(f.first(n)), f.result(n, 0)
	rank := max(len(in), len(out)) // of the side with the matrix
	first, second := f.axisOf(n, "dim1", rank, rank-2), f.axisOf(n, "dim2", rank, rank-1)
	if n.Op == "aten.diagonal" || n.Op == "aten.diagonal_copy" {
		first, second = f.axisOf(n, "dim1", rank, 0), f.axisOf(n, "dim2", rank, 1)
	}
	if len(in) > len(out) {
		if f.kind(in[first]) == batchSize || f.kind(in[second]) == batchSize {
			f.fail("it mixes samples")
		}
		var kept []extent
		for i, e := range in {
			if i != first && i != second {
				kept = append(kept, e)
			}
		}
		f.set(n, append(kept, out[len(out)-1]))
		return
	}
	if len(in) == 0 || f.kind(in[len(in)-1]) == batchSize {
		f.fail("it mixes samples")
	}
	for i, next := 0, 0; i < rank; i++ {
		if i != first && i != second {
			out[i] = in[next]
			next++
		}
	}
	f.set(n, out)
}
