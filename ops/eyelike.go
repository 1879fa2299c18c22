package ops

import (
	"lethe/graph"
	"lethe/model"
)

// eyelikeOp is a matrix of the shape of another one with ones on a diagonal.
var eyelikeOp = &Operator{
	Name: "EyeLike", Since: 9,
	inputs: []input{data("input", anything)},
	attrs:  []attr{noDefault("dtype", graph.IntAttr), intAttr("k", 0)},
	infer:  func(f *inference) { f.set(0, f.eyeType(f.input(0).dtype), f.input(0).shape) },
	eval: func(c *call) {
		x := c.input(0)
		if len(x.shape) != 2 {
			c.fail("the input has shape %v, which is not a matrix", x.shape)
		}
		v := make([]float64, x.Len())
		for i := range x.shape[0] {
			if j := i + c.int("k"); j >= 0 && j < x.shape[1] {
				v[i*x.shape[1]+j] = 1
			}
		}
		c.set(0, c.from(c.eyeType(x.dtype), x.shape, v))
	},
}

func (n *node) eyeType(of model.DType) model.DType {
	if n.has("dtype") {
		return n.elementType("dtype")
	}
	return of
}
