package ops

import "math"

// sqrtOp is the square root.
var sqrtOp = realOp("Sqrt", 1, math.Sqrt)
