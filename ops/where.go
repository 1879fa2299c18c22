package ops

// whereOp takes elements of X where the condition holds, and of Y elsewhere.
var whereOp = &Operator{
	Name: "Where", Since: 9,
	inputs: []input{data("condition", bools), data("X", anything), data("Y", anything)},
	infer: func(f *inference) {
		shape := f.broadcast(f.input(0).shape, f.broadcast(f.input(1).shape, f.input(2).shape))
		dtype := f.input(1).dtype
		if dtype == 0 {
			dtype = f.input(2).dtype
		}
		f.set(0, dtype, shape)
	},
	eval: func(c *call) {
		x, y := c.input(1), c.input(2)
		if x.dtype != y.dtype {
			c.fail("X is %v and Y is %v; they must be of one type", x.dtype, y.dtype)
		}
		x, y = sameStorage(x, y)
		shape := c.broadcastShape(c.input(0).shape, x.shape, y.shape)
		holds := c.expand(c.input(0), shape).data.(vec[bool])
		x, y = c.expand(x, shape), c.expand(y, shape)
		out := c.like(x, shape)
		for i := 0; i < len(holds); {
			j := i + 1
			for j < len(holds) && holds[j] == holds[i] {
				j++
			}
			from := y
			if holds[i] {
				from = x
			}
			out.data.copyFrom(i, from.data, i, j-i)
			i = j
		}
		c.set(0, out)
	},
}
