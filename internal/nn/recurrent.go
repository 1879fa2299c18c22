package nn

import (
	"fmt"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// A recurrent layer is run as what it stands for: the steps of its cell, one
// after the other, in operators that are there anyhow. So its gradient is theirs.

// cells are the recurrent operators: how many gates a unit has, the activations
// that are the default and the only ones here, and one step. x and h are what the
// gates get from the input and from the state, side by side.
var cells = map[string]struct {
	gates       int
	activations []string
	step        func(u *unrolling, x, h, c string) (hidden, cell string)
}{
	"RNN":  {1, []string{"Tanh"}, (*unrolling).stepRNN},
	"GRU":  {3, []string{"Sigmoid", "Tanh"}, (*unrolling).stepGRU},
	"LSTM": {4, []string{"Sigmoid", "Tanh", "Tanh"}, (*unrolling).stepLSTM},
}

// mostSteps limits how often a cell is written out.
const mostSteps = 1 << 12

// unrolling writes out one recurrent node.
type unrolling struct {
	net       *Net
	node      *graph.Node
	nodes     []graph.Node
	hidden    int
	gates     int
	w, r      string // pieces of the direction at hand
	rb        string
	direction int
}

// unroll returns the nodes that a recurrent node stands for.
func (n *Net) unroll(node *graph.Node) ([]graph.Node, error) {
	cell := cells[node.Op]
	u := &unrolling{net: n, node: node, hidden: node.Int("hidden_size", 0), gates: cell.gates}
	in, err := n.operandShape(node.Input(0))
	if err != nil {
		return nil, err
	}
	directions, err := u.check(in, cell.activations)
	if err != nil {
		return nil, err
	}
	var outputs, lastH, lastC []string
	for d := range directions {
		u.direction = d
		y, h, c := u.run(in, d == 1 || node.String("direction", "forward") == "reverse", cell.step)
		outputs, lastH, lastC = append(outputs, y), append(lastH, h), append(lastC, c)
	}
	for i, list := range [][]string{outputs, lastH, lastC} {
		axis := int64(1)
		if i > 0 {
			axis = 0
		}
		if name := node.Output(i); name != "" {
			u.nodes = append(u.nodes, graph.Node{Name: node.Name, Op: "Concat", Inputs: list, Outputs: []string{name}, Attrs: graph.Attrs{"axis": graph.Int(axis)}})
		}
	}
	return u.nodes, nil
}

// check refuses what the steps do not honour, and returns how many directions
// there are.
func (u *unrolling) check(in shape, activations []string) (directions int, err error) {
	node, n := u.node, u.net
	if len(in.dims) != 3 || in.batch != 1 || node.Int("layout", 0) != 0 {
		return 0, unsupported("%s of shape %v is not supported, only [steps, N, features]", node.Op, in)
	}
	if in.dims[0] > mostSteps {
		return 0, &model.LimitError{What: "steps of a recurrent layer", Got: uint64(in.dims[0]), Limit: mostSteps}
	}
	directions = 1
	if node.String("direction", "forward") == "bidirectional" {
		directions = 2
	}
	g := u.gates * u.hidden
	for i, want := range [][]int{1: {directions, g, in.dims[2]}, 2: {directions, g, u.hidden}, 3: {directions, 2 * g}} {
		name := node.Input(i)
		if w, err := n.operandShape(name); i > 0 && (name != "" || i < 3) && (err != nil || w.batch >= 0 || !slices.Equal(w.dims, want)) {
			return 0, unsupported("%s with input %d of shape %v is not supported, only a weight of shape %v", node.Op, i, w, want)
		}
	}
	for i := 4; i < len(node.Inputs); i++ {
		if name := node.Inputs[i]; name != "" {
			if s := n.shapes[name]; i < 5 || i > 6 || !slices.Equal(s.dims, []int{directions, in.dims[1], u.hidden}) || !s.alike(in) {
				return 0, unsupported("%s with input %d of shape %v is not supported", node.Op, i, s)
			}
		}
	}
	if f := node.Attrs["activations"].Strings(); f != nil && !slices.Equal(f, slices.Repeat(activations, directions)) {
		return 0, unsupported("%s with activations %q is not supported", node.Op, f)
	}
	if node.Int("input_forget", 0) != 0 {
		return 0, unsupported("%s with input_forget is not supported", node.Op)
	}
	return directions, only(&site{Node: node}, "activations", "direction", "hidden_size", "input_forget", "layout", "linear_before_reset")
}

// run writes out one direction and returns the hidden states of all steps, [T, 1,
// N, H], and the last states, [1, N, H].
func (u *unrolling) run(in shape, reverse bool, step func(u *unrolling, x, h, c string) (string, string)) (outputs, lastH, lastC string) {
	steps, features, g := in.dims[0], in.dims[2], u.gates*u.hidden
	d := u.direction
	u.w = u.piece(1, d*g*features, g, features)
	u.r = u.piece(2, d*g*u.hidden, g, u.hidden)
	wb := ""
	if u.rb = ""; u.node.Input(3) != "" {
		wb, u.rb = u.piece(3, d*2*g, g), u.piece(3, (d*2+1)*g, g)
	}
	x := u.op("Dense", nil, u.node.Input(0), u.w, wb) // of all steps at once
	h, c := u.state(5), ""
	if u.node.Op == "LSTM" {
		c = u.state(6)
	}
	states := make([]string, steps)
	for t := range steps {
		if reverse {
			t = steps - 1 - t
		}
		own := u.op("Gather", graph.Attrs{"axis": graph.Int(0)}, x, u.index(t))
		h, c = step(u, own, h, c)
		states[t] = u.op("Unsqueeze", nil, h, u.constant([]int{2}, 0, 1))
	}
	outputs = u.op("Concat", graph.Attrs{"axis": graph.Int(0)}, states...)
	lastH = u.op("Unsqueeze", nil, h, u.constant([]int{1}, 0))
	if c != "" {
		lastC = u.op("Unsqueeze", nil, c, u.constant([]int{1}, 0))
	}
	return outputs, lastH, lastC
}

// state returns the initial state that an input gives, or zeros.
func (u *unrolling) state(i int) string {
	if name := u.node.Input(i); name != "" {
		return u.op("Gather", graph.Attrs{"axis": graph.Int(0)}, name, u.index(u.direction))
	}
	return u.op("Zeros", graph.Attrs{"size": graph.Int(int64(u.hidden))}, u.node.Input(0))
}

func (u *unrolling) stepRNN(x, h, _ string) (string, string) {
	return u.op("Tanh", nil, u.op("Add", nil, x, u.op("Dense", nil, h, u.r, u.rb))), ""
}

func (u *unrolling) stepLSTM(x, h, c string) (string, string) {
	g := u.split(u.op("Add", nil, x, u.op("Dense", nil, h, u.r, u.rb)))
	in, out, forget := u.op("Sigmoid", nil, g[0]), u.op("Sigmoid", nil, g[1]), u.op("Sigmoid", nil, g[2])
	c = u.op("Add", nil, u.op("Mul", nil, forget, c), u.op("Mul", nil, in, u.op("Tanh", nil, g[3])))
	return u.op("Mul", nil, out, u.op("Tanh", nil, c)), c
}

func (u *unrolling) stepGRU(x, h, _ string) (string, string) {
	xs := u.split(x)
	var update, fresh string
	if u.node.Int("linear_before_reset", 0) != 0 {
		hs := u.split(u.op("Dense", nil, h, u.r, u.rb))
		update = u.op("Sigmoid", nil, u.op("Add", nil, xs[0], hs[0]))
		reset := u.op("Sigmoid", nil, u.op("Add", nil, xs[1], hs[1]))
		fresh = u.op("Add", nil, xs[2], u.op("Mul", nil, reset, hs[2]))
	} else {
		part := func(gate int) (r, b string) {
			n := u.hidden
			r = u.piece(2, (u.direction*3+gate)*n*n, n, n)
			if u.rb != "" {
				b = u.piece(3, ((u.direction*2+1)*3+gate)*n, n)
			}
			return r, b
		}
		gate := func(i int, h string) string {
			r, b := part(i)
			return u.op("Add", nil, xs[i], u.op("Dense", nil, h, r, b))
		}
		update = u.op("Sigmoid", nil, gate(0, h))
		fresh = gate(2, u.op("Mul", nil, u.op("Sigmoid", nil, gate(1, h)), h))
	}
	fresh = u.op("Tanh", nil, fresh)
	return u.op("Add", nil, fresh, u.op("Mul", nil, update, u.op("Sub", nil, h, fresh))), ""
}

// op adds a node of one output, left-out inputs at the end dropped.
func (u *unrolling) op(op string, attrs graph.Attrs, inputs ...string) string {
	for len(inputs) > 0 && inputs[len(inputs)-1] == "" {
		inputs = inputs[:len(inputs)-1]
	}
	node := graph.Node{Name: u.node.Name, Op: op, Attrs: attrs, Inputs: inputs, Outputs: []string{u.name()}}
	u.nodes = append(u.nodes, node)
	return node.Outputs[0]
}

func (u *unrolling) split(x string) []string {
	node := graph.Node{Name: u.node.Name, Op: "Split", Inputs: []string{x}, Attrs: graph.Attrs{"axis": graph.Int(1)}}
	for range u.gates {
		node.Outputs = append(node.Outputs, fmt.Sprint(u.name(), ".", len(node.Outputs)))
	}
	u.nodes = append(u.nodes, node)
	return node.Outputs
}

// name returns a name that no file can have: names of values are UTF-8.
func (u *unrolling) name() string { return fmt.Sprintf("\xff%s.%d", u.node.Outputs, len(u.nodes)) }

// piece names a part of a weight that an input gives.
func (u *unrolling) piece(input, at int, dims ...int) string {
	whole := u.node.Inputs[input]
	name := fmt.Sprintf("\xff%s[%d]%v", whole, at, dims)
	if u.net.dims[name] == nil {
		u.net.dims[name] = dims
		u.nodes = append(u.nodes, graph.Node{Name: u.node.Name, Op: "Piece", Inputs: []string{whole}, Outputs: []string{name}, Attrs: graph.Attrs{"at": graph.Int(int64(at)), "dims": graph.Ints(widened(dims)...)}})
	}
	return name
}

func widened(list []int) []int64 {
	out := make([]int64, len(list))
	for i, v := range list {
		out[i] = int64(v)
	}
	return out
}

// inferPiece is for elements of a weight from number at on.
func inferPiece(n *site) ([]shape, error) { return []shape{{dims: n.Ints("dims"), batch: -1}}, nil }

func (u *unrolling) index(i int) string { return u.constant([]int{}, int64(i)) }

func (u *unrolling) constant(dims []int, v ...int64) string {
	name := fmt.Sprintf("\xff%v%v", dims, v)
	u.net.constants[name] = int64Tensor(dims, v...)
	return name
}

// inferDense is for a fully connected layer at every position, which ONNX does not
// have: a weight [out, in] and a bias for the last axis.
func inferDense(n *site) ([]shape, error) {
	in := n.in[0]
	last := len(in.dims) - 1
	out := in.as(slices.Clone(in.dims))
	out.dims[last] = n.in[1].dims[0]
	return []shape{out}, nil
}

func buildDense(b *builder) layer {
	w := b.in(1).dims
	return newDense(b, b.weight(1), b.weight(2), w[1], w[0], w[1], 1)
}

// inferZeros is for [N, size] zeros, for each sample of an input [steps, N, features].
func inferZeros(n *site) ([]shape, error) {
	return []shape{{[]int{n.in[0].dims[1], n.Int("size", 0)}, 0, n.in[0].lead}}, nil
}
