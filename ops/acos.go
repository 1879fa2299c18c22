package ops

import "math"

// acosOp is the arc cosine.
var acosOp = realOp("Acos", 7, math.Acos)
