package ops

// negativeloglikelihoodlossOp is what the logarithms of probabilities say against
// the labels.
var negativeloglikelihoodlossOp = &Operator{
	Name: "NegativeLogLikelihoodLoss", Since: 12,
	inputs: []input{data("input", floats), data("target", indices), constant("weight", floats).opt()},
	attrs:  []attr{noDefault("ignore_index", intKind), lossReduction},
	infer:  inferLoss,
	eval:   func(c *call) { c.set(0, c.loss(c.floats(c.input(0)))) },
}
