package ops

import (
	"lethe/graph"
	"lethe/model"
)

// bitcastOp takes the bits of elements for those of another type.
var bitcastOp = &Operator{
	Name: "BitCast", Since: 26,
	inputs: []input{data("input", anything&^texts)},
	attrs:  []attr{noDefault("to", graph.IntAttr).must()},
	infer:  func(f *inference) { f.set(0, f.elementType("to"), f.input(0).shape) },
	eval: func(c *call) {
		t, to := c.input(0), c.elementType("to")
		m, err := t.Model()
		if err != nil || to.Size() != t.dtype.Size() || nibbles.has(to) != nibbles.has(t.dtype) {
			c.fail("the bits of %v cannot be those of %v", t.dtype, to)
		}
		same, err := model.NewTensor(to, t.shape, nil, 0, m.Storage())
		if err != nil {
			c.fail("%v", err)
		}
		out, err := FromModel(same)
		if err != nil {
			c.fail("%v", err)
		}
		c.set(0, out)
	},
}
