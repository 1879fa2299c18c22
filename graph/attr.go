package graph

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"

	"lethe/model"
)

// AttrKind is the type of an attribute's value.
type AttrKind uint8

// The types of attributes. The zero value is that of an attribute that is
// absent.
const (
	NoAttr AttrKind = iota
	IntAttr
	FloatAttr
	StringAttr
	TensorAttr
	GraphAttr
	TypeAttr
	IntsAttr
	FloatsAttr
	StringsAttr
	TensorsAttr
	GraphsAttr
	TypesAttr
)

var attrKinds = [...]string{"UNDEFINED", "INT", "FLOAT", "STRING", "TENSOR", "GRAPH", "TYPE_PROTO",
	"INTS", "FLOATS", "STRINGS", "TENSORS", "GRAPHS", "TYPE_PROTOS"}

// String returns ONNX's name of the type, such as "INTS".
func (k AttrKind) String() string {
	if int(k) < len(attrKinds) {
		return attrKinds[k]
	}
	return attrKinds[0]
}

// Attr is the value of an attribute, of one of the types of ONNX. The zero
// value stands for an attribute that is absent. The accessor for another type
// than the attribute's returns that type's zero value.
type Attr struct {
	kind  AttrKind
	ref   string
	value any // int64, float32, string, *model.Tensor, *Graph, Type, or a slice of these
}

// Int returns an integer attribute.
func Int(x int64) Attr { return Attr{kind: IntAttr, value: x} }

// Float returns a float attribute.
func Float(x float32) Attr { return Attr{kind: FloatAttr, value: x} }

// String returns a string attribute.
func String(s string) Attr { return Attr{kind: StringAttr, value: s} }

// Tensor returns a tensor attribute.
func Tensor(t *model.Tensor) Attr { return Attr{kind: TensorAttr, value: t} }

// Subgraph returns a graph attribute.
func Subgraph(g *Graph) Attr { return Attr{kind: GraphAttr, value: g} }

// TypeOf returns a type attribute.
func TypeOf(t Type) Attr { return Attr{kind: TypeAttr, value: t} }

// Ints returns an attribute that is a list of integers.
func Ints(x ...int64) Attr { return Attr{kind: IntsAttr, value: x} }

// Floats returns an attribute that is a list of floats.
func Floats(x ...float32) Attr { return Attr{kind: FloatsAttr, value: x} }

// Strings returns an attribute that is a list of strings.
func Strings(s ...string) Attr { return Attr{kind: StringsAttr, value: s} }

// Tensors returns an attribute that is a list of tensors.
func Tensors(t ...*model.Tensor) Attr { return Attr{kind: TensorsAttr, value: t} }

// Subgraphs returns an attribute that is a list of graphs.
func Subgraphs(g ...*Graph) Attr { return Attr{kind: GraphsAttr, value: g} }

// TypesOf returns an attribute that is a list of types.
func TypesOf(t ...Type) Attr { return Attr{kind: TypesAttr, value: t} }

// Ref returns an attribute of a node inside a [Function] that takes the value
// of the function's own attribute of that name.
func Ref(kind AttrKind, name string) Attr { return Attr{kind: kind, ref: name} }

// Kind returns the type.
func (a Attr) Kind() AttrKind { return a.kind }

// Ref returns the name of the function's attribute that the value comes from,
// or "".
func (a Attr) Ref() string { return a.ref }

func get[T any](a Attr) T {
	v, _ := a.value.(T)
	return v
}

// Int returns the integer.
func (a Attr) Int() int64 { return get[int64](a) }

// Float returns the float.
func (a Attr) Float() float32 { return get[float32](a) }

// Text returns the string.
func (a Attr) Text() string { return get[string](a) }

// Tensor returns the tensor, or nil.
func (a Attr) Tensor() *model.Tensor { return get[*model.Tensor](a) }

// Graph returns the graph, or nil.
func (a Attr) Graph() *Graph { return get[*Graph](a) }

// Type returns the type.
func (a Attr) Type() Type { return get[Type](a) }

// Ints returns the list of integers, which the caller must not change.
func (a Attr) Ints() []int64 { return get[[]int64](a) }

