package aten

import "lethe/graph"

// cellRows are single steps of recurrent layers and weight normalization.
func cellRows() map[string]row {
	return map[string]row{
		"aten.lstm_cell":     {schema: "input, hx, w_ih, w_hh, b_ih=None, b_hh=None", lower: lstmCell},
		"aten.gru_cell":      {schema: "input, hx, w_ih, w_hh, b_ih=None, b_hh=None", lower: gruCell},
		"aten.rnn_tanh_cell": {schema: "input, hx, w_ih, w_hh, b_ih=None, b_hh=None", lower: func(c *call) { c.ret(c.op("Tanh", nil, c.gateSum(c.in("hx")))) }},
		"aten.rnn_relu_cell": {schema: "input, hx, w_ih, w_hh, b_ih=None, b_hh=None", lower: func(c *call) { c.ret(c.op("Relu", nil, c.gateSum(c.in("hx")))) }},
		"aten._weight_norm": {schema: "v, g, dim=0", lower: func(c *call) {
			v, g := c.in("v"), c.in("g")
			var axes []int
			dim := c.int("dim") // -1 is the norm of the whole
			for i := range v.shape {
				if i != dim {
					axes = append(axes, i)
				}
			}
			c.ret(c.op("Mul", nil, v.name, c.op("Div", nil, g.name, c.reduce("ReduceL2", v.name, axes, true))))
		}},
	}
}

// gateSum is the sum of what the input and the state give to the gates.
func (c *call) gateSum(state operand) string {
	return c.op("Add", nil, c.linear(c.in("input"), c.in("w_ih"), c.opt("b_ih")), c.linear(state, c.in("w_hh"), c.opt("b_hh")))
}

// gateParts cuts the last axis into n equal parts.
func (c *call) gateParts(x string, state operand, n int) []string {
	hidden, ok := state.shape[len(state.shape)-1].Int()
	if !ok {
		panic(refusal{what: "a recurrent cell whose width is not fixed"})
	}
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = hidden
	}
	return c.ops("Split", n, attrs{"axis": num(-1)}, x, c.builder.ints(sizes...))
}

// lstmCell has the gates input, forget, cell and output.
func lstmCell(c *call) {
	state := c.list("hx")
	if len(state) != 2 || len(state[0].shape) == 0 {
		panic(refusal{what: "a cell without two states"})
	}
	p := c.gateParts(c.gateSum(state[0]), state[0], 4)
	keep := c.op("Mul", nil, c.op("Sigmoid", nil, p[1]), state[1].name)
	cell := c.op("Add", nil, keep, c.op("Mul", nil, c.op("Sigmoid", nil, p[0]), c.op("Tanh", nil, p[2])))
	c.ret(c.op("Mul", nil, c.op("Sigmoid", nil, p[3]), c.op("Tanh", nil, cell)), cell)
}

// gruCell has the gates reset, update and new: h' = n + z (h - n).
func gruCell(c *call) {
	h := c.in("hx")
	if len(h.shape) == 0 {
		panic(refusal{what: "a cell without a state"})
	}
	x := c.gateParts(c.linear(c.in("input"), c.in("w_ih"), c.opt("b_ih")), h, 3)
	s := c.gateParts(c.linear(h, c.in("w_hh"), c.opt("b_hh")), h, 3)
	r := c.op("Sigmoid", nil, c.op("Add", nil, x[0], s[0]))
	z := c.op("Sigmoid", nil, c.op("Add", nil, x[1], s[1]))
	n := c.op("Tanh", nil, c.op("Add", nil, x[2], c.op("Mul", nil, r, s[2])))
	c.ret(c.op("Add", nil, n, c.op("Mul", nil, z, c.op("Sub", nil, h.name, n))))
}

func inferCells() map[string]inferRule {
	return map[string]inferRule{
		"lstm_cell": func(c *call) []*Value {
			var out []*Value
			for _, s := range c.tensors("hx") {
				out = append(out, made1(s.DType, append(graph.Shape{}, s.Shape...))...)
			}
			if len(out) != 2 {
				panic(refusal{what: "a cell without two states"})
			}
			return out
		},
		"gru_cell rnn_tanh_cell rnn_relu_cell": func(c *call) []*Value {
			s := c.tensor("hx")
			return made1(s.DType, append(graph.Shape{}, s.Shape...))
		},
		"_weight_norm": likeFirst,
		"bilinear": func(c *call) []*Value {
			x, w := c.tensor("input1"), c.tensor("weight")
			if len(x.Shape) == 0 || len(w.Shape) != 3 {
				panic(refusal{what: "operands of other ranks"})
			}
			return made1(x.DType, append(append(graph.Shape{}, x.Shape[:len(x.Shape)-1]...), w.Shape[0]))
		},
	}
}

// cellBatch has the batch in axis 0 of input and states.
func cellBatch(f *freer, n *Node) {
	all := tensors(n)
	in := f.of(all[0])
	if len(in) != 2 {
		f.fail("it has no batch axis")
	}
	f.onlyFirst(in)
	states := 1
	if n.Op == "aten.lstm_cell" {
		states = 2
	}
	for _, v := range all[1 : 1+states] {
		s := f.of(v)
		if len(s) != 2 {
			f.fail("a state has %d axes", len(s))
		}
		f.same(in[0], s[0])
	}
	for _, v := range n.Outputs {
		if v != nil {
			shape := f.original(v)
			shape[0] = in[0]
			f.shapes[v] = shape
		}
	}
}
