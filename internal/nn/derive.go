package nn

import (
	"slices"

	"lethe/graph"
)

// What is computed from weights alone, such as a transposed weight, gates in
// another order or a weight that is normalized, is a weight for whoever uses it.
// It is computed once for new values of the parameters, and not in lanes, and its
// gradient is passed on once at the end of a step.

// derivation computes a weight from others.
type derivation interface {
	forward()
	backward() // adds to the gradients of the others
}

// ofWeights are the operators whose results may be weights, beside those of
// [functions], [singles] and [operations].
var ofWeights = map[string]bool{
	"Cast": true, "Clip": true, "Concat": true, "Expand": true, "Flatten": true, "Gather": true, "Identity": true, "MatMul": true,
	"Pad": true, "Piece": true, "ReduceMean": true, "ReduceSum": true, "Relu": true, "Reshape": true, "Slice": true, "Softmax": true,
	"Split": true, "Squeeze": true, "Transpose": true, "Unsqueeze": true, "Where": true, "Move": true, "View": true,
}

// derivable reports whether what a node makes is a weight.
func derivable(s *site, outs []shape) bool {
	if !ofWeights[s.Op] && !movers[s.Op] && functions[s.Op] == nil && singles[s.Op] == nil && operations[s.Op].value == nil {
		return false
	}
	for i, given := range s.given {
		if given && !s.weights[i] {
			return false
		}
	}
	return !slices.ContainsFunc(outs, func(o shape) bool { return o.batch >= 0 })
}

// computed reports whether Bind took what a node makes for weights.
func (c *compiler) computed(node *graph.Node) bool {
	for _, name := range node.Outputs {
		if name != "" {
			return c.net.dims[name] != nil
		}
	}
	return false
}

// deriveNode makes the outputs of a node weights. The work is left until someone
// needs one of them.
func (c *compiler) deriveNode(node *graph.Node) {
	d := &deriving{outs: make([]*param, len(node.Outputs))}
	trained := slices.ContainsFunc(node.Inputs, func(name string) bool { return c.params[name] != nil && c.params[name].trained })
	make := func() {
		for _, p := range d.outs {
			if p != nil {
				p.make = nil
			}
		}
		c.derive(node, d)
	}
	for i, name := range node.Outputs {
		if name != "" {
			d.outs[i] = &param{name: name, dims: c.net.dims[name], trained: trained, make: make}
			c.params[name] = d.outs[i]
		}
	}
	if source := c.params[node.Input(0)]; node.Op == "Transpose" && source != nil && len(source.dims) == 2 && slices.Equal(node.Ints("perm", 1, 0), []int{1, 0}) {
		c.transposed[node.Outputs[0]] = source
	}
}

// need computes a weight that others wait for.
func (c *compiler) need(p *param) {
	if p.make != nil {
		p.make()
	}
}

// deriving is a node whose outputs are weights, while its layer is made.
type deriving struct {
	outs []*param
	ins  []*param // those that the layer reads
	from []*value // as values
}

// allocate gives the outputs memory.
func (d *deriving) allocate() {
	for _, p := range d.outs {
		if p == nil {
			continue
		}
		p.w = make([]float32, product(p.dims))
		if p.trained {
			p.dw = make([]float32, len(p.w))
		}
	}
}

// derive appends the derivation of a node.
func (c *compiler) derive(node *graph.Node, d *deriving) {
	if operators[node.Op].build == nil {
		source := c.weightOf(node.Inputs[0])
		c.need(source)
		out, at := d.outs[0], node.Int("at", 0)
		out.w = source.w[at : at+product(out.dims)]
		if out.trained {
			out.dw = make([]float32, len(out.w))
		}
		c.derivations = append(c.derivations, &pieceDerivation{source, out, at})
		return
	}
	d.allocate()
	b := &builder{compiler: c, node: node, derived: d}
	for i, name := range node.Outputs {
		b.outs, b.out = append(b.outs, shape{dims: c.net.dims[name], batch: -1}), append(b.out, nil)
		if name != "" {
			b.out[i] = &value{shape: b.outs[i], size: b.outs[i].elements() * Lanes, needsGrad: d.outs[i].trained, maker: -1}
		}
	}
	if l := operators[node.Op].build(b); l != nil {
		c.derivations = append(c.derivations, newLayerDerivation(b, l))
	}
}

// deriveMoves appends what a move layer would do, on weights.
func (b *builder) deriveMoves(inputs []int, from [][]int32, fill float32) layer {
	var sources []*param
	for _, i := range inputs {
		p := b.weightOf(b.node.Inputs[i])
		b.need(p)
		sources = append(sources, p)
	}
	for o, list := range from {
		if b.derived.outs[o] != nil {
			b.derivations = append(b.derivations, &moveDerivation{sources, list, fill, b.derived.outs[o]})
		}
	}
	return nil
}

