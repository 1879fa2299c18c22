package ops

// gruOp is a gated recurrent unit: the gates are update, reset and hidden.
var gruOp = recurrent{
	gates: 3, states: 1, defaults: []string{"Sigmoid", "Tanh"},
	step: func(l *recurrentLayer, x, h, _ []float64) ([]float64, []float64) {
		update := l.activate(0, l.gate(0, x, h, true, true))
		reset := l.activate(0, l.gate(1, x, h, true, true))
		var hidden []float64
		if l.c.flag("linear_before_reset") {
			hidden = l.gate(2, x, nil, true, false)
			for i, v := range l.gate(2, nil, h, false, true) {
				hidden[i] += reset[i] * v
			}
		} else {
			masked := make([]float64, len(h))
			for i := range h {
				masked[i] = reset[i] * h[i]
			}
			hidden = l.gate(2, x, masked, true, true)
		}
		hidden = l.activate(1, hidden)
		for i, z := range update {
			hidden[i] = (1-z)*hidden[i] + z*h[i]
		}
		return hidden, nil
	},
}.operator("GRU", intAttr("linear_before_reset", 0))
