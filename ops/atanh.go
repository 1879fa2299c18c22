package ops

import "math"

// atanhOp is the inverse of the hyperbolic tangent.
var atanhOp = realOp("Atanh", 9, math.Atanh)
