package ops

import (
	"slices"

	"lethe/graph"
)

// col2imOp adds blocks up to the image that they were taken from.
var col2imOp = &Operator{
	Name: "Col2Im", Since: 18,
	inputs: []input{data("input", floats), constant("image_shape", set(int64Type)), constant("block_shape", set(int64Type))},
	attrs:  []attr{intsAttr("strides"), intsAttr("pads"), intsAttr("dilations")},
	infer: func(f *inference) {
		x := f.input(0).shape
		image, ok := f.inDims(1)
		block, known := f.inDims(2)
		if len(x) != 3 || !ok || !known {
			f.set(0, f.input(0).dtype, nil)
			return
		}
		f.set(0, f.input(0).dtype, slices.Concat(graph.Shape{x[0], x[1].Div(graph.Shape(block).Elements())}, image))
	},
	eval: func(c *call) {
		x := c.input(0)
		image, _ := c.inInts(1)
		block, _ := c.inInts(2)
		g := c.settings(len(image), block)
		c.size(image)
		c.fit(&g, image)
		taps := product(g.kernel)
		if len(x.shape) != 3 || x.shape[1]%taps != 0 || x.shape[2] != product(g.out) {
			c.fail("the data has shape %v, which is not that of the blocks of %v of an image of %v", x.shape, block, image)
		}
		channels := x.shape[1] / taps
		out := make([]float64, c.size(slices.Concat([]int{x.shape[0], channels}, image)))
		v := c.floats(x)
		for n := range x.shape[0] {
			size := channels * product(image)
			raise(out[n*size:(n+1)*size], v[n*x.shape[1]*x.shape[2]:], &g, channels)
		}
		c.set(0, c.from(x.dtype, slices.Concat([]int{x.shape[0], channels}, image), out))
	},
}
