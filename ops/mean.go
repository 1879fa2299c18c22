package ops

// meanOp is the mean of its inputs.
var meanOp = &Operator{
	Name: "Mean", Since: 6,
	inputs: []input{data("data_0", floats).many()},
	infer:  inferBroadcast,
	eval: func(c *call) {
		sum := c.from64(c.input(0))
		for _, t := range c.in[1:] {
			sum = pairwise{real: func(a, b float64) float64 { return a + b }}.apply(c, sum, c.from64(t))
		}
		v := sum.data.(vec[float64])
		for i := range v {
			v[i] /= float64(len(c.in))
		}
		c.set(0, c.from(c.input(0).dtype, sum.shape, v))
	},
}
