package ops

import (
	"fmt"
	"math"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// Role says what an input of an operator is for.
type Role uint8

// The roles of inputs.
const (
	Data      Role = iota // what the network computes on; a parameter if it is an entry of the state dict
	Weight                // what training moves
	Statistic             // of the training data; read, never trained
	Constant              // structure: axes, shapes, indices, limits
)

// Operator is the definition of one operator: its inputs with their roles, its
// attributes with their defaults by opset, its shapes and its value. [Lookup] finds it.
type Operator struct {
	Name   string
	Domain string // "" is ONNX's own
	Since  int    // the first opset that has it; 0 stands for 1

	inputs  []input
	outputs int // at most; 0 stands for 1, many for any number
	attrs   []attr

	// infer sets the types of the outputs. What it does not set stays unknown.
	infer func(*inference)
	// eval sets the outputs. Nil if the operator is evaluated by [Run] itself.
	eval func(*call)
	// body marks operators with subgraphs, which [Run] evaluates.
	body func(*call, subgraphs)
	// random marks an operator whose value is drawn: it is never folded.
	random bool
}

const many = math.MaxInt

// input is one input of an operator, in the opsets that have it there.
type input struct {
	name     string
	role     Role
	types    types
	optional bool
	variadic bool // it may be repeated, and is the last
	lo, hi   int  // opsets
}

func data(name string, t types) input      { return input{name: name, types: t} }
func weight(name string, t types) input    { return input{name: name, types: t, role: Weight} }
func statistic(name string, t types) input { return input{name: name, types: t, role: Statistic} }
func constant(name string, t types) input  { return input{name: name, types: t, role: Constant} }

func (i input) opt() input            { i.optional = true; return i }
func (i input) many() input           { i.variadic = true; return i }
func (i input) from(opset int) input  { i.lo = opset; return i }
func (i input) until(opset int) input { i.hi = opset; return i }

// attr is one attribute of an operator, in the opsets that have it so.
type attr struct {
	name     string
	kind     graph.AttrKind
	def      graph.Attr // the zero value if there is no default
	required bool
	values   []string // what a string may be; nil for anything
	lo, hi   int      // opsets
}

func intAttr(name string, def int64) attr {
	return attr{name: name, kind: graph.IntAttr, def: graph.Int(def)}
}

func floatAttr(name string, def float32) attr {
	return attr{name: name, kind: graph.FloatAttr, def: graph.Float(def)}
}

// stringAttr is a string that is one of some values, the first of which is the
// default.
func stringAttr(name string, values ...string) attr {
	return attr{name: name, kind: graph.StringAttr, def: graph.String(values[0]), values: values}
}

// noDefault is an attribute that may be left out, and then has no value.
func noDefault(name string, kind graph.AttrKind) attr { return attr{name: name, kind: kind} }

func intsAttr(name string) attr { return noDefault(name, graph.IntsAttr) }

func (a attr) must() attr           { a.required, a.def = true, graph.Attr{}; return a }
func (a attr) from(opset int) attr  { a.lo = opset; return a }
func (a attr) until(opset int) attr { a.hi = opset; return a }

func within(opset, lo, hi int) bool { return opset >= lo && (hi == 0 || opset <= hi) }

// fault is how the functions of operators give up: it is a panic that goes no
// further than the node, see [guard].
type fault struct{ err error }

// node is a node with what is known of its operator.
type node struct {
	n     *graph.Node
	op    *Operator
	opset int
}

// find returns a node with its operator, or nil if there is no such operator.
func find(g opsets, n *graph.Node) *node {
	op := Lookup(n.Domain, n.Op)
	if op == nil {
		return nil
	}
	return &node{n, op, g.version(op.Domain)}
}

// opsets are the versions of operator sets that nodes have.
type opsets map[string]int

func (o opsets) version(domain string) int {
	if v := o[domain]; v != 0 {
		return v
	}
	return 1
}

// opsetsOf returns the versions that a graph uses.
func opsetsOf(g *graph.Graph) opsets {
	o := opsets{"": g.Opset("")}
	for domain := range g.Opsets {
		if domain != "ai.onnx" {
			o[domain] = g.Opset(domain)
		}
	}
	return o
}

// fail gives up on the node with a [model.FormatError].
func (n *node) fail(format string, args ...any) {
	panic(fault{&model.FormatError{Format: "network", Member: n.n.Label(), Offset: -1, Reason: fmt.Sprintf(format, args...)}})
}

// unsupported gives up on the node with a [model.UnsupportedError].
func (n *node) unsupported(format string, args ...any) {
	panic(fault{&model.UnsupportedError{What: n.n.Label() + ": " + fmt.Sprintf(format, args...)}})
}

// spec returns what the operator says of an attribute in the node's opset, or
// nil.
func (n *node) spec(name string) *attr {
	for i := range n.op.attrs {
		if a := &n.op.attrs[i]; a.name == name && within(n.opset, a.lo, a.hi) {
			return a
		}
	}
	return nil
}

// attr returns an attribute or its default; of kind [graph.NoAttr] if there is
// neither.
func (n *node) attr(name string) graph.Attr {
	spec := n.spec(name)
	if spec == nil {
		return graph.Attr{}
	}
	if a, ok := n.n.Attrs[name]; ok {
		return a
	}
	return spec.def
}

func (n *node) has(name string) bool      { return n.attr(name).Kind() != graph.NoAttr }
func (n *node) int(name string) int       { return int(n.attr(name).Int()) }
func (n *node) flag(name string) bool     { return n.attr(name).Int() != 0 }
func (n *node) float(name string) float64 { return float64(n.attr(name).Float()) }
func (n *node) text(name string) string   { return n.attr(name).Text() }

func (n *node) ints(name string) []int {
	list := n.attr(name).Ints()
	out := make([]int, len(list))
	for i, x := range list {
		out[i] = int(x)
	}
	return out
}

// inputSpec returns what the operator says of input i, or nil if the node's
// opset has no such input.
func (n *node) inputSpec(i int) *input {
	at := 0
	for j := range n.op.inputs {
		in := &n.op.inputs[j]
		if !within(n.opset, in.lo, in.hi) {
			continue
		}
		if at == i || in.variadic {
			return in
		}
		at++
	}
	return nil
}

// check reports what the node does that its operator does not allow.
func (n *node) check() {
	if n.opset < n.op.Since {
		n.fail("opset %d has no %s, which came with opset %d", n.opset, n.op.Name, n.op.Since)
	}
	for name, a := range n.n.Attrs {
		spec := n.spec(name)
		switch {
		case spec == nil:
			if !n.known(name) {
				n.fail("%s has no attribute %q in opset %d", n.op.Name, name, n.opset)
			}
		case a.Ref() != "":
			n.fail("attribute %s refers to the attribute %s of a function, but the node is in none", name, a.Ref())
		case a.Kind() != spec.kind:
			n.fail("attribute %s is %v, not %v", name, a.Kind(), spec.kind)
		case spec.values != nil && !slices.Contains(spec.values, a.Text()):
			n.fail("attribute %s is %q, not one of %q", name, a.Text(), spec.values)
		}
	}
	for _, spec := range n.op.attrs {
		if _, ok := n.n.Attrs[spec.name]; spec.required && !ok && within(n.opset, spec.lo, spec.hi) {
			n.fail("%s has no attribute %s", n.op.Name, spec.name)
		}
	}
	for i, name := range n.n.Inputs {
		spec := n.inputSpec(i)
		if spec == nil && name != "" {
			n.fail("%s has no input %d in opset %d", n.op.Name, i, n.opset)
		}
	}
	for i := 0; ; i++ {
		spec := n.inputSpec(i)
		if spec == nil || i > len(n.n.Inputs) {
			break
		}
		if n.n.Input(i) == "" && !spec.optional && !(spec.variadic && i > 0) {
			n.fail("%s has no input %s", n.op.Name, spec.name)
		}
		if spec.variadic && i >= len(n.n.Inputs) {
			break
		}
	}
	if len(n.n.Outputs) > max(n.op.outputs, 1) {
		n.fail("%s has %d outputs, not more than %d", n.op.Name, len(n.n.Outputs), max(n.op.outputs, 1))
	}
}

// known reports whether another opset has the attribute: exporters leave in
// what older or newer opsets say.
func (n *node) known(name string) bool {
	return slices.ContainsFunc(n.op.attrs, func(a attr) bool { return a.name == name })
}

// axis returns an axis of a tensor of the given rank, counted from the front.
func (n *node) axis(axis, rank int) int {
	if axis < -rank || axis >= rank {
		n.fail("axis %d of a tensor of %d axes", axis, rank)
	}
	if axis < 0 {
		axis += rank
	}
	return axis
}

// axes returns axes counted from the front; none twice.
func (n *node) axes(axes []int, rank int) []int {
	out := make([]int, len(axes))
	for i, a := range axes {
		out[i] = n.axis(a, rank)
		if slices.Contains(out[:i], out[i]) {
			n.fail("axis %d is named twice in %v", out[i], axes)
		}
	}
	return out
}

// guard runs f and returns what it gave up with. Errors of Go itself, such as
// an index out of range, become an [internalError].
func guard(n *graph.Node, f func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case fault:
			err = r.err
		default:
			err = &internalError{n.Label(), r}
		}
	}()
	f()
	return nil
}

// internalError is a mistake in this package. It is an error and no panic,
// because a file must not be able to stop the program.
type internalError struct {
	node  string
	cause any
}

func (e *internalError) Error() string {
	return fmt.Sprintf("%s: the evaluation failed inside: %v; please report it with the model", e.node, e.cause)
}

// subgraphs evaluates the graphs that are attributes of a node.
type subgraphs interface {
	run(g *graph.Graph, inputs ...*Tensor) []*Tensor
}
