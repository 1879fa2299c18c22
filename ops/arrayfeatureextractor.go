package ops

import "slices"

// arrayfeatureextractorOp takes columns by their indices.
var arrayfeatureextractorOp = &Operator{
	Name: "ArrayFeatureExtractor", Domain: "ai.onnx.ml",
	inputs: []input{data("X", numbers|texts), constant("Y", set(int64Type))},
	infer: func(f *inference) {
		x, y := f.input(0), f.input(1).shape
		if len(x.shape) < 2 || y == nil {
			f.set(0, x.dtype, nil)
			return
		}
		shape := slices.Clone(x.shape)
		shape[len(shape)-1] = y.Elements()
		f.set(0, x.dtype, shape)
	},
	eval: func(c *call) {
		x := c.input(0)
		if len(x.shape) == 1 {
			x = c.reshaped(x, []int{1, x.shape[0]})
		}
		if len(x.shape) == 0 {
			c.fail("a single element has no columns")
		}
		n := x.shape[len(x.shape)-1]
		at := c.indices(1, n)
		out := c.like(x, append(slices.Clone(x.shape[:len(x.shape)-1]), len(at)))
		for i := range out.Len() {
			out.data.copyFrom(i, x.data, i/len(at)*n+at[i%len(at)], 1)
		}
		c.set(0, out)
	},
}

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
