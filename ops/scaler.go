package ops

import (
	"lethe/graph"
	"lethe/model"
)

// scalerOp is (x - offset) * scale, for each column or for all.
var scalerOp = &Operator{
	Name: "Scaler", Domain: "ai.onnx.ml",
	inputs: []input{data("X", numbers)},
	attrs:  []attr{noDefault("offset", graph.FloatsAttr), noDefault("scale", graph.FloatsAttr)},
	infer:  func(f *inference) { f.set(0, model.Float32, f.input(0).shape) },
	eval: func(c *call) {
		x := c.input(0)
		v := c.floats(x)
		n := 1
		if len(x.shape) > 0 {
			n = x.shape[len(x.shape)-1]
		}
		pick := func(list []float32, i int, def float64) float64 {
			switch len(list) {
			case 0:
				return def
			case 1:
				return float64(list[0])
			case n:
				return float64(list[i%n])
			}
			c.fail("there are %d numbers for %d columns; one is needed, or one for each", len(list), n)
			return 0
		}
		offset, scale := c.attr("offset").Floats(), c.attr("scale").Floats()
		for i := range v {
			v[i] = (v[i] - pick(offset, i, 0)) * pick(scale, i, 1)
		}
		c.set(0, c.from(model.Float32, x.shape, v))
	},
}
