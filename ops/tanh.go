package ops

import "math"

// tanhOp is the hyperbolic tangent.
var tanhOp = realOp("Tanh", 1, math.Tanh)
