package ops

import "math"

// roundOp rounds to integers, halves to even ones.
var roundOp = realOp("Round", 11, math.RoundToEven)
