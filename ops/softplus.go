package ops

import "math"

func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

// softplusOp is ln(1 + e^x).
var softplusOp = realOp("Softplus", 1, softplus)
