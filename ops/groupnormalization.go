package ops

// groupnormalizationOp normalizes groups of channels of each sample. In opset 18
// scale and bias are those of groups, from 21 on those of channels.
var groupnormalizationOp = &Operator{
	Name: "GroupNormalization", Since: 18,
	inputs: []input{data("X", floats), weight("scale", floats), weight("bias", floats)},
	attrs:  []attr{floatAttr("epsilon", 1e-5), noDefault("num_groups", intKind).must(), intAttr("stash_type", 1).from(21)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		x, groups := c.input(0), c.int("num_groups")
		if len(x.shape) < 2 || groups < 1 || x.shape[1]%groups != 0 {
			c.fail("%d groups do not divide the channels of data of shape %v", groups, x.shape)
		}
		scale, _ := c.inFloats(1)
		bias, _ := c.inFloats(2)
		if c.opset < 21 && len(scale) == groups && len(bias) == groups {
			each := x.shape[1] / groups
			scale, bias = repeatEach(scale, each), repeatEach(bias, each)
		}
		c.set(0, c.grouped(x, groups, scale, bias))
	},
}
