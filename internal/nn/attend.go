package nn

import (
	"slices"

	"lethe/graph"
	"lethe/internal/kernel"
)

// Attention whose scores nobody else reads runs as one layer: the product of queries and
// keys, what scales and masks it, Softmax, and the product with the values. The layer makes
// the scores of a block of queries of one head of one group of samples at a time, and makes
// them again when it goes backward, so that the scores of all tokens are never in memory.

// scoreBlock is how many vectors of scores a block has at the most, if it has more than
// fewestQueries of them: 8 MiB, and as much for their gradient. Tests change them.
var scoreBlock, fewestQueries = 1 << 17, 32

// mostScoreSteps is how much may happen to scores, so that nobody looks through a long chain
// of sums again and again.
const mostScoreSteps = 8

// scoreStep is what happens to scores between the product and Softmax.
type scoreStep struct {
	op   string // Mul or Div by a number, or Add of a mask
	by   float32
	mask string // the name of what is added
	dims []int  // of the scores there
}

// attending are the nodes that run as one layer.
type attending struct {
	scores *graph.Node // the product of queries and keys
	steps  []scoreStep
	last   *graph.Node // the product with the values
}

// joinAttention returns the nodes with one in the place of those of each attention.
func (c *compiler) joinAttention(nodes []graph.Node) []graph.Node {
	gone := map[*graph.Node]bool{}
	c.attends = map[string]*attending{}
	trained := c.trainedValues(nodes)
	for i := range nodes {
		if nodes[i].Op != "Softmax" {
			continue
		}
		a, between := c.attentionOf(&nodes[i], trained)
		if a == nil {
			continue
		}
		for _, n := range between {
			gone[n] = true
		}
		c.attends[a.last.Outputs[0]] = a
	}
	if len(gone) == 0 {
		return nodes
	}
	var joined []graph.Node
	for i := range nodes {
		n := &nodes[i]
		a := c.attends[n.Outputs[0]]
		switch {
		case gone[n]:
		case a == nil:
			joined = append(joined, *n)
		default:
			inputs := []string{a.scores.Inputs[0], a.scores.Inputs[1], n.Inputs[1]}
			for _, s := range a.steps {
				if s.mask != "" {
					inputs = append(inputs, s.mask)
				}
			}
			joined = append(joined, graph.Node{Name: n.Name, Op: "Attend", Inputs: inputs, Outputs: n.Outputs})
		}
	}
	return joined
}

// trainedValues returns the names of all that depends on what is trained.
func (c *compiler) trainedValues(nodes []graph.Node) map[string]bool {
	trained := map[string]bool{}
	for name, p := range c.params {
		trained[name] = p.trained
	}
	for i := range nodes {
		if flat[nodes[i].Op] || !slices.ContainsFunc(nodes[i].Inputs, func(name string) bool { return trained[name] }) {
			continue
		}
		for _, name := range nodes[i].Outputs {
			trained[name] = true
		}
	}
	return trained
}

// attentionOf returns the attention that a Softmax is part of, and its nodes but the last;
// nil if it is part of none, or of one that runs node by node.
func (c *compiler) attentionOf(softmax *graph.Node, trained map[string]bool) (*attending, []*graph.Node) {
	in := c.net.shapes[softmax.Inputs[0]]
	axis, err := softmaxAxis(&site{Node: softmax, in: []shape{in}, opset: c.net.graph.Opset("")})
	if err != nil || axis != len(in.dims)-1 || in.batch < 0 {
		return nil, nil
	}
	a, between := &attending{}, []*graph.Node{softmax}
	for name := softmax.Inputs[0]; a.scores == nil; {
		n := c.index.Maker(name)
		if n == nil || len(c.index.Uses(name)) != 1 || len(n.Outputs) != 1 {
			return nil, nil
		}
		between = append(between, n)
		switch {
		case n.Op == "MatMul" && c.isPairProduct(n):
			a.scores = n
		case c.keepsRows(n):
			name = n.Inputs[0]
		default:
			s, rest := c.scoreStepOf(n, trained)
			if rest == "" || len(a.steps) == mostScoreSteps {
				return nil, nil
			}
			a.steps, name = slices.Insert(a.steps, 0, s), rest
		}
	}
	for name := softmax.Outputs[0]; a.last == nil; {
		uses := c.index.Uses(name)
		if len(uses) != 1 || uses[0].Node == nil || uses[0].Input != 0 {
			return nil, nil
		}
		switch n := uses[0].Node; {
		case n.Op == "MatMul" && c.isPairProduct(n):
			a.last = n
		case c.keepsRows(n):
			between, name = append(between, n), n.Outputs[0]
		default:
			return nil, nil
		}
	}
	first, second := c.net.shapes[a.scores.Outputs[0]].dims, c.net.shapes[a.last.Inputs[0]].dims
	if n := len(first); len(second) < 2 || !slices.Equal(first[n-2:], second[len(second)-2:]) || a.last.Inputs[1] == a.last.Inputs[0] {
		return nil, nil
	}
	return a, between
}

