package ops

import "math"

// expOp is the exponential.
var expOp = realOp("Exp", 1, math.Exp)
