package ops

import "math"

// sinhOp is the hyperbolic sine.
var sinhOp = realOp("Sinh", 9, math.Sinh)
