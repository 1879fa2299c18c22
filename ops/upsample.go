package ops

import (
	"math"
	"slices"

	"lethe/graph"
)

// upsampleOp is Resize of earlier opsets.
var upsampleOp = &Operator{
	Name: "Upsample", Since: 7,
	inputs: []input{data("X", numbers), constant("scales", floats).from(9)},
	attrs:  []attr{stringAttr("mode", "nearest", "linear"), noDefault("scales", graph.FloatsAttr).must().until(8)},
	infer: func(f *inference) {
		x := f.input(0)
		var by []float64
		for _, s := range f.attr("scales").Floats() {
			by = append(by, float64(s))
		}
		if v := f.input(1).value; v != nil {
			by, _ = v.Float64s()
		}
		if x.shape == nil || len(by) != len(x.shape) {
			f.set(0, x.dtype, nil)
			return
		}
		shape := slices.Clone(x.shape)
		for i, d := range shape {
			n, fixed := d.Int()
			switch {
			case by[i] == math.Trunc(by[i]) && by[i] >= 0 && by[i] < largest:
				shape[i] = d.Mul(graph.Size(int(by[i])))
			case fixed && by[i] >= 0:
				shape[i] = graph.Size(scaledSize(n, by[i]))
			default:
				shape[i] = f.unknown(0, i)
			}
		}
		f.set(0, x.dtype, shape)
	},
	eval: func(c *call) {
		scales, given := c.inFloats(1)
		if !given {
			for _, s := range c.attr("scales").Floats() {
				scales = append(scales, float64(s))
			}
		}
		axes := make([]int, len(c.input(0).shape))
		for i := range axes {
			axes[i] = i
		}
		r := &resampling{c: c, mode: c.text("mode"), where: "asymmetric", nearest: "floor"}
		r.resize(c.input(0), axes, scales, nil, nil)
	},
}
