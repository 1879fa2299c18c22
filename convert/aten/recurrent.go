package aten

import (
	"fmt"
	"slices"

	"lethe/graph"
)

// recurrentRows are the recurrent layers. The weights of PyTorch stay as they
// are; nodes put the gates into ONNX's order.
func recurrentRows() map[string]row {
	return map[string]row{
		"aten.lstm":             recurrent("aten.lstm"),
		"aten.gru":              recurrent("aten.gru"),
		"aten.rnn_tanh":         recurrent("aten.rnn_tanh"),
		"aten.rnn_relu":         recurrent("aten.rnn_relu"),
		"aten.mkldnn_rnn_layer": {schema: "input, weight0, weight1, weight2, weight3, hx_, cx_, reverse, batch_sizes, mode, hidden_size, num_layers, has_biases, bidirectional, batch_first, train", lower: oneLayer},
	}
}

var recurrentKinds = map[string]cell{
	"aten.lstm":     {op: "LSTM", order: []int{0, 3, 1, 2}}, // input, forget, cell, output -> input, output, forget, cell
	"aten.gru":      {op: "GRU", order: []int{1, 0, 2}},     // reset, update, new -> update, reset, new
	"aten.rnn_tanh": {op: "RNN", order: []int{0}},
	"aten.rnn_relu": {op: "RNN", order: []int{0}, activation: "Relu"},
}

// cell is a kind of recurrent layer.
type cell struct {
	op         string
	order      []int  // where each gate of ONNX is among those of PyTorch
	activation string // other than that of ONNX
}

//go:noinline
func recurrent(name string) row {
	return row{schema: "input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first", lower: func(c *call) {
		if c.bool("train") && c.float("dropout") > 0 && !c.conv.opts.ForceEval {
			panic(trainingMode("dropout between recurrent layers"))
		}
		c.layers(recurrentKinds[name])
	}}
}

// layers stacks the layers of a recurrent operator. An input is [time, batch,
// features], or [batch, time, features] with batch_first.
func (c *call) layers(kind cell) {
	x := c.in("input")
	if len(x.shape) != 3 {
		panic(refusal{what: fmt.Sprintf("a recurrent layer for an input of shape %v", x.shape), advice: "give it a batch"})
	}
	var first []operand // states before the first step, of all layers
	if kind.op == "LSTM" {
		first = c.list("hx")
	} else {
		first = []operand{c.in("hx")}
	}
	directions := 1
	if c.bool("bidirectional") {
		directions = 2
	}
	count, params := c.int("num_layers"), c.list("params")
	each := 2
	if c.bool("has_biases") {
		each = 4
	}
	if count < 1 || len(params) != count*directions*each || len(first) != 1 && len(first) != 2 {
		panic(refusal{what: fmt.Sprintf("%d weights for %d recurrent layers", len(params), count), advice: "layers with a projection are not supported"})
	}
	hidden, ok := 0, false
	if s := params[1].shape; len(s) == 2 {
		hidden, ok = s[1].Int()
	}
	if !ok {
		panic(refusal{what: "a recurrent weight without a fixed shape"})
	}
	name := x.name
	if c.bool("batch_first") {
		name = c.transpose(name, []int{1, 0, 2})
	}
	states := make([][]string, len(first))
	for l := range count {
		group := params[l*directions*each : (l+1)*directions*each]
		outputs := c.layer(kind, name, group, first, l, directions, hidden)
		for i := range states {
			states[i] = append(states[i], outputs[1+i])
		}
		// [time, directions, batch, hidden] to [time, batch, directions*hidden]
		name = c.op("Reshape", nil, c.transpose(outputs[0], []int{0, 2, 1, 3}), c.builder.ints(0, 0, directions*hidden))
	}
	if c.bool("batch_first") {
		name = c.transpose(name, []int{1, 0, 2})
	}
	results := []string{name}
	for _, s := range states {
		if len(s) > 1 {
			s = []string{c.op("Concat", attrs{"axis": num(0)}, s...)}
		}
		results = append(results, s[0])
	}
	c.shapeStates(first)
	c.ret(results...)
}

