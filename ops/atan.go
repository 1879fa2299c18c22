package ops

import "math"

// atanOp is the arc tangent.
var atanOp = realOp("Atan", 7, math.Atan)
