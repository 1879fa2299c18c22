package ops

// meanvariancenormalizationOp brings axes to mean 0 and variance 1.
var meanvariancenormalizationOp = &Operator{
	Name: "MeanVarianceNormalization", Since: 9,
	inputs: []input{data("X", floats)},
	attrs:  []attr{intsAttr("axes")},
	infer:  sameAsFirst,
	eval: func(c *call) {
		axes := c.ints("axes")
		if !c.has("axes") {
			axes = []int{0, 2, 3}
		}
		c.alongAxes(c.input(0), c.axes(axes, len(c.input(0).shape)), func(row []float64) { standardize(row, 1e-18) })
	},
}
