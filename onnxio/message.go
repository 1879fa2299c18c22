package onnxio

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"unicode/utf8"

	"lethe/graph"
	"lethe/model"
)

func errOf(messages ...*message) error {
	for _, m := range messages {
		if m.err != nil {
			return m.err
		}
	}
	return nil
}

// appendTag appends what a field starts with.
func appendTag(b []byte, field, wire int) []byte {
	return binary.AppendUvarint(b, uint64(field)<<3|uint64(wire))
}

// message is a message of protobuf in the making. Fields that have their
// default are left out where ONNX allows it.
type message struct {
	b   []byte
	err error
}

func (m *message) number(field int, v int64) {
	m.b = appendTag(m.b, field, wireVarint)
	m.b = binary.AppendUvarint(m.b, uint64(v))
}

// text adds a text. Protobuf asks for UTF-8, and its readers refuse anything else.
func (m *message) text(field int, s string) {
	if !utf8.ValidString(s) && m.err == nil {
		m.err = broken("", "the text %.100q is not UTF-8", s)
	}
	if s != "" {
		m.bytes(field, []byte(s))
	}
}

func (m *message) bytes(field int, b []byte) {
	m.b = appendTag(m.b, field, wireBytes)
	m.b = append(binary.AppendUvarint(m.b, uint64(len(b))), b...)
}

// message adds a message inside this one.
func (m *message) message(field int, fill func(*message)) {
	var inner message
	fill(&inner)
	if m.err == nil {
		m.err = inner.err
	}
	m.bytes(field, inner.b)
}

func (m *message) opsets(field int, g *graph.Graph, opset int) {
	versions := map[string]int{"": opset}
	for domain, v := range g.Opsets {
		if !defaultDomain(domain) {
			versions[domain] = v
		}
	}
	m.versions(field, versions)
}

func (m *message) versions(field int, versions map[string]int) {
	for _, domain := range slices.Sorted(maps.Keys(versions)) {
		m.message(field, func(m *message) {
			m.text(1, domain)
			m.number(2, int64(versions[domain]))
		})
	}
}

// graph adds the fields of a graph but for its initializers.
func (m *message) graph(g *graph.Graph) {
	for i := range g.Nodes {
		m.message(1, func(m *message) { m.node(&g.Nodes[i]) })
	}
	m.text(2, g.Name)
	m.text(10, g.Doc)
	for _, v := range g.Inputs {
		m.message(11, func(m *message) { m.value(v) })
	}
	for _, v := range g.Outputs {
		m.message(12, func(m *message) { m.value(v) })
	}
	for _, name := range slices.Sorted(maps.Keys(g.Types)) {
		m.message(13, func(m *message) { m.value(graph.Value{Name: name, Type: g.Types[name]}) })
	}
}

// subgraph adds a whole graph, with its constants.
func (m *message) subgraph(g *graph.Graph) {
	m.graph(g)
	for _, name := range slices.Sorted(maps.Keys(g.Constants)) {
		m.message(initializerField, func(m *message) { m.tensor(name, g.Constants[name]) })
	}
}

func (m *message) node(n *graph.Node) {
	for _, in := range n.Inputs {
		m.bytes(1, []byte(in))
	}
	for _, out := range n.Outputs {
		m.bytes(2, []byte(out))
	}
	m.text(3, n.Name)
	m.text(4, n.Op)
	for _, name := range slices.Sorted(maps.Keys(n.Attrs)) {
		m.message(5, func(m *message) { m.attribute(name, n.Attrs[name]) })
	}
	m.text(6, n.Doc)
	m.text(7, n.Domain)
	m.text(8, n.Overload)
}

// attrNumbers are ONNX's numbers of the types of attributes.
var attrNumbers = func() map[graph.AttrKind]int64 {
	numbers := map[graph.AttrKind]int64{}
	for number, kind := range attrKinds {
		numbers[kind] = int64(number)
	}
	return numbers
}()

