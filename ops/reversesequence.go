package ops

// reversesequenceOp turns round the first elements of each sequence of a batch.
var reversesequenceOp = &Operator{
	Name: "ReverseSequence", Since: 10,
	inputs: []input{data("input", anything), data("sequence_lens", set(int64Type))},
	attrs:  []attr{intAttr("time_axis", 0), intAttr("batch_axis", 1)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		x := c.input(0)
		time, batch := c.axis(c.int("time_axis"), len(x.shape)), c.axis(c.int("batch_axis"), len(x.shape))
		lens, _ := c.inInts(1)
		if time+batch != 1 || len(lens) != x.shape[batch] {
			c.fail("there are %d lengths, which do not fit shape %v along axes %d and %d", len(lens), x.shape, time, batch)
		}
		out := c.like(x, x.shape)
		s := strides(x.shape)
		block := product(x.shape[2:])
		for b, n := range lens {
			if n < 0 || n > x.shape[time] {
				c.fail("a length is %d, and the sequence has %d elements", n, x.shape[time])
			}
			for t := range x.shape[time] {
				from := t
				if t < n {
					from = n - 1 - t
				}
				out.data.copyFrom(t*s[time]+b*s[batch], x.data, from*s[time]+b*s[batch], block)
			}
		}
		c.set(0, out)
	},
}
