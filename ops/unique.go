package ops

import (
	"slices"

	"lethe/model"
)

// uniqueOp is the different elements, or the different slices along an axis,
// with where each first was, which each one is, and how often it occurs.
var uniqueOp = &Operator{
	Name: "Unique", Since: 11, outputs: 4,
	inputs: []input{data("X", numbers|texts)},
	attrs:  []attr{noDefault("axis", intKind), intAttr("sorted", 1)},
	infer: func(f *inference) {
		f.set(0, f.input(0).dtype, nil)
		for i := 1; i < 4; i++ {
			f.set(i, model.Int64, f.unknowns(i, 1))
		}
	},
	eval: func(c *call) {
		x := c.input(0)
		axis := 0
		if c.has("axis") {
			axis = c.axis(c.int("axis"), len(x.shape))
		} else {
			x = c.reshaped(x, []int{x.Len()})
		}
		n := x.shape[axis]
		front := c.axesFirst(x, axis)
		less := c.sliceOrder(front, n)
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, less)
		var groups [][]int // of equal slices, in order of the slices
		for i, at := range order {
			if i > 0 && less(order[i-1], at) == 0 {
				groups[len(groups)-1] = append(groups[len(groups)-1], at)
				continue
			}
			groups = append(groups, []int{at})
		}
		if !c.flag("sorted") {
			slices.SortFunc(groups, func(a, b []int) int { return a[0] - b[0] })
		}
		parts := []*Tensor{c.part(x, axis, 0, 0)}
		first, inverse, counts := make([]int, len(groups)), make([]int, n), make([]int, len(groups))
		for i, g := range groups {
			parts = append(parts, c.part(x, axis, g[0], 1))
			first[i], counts[i] = g[0], len(g)
			for _, at := range g {
				inverse[at] = i
			}
		}
		c.set(0, c.concat(parts, axis))
		for i, v := range [][]int{first, inverse, counts} {
			c.set(i+1, c.fromInts([]int{len(v)}, v))
		}
	},
}

// axesFirst returns a tensor with one axis moved to the front.
func (c *call) axesFirst(x *Tensor, axis int) *Tensor {
	order := []int{axis}
	for i := range x.shape {
		if i != axis {
			order = append(order, i)
		}
	}
	return c.transpose(x, order)
}

// sliceOrder returns the order of the n slices along the first axis, element by
// element.
func (c *call) sliceOrder(t *Tensor, n int) func(a, b int) int {
	block := t.Len() / max(n, 1)
	if s, ok := t.Texts(); ok {
		return func(a, b int) int {
			return slices.Compare(s[a*block:(a+1)*block], s[b*block:(b+1)*block])
		}
	}
	v := c.floats(t)
	return func(a, b int) int {
		return slices.CompareFunc(v[a*block:(a+1)*block], v[b*block:(b+1)*block], compare)
	}
}
