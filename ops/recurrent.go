package ops

import (
	"math"
	"slices"
	"strings"

	"lethe/graph"
)

// recurrent is what RNN, GRU and LSTM share: one or two directions, sequences of
// different lengths, activations by name.
type recurrent struct {
	gates    int      // parts of the weights
	states   int      // 1, or 2 with the cell of an LSTM
	defaults []string // activations
	step     func(l *recurrentLayer, x, h, cell []float64) (newH, newCell []float64)
}

// operator returns the operator.
func (r recurrent) operator(name string, more ...attr) *Operator {
	inputs := []input{data("X", floats), weight("W", floats), weight("R", floats), weight("B", floats).opt(),
		data("sequence_lens", indices).opt(), data("initial_h", floats).opt()}
	if r.states == 2 {
		inputs = append(inputs, data("initial_c", floats).opt(), weight("P", floats).opt())
	}
	return &Operator{
		Name: name, Since: 1, outputs: 1 + r.states,
		inputs: inputs,
		attrs: append(more, stringAttr("direction", "forward", "reverse", "bidirectional"), noDefault("hidden_size", intKind),
			noDefault("activations", graph.StringsAttr), noDefault("activation_alpha", graph.FloatsAttr),
			noDefault("activation_beta", graph.FloatsAttr), noDefault("clip", graph.FloatAttr), intAttr("layout", 0).from(14)),
		infer: r.infer,
		eval:  r.eval,
	}
}

func (r recurrent) infer(f *inference) {
	x, weights := f.input(0), f.input(2)
	if len(x.shape) != 3 || len(weights.shape) != 3 {
		for i := range f.n.Outputs {
			f.set(i, x.dtype, nil)
		}
		return
	}
	directions, hidden := weights.shape[0], weights.shape[2]
	if n := f.int("hidden_size"); n > 0 {
		hidden = graph.Size(n)
	}
	if f.flag("layout") {
		f.set(0, x.dtype, graph.Shape{x.shape[0], x.shape[1], directions, hidden})
	} else {
		f.set(0, x.dtype, graph.Shape{x.shape[0], directions, x.shape[1], hidden})
	}
	for i := range r.states {
		if f.flag("layout") {
			f.set(1+i, x.dtype, graph.Shape{x.shape[0], directions, hidden})
		} else {
			f.set(1+i, x.dtype, graph.Shape{directions, x.shape[1], hidden})
		}
	}
}

// recurrentLayer is one direction.
type recurrentLayer struct {
	c       *call
	hidden  int
	inputs  int
	w, r, b []float64 // of the input, of the state, both biases
	peep    []float64 // of an LSTM, or nil
	f       []func(float64) float64
	clip    float64
}

// gate returns what gate i gets from an input and a state, either of which may be
// nil, before its activation.
func (l *recurrentLayer) gate(i int, x, h []float64, biasX, biasH bool) []float64 {
	out := make([]float64, l.hidden)
	gates := len(l.b) / 2 / l.hidden
	for j := range out {
		at := i*l.hidden + j
		sum := 0.0
		if biasX {
			sum += l.b[at]
		}
		if biasH {
			sum += l.b[gates*l.hidden+at]
		}
		for k, v := range x {
			sum += v * l.w[at*l.inputs+k]
		}
		for k, v := range h {
			sum += v * l.r[at*l.hidden+k]
		}
		out[j] = sum
	}
	return out
}

func (l *recurrentLayer) clipped(v []float64) []float64 {
	if l.clip > 0 {
		for i, x := range v {
			v[i] = min(max(x, -l.clip), l.clip)
		}
	}
	return v
}

func (l *recurrentLayer) activate(i int, v []float64) []float64 {
	v = l.clipped(v)
	for j, x := range v {
		v[j] = l.f[i](x)
	}
	return v
}

