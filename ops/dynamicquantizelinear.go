package ops

import (
	"math"

	"lethe/graph"
	"lethe/model"
)

// dynamicquantizelinearOp quantizes to uint8 with the scale and zero point that
// fit the data best.
var dynamicquantizelinearOp = &Operator{
	Name: "DynamicQuantizeLinear", Since: 11, outputs: 3,
	inputs: []input{data("x", set(model.Float32))},
	infer: func(f *inference) {
		f.set(0, model.Uint8, f.input(0).shape)
		f.set(1, model.Float32, graph.Sizes())
		f.set(2, model.Uint8, graph.Sizes())
	},
	eval: func(c *call) {
		v := c.floats(c.input(0))
		lo, hi := min(0, smallestOf(v)), max(0, largestOf(v))
		scale := float64(float32(hi-lo) / 255)
		zero := min(max(math.RoundToEven(float64(float32(-lo)/float32(scale))), 0), 255)
		if scale == 0 {
			zero = 0
		}
		for i, x := range v {
			if scale == 0 {
				v[i] = 0
				continue
			}
			v[i] = min(max(math.RoundToEven(float64(float32(x)/float32(scale)))+zero, 0), 255)
		}
		c.set(0, c.from(model.Uint8, c.input(0).shape, v))
		c.set(1, c.from(model.Float32, []int{}, []float64{scale}))
		c.set(2, c.from(model.Uint8, []int{}, []float64{zero}))
	},
}
