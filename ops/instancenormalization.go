package ops

// instancenormalizationOp normalizes each channel of each sample.
var instancenormalizationOp = &Operator{
	Name: "InstanceNormalization", Since: 6,
	inputs: []input{data("input", floats), weight("scale", floats), weight("B", floats)},
	attrs:  []attr{floatAttr("epsilon", 1e-5)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		x := c.input(0)
		if len(x.shape) < 3 {
			c.fail("data of shape %v has no channels of more than one element", x.shape)
		}
		scale, _ := c.inFloats(1)
		bias, _ := c.inFloats(2)
		c.set(0, c.grouped(x, x.shape[1], scale, bias))
	},
}

func repeatEach(v []float64, n int) []float64 {
	out := make([]float64, 0, len(v)*n)
	for _, x := range v {
		for range n {
			out = append(out, x)
		}
	}
	return out
}

// grouped normalizes groups of channels of each sample.
func (c *call) grouped(x *Tensor, groups int, scale, bias []float64) *Tensor {
	y := c.floats(x)
	epsilon := c.float("epsilon")
	if n := product(x.shape[1:]) / max(groups, 1); n > 0 {
		parallel(len(y)/n, func(i int) { standardize(y[i*n:(i+1)*n], epsilon) })
	}
	c.perChannel(y, x.shape, scale, bias)
	return c.from(x.dtype, x.shape, y)
}
