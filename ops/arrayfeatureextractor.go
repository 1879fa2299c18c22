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
