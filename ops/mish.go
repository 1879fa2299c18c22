package ops

import "math"

// mishOp is x * tanh(ln(1 + e^x)).
var mishOp = realOp("Mish", 18, func(x float64) float64 { return x * math.Tanh(softplus(x)) })