// isPairProduct reports whether a product is one of pairs of matrices, and not of a value
// with one matrix of weights.
func (c *compiler) isPairProduct(n *graph.Node) bool {
	name := n.Inputs[1]
	weight := len(c.net.dims[name]) == 2
	if t := c.net.constants[name]; t != nil {
		weight = len(t.Shape()) == 2
	}
	return !weight && c.net.shapes[n.Outputs[0]].batch >= 0
}

// keepsRows reports whether a node only gives scores another shape, with the same last axis.
func (c *compiler) keepsRows(n *graph.Node) bool {
	op, known := operators[n.Op]
	if !known || op.build != nil {
		return false
	}
	in, out := c.net.shapes[n.Inputs[0]].dims, c.net.shapes[n.Outputs[0]].dims
	return len(in) > 0 && len(out) > 0 && in[len(in)-1] == out[len(out)-1]
}

// scoreStepOf returns what a node does to scores and the name of what it does it to, or "" if
// that is something else: a number multiplies or divides them, or something of which no
// gradient is wanted is added to them.
func (c *compiler) scoreStepOf(n *graph.Node, trained map[string]bool) (s scoreStep, rest string) {
	if len(n.Inputs) != 2 {
		return s, ""
	}
	s.op, s.dims = n.Op, c.net.shapes[n.Outputs[0]].dims
	switch n.Op {
	case "Mul", "Div":
		for i := 1; i >= 0 && rest == "" && (n.Op == "Mul" || i == 1); i-- {
			if t := c.net.constants[n.Inputs[i]]; t != nil && t.Len() == 1 {
				s.by, rest = c.weightOf(n.Inputs[i]).w[0], n.Inputs[1-i]
			}
		}
	case "Add":
		for i, name := range n.Inputs {
			other := n.Inputs[1-i]
			if rest != "" || name == other || trained[other] || c.index.Maker(name) == nil || len(c.index.Uses(name)) != 1 || !slices.Equal(c.net.shapes[name].dims, s.dims) {
				continue
			}
			added, err := c.net.operandShape(other)
			if mask := added.dims; err == nil && len(mask) > 0 && (mask[len(mask)-1] == s.dims[len(s.dims)-1] || mask[len(mask)-1] == 1) && c.leadsToProduct(name, mostScoreSteps) {
				s.mask, rest = other, name
			}
		}
	}
	if rest != "" && !slices.Equal(c.net.shapes[rest].dims, s.dims) {
		return s, ""
	}
	return s, rest
}

// leadsToProduct reports whether a value can be scores, by at most so many nodes before it: of
// the two terms of a sum one is, and the other the mask.
func (c *compiler) leadsToProduct(name string, depth int) bool {
	n := c.index.Maker(name)
	switch {
	case n == nil || depth == 0 || len(c.index.Uses(name)) != 1:
		return false
	case n.Op == "MatMul":
		return c.isPairProduct(n)
	case c.keepsRows(n), n.Op == "Div":
		return c.leadsToProduct(n.Inputs[0], depth-1)
	case (n.Op == "Mul" || n.Op == "Add") && len(n.Inputs) == 2:
		return c.leadsToProduct(n.Inputs[0], depth-1) || c.leadsToProduct(n.Inputs[1], depth-1)
	}
	return false
}

// attendLayer is an attention.
type attendLayer struct {
	stateless
	session       *Session
	q, k, v, out  *value
	dq, dk, dv    *sink
	m, n          int // queries and keys of a head
	size, width   int // of a key and of a value
	steps         []attendStep
	first, second [][2]int        // of each head: matrices of q and k, and, of those, the ones of scores and of v
	again         [3][]bool       // of each head: an earlier one has the same queries, keys or values
	block         int             // queries that are looked at together
	byFeature     *kernel.Taps    // of the product of queries and keys
	byKey         *kernel.Taps    // of that of shares and values
	widths, row   *kernel.Taps    // of the gradients of shares and of queries; row also of a row of scores
	queries, rest [2]*kernel.Taps // of the gradients of keys and of values, over a whole block and over the last one
}

