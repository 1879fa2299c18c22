package ops

// lstmOp is a long short-term memory: the gates are input, output, forget and
// cell; the first three may look at the cell through peepholes.
var lstmOp = recurrent{
	gates: 4, states: 2, defaults: []string{"Sigmoid", "Tanh", "Tanh"},
	step: func(l *recurrentLayer, x, h, cell []float64) ([]float64, []float64) {
		gates := make([][]float64, 4)
		for i := range gates {
			gates[i] = l.gate(i, x, h, true, true)
		}
		n := l.hidden
		peep := func(gate, part int, cell []float64) {
			if l.peep != nil {
				for i, p := range l.peep[part*n : (part+1)*n] {
					gates[gate][i] += p * cell[i]
				}
			}
		}
		peep(0, 0, cell)
		peep(2, 2, cell)
		in, forget, candidate := l.activate(0, gates[0]), gates[2], l.activate(1, gates[3])
		if l.c.flag("input_forget") {
			for i := range forget {
				forget[i] = 1 - in[i]
			}
		} else {
			forget = l.activate(0, forget)
		}
		next := make([]float64, n)
		for i := range next {
			next[i] = forget[i]*cell[i] + in[i]*candidate[i]
		}
		peep(1, 1, next)
		out := l.activate(0, gates[1])
		shown := append([]float64(nil), next...)
		for i, v := range l.activate(2, shown) {
			out[i] *= v
		}
		return out, next
	},
}.operator("LSTM", intAttr("input_forget", 0))