func (m *message) attribute(name string, a graph.Attr) {
	m.text(1, name)
	if a.Ref() != "" {
		m.number(20, attrNumbers[a.Kind()])
		m.text(21, a.Ref())
		return
	}
	float := func(field int, x float32) {
		m.b = appendTag(m.b, field, wireFixed4)
		m.b = binary.LittleEndian.AppendUint32(m.b, math.Float32bits(x))
	}
	switch a.Kind() {
	case graph.FloatAttr:
		float(2, a.Float())
	case graph.IntAttr:
		m.number(3, a.Int())
	case graph.StringAttr:
		m.bytes(4, []byte(a.Text()))
	case graph.TensorAttr:
		m.message(5, func(m *message) { m.tensor("", a.Tensor()) })
	case graph.GraphAttr:
		m.message(6, func(m *message) { m.subgraph(a.Graph()) })
	case graph.FloatsAttr:
		for _, x := range a.Floats() {
			float(7, x)
		}
	case graph.IntsAttr:
		for _, x := range a.Ints() {
			m.number(8, x)
		}
	case graph.StringsAttr:
		for _, s := range a.Strings() {
			m.bytes(9, []byte(s))
		}
	case graph.TensorsAttr:
		for _, t := range a.Tensors() {
			m.message(10, func(m *message) { m.tensor("", t) })
		}
	case graph.GraphsAttr:
		for _, g := range a.Graphs() {
			m.message(11, func(m *message) { m.subgraph(g) })
		}
	case graph.TypeAttr:
		m.message(14, func(m *message) { m.typeProto(a.Type()) })
	case graph.TypesAttr:
		for _, t := range a.Types() {
			m.message(15, func(m *message) { m.typeProto(t) })
		}
	default:
		m.err = broken("", "attribute %q has no value", name)
	}
	m.number(20, attrNumbers[a.Kind()])
}

func (m *message) tensorHead(name string, t *model.Tensor, e *elementType) {
	for _, d := range t.Shape() {
		m.number(tensorDims, int64(d))
	}
	for i := range elementTypes {
		if &elementTypes[i] == e {
			m.number(tensorType, int64(i))
		}
	}
	m.text(tensorName, name)
}

// external says where the elements of a tensor are.
func (m *message) external(location string, offset, length int64) {
	for _, e := range [][2]string{{"location", location}, {"offset", fmt.Sprint(offset)}, {"length", fmt.Sprint(length)}} {
		m.message(tensorExternal, func(m *message) {
			m.text(1, e[0])
			m.text(2, e[1])
		})
	}
	m.number(tensorLocation, locationExternal)
}

// tensor adds a small tensor with its elements.
func (m *message) tensor(name string, t *model.Tensor) {
	e, _, err := elementOf(name, t)
	if err != nil {
		m.err = err
		return
	}
	m.tensorHead(name, t, e)
	r, err := e.rawReader(t)
	if err == nil {
		var raw []byte
		raw, err = io.ReadAll(r)
		m.bytes(tensorRaw, raw)
	}
	if err != nil {
		m.err = err
	}
}

func (m *message) value(v graph.Value) {
	m.text(1, v.Name)
	m.message(2, func(m *message) { m.typeProto(v.Type) })
	m.text(3, v.Doc)
}

func (m *message) typeProto(t graph.Type) {
	elem := func(field, number int) {
		m.message(field, func(m *message) {
			if t.Kind == graph.MapKind {
				m.elementType(t.DType)
			}
			if t.Elem != nil {
				m.message(number, func(m *message) { m.typeProto(*t.Elem) })
			}
		})
	}
	tensor := func(m *message) {
		m.elementType(t.DType)
		if t.Shape != nil {
			m.message(2, func(m *message) { m.shape(t.Shape) })
		}
	}
	switch t.Kind {
	case graph.TensorKind:
		m.message(1, tensor)
	case graph.SparseKind:
		m.message(8, tensor)
	case graph.SequenceKind:
		elem(4, 1)
	case graph.MapKind:
		elem(5, 2)
	case graph.OptionalKind:
		elem(9, 1)
	}
}

func (m *message) elementType(d model.DType) {
	for i := range elementTypes {
		if elementTypes[i].dtype == d && d != model.Invalid {
			m.number(1, int64(i))
		}
	}
}

func (m *message) shape(s graph.Shape) {
	for _, d := range s {
		m.message(1, func(m *message) {
			if n, ok := d.Int(); ok {
				if n < 0 && m.err == nil {
					m.err = broken("", "the shape %v has a negative size", s)
				}
				m.number(1, int64(n))
			} else {
				m.text(2, d.String())
			}
		})
	}
}

func (m *message) function(f *graph.Function) {
	m.text(1, f.Name)
	for _, in := range f.Inputs {
		m.bytes(4, []byte(in))
	}
	for _, out := range f.Outputs {
		m.bytes(5, []byte(out))
	}
	for _, name := range f.Required {
		m.bytes(6, []byte(name))
	}
	for i := range f.Nodes {
		m.message(7, func(m *message) { m.node(&f.Nodes[i]) })
	}
	m.text(8, f.Doc)
	m.versions(9, f.Opsets)
	m.text(10, f.Domain)
	for _, name := range slices.Sorted(maps.Keys(f.Defaults)) {
		m.message(11, func(m *message) { m.attribute(name, f.Defaults[name]) })
	}
	m.text(13, f.Overload)
}
