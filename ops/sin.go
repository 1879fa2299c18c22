package ops

import "math"

// sinOp is the sine.
var sinOp = realOp("Sin", 7, math.Sin)
