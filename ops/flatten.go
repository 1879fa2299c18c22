package ops

import "lethe/graph"

// flattenOp makes a matrix: axes before one become rows, the others columns.
var flattenOp = &Operator{
	Name:   "Flatten",
	inputs: []input{data("input", anything)},
	attrs:  []attr{intAttr("axis", 1)},
	infer: func(f *inference) {
		x := f.input(0)
		if x.shape == nil {
			f.set(0, x.dtype, nil)
			return
		}
		axis := f.split(len(x.shape))
		f.set(0, x.dtype, graph.Shape{x.shape[:axis].Elements(), x.shape[axis:].Elements()})
	},
	eval: func(c *call) {
		x := c.input(0)
		axis := c.split(len(x.shape))
		c.set(0, c.reshaped(x, []int{product(x.shape[:axis]), product(x.shape[axis:])}))
	},
}

// split returns the axis of Flatten, which may be the number of axes.
func (n *node) split(rank int) int {
	axis := n.int("axis")
	if axis < -rank || axis > rank {
		n.fail("axis %d of a tensor of %d axes", axis, rank)
	}
	if axis < 0 {
		axis += rank
	}
	return axis
}
