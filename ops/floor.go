package ops

import "math"

// floorOp rounds down to integers.
var floorOp = realOp("Floor", 1, math.Floor)
