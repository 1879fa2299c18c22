package ops

import "lethe/model"

// dequantizelinearOp is (x - zero point) * scale.
var dequantizelinearOp = &Operator{
	Name: "DequantizeLinear", Since: 10,
	inputs: []input{data("x", quantized|set(model.Int32)), constant("x_scale", floats|set(model.Float8E8M0FNU)), constant("x_zero_point", quantized|set(model.Int32)).opt()},
	attrs:  []attr{intAttr("axis", 1).from(13), intAttr("block_size", 0).from(21), intAttr("output_dtype", 0).from(23)},
	infer:  func(f *inference) { f.set(0, f.realType(f.input(1).dtype), f.input(0).shape) },
	eval: func(c *call) {
		x := c.input(0)
		v, scale := c.floats(x), c.perElement(c.input(1), x)
		if c.input(2) != nil {
			for i, z := range c.perElement(c.input(2), x) {
				v[i] -= z
			}
		}
		for i := range v {
			v[i] *= scale[i]
		}
		c.set(0, c.from(c.realType(c.input(1).dtype), x.shape, v))
	},
}
