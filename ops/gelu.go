package ops

import "math"

// geluOp is x times the normal distribution function, or its approximation by tanh.
var geluOp = &Operator{
	Name: "Gelu", Since: 20,
	inputs: []input{data("X", floats)},
	attrs:  []attr{stringAttr("approximate", "none", "tanh")},
	infer:  sameAsFirst,
	eval: func(c *call) {
		f := gelu
		if c.text("approximate") == "tanh" {
			f = geluTanh
		}
		unary{real: f}.eval(c)
	},
}

func gelu(x float64) float64 { return 0.5 * x * (1 + math.Erf(x/math.Sqrt2)) }

func geluTanh(x float64) float64 {
	return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
}
