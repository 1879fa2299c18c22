package graph

import (
	"slices"

	"lethe/model"
)

// DefaultOpset is the version of ONNX's operator set that a graph uses which
// does not say another one.
const DefaultOpset = 17

// Graph is a network, or the body of an If or Loop inside one. A name that a
// node reads belongs to an input of the graph, to an output of an earlier node,
// to a constant, in a subgraph to a value of the graphs around it, or else to
// an entry of a [model.StateDict]: a weight.
type Graph struct {
	Name    string // of a network the architecture, such as "LeNet"
	Doc     string
	Opsets  map[string]int // versions of the operator sets by domain, "" is ONNX's own; see [Graph.Opset]
	Inputs  []Value
	Outputs []Value
	Nodes   []Node // in topological order, see [Graph.Sort]

	// Constants are the tensors that belong to the structure and are no
	// parameters, such as the target of a Reshape.
	Constants map[string]*model.Tensor
	Types     map[string]Type // of values inside, as far as a file states them
	Functions []Function      // operators that the file defines by graphs of others
	Props     map[string]string
}

// Opset returns the version of a domain's operator set that the graph uses: 0
// if it does not use the domain, and [DefaultOpset] for ONNX's own domain
// unless the graph says otherwise.
func (g *Graph) Opset(domain string) int {
	if domain == "ai.onnx" {
		domain = ""
	}
	version := g.Opsets[domain]
	if version == 0 && domain == "" {
		version = DefaultOpset
	}
	return version
}

// Value is a named input or output of a graph.
type Value struct {
	Name string
	Doc  string
	Type
}

// TensorValue returns a value that is a tensor.
func TensorValue(name string, dtype model.DType, shape Shape) Value {
	return Value{Name: name, Type: Type{DType: dtype, Shape: shape}}
}

// Kind is the kind of a value. The zero value is a tensor.
type Kind uint8

// The kinds of values.
const (
	TensorKind Kind = iota
	SparseKind
	SequenceKind
	OptionalKind
	MapKind
)

// Type is the type of a value.
type Type struct {
	Kind  Kind
	DType model.DType // of the elements of a tensor or the keys of a map; [model.Invalid] if unknown
	Shape Shape       // of a tensor; nil if not even the number of axes is known
	Elem  *Type       // of what a sequence, optional or map holds
}

// Node is one application of an operator.
type Node struct {
	Name     string
	Domain   string // "" is ONNX's own
	Op       string // the operator's name, such as "Conv"
	Overload string // of a function
	Doc      string
	Inputs   []string // "" for an optional input that is left out
	Outputs  []string // "" for an optional output that nobody wants
	Attrs    Attrs
}

// Input returns the name of input i, or "" if it is left out.
func (n *Node) Input(i int) string {
	if i < len(n.Inputs) {
		return n.Inputs[i]
	}
	return ""
}

// Output returns the name of output i, or "" if it is left out.
func (n *Node) Output(i int) string {
	if i < len(n.Outputs) {
		return n.Outputs[i]
	}
	return ""
}

// Function is an operator that a file defines itself.
type Function struct {
	Domain, Name, Overload string
	Doc                    string
	Opsets                 map[string]int
	Inputs, Outputs        []string
	Required               []string // attributes that a node must give
	Defaults               Attrs    // attributes that a node may give
	Nodes                  []Node
}

// Weights returns the names that nodes read and nothing in the graph makes, in
// order of first use, those of subgraphs included: in a network, the entries of
// the state dict that it refers to.
func (g *Graph) Weights() []string {
	var names []string
	listed := map[string]bool{}
	g.free(nil, func(name string) {
		if !listed[name] {
			listed[name] = true
			names = append(names, name)
		}
	})
	return names
}

// scope is the set of names that a graph defines, inside the scopes of the
// graphs around it.
type scope struct {
	names  map[string]bool
	around *scope
}

func (s *scope) has(name string) bool {
	for ; s != nil; s = s.around {
		if s.names[name] {
			return true
		}
	}
	return false
}

// free calls report for every name that is read before anything makes it.
func (g *Graph) free(around *scope, report func(string)) {
	s := &scope{map[string]bool{"": true}, around}
	for _, v := range g.Inputs {
		s.names[v.Name] = true
	}
	for name := range g.Constants {
		s.names[name] = true
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		for _, in := range n.Inputs {
			if !s.has(in) {
				report(in)
			}
		}
		for sub := range n.Subgraphs() {
			sub.free(s, report)
		}
		for _, out := range n.Outputs {
			s.names[out] = true
		}
	}
	for _, v := range g.Outputs {
		if !s.has(v.Name) {
			report(v.Name)
		}
	}
}

// Use is a place where a value is read: an input of a node, or an output of the
// graph.
type Use struct {
	Node  *Node // nil for an output of the graph
	Input int   // which input of the node, or which output of the graph; -1 if a subgraph of the node reads it
}

