package ops

// gatherelementsOp takes elements by an index along one axis for each.
var gatherelementsOp = &Operator{
	Name: "GatherElements", Since: 11,
	inputs: []input{data("data", anything), constant("indices", indices)},
	attrs:  []attr{intAttr("axis", 0)},
	infer:  func(f *inference) { f.set(0, f.input(0).dtype, f.input(1).shape) },
	eval: func(c *call) {
		x := c.input(0)
		axis := c.axis(c.int("axis"), len(x.shape))
		out := c.like(x, c.input(1).shape)
		for i, at := range c.elementsAt(x.shape, axis) {
			out.data.copyFrom(i, x.data, at, 1)
		}
		c.set(0, out)
	},
}

// elementsAt returns where, in a tensor of a shape, the elements are whose
// indices along an axis input 1 gives.
func (c *call) elementsAt(shape []int, axis int) []int {
	index := c.input(1)
	if len(index.shape) != len(shape) {
		c.fail("the indices have shape %v, which does not fit data of shape %v", index.shape, shape)
	}
	at := c.indices(1, shape[axis])
	s := strides(shape)
	for i, d := range index.shape {
		if i != axis && d > shape[i] {
			c.fail("the indices have shape %v, which does not fit data of shape %v", index.shape, shape)
		}
	}
	own := s[axis]
	s[axis] = 0
	view{index.shape, s, 0}.rows(func(i, from, n, stride int) {
		for j := range n {
			at[i+j] = at[i+j]*own + from + j*stride
		}
	})
	return at
}
