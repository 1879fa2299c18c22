package ops

// rnnOp is a recurrent network of one gate.
var rnnOp = recurrent{
	gates: 1, states: 1, defaults: []string{"Tanh"},
	step: func(l *recurrentLayer, x, h, _ []float64) ([]float64, []float64) {
		return l.activate(0, l.gate(0, x, h, true, true)), nil
	},
}.operator("RNN")
