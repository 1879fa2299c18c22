package ops

import (
	"lethe/graph"
	"lethe/model"
)

// sizeOp is the number of elements of a tensor.
var sizeOp = &Operator{
	Name:   "Size",
	inputs: []input{data("data", anything)},
	infer: func(f *inference) {
		f.set(0, model.Int64, graph.Sizes())
		if x := f.input(0); x.shape != nil {
			f.out[0].value = &Tensor{model.Int64, []int{}, vec[graph.Dim]{x.shape.Elements()}}
		}
	},
	eval: func(c *call) { c.set(0, c.fromInts([]int{}, []int{c.input(0).Len()})) },
}
