package nn

import (
	"fmt"
	"slices"

	"gorgonia.org/tensor"

	"lethe/graph"
	"lethe/ops"
)

// param is a parameter or buffer of the session, a weight that is computed from
// others, or one use of it.
type param struct {
	name    string
	trained bool
	w, dw   []float32 // elements of the weight and of its gradient
	uses    []*param  // what each layer that uses it has for a gradient; nil if it is this one's
	used    bool      // by a layer
	dims    []int
	make    func() // for one that is computed: sets w and dw; nil once it is done
}

// combine adds up the gradients of a parameter that several layers use.
func (p *param) combine() {
	copy(p.dw, p.uses[0].dw)
	for _, use := range p.uses[1:] {
		addSlices(p.dw, use.dw)
	}
}

// operand is an input of a node: a value, a weight or a constant.
type operand struct {
	name  string
	shape shape
	value *value
}

// compiler turns the nodes of a graph into the layers of a session.
type compiler struct {
	*Session
	index    *graph.Index
	params   map[string]*param
	operands map[string]*operand // by the name of the value
	sources  map[string]*operand // weights and constants as values

	transposed map[string]*param     // weights that are others transposed, by name
	attends    map[string]*attending // attentions that run as one layer, by what they make
}

// builder is what an operator needs to make its layer.
type builder struct {
	*compiler
	node *graph.Node
	pool *graph.Node // the last of the nodes that run as one, or nil; see fusible
	fold *folding    // what runs as one with a convolution
	out  []*value
	outs []shape

	derived *deriving // the node makes weights

	reads, needs []*value
	sinks        []*sink
	temps        []*value
}

// compile makes the layers. A gradient flows through a value if something before
// it is trained.
func (s *Session) compile(train []string) error {
	byName, err := s.parameters(train)
	if err != nil {
		return err
	}
	g := s.net.graph
	c := &compiler{
		Session: s, index: graph.NewIndex(&graph.Graph{Nodes: s.net.nodes, Outputs: g.Outputs}), params: byName, operands: map[string]*operand{},
		sources: map[string]*operand{}, transposed: map[string]*param{},
	}
	for _, in := range g.Inputs {
		v := c.newValue(s.net.shapes[in.Name], false)
		c.operands[in.Name] = &operand{in.Name, s.net.shapes[in.Name], v}
		s.inputs = append(s.inputs, v)
	}
	nodes := c.joinAttention(s.net.nodes)
	c.index = graph.NewIndex(&graph.Graph{Nodes: nodes, Outputs: g.Outputs})
	for i := 0; i < len(nodes); {
		node := &nodes[i]
		if c.computed(node) {
			c.deriveNode(node)
			i++
			continue
		}
		span, with := c.foldable(nodes[i:])
		if span == 1 && !s.batchStatistics {
			span = c.fusible(nodes[i:])
		}
		last := &nodes[i+span-1]
		i += span
		if operators[node.Op].build == nil { // the same memory under another shape
			in := c.operandOf(node.Input(0))
			if in.value == nil {
				in = c.source(in)
			}
			c.operands[node.Outputs[0]] = &operand{node.Outputs[0], s.net.shapes[node.Outputs[0]], in.value}
			continue
		}
		if err := c.add(node, last, with); err != nil {
			return fmt.Errorf("node %q: %w", node.Name, err)
		}
	}
	out := c.operandOf(g.Outputs[0].Name)
	if out.value == nil {
		out = c.source(out)
	}
	s.output = out.value
	s.output.written = true // by the loss
	c.composeMoves()
	for i := range s.layers { // the last of several gradients in a value is the first that is written
		for _, k := range s.uses[len(s.layers)-1-i].sinks {
			k.first = !k.v.written
			k.v.written = true
		}
	}
	for _, v := range s.values {
		if v.needsGrad && !v.written {
			s.orphans = append(s.orphans, v)
		}
	}
	early := c.settleDerivations()
	for _, p := range c.params {
		if len(p.uses) == 1 {
			p.uses = nil
		} else if len(p.uses) > 1 && !early[p] {
			s.shared = append(s.shared, p)
		}
	}
	return nil
}

// add makes the layer of a node, or of several that end in last.
func (c *compiler) add(node, last *graph.Node, with *folding) error {
	b := &builder{compiler: c, node: node, fold: with}
	if last.Op == "MaxPool" && last != node {
		b.pool = last
	}
	trained := false
	for _, name := range with.inputs {
		in := c.operandOf(name)
		trained = trained || in != nil && (in.value != nil && in.value.needsGrad || c.params[name] != nil && c.params[name].trained)
	}
	trained = trained && !flat[node.Op]
	for _, name := range last.Outputs {
		if name == "" {
			b.out, b.outs = append(b.out, nil), append(b.outs, shape{})
			continue
		}
		v := c.newValue(c.net.shapes[name], trained)
		b.out, b.outs = append(b.out, v), append(b.outs, c.net.shapes[name])
	}
	var l layer
	var err error
	if b.pool != nil {
		l = buildNormPool(b, b.pool)
	} else {
		l = operators[node.Op].build(b)
	}
	for i, name := range last.Outputs {
		if name != "" {
			c.operands[name] = &operand{name, b.outs[i], b.out[i]}
		}
	}
	c.append(b, l, trained)
	return err
}

