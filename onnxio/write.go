package onnxio

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// EncodeOptions are what a file says beyond the network itself, and how it holds
// the weights.
type EncodeOptions struct {
	Opset           int               // of ONNX's own operators, 13 to 28; 0 means the one that the graph names
	ProducerVersion string            // of Lethe, the producer
	DocString       string            // for people
	Props           map[string]string // for programs
	Float32         bool              // weights of other float types are written as float32
	Location        string            // the name of the file that holds the tensors; "" is the model itself
}

// maxFile is the largest message that protobuf allows: 2 GiB - 1.
const maxFile = math.MaxInt32

// initializerField is the number of the field of a graph that holds a weight.
const initializerField = graphWeights

// Encode writes a graph of any operators as an ONNX model in one file, under
// the operator sets that the graph names. Package ops reports whether the nodes
// are used as ONNX allows it. The entries of sd that it reads become
// initializers under their names, bit for bit and in the order of sd, after the
// constants of the graph, which are sorted by name. Tensors are copied from
// their storages one at a time. The same arguments give the same bytes.
//
// With opts.Float32 weights of narrower float types are widened, and float64 is
// rounded; a finite number that float32 cannot hold is a
// [model.UnsupportedError].
//
// With opts.Location the elements of all but small tensors are left out, and the
// model says that they are in a file of that name beside it, which
// [EncodeTensors] writes.
//
// A weight that sd does not have and a graph that breaks the rules of its kind
// are a [model.FormatError]; element types that ONNX does not have are a
// [model.UnsupportedError]; a model of 2 GiB or more is a [model.LimitError].
// Nothing is written before all of this is known.
func Encode(w io.Writer, g *graph.Graph, sd *model.StateDict, opts EncodeOptions) error {
	if err := g.Check(); err != nil {
		return err
	}
	if g.Name == "" {
		return broken("the graph", "it has no name, which ONNX asks for")
	}
	if opts.Float32 {
		var err error
		if sd, err = asFloat32(g, sd); err != nil {
			return err
		}
	}
	initializers, err := initializersOf(g, sd, opts.Location)
	if err != nil {
		return err
	}
	m, err := encodeHead(g, opts)
	if err != nil {
		return err
	}
	for i := range g.Functions {
		m.message(25, func(m *message) { m.function(&g.Functions[i]) })
	}
	var body message
	body.graph(g)
	if err := errOf(m, &body); err != nil {
		return err
	}
	size := int64(len(body.b))
	for _, t := range initializers {
		if size += int64(len(t.frame)); !t.outside {
			size += t.raw
		}
	}
	m.b = appendTag(m.b, modelGraph, wireBytes)
	m.b = binary.AppendUvarint(m.b, uint64(size))
	if total := int64(len(m.b)) + size; size < 0 || total > maxFile {
		return &model.LimitError{What: "size of an onnx model in one file (without --external-data) in bytes", Got: uint64(total), Limit: maxFile}
	}
	if _, err := w.Write(append(m.b, body.b...)); err != nil {
		return err
	}
	for _, t := range initializers {
		if _, err := w.Write(t.frame); err != nil {
			return err
		}
		if !t.outside {
			if err := t.copyTo(w); err != nil {
				return err
			}
		}
	}
	return nil
}

// encodeHead returns the fields of a model that come before its functions.
func encodeHead(g *graph.Graph, opts EncodeOptions) (*message, error) {
	opset := cmp.Or(opts.Opset, g.Opset(""))
	if opset < minOpset || opset > newestOpset {
		return nil, &model.UnsupportedError{What: fmt.Sprintf("onnx opset %d", opset), Advice: fmt.Sprintf("opsets %d to %d are supported", minOpset, newestOpset)}
	}
	var m message
	m.number(1, irVersions[min(opset, len(irVersions)-1)])
	m.text(2, "lethe")
	m.text(3, opts.ProducerVersion)
	m.text(6, opts.DocString)
	m.opsets(8, g, opset)
	for _, key := range slices.Sorted(maps.Keys(opts.Props)) {
		m.message(14, func(m *message) {
			m.text(1, key)
			m.text(2, opts.Props[key])
		})
	}
	return &m, nil
}