// pieceDerivation is neighbouring elements of a weight under another shape: the
// same memory.
type pieceDerivation struct {
	source, out *param
	at          int
}

func (d *pieceDerivation) forward() {}

func (d *pieceDerivation) backward() {
	if d.out.trained {
		addSlices(d.source.dw[d.at:d.at+len(d.out.dw)], d.out.dw)
	}
}

// moveDerivation takes element i from element from[i] of weights laid end to end,
// or from nowhere.
type moveDerivation struct {
	sources []*param
	from    []int32
	fill    float32
	out     *param
}

// each calls f for the elements of a source that are one after the other in both.
func (d *moveDerivation) each(f func(p *param, at, to int)) {
	k, lo, hi := 0, 0, 0
	if len(d.sources) > 0 {
		hi = len(d.sources[0].w)
	}
	for i, at := range d.from {
		if at < 0 {
			continue
		}
		for int(at) < lo {
			k--
			hi, lo = lo, lo-len(d.sources[k].w)
		}
		for int(at) >= hi {
			k++
			lo, hi = hi, hi+len(d.sources[k].w)
		}
		f(d.sources[k], int(at)-lo, i)
	}
}

func (d *moveDerivation) forward() {
	for i := range d.out.w {
		d.out.w[i] = d.fill
	}
	d.each(func(p *param, at, to int) { d.out.w[to] = p.w[at] })
}

func (d *moveDerivation) backward() {
	if d.out.trained {
		d.each(func(p *param, at, from int) {
			if p.trained {
				p.dw[at] += d.out.dw[from]
			}
		})
	}
}

// layerDerivation computes a weight by a layer, in whose lanes stands the same.
type layerDerivation struct {
	layer
	deriving
	out   *value
	outP  *param
	temps []*value
	room  *[]float32 // of all derivations of the session: what they hold lasts as long as a call
}

func newLayerDerivation(b *builder, l layer) derivation {
	d := &layerDerivation{layer: l, deriving: *b.derived, out: b.out[0], outP: b.derived.outs[0], temps: b.temps, room: &b.deriveRoom}
	size := 0
	for _, v := range d.values() {
		size += v.size
		if v.needsGrad {
			size += v.size
		}
	}
	if len(*d.room) < size {
		*d.room = make([]float32, size)
	}
	for _, k := range b.sinks {
		k.first = true
	}
	return d
}

func (d *layerDerivation) values() []*value { return slices.Concat(d.from, []*value{d.out}, d.temps) }

// place gives the values their memory and the inputs their elements.
func (d *layerDerivation) place() {
	at := *d.room
	take := func(n int) [][]float32 {
		own := at[:n:n]
		at = at[n:]
		return [][]float32{own}
	}
	for _, v := range d.values() {
		v.x = take(v.size)
		if v.needsGrad {
			v.g = take(v.size)
		}
	}
	for i, v := range d.from {
		for e, w := range d.ins[i].w {
			for lane := range Lanes {
				v.x[0][e*Lanes+lane] = w
			}
		}
	}
}

// alone is the part that is one group.
var alone = part{lo: 0, hi: 1, begin: 0, end: 1}

func (d *layerDerivation) forward() {
	d.place()
	d.layer.refresh()
	d.layer.forward(alone)
	gather(d.outP.w, d.out.x[0], 0)
}

func (d *layerDerivation) backward() {
	if !d.outP.trained {
		return
	}
	d.forward() // what the layer keeps for backward
	clear(d.out.g[0])
	scatter(d.out.g[0], d.outP.dw, 0)
	d.layer.backward(alone)
	for i, v := range d.from {
		if v.needsGrad {
			for e := range d.ins[i].dw {
				d.ins[i].dw[e] += v.g[0][e*Lanes]
			}
		}
	}
}

// settleDerivations finds the weights whose gradients must be whole before they
// are passed on.
func (c *compiler) settleDerivations() map[*param]bool {
	early := map[*param]bool{}
	take := func(list ...*param) {
		for _, p := range list {
			if p != nil && p.trained && !early[p] {
				early[p] = true
				c.early = append(c.early, p)
			}
		}
	}
	for _, d := range c.derivations {
		switch d := d.(type) {
		case *pieceDerivation:
			take(d.source, d.out)
		case *moveDerivation:
			take(append(d.sources, d.out)...)
		case *layerDerivation:
			take(append(d.ins, d.outP)...)
		}
	}
	return early
}

// underive passes the gradients of computed weights on.
func (s *Session) underive() {
	for _, p := range s.early {
		if !p.used {
			clear(p.dw)
		} else if p.uses != nil {
			p.combine()
		}
	}
	for _, d := range slices.Backward(s.derivations) {
		d.backward()
	}
}
