package ops

// softmaxcrossentropylossOp is NegativeLogLikelihoodLoss of LogSoftmax, with the
// logarithms of probabilities as another output.
var softmaxcrossentropylossOp = &Operator{
	Name: "SoftmaxCrossEntropyLoss", Since: 12, outputs: 2,
	inputs: []input{data("scores", floats), data("labels", indices), constant("weights", floats).opt()},
	attrs:  []attr{noDefault("ignore_index", intKind), lossReduction},
	infer: func(f *inference) {
		inferLoss(f)
		f.set(1, f.input(0).dtype, f.input(0).shape)
	},
	eval: func(c *call) {
		x := c.input(0)
		if len(x.shape) < 2 {
			c.fail("scores of shape %v have no classes", x.shape)
		}
		logs := c.mapAxes(c.from64(x), []int{1}, func(row []float64) {
			norm := logSumExp(row)
			for i := range row {
				row[i] -= norm
			}
		})
		v := logs.data.(vec[float64])
		c.set(0, c.loss(v))
		c.set(1, c.from(x.dtype, x.shape, v))
	},
}
