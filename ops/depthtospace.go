package ops

import (
	"lethe/graph"
)

// depthtospaceOp moves channels into blocks of the image.
var depthtospaceOp = &Operator{
	Name:   "DepthToSpace",
	inputs: []input{data("input", anything)},
	attrs:  []attr{noDefault("blocksize", graph.IntAttr).must(), stringAttr("mode", "DCR", "CRD").from(11)},
	infer: func(f *inference) {
		x, b := f.input(0).shape, f.block()
		if len(x) != 4 {
			f.set(0, f.input(0).dtype, nil)
			return
		}
		size := graph.Size(b)
		f.set(0, f.input(0).dtype, graph.Shape{x[0], x[1].Div(size.Mul(size)), x[2].Mul(size), x[3].Mul(size)})
	},
	eval: func(c *call) {
		x, b := c.input(0), c.block()
		if len(x.shape) != 4 || x.shape[1]%(b*b) != 0 {
			c.fail("blocks of side %d do not divide the shape %v", b, x.shape)
		}
		n, channels, h, w := x.shape[0], x.shape[1]/(b*b), x.shape[2], x.shape[3]
		parts := c.reshaped(x, []int{n, b, b, channels, h, w})
		order := []int{0, 3, 4, 1, 5, 2}
		if c.text("mode") == "CRD" {
			parts = c.reshaped(x, []int{n, channels, b, b, h, w})
			order = []int{0, 1, 4, 2, 5, 3}
		}
		c.set(0, c.reshaped(c.transpose(parts, order), []int{n, channels, h * b, w * b}))
	},
}

// block returns the attribute blocksize.
func (n *node) block() int {
	b := n.int("blocksize")
	if b < 1 || b > 1<<15 {
		n.fail("blocksize is %d", b)
	}
	return b
}
