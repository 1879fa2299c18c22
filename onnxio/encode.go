package onnxio

import (
	"encoding/binary"
	"io"
	"maps"
	"math"
	"slices"
	"unicode/utf8"

	"lethe/graph"
	"lethe/model"
)

// EncodeOptions are what a file says beyond the network itself.
type EncodeOptions struct {
	Opset           int               // 13 to 21; 0 means [graph.DefaultOpset]
	ProducerVersion string            // of Lethe, the producer
	DocString       string            // for people
	Props           map[string]string // for programs
	Location        string            // of [EncodeGraph]: the name of the file that holds the tensors; "" is the model itself
}

// maxFile is the largest message that protobuf allows: 2 GiB - 1.
const maxFile = math.MaxInt32

// Encode writes the graph and those entries of sd that it reads as an ONNX
// model. Initializers have the names of the state dict and the type float32:
// narrower types are widened, float64 is rounded. They are written one at a
// time, so that no second copy of all weights is held in memory. The same
// arguments give the same bytes.
//
// A graph that breaks ONNX's rules is a [model.FormatError]; operators,
// attributes, types and opsets that this package does not know are a
// [model.UnsupportedError]; a model of 2 GiB or more is a [model.LimitError].
// Nothing is written before all of this is known, except that reading or
// rounding a weight can still fail in the middle.
func Encode(w io.Writer, g *graph.Graph, sd *model.StateDict, opts EncodeOptions) error {
	if opts.Opset == 0 {
		opts.Opset = graph.DefaultOpset
	}
	if err := checkOpset(int64(opts.Opset)); err != nil {
		return err
	}
	c, err := check(g, sd)
	if err != nil {
		return err
	}

	// A message is the concatenation of its fields, so the weights can follow a
	// graph that was encoded without them.
	head, err := encodeHead(opts)
	if err != nil {
		return err
	}
	structure := encodeGraph(c)
	if err := errOf(head, structure); err != nil {
		return err
	}
	size := uint64(len(structure.b))
	frames := make([][]byte, len(c.weights)) // what precedes the bytes of each weight
	for i, name := range c.weights {
		t := sd.Get(name)
		frames[i] = tensorFrame(name, t)
		size += uint64(len(frames[i])) + 4*uint64(t.Len())
	}
	head.b = appendTag(head.b, graphField, wireBytes)
	head.b = binary.AppendUvarint(head.b, size)
	if total := uint64(len(head.b)) + size; total > maxFile {
		return &model.LimitError{What: "size of the onnx model in bytes", Got: total, Limit: maxFile}
	}

	if _, err := w.Write(append(head.b, structure.b...)); err != nil {
		return err
	}
	for i, name := range c.weights {
		data, err := float32Bytes(name, sd.Get(name))
		if err != nil {
			return err
		}
		if _, err := w.Write(frames[i]); err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	return nil
}

// Numbers of the fields that are written piece by piece.
const (
	graphField       = modelGraph
	initializerField = graphWeights
)

// tensorFrame returns the initializer up to, but without, its elements.
func tensorFrame(name string, t *model.Tensor) []byte {
	var m message
	for _, d := range t.Shape() {
		m.number(tensorDims, int64(d))
	}
	m.number(tensorType, 1)
	m.text(tensorName, name)
	size := 4 * uint64(t.Len())
	m.b = appendTag(m.b, tensorRaw, wireBytes)
	m.b = binary.AppendUvarint(m.b, size)
	frame := appendTag(nil, initializerField, wireBytes)
	frame = binary.AppendUvarint(frame, uint64(len(m.b))+size)
	return append(frame, m.b...)
}

// encodeHead returns the fields of the model but for its graph.
func encodeHead(opts EncodeOptions) (*message, error) {
	for _, s := range append(slices.Collect(maps.Values(opts.Props)), opts.ProducerVersion, opts.DocString) {
		if !utf8.ValidString(s) {
			return nil, broken("", "the documentation %.100q is not UTF-8", s)
		}
	}
	var m message
	m.number(1, irVersions[opts.Opset])
	m.text(2, "lethe")
	m.text(3, opts.ProducerVersion)
	m.text(6, opts.DocString)
	m.versions(modelOpsets, map[string]int{"": opts.Opset})
	for _, key := range slices.Sorted(maps.Keys(opts.Props)) {
		m.message(14, func(m *message) {
			m.text(1, key)
			m.text(2, opts.Props[key])
		})
	}
	return &m, nil
}

// encodeGraph returns the graph but for its initializers.
func encodeGraph(c *checked) *message {
	var m message
	m.graph(&graph.Graph{Name: c.Name, Inputs: c.Inputs, Outputs: c.Outputs, Nodes: c.Nodes})
	return &m
}
