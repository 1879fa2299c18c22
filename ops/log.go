package ops

import "math"

// logOp is the natural logarithm.
var logOp = realOp("Log", 1, math.Log)
