package ops

import (
	"slices"

	"lethe/graph"
	"lethe/model"
)

// layernormalizationOp normalizes all axes from one on.
var layernormalizationOp = &Operator{
	Name: "LayerNormalization", Since: 17, outputs: 3,
	inputs: []input{data("X", floats), weight("Scale", floats), weight("B", floats).opt()},
	attrs:  []attr{intAttr("axis", -1), floatAttr("epsilon", 1e-5), intAttr("stash_type", 1)},
	infer: func(f *inference) {
		x := f.input(0)
		f.set(0, x.dtype, x.shape)
		var statistics graph.Shape
		if x.shape != nil {
			axis := f.axis(f.int("axis"), len(x.shape))
			statistics = slices.Clone(x.shape)
			for i := axis; i < len(statistics); i++ {
				statistics[i] = graph.Size(1)
			}
		}
		for i := 1; i < len(f.n.Outputs); i++ {
			f.set(i, model.Float32, statistics)
		}
	},
	eval: func(c *call) {
		x := c.input(0)
		axis := c.axis(c.int("axis"), len(x.shape))
		n := product(x.shape[axis:])
		y := c.floats(x)
		rows := len(y) / max(n, 1)
		mean, inverse := make([]float64, rows), make([]float64, rows)
		epsilon := c.float("epsilon")
		parallel(rows, func(i int) { mean[i], inverse[i] = standardize(y[i*n:(i+1)*n], epsilon) })
		c.set(0, c.affine(x, y, c.input(1), c.input(2)))
		statistics := slices.Clone(x.shape)
		for i := axis; i < len(statistics); i++ {
			statistics[i] = 1
		}
		if c.wants(1) {
			c.set(1, c.from(model.Float32, statistics, mean))
		}
		if c.wants(2) {
			c.set(2, c.from(model.Float32, statistics, inverse))
		}
	},
}

// affine returns y * scale + bias, where both are broadcast; y has the shape of x.
func (c *call) affine(x *Tensor, y []float64, scale, bias *Tensor) *Tensor {
	out := Float64s(x.shape, y)
	for i, t := range []*Tensor{scale, bias} {
		if t == nil {
			continue
		}
		c.mustSpread(t, x)
		out = []pairwise{mulOf, addOf}[i].apply(c, out, c.from64(t))
	}
	return c.from(x.dtype, x.shape, out.data.(vec[float64]))
}