// append makes a layer the next one.
func (c *compiler) append(b *builder, l layer, trained bool) {
	at := len(c.layers)
	if !trained { // it will never go backward
		b.needs, b.sinks = nil, nil
	}
	for _, v := range b.out {
		if v != nil {
			v.maker = at
		}
	}
	for _, v := range b.reads {
		v.readers = append(v.readers, at)
	}
	for _, k := range b.sinks {
		if k.v.needsGrad {
			k.v.writers = append(k.v.writers, at)
		}
	}
	c.layers, c.trains = append(c.layers, l), append(c.trains, trained)
	outs := slices.DeleteFunc(slices.Clone(b.out), func(v *value) bool { return v == nil })
	c.uses = append(c.uses, use{needs: b.needs, sinks: b.sinks, temps: b.temps, outs: outs, node: b.node})
}

func (c *compiler) newValue(s shape, needsGrad bool) *value {
	v := &value{shape: s, size: s.elements() * Lanes, needsGrad: needsGrad, maker: -1}
	c.values = append(c.values, v)
	return v
}

func (c *compiler) operandOf(name string) *operand {
	if name == "" {
		return nil
	}
	if in := c.operands[name]; in != nil {
		return in
	}
	s, err := c.net.operandShape(name)
	if err != nil {
		panic(err) // Bind has seen it
	}
	return &operand{name: name, shape: s}
}

// source returns a weight or a constant as a value: the same in all lanes.
func (c *compiler) source(in *operand) *operand {
	if made := c.sources[in.name]; made != nil {
		return made
	}
	b := &builder{compiler: c}
	p := b.use(c.weightOf(in.name))
	v := c.newValue(in.shape, p.trained)
	b.out = []*value{v}
	made := &operand{in.name, in.shape, v}
	c.sources[in.name] = made
	c.append(b, newSource(b, p), p.trained)
	return made
}

// in returns the shape of input i, or a shape without axes if it is left out.
func (b *builder) in(i int) shape {
	if in := b.operandOf(b.node.Input(i)); in != nil {
		return in.shape
	}
	return shape{}
}

// data returns input i as a value that forward reads.
func (b *builder) data(i int) *value {
	if b.derived != nil {
		p := b.weightOf(b.node.Inputs[i])
		b.need(p)
		v := &value{shape: shape{dims: p.dims, batch: -1}, size: len(p.w) * Lanes, needsGrad: p.trained, maker: -1}
		b.derived.ins, b.derived.from = append(b.derived.ins, p), append(b.derived.from, v)
		return v
	}
	in := b.operandOf(b.node.Input(i))
	if in.value == nil {
		in = b.source(in)
	}
	b.reads = append(b.reads, in.value)
	return in.value
}

// keep makes backward see the value that forward saw.
func (b *builder) keep(v *value) { b.needs = append(b.needs, v) }

// sink returns where backward puts the gradient of a value.
func (b *builder) sink(v *value) *sink {
	k := &sink{v: v}
	b.sinks = append(b.sinks, k)
	return k
}

// temp returns memory of size vectors for each group that lasts from forward to
// backward.
func (b *builder) temp(vectors int) *value {
	v := &value{size: vectors * Lanes, maker: -1}
	b.temps = append(b.temps, v)
	return v
}

// weight returns input i as a weight, or nil if it is left out or no weight.
func (b *builder) weight(i int) *param {
	if !b.isWeight(i) {
		return nil
	}
	return b.use(b.weightOf(b.node.Input(i)))
}

// weightOf returns a weight or a constant by its name.
func (c *compiler) weightOf(name string) *param {
	if p := c.params[name]; p != nil {
		return p
	}
	t := c.net.constants[name]
	w, err := numbers(t)
	if err != nil {
		panic(err) // Bind has seen it
	}
	return &param{name: name, w: w, dims: t.Shape()}
}

// isWeight reports whether input i is a weight or a constant.
func (b *builder) isWeight(i int) bool {
	name := b.node.Input(i)
	return b.params[name] != nil || b.net.constants[name] != nil
}

// use returns a parameter for one more layer. The first has the parameter's own
// gradient until a second comes.
func (c *compiler) use(p *param) *param {
	c.need(p)
	if !p.trained {
		return p
	}
	p.used = true
	if len(p.uses) == 1 { // now several layers make its gradient
		first := p.uses[0]
		first.dw = make([]float32, len(p.dw))
	}
	u := *p
	u.uses = nil
	if len(p.uses) > 0 {
		u.dw = make([]float32, len(p.dw))
	}
	p.uses = append(p.uses, &u)
	return &u
}

// parameters copies the weights: the trained ones side by side in theta.
func (s *Session) parameters(train []string) (map[string]*param, error) {
	trainable := ops.Parameters(s.net.graph)
	all := append(slices.Clone(trainable), ops.Buffers(s.net.graph)...)
	size := 0
	for _, name := range train { // integers among them belong to the structure
		if !slices.Contains(trainable, name) {
			return nil, fmt.Errorf("nn: %q is not a parameter of the graph", name)
		}
		size += len(s.net.weights[name])
	}
	s.theta, s.grad = make([]float32, size), make([]float32, size)
	byName := map[string]*param{}
	at := 0
	for _, name := range all {
		w := s.net.weights[name]
		if w == nil {
			continue // a constant
		}
		p := &param{name: name, dims: s.net.dims[name]}
		if slices.Contains(train, name) {
			end := at + len(w)
			p.w, p.dw = s.theta[at:end:end], s.grad[at:end:end]
			p.trained = true
			at = end
			copy(p.w, w)
		} else if s.batchStatistics {
			p.w = slices.Clone(w) // running statistics
		} else {
			p.w = w // nobody writes it
		}
		byName[name] = p
		s.params = append(s.params, p)
	}
	return byName, nil
}

func dense(shape []int, backing []float32) *tensor.Dense {
	if len(shape) == 0 {
		shape = []int{1}
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(backing))
}
