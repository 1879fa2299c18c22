package ops

import (
	"slices"

	"lethe/graph"
)

// gatherndOp takes slices by tuples of indices.
var gatherndOp = &Operator{
	Name: "GatherND", Since: 11,
	inputs: []input{data("data", anything), constant("indices", set(int64Type))},
	attrs:  []attr{intAttr("batch_dims", 0).from(12)},
	infer: func(f *inference) {
		x, at := f.input(0), f.input(1)
		if x.shape == nil || len(at.shape) == 0 {
			f.set(0, x.dtype, nil)
			return
		}
		tuple, ok := at.shape[len(at.shape)-1].Int()
		batch := f.int("batch_dims")
		if !ok || tuple < 0 || batch < 0 || batch+tuple > len(x.shape) {
			f.set(0, x.dtype, nil)
			return
		}
		f.set(0, x.dtype, slices.Concat(graph.Shape{}, at.shape[:len(at.shape)-1], x.shape[batch+tuple:]))
	},
	eval: func(c *call) {
		x, at := c.input(0), c.input(1)
		batch := c.int("batch_dims")
		offsets, block, inner := c.tuples(x.shape, batch)
		out := c.like(x, slices.Concat(at.shape[:len(at.shape)-1], inner))
		for i, from := range offsets {
			out.data.copyFrom(i*block, x.data, from, block)
		}
		c.set(0, out)
	},
}

// tuples returns where in a tensor of a shape the slices begin that the tuples of
// input 1 name, how many elements a slice has, and its shape.
func (c *call) tuples(shape []int, batch int) (offsets []int, block int, inner []int) {
	at := c.input(1)
	list, _ := c.inInts(1)
	if len(at.shape) == 0 || batch < 0 || batch >= len(at.shape) || batch > len(shape) || !slices.Equal(at.shape[:batch], shape[:batch]) {
		c.fail("the indices have shape %v, which does not fit data of shape %v, of which %d axes are a batch", at.shape, shape, batch)
	}
	n := at.shape[len(at.shape)-1]
	if batch+n > len(shape) {
		c.fail("the indices have shape %v, which does not fit data of shape %v", at.shape, shape)
	}
	s := strides(shape)
	inner = shape[batch+n:]
	block = product(inner)
	count := product(at.shape[:len(at.shape)-1])
	perBatch := 1
	for _, d := range at.shape[batch : len(at.shape)-1] {
		perBatch *= d
	}
	whole := product(shape[batch:])
	offsets = make([]int, count)
	for i := range offsets {
		offsets[i] = i / max(perBatch, 1) * whole
		for j, x := range list[i*n : (i+1)*n] {
			size := shape[batch+j]
			if x < -size || x >= size {
				c.fail("index %d is outside of an axis of %d", x, size)
			}
			if x < 0 {
				x += size
			}
			offsets[i] += x * s[batch+j]
		}
	}
	return offsets, block, inner
}
