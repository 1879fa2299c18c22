package ops

import "lethe/model"

// dropoutOp does nothing, because a network that is evaluated is not training.
var dropoutOp = &Operator{
	Name: "Dropout", outputs: 2, Since: 1,
	inputs: []input{data("data", floats), constant("ratio", floats).opt().from(12), constant("training_mode", bools).opt().from(12)},
	attrs:  []attr{floatAttr("ratio", 0.5).until(11), intAttr("seed", 0).from(12), intAttr("is_test", 0).until(6)},
	infer: func(f *inference) {
		f.set(0, f.input(0).dtype, f.input(0).shape)
		f.set(1, maskType(f.opset, f.input(0).dtype), f.input(0).shape)
	},
	eval: func(c *call) {
		x := c.input(0)
		if t := c.input(2); t != nil && c.scalar(2, 0) != 0 && c.scalar(1, 0.5) != 0 {
			c.unsupported("training mode")
		}
		c.set(0, x)
		if c.wants(1) {
			ones := make([]float64, x.Len())
			for i := range ones {
				ones[i] = 1
			}
			c.set(1, c.from(maskType(c.opset, x.dtype), x.shape, ones))
		}
	},
}

// maskType is the type of Dropout's mask.
func maskType(opset int, data model.DType) model.DType {
	if opset >= 10 {
		return model.Bool
	}
	return data
}
