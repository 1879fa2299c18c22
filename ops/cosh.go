package ops

import "math"

// coshOp is the hyperbolic cosine.
var coshOp = realOp("Cosh", 9, math.Cosh)
