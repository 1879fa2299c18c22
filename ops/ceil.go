package ops

import "math"

// ceilOp rounds up to integers.
var ceilOp = realOp("Ceil", 1, math.Ceil)
