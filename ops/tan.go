package ops

import "math"

// tanOp is the tangent.
var tanOp = realOp("Tan", 7, math.Tan)