// attendStep is a step with what is added, in whatever form it is there.
type attendStep struct {
	scoreStep
	weight []float32 // the same for all samples, or
	value  *value    // of each
	rows   []int32   // where the mask of each row begins, in elements of a sample
	wide   bool      // it has an element for each key
}

func buildAttend(b *builder) layer {
	a := b.attends[b.node.Outputs[0]]
	l := &attendLayer{session: b.Session, q: b.data(0), k: b.data(1), v: b.data(2), out: b.out[0]}
	l.dq, l.dk, l.dv = b.sink(l.q), b.sink(l.k), b.sink(l.v)
	for _, v := range []*value{l.q, l.k, l.v} {
		b.keep(v)
	}
	q, k, v := b.in(0).dims, b.in(1).dims, b.in(2).dims
	l.m, l.size, l.n, l.width = q[len(q)-2], q[len(q)-1], k[len(k)-1], v[len(v)-1]
	l.first = pairsOf(q, k, b.net.shapes[a.scores.Outputs[0]].dims)
	l.second = pairsOf(b.net.shapes[a.last.Inputs[0]].dims, v, b.outs[0].dims)
	for h, pair := range l.second {
		of := [3]int{l.first[pair[0]][0], l.first[pair[0]][1], pair[1]}
		for side := range of {
			l.again[side] = append(l.again[side], slices.ContainsFunc(l.second[:h], func(e [2]int) bool {
				return [3]int{l.first[e[0]][0], l.first[e[0]][1], e[1]}[side] == of[side]
			}))
		}
	}
	l.block = min(max(scoreBlock/l.n, fewestQueries), l.m)
	l.byFeature, l.byKey = stepTaps(l.size, 1, l.n), stepTaps(l.n, 1, l.width)
	l.widths, l.row = stepTaps(l.width, 1, 1), stepTaps(l.n, 1, 1)
	l.queries = [2]*kernel.Taps{stepTaps(l.block, l.size, l.n), stepTaps(l.block, l.n, l.width)}
	rest := (l.m-1)%l.block + 1
	l.rest = [2]*kernel.Taps{stepTaps(rest, l.size, l.n), stepTaps(rest, l.n, l.width)}
	at := 3
	for _, s := range a.steps {
		step := attendStep{scoreStep: s}
		if s.mask != "" {
			dims := b.in(at).dims
			step.wide = dims[len(dims)-1] > 1
			lead := s.dims[:len(s.dims)-1]
			step.rows = broadcastIndex(dims[:len(dims)-1], lead)
			if step.wide {
				for i := range step.rows {
					step.rows[i] *= int32(l.n)
				}
			}
			if b.isWeight(at) {
				step.weight = b.use(b.weightOf(s.mask)).w
			} else {
				step.value = b.data(at)
				b.keep(step.value)
			}
			at++
		}
		l.steps = append(l.steps, step)
	}
	b.needRoom(2 * l.block * l.n * Lanes)
	return l
}

// pairsOf returns which matrices of two factors make each of those of their product.
func pairsOf(a, b, out []int) [][2]int {
	lead := out[:len(out)-2]
	xs, ys := broadcastIndex(a[:len(a)-2], lead), broadcastIndex(b[:len(b)-2], lead)
	pairs := make([][2]int, len(xs))
	for i := range xs {
		pairs[i] = [2]int{int(xs[i]), int(ys[i])}
	}
	return pairs
}

// needRoom makes the room of each worker as large as some layer needs.
func (s *Session) needRoom(size int) {
	for len(s.attendRoom) < s.threads {
		s.attendRoom = append(s.attendRoom, nil)
	}
	for i, room := range s.attendRoom {
		if len(room) < size {
			s.attendRoom[i] = make([]float32, size)
		}
	}
}

// each calls f for blocks of queries: of group g, head h, queries from lo to hi.
func (l *attendLayer) each(groups int, f func(g, h, lo, hi int)) {
	for g := range groups {
		for h := range l.second {
			for lo := 0; lo < l.m; lo += l.block {
				f(g, h, lo, min(lo+l.block, l.m))
			}
		}
	}
}