// shapeStates gives the states after the last step the shape of those before
// the first. What a program says of them is not asked: torch 2.5 to 2.8 writes
// one axis too many.
func (c *call) shapeStates(first []operand) {
	for i, state := range first {
		if i+1 < len(c.node.Outputs) && c.node.Outputs[i+1] != nil {
			c.node.Outputs[i+1].Shape = state.shape
		}
	}
}

// layer adds one layer and returns its outputs.
func (c *call) layer(kind cell, x string, params []operand, first []operand, l, directions, hidden int) []string {
	each := len(params) / directions
	join := func(names []string) string {
		if len(names) == 1 {
			return names[0]
		}
		return c.op("Concat", attrs{"axis": num(0)}, names...)
	}
	var weights, recurrences, biases []string
	for d := range directions {
		p := params[d*each:]
		weights = append(weights, c.unsqueeze(c.gates(kind, p[0].name, hidden), 0))
		recurrences = append(recurrences, c.unsqueeze(c.gates(kind, p[1].name, hidden), 0))
		if each == 4 {
			both := c.op("Concat", attrs{"axis": num(0)}, c.gates(kind, p[2].name, hidden), c.gates(kind, p[3].name, hidden))
			biases = append(biases, c.unsqueeze(both, 0))
		}
	}
	bias := ""
	if each == 4 {
		bias = join(biases)
	}
	inputs := []string{x, join(weights), join(recurrences), bias, ""}
	for _, s := range first {
		inputs = append(inputs, c.slice(s, 0, graph.Size(l*directions), graph.Size((l+1)*directions), 1))
	}
	a := attrs{"hidden_size": num(int64(hidden))}
	if directions == 2 {
		a["direction"] = text("bidirectional")
	}
	if kind.op == "GRU" {
		a["linear_before_reset"] = num(1)
	}
	if kind.activation != "" {
		a["activations"] = graph.Strings(slices.Repeat([]string{kind.activation}, directions)...)
	}
	if on, _ := c.args["reverse"].(bool); on {
		a["direction"] = text("reverse")
	}
	return c.ops(kind.op, 1+len(first), a, inputs...)
}

// oneLayer is a layer in one direction, which torch 2.1 takes an LSTM apart to.
func oneLayer(c *call) {
	const lstm = 2
	if c.int("mode") != lstm || c.int("num_layers") != 1 || c.bool("bidirectional") || len(c.in("input").shape) != 3 {
		panic(refusal{what: "a layer of another kind than LSTM"})
	}
	params := []operand{c.in("weight0"), c.in("weight1"), c.in("weight2"), c.in("weight3")}
	if !c.bool("has_biases") {
		params = params[:2]
	}
	x := c.in("input").name
	if c.bool("batch_first") {
		x = c.transpose(x, []int{1, 0, 2})
	}
	hidden := c.int("hidden_size")
	first := []operand{c.in("hx_"), c.in("cx_")}
	y := c.layer(recurrentKinds["aten.lstm"], x, params, first, 0, 1, hidden)
	c.shapeStates(first)
	y[0] = c.squeeze(y[0], 1)
	if c.bool("batch_first") {
		y[0] = c.transpose(y[0], []int{1, 0, 2})
	}
	c.ret(y...)
}

// gates puts the gates of a weight, which lie one after the other, into ONNX's
// order.
func (c *call) gates(kind cell, w string, hidden int) string {
	n := len(kind.order)
	if n == 1 {
		return w
	}
	parts := c.ops("Split", n, attrs{"axis": num(0)}, w, c.builder.ints(slices.Repeat([]int{hidden}, n)...))
	ordered := make([]string, n)
	for i, from := range kind.order {
		ordered[i] = parts[from]
	}
	return c.op("Concat", attrs{"axis": num(0)}, ordered...)
}
