package ops

import "slices"

// scatterelementsOp sets elements by an index along one axis for each.
var scatterelementsOp = &Operator{
	Name: "ScatterElements", Since: 11,
	inputs: []input{data("data", anything), constant("indices", indices), data("updates", anything)},
	attrs:  []attr{intAttr("axis", 0), scatterReduction},
	infer:  sameAsFirst,
	eval:   evalScatterElements,
}

var scatterReduction = stringAttr("reduction", "none", "add", "mul", "max", "min").from(16)

func evalScatterElements(c *call) {
	x, updates := c.input(0), c.input(2)
	axis := c.axis(c.int("axis"), len(x.shape))
	if !slices.Equal(updates.shape, c.input(1).shape) || updates.dtype != x.dtype {
		c.fail("the updates are %v of shape %v, which do not fit indices of shape %v", updates.dtype, updates.shape, c.input(1).shape)
	}
	out := c.like(x, x.shape)
	out.data.copyFrom(0, x.data, 0, x.Len())
	for i, at := range c.elementsAt(x.shape, axis) {
		c.update(out, at, updates, i, 1)
	}
	c.set(0, out.round(rounding{}))
}

// update sets n elements of out, or combines them with what is there.
func (c *call) update(out *Tensor, at int, updates *Tensor, from, n int) {
	how := c.text("reduction")
	if how == "" || how == "none" {
		out.data.copyFrom(at, updates.data, from, n)
		return
	}
	a := &Tensor{out.dtype, []int{n}, out.data.slice(at, at+n)}
	b := &Tensor{out.dtype, []int{n}, updates.data.slice(from, from+n)}
	combine := map[string]pairwise{"max": maxOf, "min": minOf, "add": addOf, "mul": mulOf}[how]
	out.data.copyFrom(at, combine.apply(c, a, b).data, 0, n)
}

var (
	addOf = pairwise{
		real:     func(a, b float64) float64 { return a + b },
		signed:   func(a, b int64) int64 { return a + b },
		unsigned: func(a, b uint64) uint64 { return a + b },
		truth:    func(a, b bool) bool { return a || b },
	}
	mulOf = pairwise{
		real:     func(a, b float64) float64 { return a * b },
		signed:   func(a, b int64) int64 { return a * b },
		unsigned: func(a, b uint64) uint64 { return a * b },
		truth:    func(a, b bool) bool { return a && b },
	}
)