// shares sets y to the shares of keys of some queries of a head of group g of a part.
func (l *attendLayer) shares(y []float32, p part, g, head, lo, hi int) {
	scores := l.second[head][0]
	pair := l.first[scores]
	x := l.q.data(p)[g*l.q.size+(pair[0]*l.m+lo)*l.size*Lanes:]
	matrixProduct(y, x, l.k.data(p)[g*l.k.size+pair[1]*l.size*l.n*Lanes:], l.byFeature, hi-lo, l.n, l.size, 1, false)
	n := l.n * Lanes
	for i := range l.steps {
		s := &l.steps[i]
		switch s.op {
		case "Mul":
			kernel.Affine(y[:(hi-lo)*n], y, s.by, 0)
		case "Div":
			for e, v := range y[:(hi-lo)*n] {
				y[e] = v / s.by
			}
		default:
			for r := range hi - lo {
				s.add(y[r*n:(r+1)*n], p, g, scores*l.m+lo+r)
			}
		}
	}
	for r := range hi - lo {
		softmaxOf(y[r*n:(r+1)*n], y[r*n:(r+1)*n], l.row)
	}
}

// add adds the mask of a row to it.
func (s *attendStep) add(y []float32, p part, g, row int) {
	at := int(s.rows[row])
	if s.value != nil {
		x := s.value.data(p)[g*s.value.size+at*Lanes:]
		for i := 0; i < len(y); i += Lanes {
			kernel.Add(y[i:i+Lanes], x)
			if s.wide {
				x = x[Lanes:]
			}
		}
		return
	}
	for i := 0; i < len(y); i += Lanes {
		v := s.weight[at]
		if s.wide {
			v = s.weight[at+i/Lanes]
		}
		if v == 0 {
			continue
		}
		for lane, x := range y[i : i+Lanes] {
			y[i+lane] = x + v
		}
	}
}

func (l *attendLayer) forward(p part) {
	room := l.session.attendRoom[p.worker]
	l.each(p.hi-p.lo, func(g, h, lo, hi int) {
		l.shares(room, p, g, h, lo, hi)
		y := l.out.data(p)[g*l.out.size+(h*l.m+lo)*l.width*Lanes:]
		v := l.v.data(p)[g*l.v.size+l.second[h][1]*l.n*l.width*Lanes:]
		matrixProduct(y, room, v, l.byKey, hi-lo, l.width, l.n, 1, false)
	})
}

func (l *attendLayer) backward(p part) {
	open := func(k *sink) []float32 {
		if !k.wanted() {
			return nil
		}
		return k.open(p)
	}
	dq, dk, dv := open(l.dq), open(l.dk), open(l.dv)
	room, n := l.session.attendRoom[p.worker], l.n*Lanes
	ds := room[l.block*n:]
	l.each(p.hi-p.lo, func(g, h, lo, hi int) {
		rows, scores, value := hi-lo, l.second[h][0], l.second[h][1]
		pair := l.first[scores]
		l.shares(room, p, g, h, lo, hi)
		dy := l.out.gradient(p)[g*l.out.size+(h*l.m+lo)*l.width*Lanes:]
		taps := l.queries
		if rows < l.block {
			taps = l.rest
		}
		if dv != nil {
			matrixProduct(dv[g*l.v.size+value*l.n*l.width*Lanes:], room, dy, taps[1], l.n, l.width, 1, 1, l.again[2][h] || lo > 0)
		}
		if dq == nil && dk == nil {
			return
		}
		v := l.v.data(p)[g*l.v.size+value*l.n*l.width*Lanes:]
		matrixProduct(ds, dy, v, l.widths, rows, l.n, l.width, l.width, false)
		for r := range rows {
			softmaxGrad(ds[r*n:(r+1)*n], room[r*n:(r+1)*n], ds[r*n:(r+1)*n])
		}
		for _, s := range slices.Backward(l.steps) {
			switch s.op {
			case "Mul":
				kernel.Affine(ds[:rows*n], ds, s.by, 0)
			case "Div":
				for e, d := range ds[:rows*n] {
					ds[e] = d / s.by
				}
			}
		}
		if dq != nil {
			k := l.k.data(p)[g*l.k.size+pair[1]*l.size*l.n*Lanes:]
			matrixProduct(dq[g*l.q.size+(pair[0]*l.m+lo)*l.size*Lanes:], ds, k, l.row, rows, l.size, l.n, l.n, l.again[0][h])
		}
		if dk != nil {
			q := l.q.data(p)[g*l.q.size+(pair[0]*l.m+lo)*l.size*Lanes:]
			matrixProduct(dk[g*l.k.size+pair[1]*l.size*l.n*Lanes:], q, ds, taps[0], l.size, l.n, 1, 1, l.again[1][h] || lo > 0)
		}
	})
	for _, k := range [...]*sink{l.dq, l.dk, l.dv} {
		if k.wanted() {
			k.close(p)
		}
	}
}
