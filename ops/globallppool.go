package ops

import "math"

// globallppoolOp is the p-norm of each channel.
var globallppoolOp = globalPool("GlobalLpPool", func(c *call, row []float64) float64 {
	p, sum := float64(c.int("p")), 0.0
	for _, x := range row {
		sum += math.Pow(math.Abs(x), p)
	}
	return math.Pow(sum, 1/p)
}, intAttr("p", 2))
