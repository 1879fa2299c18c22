package ops

import (
	"lethe/graph"
	"lethe/model"
)

// constantofshapeOp is a tensor of a shape whose elements are all the same.
var constantofshapeOp = &Operator{
	Name: "ConstantOfShape", Since: 9,
	inputs: []input{constant("input", set(int64Type))},
	attrs:  []attr{noDefault("value", graph.TensorAttr)},
	infer: func(f *inference) {
		dtype := model.Float32
		if t := f.attr("value").Tensor(); t != nil {
			dtype = t.DType()
		}
		if shape, ok := f.inDims(0); ok {
			f.set(0, dtype, append(graph.Shape{}, shape...))
			return
		}
		f.set(0, dtype, nil)
		if s := f.input(0).shape; len(s) == 1 {
			if rank, ok := s[0].Int(); ok && rank >= 0 && rank < 64 {
				f.set(0, dtype, f.unknowns(0, rank))
			}
		}
	},
	eval: func(c *call) {
		shape, _ := c.inInts(0)
		value := c.attr("value")
		if value.Kind() == graph.NoAttr {
			c.set(0, c.make(model.Float32, shape))
			return
		}
		x := c.constant(value)
		if x.Len() != 1 {
			c.fail("the value has %d elements, not one", x.Len())
		}
		out := c.like(x, shape)
		out.data.fill(x.data, 0)
		c.set(0, out)
	},
}
