package ops

import "math"

// clipOp keeps its input between two limits: attributes up to opset 10, inputs
// from opset 11 on.
var clipOp = &Operator{
	Name: "Clip", Since: 6,
	inputs: []input{data("input", numbers), constant("min", numbers).opt().from(11), constant("max", numbers).opt().from(11)},
	attrs:  []attr{floatAttr("min", -math.MaxFloat32).until(10), floatAttr("max", math.MaxFloat32).until(10)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		x := c.input(0)
		if c.opset < 11 {
			lo, hi := c.float("min"), c.float("max")
			unary{real: func(x float64) float64 { return minReal(maxReal(x, lo), hi) }}.eval(c)
			return
		}
		// Limits of the type of x: 64-bit integers have no float64.
		if lo := c.limit(1, x); lo != nil {
			x = maxOf.apply(c, x, lo)
		}
		if hi := c.limit(2, x); hi != nil {
			x = minOf.apply(c, x, hi)
		}
		c.set(0, x)
	},
}

var (
	maxOf = pairwise{
		real:     maxReal,
		signed:   func(a, b int64) int64 { return max(a, b) },
		unsigned: func(a, b uint64) uint64 { return max(a, b) },
	}
	minOf = pairwise{
		real:     minReal,
		signed:   func(a, b int64) int64 { return min(a, b) },
		unsigned: func(a, b uint64) uint64 { return min(a, b) },
	}
)

// limit returns input i, which is one number, or nil if it is left out.
func (c *call) limit(i int, x *Tensor) *Tensor {
	t := c.input(i)
	if t != nil && t.Len() != 1 {
		c.fail("a limit has %d elements, not one", t.Len())
	}
	if t == nil {
		return nil
	}
	return c.reshaped(t, nil)
}