// Index tells who makes and who reads the values of a graph. It holds for as
// long as the graph is not changed.
type Index struct {
	makers map[string]*Node
	uses   map[string][]Use
}

// NewIndex returns the index of a graph.
func NewIndex(g *Graph) *Index {
	x := &Index{map[string]*Node{}, map[string][]Use{}}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		for j, in := range n.Inputs {
			if in != "" {
				x.uses[in] = append(x.uses[in], Use{n, j})
			}
		}
		for sub := range n.Subgraphs() {
			for _, name := range sub.Weights() {
				x.uses[name] = append(x.uses[name], Use{n, -1})
			}
		}
		for _, out := range n.Outputs {
			if out != "" {
				x.makers[out] = n
			}
		}
	}
	for i, v := range g.Outputs {
		x.uses[v.Name] = append(x.uses[v.Name], Use{nil, i})
	}
	return x
}

// Maker returns the node that makes a value, or nil.
func (x *Index) Maker(name string) *Node { return x.makers[name] }

// Uses returns the places where a value is read, the outputs of the graph last.
func (x *Index) Uses(name string) []Use { return x.uses[name] }

// Clone returns a copy whose nodes, names, attributes and maps can be changed
// without changing g. Subgraphs are copied too; tensors, which cannot change,
// are shared.
func (g *Graph) Clone() *Graph {
	c := *g
	c.Opsets = cloneMap(g.Opsets)
	c.Inputs, c.Outputs = slices.Clone(g.Inputs), slices.Clone(g.Outputs)
	c.Nodes = cloneNodes(g.Nodes)
	c.Constants = cloneMap(g.Constants)
	c.Types = cloneMap(g.Types)
	c.Functions = slices.Clone(g.Functions)
	for i := range c.Functions {
		c.Functions[i].Nodes = cloneNodes(c.Functions[i].Nodes)
	}
	c.Props = cloneMap(g.Props)
	return &c
}

// WithSizes returns the graph for given sizes of symbols, such as the length of sequences:
// in the shapes of inputs, outputs and stated values numbers take the place of symbols.
func (g *Graph) WithSizes(sizes map[string]int) *Graph {
	dims := map[string]Dim{}
	for name, n := range sizes {
		dims[name] = Size(n)
	}
	c := g.Clone()
	for _, values := range [][]Value{c.Inputs, c.Outputs} {
		for i := range values {
			values[i].Shape = values[i].Shape.subst(dims)
		}
	}
	for name, t := range c.Types {
		t.Shape = t.Shape.subst(dims)
		c.Types[name] = t
	}
	return c
}

// ForSamples returns the graph for samples of one shape: the sizes that the first input
// leaves open behind its first axis, which is the batch, become those of the shape. Axes
// of size 1 may stand before the shape, or be missing there. ok is false if the input
// has other sizes or another number of axes, or an open size that is no symbol of its
// own.
func (g *Graph) ForSamples(shape []int) (fixed *Graph, ok bool) {
	if len(g.Inputs) == 0 || len(g.Inputs[0].Shape) == 0 {
		return nil, false
	}
	batch, own := g.Inputs[0].Shape[0], g.Inputs[0].Shape[1:]
	for len(shape) > len(own) && shape[0] == 1 {
		shape = shape[1:]
	}
	if len(shape) < len(own) {
		shape = slices.Concat(slices.Repeat([]int{1}, len(own)-len(shape)), shape)
	}
	if len(shape) != len(own) {
		return nil, false
	}
	sizes := map[string]int{}
	for i, d := range own {
		name, open := d.Symbol()
		if n, twice := sizes[name]; open && !d.Equal(batch) && (!twice || n == shape[i]) {
			sizes[name] = shape[i]
		} else if !d.Is(shape[i]) {
			return nil, false
		}
	}
	return g.WithSizes(sizes), true
}

func (s Shape) subst(symbols map[string]Dim) Shape {
	if s == nil {
		return nil
	}
	out := make(Shape, len(s))
	for i, d := range s {
		out[i] = d.Subst(symbols)
	}
	return out
}

func cloneNodes(nodes []Node) []Node {
	nodes = slices.Clone(nodes)
	for i := range nodes {
		n := &nodes[i]
		n.Inputs, n.Outputs, n.Attrs = slices.Clone(n.Inputs), slices.Clone(n.Outputs), cloneMap(n.Attrs)
		for name, a := range n.Attrs {
			switch a.Kind() {
			case GraphAttr:
				n.Attrs[name] = Subgraph(a.Graph().Clone())
			case GraphsAttr:
				subs := slices.Clone(a.Graphs())
				for j, sub := range subs {
					subs[j] = sub.Clone()
				}
				n.Attrs[name] = Subgraphs(subs...)
			}
		}
	}
	return nodes
}

func cloneMap[M ~map[K]V, K comparable, V any](m M) M {
	if m == nil {
		return nil
	}
	c := make(M, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}
