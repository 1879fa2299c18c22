package onnxio

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"lethe/graph"
	"lethe/model"
	"lethe/onnxio/internal/pb"
)

// EncodeOptions are what a file says beyond the network itself.
type EncodeOptions struct {
	Opset           int               // 13 to 21; 0 means [graph.DefaultOpset]
	ProducerVersion string            // of Lethe, the producer
	DocString       string            // for people
	Props           map[string]string // for programs
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
	head, err := marshal(encodeHead(opts))
	if err != nil {
		return err
	}
	structure, err := marshal(encodeGraph(c))
	if err != nil {
		return err
	}
	size := uint64(len(structure))
	frames := make([][]byte, len(c.weights)) // what precedes the bytes of each weight
	for i, name := range c.weights {
		t := sd.Get(name)
		if frames[i], err = tensorFrame(name, t); err != nil {
			return err
		}
		size += uint64(len(frames[i])) + 4*uint64(t.Len())
	}
	head = protowire.AppendTag(head, graphField, protowire.BytesType)
	head = protowire.AppendVarint(head, size)
	if total := uint64(len(head)) + size; total > maxFile {
		return &model.LimitError{What: "size of the onnx model in bytes", Got: total, Limit: maxFile}
	}

	if _, err := w.Write(append(head, structure...)); err != nil {
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

// Numbers of the fields that are written piece by piece, see lethe_onnx.proto.
const (
	graphField       = 7 // of Model
	initializerField = 5 // of Graph
	rawDataField     = 9 // of Tensor
)

// tensorFrame returns the initializer up to, but without, its elements.
func tensorFrame(name string, t *model.Tensor) ([]byte, error) {
	message := &pb.Tensor{Name: name, DataType: pb.Tensor_FLOAT}
	for _, d := range t.Shape() {
		message.Dims = append(message.Dims, int64(d))
	}
	tensor, err := marshal(message)
	if err != nil {
		return nil, err
	}
	size := 4 * uint64(t.Len())
	tensor = protowire.AppendTag(tensor, rawDataField, protowire.BytesType)
	tensor = protowire.AppendVarint(tensor, size)
	frame := protowire.AppendTag(nil, initializerField, protowire.BytesType)
	frame = protowire.AppendVarint(frame, uint64(len(tensor))+size)
	return append(frame, tensor...), nil
}

func encodeHead(opts EncodeOptions) *pb.Model {
	m := &pb.Model{
		IrVersion:       irVersions[opts.Opset],
		ProducerName:    "lethe",
		ProducerVersion: opts.ProducerVersion,
		DocString:       opts.DocString,
		OpsetImport:     []*pb.OperatorSetId{{Version: int64(opts.Opset)}},
	}
	for _, key := range slices.Sorted(maps.Keys(opts.Props)) {
		m.MetadataProps = append(m.MetadataProps, &pb.StringStringEntry{Key: key, Value: opts.Props[key]})
	}
	return m
}

func encodeGraph(c *checked) *pb.Graph {
	out := &pb.Graph{Name: c.Name}
	for _, v := range c.Inputs {
		out.Input = append(out.Input, encodeValue(v))
	}
	for _, v := range c.Outputs {
		out.Output = append(out.Output, encodeValue(v))
	}
	for _, n := range c.Nodes {
		node := &pb.Node{Name: n.Name, OpType: n.Op, Input: n.Inputs, Output: n.Outputs}
		for _, name := range slices.Sorted(maps.Keys(n.Attrs)) {
			node.Attribute = append(node.Attribute, encodeAttribute(name, n.Attrs[name]))
		}
		out.Node = append(out.Node, node)
	}
	return out
}

func encodeAttribute(name string, value graph.Attr) *pb.Attribute {
	a := &pb.Attribute{Name: name}
	switch value.Kind() {
	case graph.IntAttr:
		a.Type, a.I = pb.Attribute_INT, proto.Int64(value.Int())
	case graph.FloatAttr:
		a.Type, a.F = pb.Attribute_FLOAT, proto.Float32(value.Float())
	case graph.StringAttr:
		a.Type, a.S = pb.Attribute_STRING, []byte(value.Text())
	case graph.IntsAttr:
		a.Type, a.Ints = pb.Attribute_INTS, value.Ints()
	case graph.FloatsAttr:
		a.Type, a.Floats = pb.Attribute_FLOATS, value.Floats()
	}
	return a
}

func encodeValue(v graph.Value) *pb.ValueInfo {
	shape := &pb.Shape{}
	for _, d := range v.Shape {
		dim := &pb.Shape_Dimension{Value: &pb.Shape_Dimension_DimParam{DimParam: d.String()}}
		if size, fixed := d.Int(); fixed {
			dim.Value = &pb.Shape_Dimension_DimValue{DimValue: int64(size)}
		}
		shape.Dim = append(shape.Dim, dim)
	}
	return &pb.ValueInfo{Name: v.Name, Type: &pb.Type{TensorType: &pb.Type_TensorType{ElemType: pb.Tensor_FLOAT, Shape: shape}}}
}

func marshal(m proto.Message) ([]byte, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write onnx: %w", err)
	}
	return b, nil
}
