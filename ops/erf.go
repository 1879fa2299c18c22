package ops

import "math"

// erfOp is the error function.
var erfOp = realOp("Erf", 9, math.Erf)