// Floats returns the list of floats, which the caller must not change.
func (a Attr) Floats() []float32 { return get[[]float32](a) }

// Strings returns the list of strings, which the caller must not change.
func (a Attr) Strings() []string { return get[[]string](a) }

// Tensors returns the list of tensors, which the caller must not change.
func (a Attr) Tensors() []*model.Tensor { return get[[]*model.Tensor](a) }

// Graphs returns the list of graphs, which the caller must not change.
func (a Attr) Graphs() []*Graph { return get[[]*Graph](a) }

// Types returns the list of types, which the caller must not change.
func (a Attr) Types() []Type { return get[[]Type](a) }

// Equal reports whether two attributes have the same type and the same value.
// Tensors and graphs are equal only to themselves.
func (a Attr) Equal(b Attr) bool {
	if a.kind != b.kind || a.ref != b.ref {
		return false
	}
	switch a.kind {
	case IntsAttr:
		return slices.Equal(a.Ints(), b.Ints())
	case FloatsAttr:
		return slices.Equal(a.Floats(), b.Floats())
	case StringsAttr:
		return slices.Equal(a.Strings(), b.Strings())
	case TensorsAttr:
		return slices.Equal(a.Tensors(), b.Tensors())
	case GraphsAttr:
		return slices.Equal(a.Graphs(), b.Graphs())
	case TypeAttr:
		return a.Type().Equal(b.Type())
	case TypesAttr:
		return slices.EqualFunc(a.Types(), b.Types(), Type.Equal)
	}
	return a.value == b.value
}

// String returns the value for a person.
func (a Attr) String() string {
	if a.ref != "" {
		return "@" + a.ref
	}
	switch a.kind {
	case NoAttr:
		return "none"
	case StringAttr:
		return strconv.Quote(a.Text())
	case TensorAttr:
		return describe(a.Tensor())
	case GraphAttr:
		return "graph " + strconv.Quote(a.Graph().Name)
	case StringsAttr:
		return fmt.Sprintf("%q", a.Strings())
	case TensorsAttr:
		return fmt.Sprintf("%d tensors", len(a.Tensors()))
	case GraphsAttr:
		return fmt.Sprintf("%d graphs", len(a.Graphs()))
	}
	return fmt.Sprint(a.value)
}

func describe(t *model.Tensor) string { return fmt.Sprintf("%v%v", t.DType(), t.Shape()) }

// Attrs are the attributes of a node by name.
type Attrs map[string]Attr

// Int returns an integer attribute, or def if the node has none of that name
// and type.
func (n *Node) Int(name string, def int) int {
	if a := n.Attrs[name]; a.kind == IntAttr && a.ref == "" {
		return int(a.Int())
	}
	return def
}

// Float returns a float attribute, or def if the node has none of that name and
// type.
func (n *Node) Float(name string, def float32) float32 {
	if a := n.Attrs[name]; a.kind == FloatAttr && a.ref == "" {
		return a.Float()
	}
	return def
}

// String returns a string attribute, or def if the node has none of that name
// and type.
func (n *Node) String(name, def string) string {
	if a := n.Attrs[name]; a.kind == StringAttr && a.ref == "" {
		return a.Text()
	}
	return def
}

// Ints returns a list of integers, or def if the node has none of that name.
func (n *Node) Ints(name string, def ...int) []int {
	a := n.Attrs[name]
	if a.kind != IntsAttr || a.ref != "" {
		return def
	}
	out := make([]int, len(a.Ints()))
	for i, x := range a.Ints() {
		out[i] = int(x)
	}
	return out
}

// Subgraphs iterates over the graphs among the attributes, in the order of
// their names.
func (n *Node) Subgraphs() iter.Seq[*Graph] {
	return func(yield func(*Graph) bool) {
		for _, name := range slices.Sorted(maps.Keys(n.Attrs)) {
			a := n.Attrs[name]
			if a.Graph() != nil && !yield(a.Graph()) {
				return
			}
			for _, g := range a.Graphs() {
				if !yield(g) {
					return
				}
			}
		}
	}
}
