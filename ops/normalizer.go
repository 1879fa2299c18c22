package ops

import (
	"math"

	"lethe/model"
)

// normalizerOp divides rows by a norm.
var normalizerOp = &Operator{
	Name: "Normalizer", Domain: "ai.onnx.ml",
	inputs: []input{data("X", numbers)},
	attrs:  []attr{stringAttr("norm", "MAX", "L1", "L2")},
	infer:  func(f *inference) { f.set(0, model.Float32, f.input(0).shape) },
	eval: func(c *call) {
		x := c.from(model.Float32, c.input(0).shape, c.floats(c.input(0)))
		if len(x.shape) == 0 {
			c.fail("a single element is not a row")
		}
		c.alongAxes(x, []int{len(x.shape) - 1}, func(row []float64) {
			norm := 0.0
			for _, v := range row {
				switch c.text("norm") {
				case "MAX":
					norm = max(norm, math.Abs(v))
				case "L1":
					norm += math.Abs(v)
				default:
					norm = math.Hypot(norm, v)
				}
			}
			for i := range row {
				if norm != 0 {
					row[i] /= norm
				}
			}
		})
	},
}