// EncodeTensors writes the elements of the tensors that [Encode] leaves out
// of a model with a location. Each begins at a multiple of 64 bytes.
func EncodeTensors(w io.Writer, g *graph.Graph, sd *model.StateDict) error {
	initializers, err := initializersOf(g, sd, "elsewhere")
	if err != nil {
		return err
	}
	at := int64(0)
	for _, t := range initializers {
		if !t.outside {
			continue
		}
		if _, err := w.Write(make([]byte, t.offset-at)); err != nil {
			return err
		}
		if err := t.copyTo(w); err != nil {
			return err
		}
		at = t.offset + t.raw
	}
	return nil
}

// copyTo writes the elements.
func (t *initializer) copyTo(w io.Writer) error {
	r, err := t.element.rawReader(t.tensor)
	if err != nil {
		return err
	}
	n, err := io.Copy(w, r)
	if err == nil && n != t.raw {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("write initializer %q: %d of %d bytes: %w", t.name, n, t.raw, err)
	}
	return nil
}

// initializer is a tensor of a graph and the bytes that precede its elements.
type initializer struct {
	name    string
	tensor  *model.Tensor
	element *elementType
	frame   []byte
	raw     int64 // bytes of its elements
	outside bool  // they are in the file beside the model
	offset  int64 // in that file
}

// alignment of tensors in a file beside the model, for programs that map it, and
// the bytes of the smallest: shapes are among the others, and programs want to
// see them.
const (
	alignment  = 64
	outsideMin = 1024
)

// initializersOf returns the constants of a graph and the weights that it
// reads, in the order in which they are written. Their elements are in the model
// or, with a location, in a file of that name.
func initializersOf(g *graph.Graph, sd *model.StateDict, location string) ([]initializer, error) {
	read := map[string]bool{}
	for _, name := range g.Weights() {
		if sd.Get(name) == nil {
			return nil, broken("", "%q is read, but neither an earlier node makes it nor is it a weight", name)
		}
		read[name] = true
	}
	var list []initializer
	for _, name := range slices.Sorted(maps.Keys(g.Constants)) {
		list = append(list, initializer{name: name, tensor: g.Constants[name]})
	}
	for name, t := range sd.All() {
		if read[name] {
			list = append(list, initializer{name: name, tensor: t})
		}
	}
	next := int64(0)
	for i := range list {
		t := &list[i]
		var err error
		if t.element, t.raw, err = elementOf(t.name, t.tensor); err != nil {
			return nil, err
		}
		var m message
		if m.tensorHead(t.name, t.tensor, t.element); m.err != nil {
			return nil, m.err
		}
		inside := t.raw
		if t.outside = location != "" && t.raw >= outsideMin; !t.outside {
			m.b = appendTag(m.b, tensorRaw, wireBytes)
			m.b = binary.AppendUvarint(m.b, uint64(t.raw))
		} else {
			inside = 0
			t.offset = (next + alignment - 1) / alignment * alignment
			next = t.offset + t.raw
			m.external(location, t.offset, t.raw)
		}
		t.frame = appendTag(nil, initializerField, wireBytes)
		t.frame = binary.AppendUvarint(t.frame, uint64(len(m.b))+uint64(inside))
		t.frame = append(t.frame, m.b...)
	}
	return list, nil
}

// elementOf returns how ONNX holds the elements of a tensor, and in how many
// bytes.
func elementOf(name string, t *model.Tensor) (*elementType, int64, error) {
	e := elementFor(t.DType())
	if e == nil {
		return nil, 0, &model.UnsupportedError{What: fmt.Sprintf("%q is of type %v, which ONNX does not have", name, t.DType())}
	}
	if t.Len() > math.MaxInt/16 {
		return nil, 0, &model.LimitError{What: "elements of a tensor", Got: uint64(t.Len()), Limit: math.MaxInt / 16}
	}
	return e, e.rawBytes(t.Len()), nil
}

func elementFor(d model.DType) *elementType {
	for i := range elementTypes {
		if elementTypes[i].dtype == d && d != model.Invalid {
			return &elementTypes[i]
		}
	}
	return nil
}
