// Package drawing shows the structure of a network to people: its layers as a
// table, and as a picture of boxes and arrows. It knows no operator: what makes a
// layer follows from names, shapes and weights.
package drawing

import (
	"slices"
	"strings"

	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// Network is the layers of a network, each after those that it reads.
type Network struct {
	Name       string  `json:"name"`
	Parameters int64   `json:"parameters"` // elements of the tensors that training changes, shared ones once
	Layers     []Layer `json:"layers"`
}

// Layer is an input of the network, or operators that belong together.
type Layer struct {
	Name       string   `json:"name"`
	Operators  []string `json:"operators"`         // in the order in which they run; empty for an input of the network
	Output     string   `json:"output"`            // shape of its last output, such as "N x 64 x 56 x 56"; "" if it is not known
	Parameters int64    `json:"parameters"`        // elements of the parameters that it is the first to read
	Weights    []string `json:"weights,omitempty"` // entries of the state dict that it reads
	Inputs     []int    `json:"inputs"`            // the layers that it reads, by their place in the list
	Holds      int      `json:"holds,omitempty"`   // how many layers were folded into it; 0 if it is one itself

	module string
	node   int  // its first node
	last   bool // makes an output of the network
}

// New returns the layers of a graph whose weights are those of sd. The nodes of
// one call of PyTorch are one layer, and so is what follows a layer, reads
// nothing else and keeps the shape, such as an activation. What is made of
// weights and shapes alone belongs to its reader. It is a [model.FormatError] if
// the nodes of the graph are not in order; operators that are not known are
// shown too.
func New(g *graph.Graph, sd *model.StateDict) (*Network, error) {
	g = g.Clone()
	if err := g.Sort(); err != nil {
		return nil, err
	}
	facts, err := ops.Infer(g, sd)
	if err != nil {
		facts = &ops.Facts{} // what the file says of shapes must do
	}
	b := &builder{g: g, sd: sd, facts: facts, maker: map[string]int{}, carried: map[string][]string{}, listed: map[listed]bool{}}
	b.start()
	for i := range g.Nodes {
		b.node(i)
	}
	outputs := map[string]bool{}
	for _, v := range g.Outputs {
		outputs[v.Name] = true
		if i, ok := b.maker[v.Name]; ok {
			b.layers[i].last = true
		}
	}
	n := &Network{Name: g.Name, Layers: b.layers}
	b.count(n)
	n.absorb(b.starts)
	n.between()
	return n, nil
}

// builder makes layers of nodes.
type builder struct {
	g     *graph.Graph
	sd    *model.StateDict
	facts *ops.Facts

	layers  []Layer
	starts  []bool              // by layer: it has a weight of two axes or more, and begins something
	maker   map[string]int      // the layer that makes a value which depends on an input
	carried map[string][]string // the weights that any other value is made of, carriedMost at most
	listed  map[listed]bool
}

// listed is a weight or a layer that a layer is known to read.
type listed struct {
	layer, input int
	weight       string
}

// carriedMost bounds how many weights a value is said to be made of.
const carriedMost = 64

// add reports whether something is listed for the first time.
func (b *builder) add(l listed) bool {
	is := b.listed[l]
	b.listed[l] = true
	return !is
}

// start makes the layers of the inputs, and the values of the weights.
func (b *builder) start() {
	for _, v := range b.g.Inputs {
		b.maker[v.Name] = len(b.layers)
		b.layers = append(b.layers, Layer{Name: v.Name, Output: sizes(v.Shape), Inputs: []int{}, Operators: []string{}, node: -1})
		b.starts = append(b.starts, true)
	}
	for _, name := range b.g.Weights() {
		b.carried[name] = []string{name}
	}
}

// node adds a node to the layer that it belongs to.
func (b *builder) node(i int) {
	n := &b.g.Nodes[i]
	var inputs []int
	var weights []string
	for _, name := range read(n) {
		if at, ok := b.maker[name]; ok {
			inputs = append(inputs, at)
		}
		weights = append(weights, b.carried[name]...)
	}
	if len(weights) > carriedMost {
		slices.Sort(weights)
		weights = slices.Compact(weights)
		weights = weights[:min(len(weights), carriedMost)]
	}
	known := len(n.Outputs) > 0
	for _, out := range n.Outputs {
		known = known && (out == "" || b.facts.Value(out) != nil || b.facts.Dims(out) != nil)
	}
	if known || len(inputs) == 0 && (len(b.g.Inputs) > 0 || len(n.Inputs) > 0 && len(weights) > 0) {
		for _, out := range n.Outputs {
			if !known && out != "" {
				b.carried[out] = weights
			}
		}
		return
	}
	at := len(b.layers) - 1
	if call := callOf(n.Name); at < 0 || b.layers[at].node < 0 || call == "" || call != callOf(b.g.Nodes[b.layers[at].node].Name) {
		at++
		b.layers = append(b.layers, Layer{Name: callOf(n.Name), Inputs: []int{}, node: i, module: moduleOf(n, weights)})
		b.starts = append(b.starts, false)
	}
	l := &b.layers[at]
	l.Operators = append(l.Operators, n.Op)
	for _, in := range inputs {
		if in != at && b.add(listed{layer: at, input: in}) {
			l.Inputs = append(l.Inputs, in)
		}
	}
	for _, w := range weights {
		if b.add(listed{at, -1, w}) {
			l.Weights = append(l.Weights, w)
		}
		if t := b.sd.Get(w); t != nil && len(t.Shape()) > 1 {
			b.starts[at] = true
		}
	}
	for _, out := range n.Outputs {
		if out != "" {
			b.maker[out] = at
		}
	}
	if n.Output(0) != "" {
		l.Output = b.shape(n.Output(0))
	}
	if l.module != "" && len(l.Weights) > 0 {
		l.Name = l.module
	} else if l.Name == "" {
		l.Name = n.Output(0)
	}
}

// read returns the names that a node reads, those of its subgraphs included.
func read(n *graph.Node) []string {
	names := slices.Clone(n.Inputs)
	for sub := range n.Subgraphs() {
		names = append(names, sub.Weights()...)
	}
	return names
}

func (b *builder) shape(value string) string {
	s := b.facts.Type(value).Shape
	if s == nil {
		s = b.g.Types[value].Shape
	}
	for _, v := range b.g.Outputs {
		if s == nil && v.Name == value {
			s = v.Shape
		}
	}
	return sizes(s)
}

func sizes(s graph.Shape) string {
	if s == nil {
		return ""
	}
	if len(s) == 0 {
		return "scalar"
	}
	var words []string
	for _, d := range s {
		words = append(words, d.String())
	}
	return strings.Join(words, " × ")
}

// callOf returns what the names of all nodes have in common that one call of
// PyTorch became, or "".
func callOf(name string) string {
	if i := strings.LastIndexByte(name, '/'); i > 0 {
		return name[:i]
	}
	return name
}

// moduleOf returns the path of the module that a node is in: that of its weights,
// or of its own name, or "" if neither tells.
func moduleOf(n *graph.Node, weights []string) string {
	if len(weights) > 0 {
		module := parent(weights[0])
		for _, w := range weights[1:] {
			module = common(module, parent(w))
		}
		if module != "" {
			return module
		}
	}
	if call := callOf(n.Name); strings.Contains(n.Name, "/") {
		module := ""
		for _, word := range strings.Split(strings.TrimPrefix(call, "/"), "/") {
			if module == "" || strings.HasPrefix(word, module+".") {
				module = word // torch repeats the path in the names of lists of modules
			} else {
				module += "." + word
			}
		}
		if strings.HasPrefix(n.Name, "/") || strings.Contains(module, ".") {
			return module
		}
	}
	return "" // see between
}

// between puts layers whose module is not known into one: where branches meet
// that around the last of them, elsewhere that of the layers before and after.
func (n *Network) between() {
	after := make([]string, len(n.Layers)+1)
	for i, l := range slices.Backward(n.Layers) {
		after[i] = after[i+1]
		if len(l.Weights) > 0 {
			after[i] = l.module
		}
	}
	before := ""
	for i := range n.Layers {
		l := &n.Layers[i]
		if l.module == "" && len(l.Inputs) > 1 {
			last := n.Layers[slices.Max(l.Inputs)]
			if l.module = last.module; len(last.Weights) > 0 {
				l.module = parent(l.module)
			}
		}
		if len(l.Weights) > 0 {
			before = l.module
		} else if shared := common(before, after[i]); len(shared) > len(l.module) && len(l.Operators) > 0 {
			l.module = shared
		}
	}
}

// common returns the path of the innermost module around both.
func common(a, b string) string {
	for a != "" && a != b && !strings.HasPrefix(b, a+".") {
		a = parent(a)
	}
	return a
}

// parent returns the path of what is around a module or a weight.
func parent(name string) string {
	return name[:max(strings.LastIndexByte(name, '.'), 0)]
}

// count counts the parameters of every layer.
func (b *builder) count(n *Network) {
	trained := map[string]bool{}
	for _, name := range ops.Parameters(b.g) {
		trained[name] = true
	}
	for i := range n.Layers {
		l := &n.Layers[i]
		for _, name := range l.Weights {
			if t := b.sd.Get(name); t != nil && trained[name] {
				trained[name] = false // the first reader counts it
				l.Parameters += int64(t.Len())
			}
		}
		n.Parameters += l.Parameters
	}
}

// absorb puts layers that only follow another one into it: see [New].
func (n *Network) absorb(starts []bool) {
	readers := make([]int, len(n.Layers))
	for _, l := range n.Layers {
		for _, in := range l.Inputs {
			readers[in]++
		}
	}
	to := make([]int, len(n.Layers))
	for i := range n.Layers {
		l := &n.Layers[i]
		to[i] = i
		if starts[i] || len(l.Inputs) != 1 {
			continue
		}
		before := l.Inputs[0]
		into := to[before]
		host := &n.Layers[into]
		// Weights of another module than the one beside it begin something, too.
		if readers[before] != 1 || host.last || len(host.Operators) == 0 || host.Output != l.Output || l.Output == "" ||
			len(l.Weights) > 0 && parent(l.module) != parent(host.module) {
			continue
		}
		to[i] = into
		host.Operators = append(host.Operators, l.Operators...)
		host.Weights = append(host.Weights, l.Weights...)
		host.Parameters += l.Parameters
		host.last = l.last
	}
	n.contract(to)
}

// contract keeps the layers i with to[i] == i, and lets them stand for the others.
func (n *Network) contract(to []int) {
	place := make([]int, len(to))
	var kept []Layer
	for i := range to {
		if to[i] == i {
			place[i] = len(kept)
			kept = append(kept, n.Layers[i])
			kept[len(kept)-1].Inputs = []int{}
		} else {
			place[i] = place[to[i]]
		}
	}
	listed := map[[2]int]bool{}
	for i, l := range n.Layers {
		for _, in := range l.Inputs {
			edge := [2]int{place[in], place[i]}
			if edge[0] != edge[1] && !listed[edge] {
				listed[edge] = true
				kept[edge[1]].Inputs = append(kept[edge[1]].Inputs, edge[0])
			}
		}
	}
	n.Layers = kept
}
