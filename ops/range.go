package ops

import (
	"math"

	"lethe/graph"
)

// rangeOp counts from a start to a limit, which it does not reach.
var rangeOp = &Operator{
	Name: "Range", Since: 11,
	inputs: []input{constant("start", numbers), constant("limit", numbers), constant("delta", numbers)},
	infer: func(f *inference) {
		f.set(0, f.input(0).dtype, graph.Shape{f.rangeSize()})
	},
	eval: func(c *call) {
		t := c.input(0)
		start, limit, delta := c.scalar(0, 0), c.scalar(1, 0), c.scalar(2, 0)
		count := math.Ceil((limit - start) / delta)
		if delta == 0 || count != count || count > float64(c.limits.elements) {
			c.fail("a range from %v to %v by steps of %v has no end, or too many elements", start, limit, delta)
		}
		n := max(0, int(count))
		v := make([]float64, n)
		for i := range v {
			v[i] = start + float64(i)*delta
		}
		if ints, ok := t.Ints(); ok { // beyond 2^53 float64 would round
			out := c.make(t.dtype, []int{n})
			step, _ := c.inInts(2)
			for i := range n {
				setInt(out, i, ints[0]+i*step[0])
			}
			c.set(0, out)
			return
		}
		c.set(0, c.from(t.dtype, []int{n}, v))
	},
}

// rangeSize returns how many numbers a range of sizes has.
func (f *inference) rangeSize() graph.Dim {
	var d [3]graph.Dim
	for i := range d {
		v, ok := f.inDims(i)
		if !ok || len(v) != 1 {
			return f.unknown(0, 0)
		}
		d[i] = v[0]
	}
	if step, ok := d[2].Int(); !ok || step == 0 {
		return f.unknown(0, 0)
	}
	n := d[1].Sub(d[0]).CeilDiv(d[2])
	if n.Positive() {
		return n
	}
	return n.Max(graph.Size(0))
}
