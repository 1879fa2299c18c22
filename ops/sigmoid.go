package ops

import "math"

func sigmoid(x float64) float64 {
	if x < 0 {
		e := math.Exp(x)
		return e / (1 + e)
	}
	return 1 / (1 + math.Exp(-x))
}

// sigmoidOp is 1 / (1 + e^-x).
var sigmoidOp = realOp("Sigmoid", 1, sigmoid)
