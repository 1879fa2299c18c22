package ops

import (
	"lethe/graph"
	"lethe/model"
)

// loopOp evaluates a graph again and again: as often as a count says, or for as
// long as a condition holds. What its nodes make for one iteration goes into the
// next, and what it collects is stacked.
var loopOp = &Operator{
	Name: "Loop", outputs: many,
	inputs: []input{data("M", set(int64Type)).opt(), data("cond", bools).opt(), data("v_initial", anything).opt().many()},
	attrs:  []attr{noDefault("body", graph.GraphAttr).must()},
	body: func(c *call, s subgraphs) {
		body := c.attr("body").Graph()
		count := int(c.scalar(0, -1))
		holds := c.scalar(1, 1) != 0
		var carried []*Tensor
		if len(c.in) > 2 {
			carried = c.in[2:]
		}
		if len(body.Inputs) != 2+len(carried) || len(body.Outputs) < 1+len(carried) {
			c.fail("the body has %d inputs and %d outputs, which do not fit the %d values that are carried", len(body.Inputs), len(body.Outputs), len(carried))
		}
		stacks := make([][]*Tensor, len(body.Outputs)-1-len(carried))
		for i := 0; holds && (count < 0 || c.input(0) == nil || i < count); i++ {
			if c.input(0) != nil && count <= 0 {
				break
			}
			in := append([]*Tensor{Int64s(nil, []int64{int64(i)}), Bools(nil, []bool{holds})}, carried...)
			out := s.run(body, in...)
			cond, ok := out[0].Float64s()
			if !ok || len(cond) != 1 {
				c.fail("the body gives %v of shape %v for a condition, which must be one truth value", out[0].dtype, out[0].shape)
			}
			holds = cond[0] != 0
			carried = out[1 : 1+len(carried)]
			for j := range stacks {
				stacks[j] = append(stacks[j], out[1+len(carried)+j])
			}
			if total := len(stacks) * (i + 1); total > c.limits.elements {
				panic(fault{&model.LimitError{What: "values collected by " + c.n.Label(), Got: uint64(total), Limit: uint64(c.limits.elements)}})
			}
		}
		for i, t := range carried {
			c.set(i, t)
		}
		for j, list := range stacks {
			if len(list) > 0 {
				c.set(len(carried)+j, c.stack(list, 0))
				continue
			}
			stated := body.Outputs[1+len(carried)+j]
			shape := []int{0}
			if sizes, ok := stated.Shape.Ints(); ok {
				shape = append(shape, sizes...)
			}
			c.set(len(carried)+j, c.make(stated.DType, shape))
		}
	},
}

// stack joins tensors of one shape along a new axis.
func (c *call) stack(list []*Tensor, axis int) *Tensor {
	axis = c.axis(axis, len(list[0].shape)+1)
	parts := make([]*Tensor, len(list))
	for i, t := range list {
		if len(t.shape) != len(list[0].shape) {
			c.fail("shapes %v and %v cannot be stacked", t.shape, list[0].shape)
		}
		parts[i] = c.reshaped(t, with(t.shape, []int{axis}, 1))
	}
	return c.concat(parts, axis)
}
