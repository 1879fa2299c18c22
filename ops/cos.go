package ops

import "math"

// cosOp is the cosine.
var cosOp = realOp("Cos", 7, math.Cos)
