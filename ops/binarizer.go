package ops

// binarizerOp is 1 above a threshold and 0 elsewhere.
var binarizerOp = &Operator{
	Name: "Binarizer", Domain: "ai.onnx.ml",
	inputs: []input{data("X", numbers)},
	attrs:  []attr{floatAttr("threshold", 0)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		x, limit := c.input(0), c.float("threshold")
		v := c.floats(x)
		for i, y := range v {
			if v[i] = 0; y > limit {
				v[i] = 1
			}
		}
		c.set(0, c.from(x.dtype, x.shape, v))
	},
}
