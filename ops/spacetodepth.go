package ops

import "lethe/graph"

// spacetodepthOp moves blocks of the image into channels.
var spacetodepthOp = &Operator{
	Name:   "SpaceToDepth",
	inputs: []input{data("input", anything)},
	attrs:  []attr{noDefault("blocksize", graph.IntAttr).must(), stringAttr("mode", "DCR", "CRD").from(28)},
	infer: func(f *inference) {
		x, b := f.input(0).shape, f.block()
		if len(x) != 4 {
			f.set(0, f.input(0).dtype, nil)
			return
		}
		size := graph.Size(b)
		f.set(0, f.input(0).dtype, graph.Shape{x[0], x[1].Mul(size.Mul(size)), x[2].Div(size), x[3].Div(size)})
	},
	eval: func(c *call) {
		x, b := c.input(0), c.block()
		if len(x.shape) != 4 || x.shape[2]%b != 0 || x.shape[3]%b != 0 {
			c.fail("blocks of side %d do not divide the shape %v", b, x.shape)
		}
		n, channels, h, w := x.shape[0], x.shape[1], x.shape[2]/b, x.shape[3]/b
		parts := c.reshaped(x, []int{n, channels, h, b, w, b})
		order := []int{0, 3, 5, 1, 2, 4}
		if c.text("mode") == "CRD" {
			order = []int{0, 1, 3, 5, 2, 4}
		}
		c.set(0, c.reshaped(c.transpose(parts, order), []int{n, channels * b * b, h, w}))
	},
}
