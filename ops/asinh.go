package ops

import "math"

// asinhOp is the inverse of the hyperbolic sine.
var asinhOp = realOp("Asinh", 9, math.Asinh)
