package ops

import "math"

// acoshOp is the inverse of the hyperbolic cosine.
var acoshOp = realOp("Acosh", 9, math.Acosh)
