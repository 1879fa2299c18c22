package ops

import (
	"slices"

	"lethe/graph"
	"lethe/model"
)

// shapeOp is the shape of a tensor, since opset 15 of a range of its axes.
var shapeOp = &Operator{
	Name:   "Shape",
	inputs: []input{data("data", anything)},
	attrs:  []attr{intAttr("start", 0).from(15), noDefault("end", graph.IntAttr).from(15)},
	infer: func(f *inference) {
		x := f.input(0)
		if x.shape == nil {
			f.set(0, model.Int64, graph.Shape{f.unknown(0, 0)})
			return
		}
		lo, hi := f.span(len(x.shape))
		sizes := slices.Clone(x.shape[lo:hi])
		f.set(0, model.Int64, graph.Sizes(len(sizes)))
		f.out[0].value = &Tensor{model.Int64, []int{len(sizes)}, vec[graph.Dim](sizes)}
	},
	eval: func(c *call) {
		shape := c.input(0).shape
		lo, hi := c.span(len(shape))
		c.set(0, c.fromInts([]int{hi - lo}, shape[lo:hi]))
	},
}

// span returns the range of axes between the attributes start and end.
func (n *node) span(rank int) (lo, hi int) {
	clamp := func(x int) int {
		if x < 0 {
			x += rank
		}
		return min(max(x, 0), rank)
	}
	lo, hi = clamp(n.int("start")), rank
	if n.has("end") {
		hi = clamp(n.int("end"))
	}
	return lo, max(lo, hi)
}
