package ops

import (
	"lethe/graph"
	"lethe/model"
)

// constantOp is a tensor that is an attribute.
var constantOp = &Operator{
	Name: "Constant",
	attrs: []attr{
		noDefault("value", graph.TensorAttr),
		noDefault("value_int", graph.IntAttr).from(12), noDefault("value_ints", graph.IntsAttr).from(12),
		noDefault("value_float", graph.FloatAttr).from(12), noDefault("value_floats", graph.FloatsAttr).from(12),
		noDefault("value_string", graph.StringAttr).from(12), noDefault("value_strings", graph.StringsAttr).from(12),
	},
	infer: func(f *inference) {
		if t := f.attr("value").Tensor(); t != nil {
			f.set(0, t.DType(), graph.Sizes(t.Shape()...))
		}
	},
	eval: func(c *call) {
		for _, spec := range c.op.attrs {
			if a := c.attr(spec.name); a.Kind() != graph.NoAttr {
				c.set(0, c.constant(a))
				return
			}
		}
		c.fail("Constant has no value")
	},
}

func (c *call) constant(a graph.Attr) *Tensor {
	switch a.Kind() {
	case graph.TensorAttr:
		t, err := FromModel(a.Tensor())
		if err != nil {
			panic(fault{err})
		}
		return t
	case graph.IntAttr:
		return Int64s(nil, []int64{a.Int()})
	case graph.IntsAttr:
		return Int64s([]int{len(a.Ints())}, a.Ints())
	case graph.FloatAttr:
		return Float32s(nil, []float32{a.Float()})
	case graph.FloatsAttr:
		return Float32s([]int{len(a.Floats())}, a.Floats())
	case graph.StringAttr:
		return Strings(nil, []string{a.Text()})
	}
	return Strings([]int{len(a.Strings())}, a.Strings())
}

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
