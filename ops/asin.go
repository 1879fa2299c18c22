package ops

import "math"

// asinOp is the arc sine.
var asinOp = realOp("Asin", 7, math.Asin)
