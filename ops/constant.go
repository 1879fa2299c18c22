package ops

import "lethe/graph"

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