func (r recurrent) eval(c *call) {
	x := c.input(0)
	if len(x.shape) != 3 {
		c.fail("the data has shape %v; it must have three axes", x.shape)
	}
	if c.flag("layout") {
		x = c.transpose(x, []int{1, 0, 2})
	}
	steps, batch, inputs := x.shape[0], x.shape[1], x.shape[2]
	directions := 1
	if c.text("direction") == "bidirectional" {
		directions = 2
	}
	weights := c.input(2)
	if len(weights.shape) != 3 {
		c.fail("the weights have shape %v; they must have three axes", weights.shape)
	}
	hidden := weights.shape[2]
	want := [][]int{{directions, r.gates * hidden, inputs}, {directions, r.gates * hidden, hidden}, {directions, 2 * r.gates * hidden}}
	if n := c.int("hidden_size"); n != 0 && n != hidden {
		c.fail("hidden_size is %d, but the weights have shape %v", n, weights.shape)
	}
	for i, shape := range want {
		if t := c.input(1 + i); t != nil && !slices.Equal(t.shape, shape) {
			c.fail("input %d has shape %v, not %v", 1+i, t.shape, shape)
		}
	}
	lengths, given := c.inInts(4)
	if !given {
		lengths = slices.Repeat([]int{steps}, batch)
	}
	if len(lengths) != batch || slices.ContainsFunc(lengths, func(n int) bool { return n < 0 || n > steps }) {
		c.fail("the lengths are %v for %d sequences of %d steps; one is needed for each, and none may be longer", lengths, batch, steps)
	}
	all := make([]float64, c.size([]int{steps, directions, batch, hidden}))
	last := [2][]float64{}
	for i := range r.states {
		last[i] = c.initial(5+i, directions, batch, hidden)
	}
	v := c.floats(x)
	for d := range directions {
		l := r.layer(c, d, hidden, inputs)
		backward := d == 1 || c.text("direction") == "reverse"
		parallel(batch, func(b int) {
			at := (d*batch + b) * hidden
			h, cell := last[0][at:at+hidden], []float64(nil)
			if r.states == 2 {
				cell = last[1][at : at+hidden]
			}
			for t := range lengths[b] {
				if backward {
					t = lengths[b] - 1 - t
				}
				newH, newCell := r.step(l, v[(t*batch+b)*inputs:][:inputs], h, cell)
				copy(all[((t*directions+d)*batch+b)*hidden:], newH)
				copy(h, newH)
				copy(cell, newCell)
			}
		})
	}
	y := c.from(x.dtype, []int{steps, directions, batch, hidden}, all)
	if c.flag("layout") {
		y = c.transpose(y, []int{2, 0, 1, 3})
	}
	c.set(0, y)
	for i := range r.states {
		t := c.from(x.dtype, []int{directions, batch, hidden}, last[i])
		if c.flag("layout") {
			t = c.transpose(t, []int{1, 0, 2})
		}
		c.set(1+i, t)
	}
}

// initial returns an initial state [directions, batch, hidden].
func (c *call) initial(i, directions, batch, hidden int) []float64 {
	t := c.input(i)
	if t == nil {
		return make([]float64, c.size([]int{directions, batch, hidden}))
	}
	if c.flag("layout") && len(t.shape) == 3 {
		t = c.transpose(t, []int{1, 0, 2})
	}
	if !slices.Equal(t.shape, []int{directions, batch, hidden}) {
		c.fail("the initial state has shape %v, not %v", t.shape, []int{directions, batch, hidden})
	}
	return c.floats(t)
}

// layer returns the weights and activations of one direction.
func (r recurrent) layer(c *call, direction, hidden, inputs int) *recurrentLayer {
	l := &recurrentLayer{c: c, hidden: hidden, inputs: inputs, clip: c.float("clip")}
	part := func(i, n int) []float64 {
		if c.input(i) == nil {
			return nil
		}
		return c.floats(c.input(i))[direction*n : (direction+1)*n]
	}
	l.w, l.r = part(1, r.gates*hidden*inputs), part(2, r.gates*hidden*hidden)
	if l.b = part(3, 2*r.gates*hidden); l.b == nil {
		l.b = make([]float64, 2*r.gates*hidden)
	}
	if p := c.input(7); p != nil && r.states == 2 {
		if p.Len() != c.input(2).shape[0]*3*hidden {
			c.fail("the peepholes have shape %v, which does not fit a state of %d", p.shape, hidden)
		}
		l.peep = part(7, 3*hidden)
	}
	names := c.attr("activations").Strings()
	if len(names) == 0 {
		names = slices.Repeat(r.defaults, 2)
	}
	alphas, betas := c.attr("activation_alpha").Floats(), c.attr("activation_beta").Floats()
	for i := range len(r.defaults) {
		at := direction*len(r.defaults) + i
		if at >= len(names) {
			c.fail("%d activations, of which %d are needed for each direction", len(names), len(r.defaults))
		}
		l.f = append(l.f, c.activation(names[at], at, alphas, betas))
	}
	return l
}

// activation returns a function by its name.
func (c *call) activation(name string, at int, alphas, betas []float32) func(float64) float64 {
	pick := func(list []float32, def float64) float64 {
		if at < len(list) {
			return float64(list[at])
		}
		return def
	}
	switch strings.ToLower(name) {
	case "relu":
		return func(x float64) float64 { return max(0, x) }
	case "tanh":
		return math.Tanh
	case "sigmoid":
		return sigmoid
	case "affine":
		a, b := pick(alphas, 1), pick(betas, 0)
		return func(x float64) float64 { return a*x + b }
	case "leakyrelu":
		a := pick(alphas, 0.01)
		return func(x float64) float64 { return max(x, 0) + a*min(x, 0) }
	case "thresholdedrelu":
		a := pick(alphas, 1)
		return func(x float64) float64 {
			if x > a {
				return x
			}
			return 0
		}
	case "scaledtanh":
		a, b := pick(alphas, 1), pick(betas, 1)
		return func(x float64) float64 { return a * math.Tanh(b*x) }
	case "hardsigmoid":
		a, b := pick(alphas, 0.2), pick(betas, 0.5)
		return func(x float64) float64 { return min(max(a*x+b, 0), 1) }
	case "elu":
		a := pick(alphas, 1)
		return func(x float64) float64 { return max(x, 0) + a*math.Expm1(min(x, 0)) }
	case "softsign":
		return func(x float64) float64 { return x / (1 + math.Abs(x)) }
	case "softplus":
		return softplus
	}
	c.unsupported("the activation %q", name)
	return nil
}
