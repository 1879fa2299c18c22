package ops

import (
	"slices"

	"lethe/graph"
)

// scanOp evaluates a graph for every slice of its inputs along an axis. What the
// graph keeps goes into the next evaluation, what it makes is stacked. In opset 8
// the first axis of all inputs is a batch.
var scanOp = &Operator{
	Name: "Scan", Since: 8, outputs: many,
	inputs: []input{data("initial_state_and_scan_inputs", anything).opt().many()},
	attrs: []attr{
		noDefault("body", graph.GraphAttr).must(), noDefault("num_scan_inputs", intKind).must(), intsAttr("directions").until(8),
		intsAttr("scan_input_axes").from(9), intsAttr("scan_input_directions").from(9),
		intsAttr("scan_output_axes").from(9), intsAttr("scan_output_directions").from(9),
	},
	body: func(c *call, s subgraphs) {
		in, batch := c.in, 1
		if c.opset == 8 {
			if c.input(0) != nil {
				c.unsupported("lengths of sequences")
			}
			in = c.in[1:]
		}
		scans := c.int("num_scan_inputs")
		states := len(in) - scans
		body := c.attr("body").Graph()
		if scans < 1 || states < 0 || slices.Contains(in, nil) || len(body.Inputs) != len(in) || len(body.Outputs) < states {
			c.fail("%d of %d inputs are scanned by a body of %d inputs and %d outputs", scans, len(in), len(body.Inputs), len(body.Outputs))
		}
		if c.opset > 8 {
			c.out = c.scan(s, body, in[:states], in[states:])
			return
		}
		for _, t := range in {
			if len(t.shape) == 0 || t.shape[0] != in[0].shape[0] {
				c.fail("an input of shape %v is not a batch like one of shape %v", t.shape, in[0].shape)
			}
			batch = t.shape[0]
		}
		results := make([][]*Tensor, len(body.Outputs))
		for b := range batch {
			sample := make([]*Tensor, len(in))
			for i, t := range in {
				sample[i] = c.reshaped(c.part(t, 0, b, 1), t.shape[1:])
			}
			for i, t := range c.scan(s, body, sample[:states], sample[states:]) {
				results[i] = append(results[i], t)
			}
		}
		for i, list := range results {
			if len(list) == 0 {
				c.unsupported("a batch of no samples")
			}
			c.set(i, c.stack(list, 0))
		}
	},
}

func (c *call) scan(s subgraphs, body *graph.Graph, states, inputs []*Tensor) []*Tensor {
	axes, back := c.ints("scan_input_axes"), c.ints("scan_input_directions")
	if c.opset == 8 {
		back = c.ints("directions")
	}
	n := -1
	for i, t := range inputs {
		axis := c.axis(elementOr0(axes, i), len(t.shape))
		if n < 0 {
			n = t.shape[axis]
		}
		if t.shape[axis] != n {
			c.fail("an input has %d slices, another %d", t.shape[axis], n)
		}
	}
	stacks := make([][]*Tensor, len(body.Outputs)-len(states))
	for step := range n {
		in := slices.Clone(states)
		for i, t := range inputs {
			axis := c.axis(elementOr0(axes, i), len(t.shape))
			from := step
			if elementOr0(back, i) == 1 {
				from = n - 1 - step
			}
			in = append(in, c.reshaped(c.part(t, axis, from, 1), without(t.shape, []int{axis}, false, 0)))
		}
		out := s.run(body, in...)
		states = out[:len(states)]
		for i, t := range out[len(states):] {
			stacks[i] = append(stacks[i], t)
		}
	}
	all := slices.Clone(states)
	for i, list := range stacks {
		if len(list) == 0 {
			c.unsupported("no slices to scan")
		}
		if elementOr0(c.ints("scan_output_directions"), i) == 1 {
			slices.Reverse(list)
		}
		all = append(all, c.stack(list, elementOr0(c.ints("scan_output_axes"), i)))
	}
	return all
}

// elementOr0 returns an element of a list of settings, 0 where it is not given.
func elementOr0(list []int, i int) int {
	if i < len(list) {
		return list[i]
	}
	return 0
}
