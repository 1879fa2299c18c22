package onnxio_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"lethe/internal/vectors"
	"lethe/model"
	"lethe/onnxio"
	"lethe/onnxio/internal/pb"

	// A binary may hold another program's onnx.proto too: that must not panic
	// when the two register themselves.
	_ "github.com/owulveryck/onnx-go"
)

// What Decode may answer.
const (
	ok          = "ok"
	malformed   = "malformed"
	unsupported = "unsupported"
	limited     = "limit"
)

// class names the type of an error.
func class(err error) string {
	var format *model.FormatError
	var unsupportedErr *model.UnsupportedError
	var limit *model.LimitError
	switch {
	case err == nil:
		return ok
	case errors.As(err, &format):
		return malformed
	case errors.As(err, &unsupportedErr):
		return unsupported
	case errors.As(err, &limit):
		return limited
	}
	return "untyped"
}

// patches change one thing each in a good model.
var patches = []struct {
	name   string
	expect string
	text   string // part of the error
	patch  func(*pb.Model)
}{
	// The model.
	{"nothing", ok, "", func(*pb.Model) {}},
	{"no graph", malformed, "no graph", func(m *pb.Model) { m.Graph = nil }},
	{"IR version missing", unsupported, "version 0", func(m *pb.Model) { m.IrVersion = 0 }},
	{"IR version of 2017", unsupported, "version 2;", func(m *pb.Model) { m.IrVersion = 2 }},
	{"IR version of tomorrow", unsupported, "version 15", func(m *pb.Model) { m.IrVersion = 15 }},
	{"newer format, known opset", ok, "", func(m *pb.Model) { m.IrVersion = 14 }},
	{"opset 12", ok, "", func(m *pb.Model) { m.OpsetImport[0].Version = 12 }},
	{"opset 22", ok, "", func(m *pb.Model) { m.OpsetImport[0].Version = 22 }},
	{"opset beyond int32", unsupported, "opset 4294967313;", func(m *pb.Model) { m.OpsetImport[0].Version = 1<<32 + 17 }},
	{"no opset", malformed, "not imported", func(m *pb.Model) { m.OpsetImport = nil }},
	{"opset of another domain only", malformed, "not imported", func(m *pb.Model) { m.OpsetImport[0].Domain = "ai.onnx.ml" }},
	{"opset twice", malformed, "imported twice", func(m *pb.Model) {
		m.OpsetImport = append(m.OpsetImport, &pb.OperatorSetId{Domain: "ai.onnx", Version: 17})
	}},
	{"functions", ok, "", func(m *pb.Model) { m.Functions = [][]byte{{}} }},
	{"training information", ok, "", func(m *pb.Model) { m.TrainingInfo = [][]byte{{}} }},
	{"sparse initializer", unsupported, "sparse", func(m *pb.Model) { m.Graph.SparseInitializer = [][]byte{{}} }},
	{"quantization", ok, "", func(m *pb.Model) { m.Graph.QuantizationAnnotation = [][]byte{{}} }},
	{"metadata property twice", malformed, `"k" occurs twice`, func(m *pb.Model) {
		m.MetadataProps = []*pb.StringStringEntry{{Key: "k"}, {Key: "k"}}
	}},

	// Inputs and outputs.
	{"graph without a name", ok, "", func(m *pb.Model) { m.Graph.Name = "" }},
	{"input without a type", ok, "", func(m *pb.Model) { m.Graph.Input[0].Type = nil }},
	{"input that is not a tensor", ok, "", func(m *pb.Model) { m.Graph.Input[0].Type.TensorType = nil }},
	{"input without a shape", ok, "", func(m *pb.Model) { m.Graph.Input[0].Type.TensorType.Shape = nil }},
	{"input without an element type", ok, "", func(m *pb.Model) { m.Graph.Input[0].Type.TensorType.ElemType = 0 }},
	{"input of integers", ok, "", func(m *pb.Model) { m.Graph.Input[0].Type.TensorType.ElemType = pb.Tensor_INT64 }},
	{"input of strings", ok, "", func(m *pb.Model) { m.Graph.Input[0].Type.TensorType.ElemType = pb.Tensor_STRING }},
	{"input of an unknown type", unsupported, "element type 99", func(m *pb.Model) { m.Graph.Input[0].Type.TensorType.ElemType = 99 }},
	{"size -1, which stands for any", ok, "", func(m *pb.Model) { inputDim(m, 0, -1) }},
	{"enormous size", malformed, "size 9223372036854775807", func(m *pb.Model) { inputDim(m, 3, math.MaxInt64) }},
	{"unknown size", ok, "", func(m *pb.Model) {
		m.Graph.Input[0].Type.TensorType.Shape.Dim[3].Value = nil
	}},
	{"batch of unknown size", ok, "", func(m *pb.Model) { m.Graph.Input[0].Type.TensorType.Shape.Dim[0].Value = nil }},
	{"fixed batch", ok, "", func(m *pb.Model) { inputDim(m, 0, 4) }},
	{"no input", malformed, `"input" is neither`, func(m *pb.Model) { m.Graph.Input = nil }},
	{"input twice", malformed, `"input" is already taken`, func(m *pb.Model) { m.Graph.Input = append(m.Graph.Input, m.Graph.Input[0]) }},
	{"input without a name", malformed, "empty", func(m *pb.Model) { m.Graph.Input[0].Name = "" }},
	{"weight listed as an input", ok, "", func(m *pb.Model) { m.Graph.Input = append(m.Graph.Input, &pb.ValueInfo{Name: "fc.bias"}) }},
	{"no output", ok, "", func(m *pb.Model) { m.Graph.Output = nil }},
	{"output that nothing makes", malformed, "no node makes it", func(m *pb.Model) { m.Graph.Output[0].Name = "x" }},
	{"output that is the input", ok, "", func(m *pb.Model) { m.Graph.Output[0].Name = "input" }},
	{"output twice", ok, "", func(m *pb.Model) { m.Graph.Output = append(m.Graph.Output, m.Graph.Output[0]) }},
	{"output without a type", ok, "", func(m *pb.Model) { m.Graph.Output[0].Type = nil }},
	{"output in half precision", ok, "", func(m *pb.Model) {
		m.Graph.Output[0].Type.TensorType.ElemType = pb.Tensor_FLOAT16
	}},

	// Nodes.
	{"no nodes", malformed, "no node makes it", func(m *pb.Model) { m.Graph.Node = nil }},
	{"operator", malformed, "Loop has no attribute body", func(m *pb.Model) { m.Graph.Node[2].OpType = "Loop" }},
	{"no operator", unsupported, `"" (in node "block1.2")`, func(m *pb.Model) { m.Graph.Node[2].OpType = "" }},
	{"domain", unsupported, `com.microsoft.Relu (in node "block1.2")`, func(m *pb.Model) { m.Graph.Node[2].Domain = "com.microsoft" }},
	{"default domain by name", ok, "", func(m *pb.Model) { m.Graph.Node[2].Domain = "ai.onnx" }},
	{"overload", ok, "", func(m *pb.Model) { m.Graph.Node[2].Overload = "f" }},
	{"node name twice", ok, "", func(m *pb.Model) { m.Graph.Node[2].Name = m.Graph.Node[0].Name }},
	{"nodes without names", ok, "", func(m *pb.Model) { m.Graph.Node[2].Name, m.Graph.Node[0].Name = "", "" }},
	{"value made twice", malformed, `"block1.0" is already taken`, func(m *pb.Model) { m.Graph.Node[2].Output[0] = "block1.0" }},
	{"value named as a weight", malformed, `"fc.bias" is already taken`, func(m *pb.Model) { m.Graph.Node[2].Output[0] = "fc.bias" }},
	{"value named as the input", malformed, `"input" is already taken`, func(m *pb.Model) { m.Graph.Node[2].Output[0] = "input" }},
	{"cycle", malformed, "what it makes itself", func(m *pb.Model) { m.Graph.Node[0].Input[0] = "block2.0" }},
	{"reads itself", malformed, "what it makes itself", func(m *pb.Model) { m.Graph.Node[2].Input[0] = "block1.2" }},
	{"reversed", ok, "", func(m *pb.Model) { slices.Reverse(m.Graph.Node) }},
	{"required input left out", malformed, "Conv has no input W", func(m *pb.Model) { m.Graph.Node[0].Input[1] = "" }},
	{"optional input left out", ok, "", func(m *pb.Model) { m.Graph.Node[0].Input[2] = "" }},
	{"too few inputs", malformed, "Conv has no input W", func(m *pb.Model) { m.Graph.Node[0].Input = m.Graph.Node[0].Input[:1] }},
	{"too many inputs", malformed, "Relu has no input 1 in opset 17", func(m *pb.Model) {
		m.Graph.Node[2].Input = append(m.Graph.Node[2].Input, "input")
	}},
	{"no output", malformed, `"block1.2" is neither`, func(m *pb.Model) { m.Graph.Node[2].Output = nil }},
	{"output left out", malformed, `"block1.2" is neither`, func(m *pb.Model) { m.Graph.Node[2].Output[0] = "" }},
	{"indices of a pool", ok, "", func(m *pb.Model) {
		m.Graph.Node[3].Output = append(m.Graph.Node[3].Output, "indices")
	}},

	// Names that would speak to a terminal.
	{"control characters in an input", ok, "", func(m *pb.Model) {
		m.Graph.Input = append(m.Graph.Input, &pb.ValueInfo{Name: "\x1b[2J"})
	}},
	{"control characters in an operator", unsupported, `"\x1b[2J"`, func(m *pb.Model) {
		m.Graph.Node[2].OpType = "\x1b[2J"
	}},
	{"control characters in a value", malformed, `\x1b[2J`, func(m *pb.Model) { m.Graph.Node[2].Input[0] = "\x1b[2J" }},
	{"control characters in a weight", unsupported, `\x1b[2J`, func(m *pb.Model) {
		m.Graph.Initializer[1].Name, m.Graph.Initializer[1].DataType = "\x1b[2J", 99
	}},
	{"control characters in an attribute", malformed, `attribute auto_pad is "\x1b[2J", not one of ["NOTSET" "SAME_UPPER" "SA`, func(m *pb.Model) {
		set(m, 0, &pb.Attribute{Name: "auto_pad", Type: pb.Attribute_STRING, S: []byte("\x1b[2J")})
	}},

	// Attributes; nodes 0, 1, 3 and 8 are Conv, BatchNormalization, MaxPool and Flatten.
	{"attribute", malformed, `Conv has no attribute "x" in opset 17`, func(m *pb.Model) { set(m, 0, &pb.Attribute{Name: "x", Type: pb.Attribute_INT}) }},
	{"attribute twice", malformed, `"pads" occurs twice`, func(m *pb.Model) {
		m.Graph.Node[0].Attribute = append(m.Graph.Node[0].Attribute, intsAttr("pads", 0, 0, 0, 0))
	}},
	{"attribute without a type", malformed, "has no type", func(m *pb.Model) { set(m, 0, &pb.Attribute{Name: "group"}) }},
	{"attribute of the wrong type", malformed, "group is FLOAT, not INT", func(m *pb.Model) {
		set(m, 0, &pb.Attribute{Name: "group", Type: pb.Attribute_FLOAT})
	}},
	{"integer for a list", malformed, "strides is INT, not INTS", func(m *pb.Model) { set(m, 0, intAttr("strides", 1)) }},
	{"integer for the kernel", malformed, "kernel_shape is INT, not INTS", func(m *pb.Model) { set(m, 0, intAttr("kernel_shape", 5)) }},
	{"floats for a list", malformed, "strides is FLOATS, not INTS", func(m *pb.Model) {
		set(m, 0, &pb.Attribute{Name: "strides", Type: pb.Attribute_FLOATS, Floats: []float32{1, 1}})
	}},
	{"graph as an attribute that is not there", malformed, "GRAPH has 0 values", func(m *pb.Model) { set(m, 0, &pb.Attribute{Name: "body", Type: pb.Attribute_GRAPH}) }},
	{"attribute of an unknown type", unsupported, "attribute type 99", func(m *pb.Model) { set(m, 0, &pb.Attribute{Name: "body", Type: 99}) }},
	{"attribute of a function", malformed, "attribute group refers to the attribute g of a function, but the node ", func(m *pb.Model) {
		set(m, 0, &pb.Attribute{Name: "group", Type: pb.Attribute_INT, RefAttrName: "g"})
	}},
	{"zero that is not spelled out", ok, "", func(m *pb.Model) { set(m, 3, &pb.Attribute{Name: "ceil_mode", Type: pb.Attribute_INT}) }},
	{"rounding up", ok, "", func(m *pb.Model) { set(m, 3, intAttr("ceil_mode", 1)) }},
	{"ceil_mode 2", ok, "", func(m *pb.Model) { set(m, 3, intAttr("ceil_mode", 2)) }},
	{"automatic padding", malformed, "the shapes [N 4] and [1 1] do not fit together", func(m *pb.Model) {
		set(m, 0, &pb.Attribute{Name: "auto_pad", Type: pb.Attribute_STRING, S: []byte("SAME_UPPER")})
	}},
	{"training mode", ok, "", func(m *pb.Model) { set(m, 1, intAttr("training_mode", 1)) }},
	{"epsilon is not a number", ok, "", func(m *pb.Model) {
		set(m, 1, &pb.Attribute{Name: "epsilon", Type: pb.Attribute_FLOAT, F: proto.Float32(float32(math.NaN()))})
	}},
	{"kernel that the weights do not have", malformed, "kernel_shape is [3 3], but the weights have [5 5]", func(m *pb.Model) {
		set(m, 0, intsAttr("kernel_shape", 3, 3))
	}},
	{"no kernel, but weights", ok, "", func(m *pb.Model) { unset(m, 0, "kernel_shape") }},
	{"no kernel for a pool", malformed, "kernel [], strides [2 2], dilations [1 1] and pads [0 0 0 0] for an im", func(m *pb.Model) { unset(m, 3, "kernel_shape") }},
	{"no kernel for weights without axes", malformed, "the shapes [N 1 16 16] and [1 1] do not fit together", func(m *pb.Model) {
		unset(m, 0, "kernel_shape")
		m.Graph.Node[0].Input[1] = "fc.weight"
	}},
	{"kernel without axes", malformed, "kernel [], strides [2 2], dilations [1 1] and pads [0 0 0 0] for an im", func(m *pb.Model) { set(m, 3, intsAttr("kernel_shape")) }},
	{"empty kernel", malformed, "kernel [2 0], strides [2 2] and dilations [1 1] must be from 1 to 1677", func(m *pb.Model) { set(m, 3, intsAttr("kernel_shape", 2, 0)) }},
	{"stride 0", malformed, "kernel [2 2], strides [2 0] and dilations [1 1] must be from 1 to 1677", func(m *pb.Model) { set(m, 3, intsAttr("strides", 2, 0)) }},
	{"enormous stride", malformed, "kernel [2 2], strides [2 9223372036854775807] and dilations [1 1] must", func(m *pb.Model) { set(m, 3, intsAttr("strides", 2, math.MaxInt64)) }},
	{"negative pads", malformed, "the kernel [2] with dilations [1] is larger than the image [1] with pa", func(m *pb.Model) { set(m, 3, intsAttr("pads", 0, 0, 0, -1)) }},
	{"pads of too few axes", malformed, "kernel [2 2], strides [2 2], dilations [1 1] and pads [0 0] for an ima", func(m *pb.Model) { set(m, 3, intsAttr("pads", 0, 0)) }},
	{"strides of too many axes", malformed, "kernel [2 2], strides [1 1 1], dilations [1 1] and pads [0 0 0 0] for ", func(m *pb.Model) { set(m, 3, intsAttr("strides", 1, 1, 1)) }},
	{"groups of none", malformed, "the shapes [N 1 16 16] and [1 1 5 5] do not fit together", func(m *pb.Model) { set(m, 0, intAttr("group", 0)) }},
	{"axis from the end", ok, "", func(m *pb.Model) { set(m, 8, intAttr("axis", -3)) }},

	// Initializers; number 1 is block1.0.bias with one element.
	{"initializer without a name", malformed, "no name", func(m *pb.Model) { m.Graph.Initializer[1].Name = "" }},
	{"initializer twice", malformed, `"fc.bias" occurs twice`, func(m *pb.Model) { m.Graph.Initializer[1].Name = "fc.bias" }},
	{"initializer gone", malformed, `"block1.0.bias" is neither`, func(m *pb.Model) {
		m.Graph.Initializer = slices.Delete(m.Graph.Initializer, 1, 2)
	}},
	{"initializer that nothing reads", ok, "", func(m *pb.Model) {
		m.Graph.Initializer = append(m.Graph.Initializer, &pb.Tensor{Name: "x", DataType: pb.Tensor_INT64, Int64Data: []int64{-1, 1}, Dims: []int64{2}})
	}},
	{"empty initializer", ok, "", func(m *pb.Model) {
		m.Graph.Initializer = append(m.Graph.Initializer, &pb.Tensor{Name: "x", DataType: pb.Tensor_BOOL, Dims: []int64{0}})
	}},
	{"negative dimension", malformed, "shape [-1]", func(m *pb.Model) { m.Graph.Initializer[1].Dims = []int64{-1} }},
	{"two negative dimensions", malformed, "shape [-1 -1]", func(m *pb.Model) { m.Graph.Initializer[1].Dims = []int64{-1, -1} }},
	{"product that wraps to 0", malformed, "more elements than an int", func(m *pb.Model) {
		m.Graph.Initializer[1].Dims = []int64{1 << 32, 1 << 32}
	}},
	{"bytes that wrap to 4", malformed, "more bytes than an int", func(m *pb.Model) { m.Graph.Initializer[1].Dims = []int64{1<<62 + 1} }},
	{"strides that overflow beside a 0", malformed, "initializer block1.0.bias", func(m *pb.Model) {
		t := m.Graph.Initializer[1]
		t.Dims, t.RawData = []int64{0, 1 << 62, 3}, nil
	}},
	{"a terabyte declared", malformed, "but there are 4 bytes", func(m *pb.Model) { m.Graph.Initializer[1].Dims = []int64{1 << 38} }},
	{"too little data", malformed, "but there are 3 bytes", func(m *pb.Model) { m.Graph.Initializer[1].RawData = make([]byte, 3) }},
	{"too much data", malformed, "but there are 8 bytes", func(m *pb.Model) { m.Graph.Initializer[1].RawData = make([]byte, 8) }},
	{"half an element too much", malformed, "but there are 6 bytes", func(m *pb.Model) { m.Graph.Initializer[1].RawData = make([]byte, 6) }},
	{"no data", malformed, "but there are 0 bytes", func(m *pb.Model) { m.Graph.Initializer[1].RawData = nil }},
	{"typed data", ok, "", func(m *pb.Model) {
		m.Graph.Initializer[1].RawData, m.Graph.Initializer[1].FloatData = nil, []float32{1}
	}},
	{"too much typed data", malformed, "but there are 8 bytes", func(m *pb.Model) {
		m.Graph.Initializer[1].RawData, m.Graph.Initializer[1].FloatData = nil, []float32{1, 2}
	}},
	{"raw and typed data", malformed, "two sets", func(m *pb.Model) { m.Graph.Initializer[1].FloatData = []float32{1} }},
	{"two kinds of typed data", malformed, "two sets", func(m *pb.Model) {
		t := m.Graph.Initializer[1]
		t.RawData, t.FloatData, t.Int64Data = nil, []float32{1}, []int64{1}
	}},
	{"typed data of another type", malformed, "the list of another type", func(m *pb.Model) {
		m.Graph.Initializer[1].RawData, m.Graph.Initializer[1].Int64Data = nil, []int64{1}
	}},
	{"float16 without elements", malformed, "but there are 0 bytes", func(m *pb.Model) {
		m.Graph.Initializer[1].RawData, m.Graph.Initializer[1].DataType = nil, pb.Tensor_FLOAT16
	}},
	{"weight in float64", ok, "", func(m *pb.Model) {
		m.Graph.Initializer[1].RawData, m.Graph.Initializer[1].DataType = make([]byte, 8), pb.Tensor_DOUBLE
	}},
	{"weight of integers", ok, "", func(m *pb.Model) { m.Graph.Initializer[1].DataType = pb.Tensor_INT32 }},
	{"weight of strings", unsupported, "holds strings", func(m *pb.Model) { m.Graph.Initializer[1].DataType = pb.Tensor_STRING }},
	{"weight without a type", malformed, "no element type", func(m *pb.Model) { m.Graph.Initializer[1].DataType = 0 }},
	{"external data that a flag does not announce", ok, "", func(m *pb.Model) {
		m.Graph.Initializer[1].ExternalData = [][]byte{{}}
	}},
	{"external data and raw data", malformed, "in the model and in another file", func(m *pb.Model) { m.Graph.Initializer[1].DataLocation = 1 }},
	{"external data without a location", malformed, "no location", func(m *pb.Model) { outside(m) }},
	{"external data where there is none", unsupported, `"block1.0.bias" is in another file, "x"`, func(m *pb.Model) { outside(m, "location", "x") }},
	{"external data above the folder", malformed, "not a path inside", func(m *pb.Model) { outside(m, "location", "a/../../x") }},
	{"external data at the root", malformed, "not a path inside", func(m *pb.Model) { outside(m, "location", "/etc/passwd") }},
	{"external data in another way of writing", malformed, "not a path inside", func(m *pb.Model) { outside(m, "location", `..\x`) }},
	{"external data on a drive", malformed, "not a path inside", func(m *pb.Model) { outside(m, "location", "C:x") }},
	{"external data with a key twice", malformed, `"location" twice`, func(m *pb.Model) { outside(m, "location", "x", "location", "y") }},
	{"segment", unsupported, "segments", func(m *pb.Model) { m.Graph.Initializer[1].Segment = []byte{} }},
}

// outside puts the elements of an initializer into another file.
func outside(m *pb.Model, pairs ...string) {
	t := m.Graph.Initializer[1]
	t.RawData, t.DataLocation = nil, 1
	for i := 0; i < len(pairs); i += 2 {
		e := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), pairs[i])
		t.ExternalData = append(t.ExternalData, protowire.AppendString(protowire.AppendTag(e, 2, protowire.BytesType), pairs[i+1]))
	}
}

func inputDim(m *pb.Model, axis int, size int64) {
	m.Graph.Input[0].Type.TensorType.Shape.Dim[axis].Value = &pb.Shape_Dimension_DimValue{DimValue: size}
}

func intAttr(name string, v int64) *pb.Attribute {
	return &pb.Attribute{Name: name, Type: pb.Attribute_INT, I: &v}
}

func intsAttr(name string, v ...int64) *pb.Attribute {
	return &pb.Attribute{Name: name, Type: pb.Attribute_INTS, Ints: v}
}

func unset(m *pb.Model, node int, name string) {
	n := m.Graph.Node[node]
	n.Attribute = slices.DeleteFunc(n.Attribute, func(a *pb.Attribute) bool { return a.Name == name })
}

// set replaces an attribute or adds it.
func set(m *pb.Model, node int, a *pb.Attribute) {
	unset(m, node, a.Name)
	m.Graph.Node[node].Attribute = append(m.Graph.Node[node].Attribute, a)
}

// patched returns the bytes of a good model after a patch.
func patched(t testing.TB, good []byte, patch func(*pb.Model)) []byte {
	t.Helper()
	m := &pb.Model{}
	if err := proto.Unmarshal(good, m); err != nil {
		t.Fatal(err)
	}
	patch(m)
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecodePatched(t *testing.T) {
	g, sd := lenet(tiny)
	good := encode(t, g, sd, onnxio.EncodeOptions{})
	for _, p := range patches {
		_, _, _, err := decode(patched(t, good, p.patch))
		if class(err) != p.expect || err != nil && !strings.Contains(err.Error(), p.text) {
			t.Errorf("%s: %s, %v; want %s, %q", p.name, class(err), err, p.expect, p.text)
		}
		if err != nil && strings.ContainsRune(err.Error(), 0x1b) {
			t.Errorf("%s: the error %q holds a control character", p.name, err)
		}
	}
}

// deepGroup opens n groups of an unknown field inside each other.
func deepGroup(n int) []byte {
	return append(bytes.Repeat([]byte{99<<3&0x7f | 0x80 | 3, 99 >> 4}, n), bytes.Repeat([]byte{99<<3&0x7f | 0x80 | 4, 99 >> 4}, n)...)
}

// rawBytes are files that no protobuf library would write.
func rawBytes(good []byte) []struct {
	name   string
	expect string
	b      []byte
} {
	node := protowire.AppendTag(nil, 1, protowire.BytesType)
	graph := func(b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, 7, protowire.BytesType), b)
	}
	return []struct {
		name   string
		expect string
		b      []byte
	}{
		{"empty", malformed, nil},
		{"zip", malformed, []byte("PK\x03\x04\x00\x00\x00\x00")},
		{"text", malformed, []byte("ir_version: 8\n")},
		{"zeros", malformed, make([]byte, 100)},
		{"last byte missing", malformed, good[:len(good)-1]},
		{"one byte too many", malformed, append(slices.Clone(good), 0)},
		{"the model twice merges to names that occur twice", malformed, append(slices.Clone(good), good...)},
		{"unknown field at the end", ok, append(slices.Clone(good), 0xf8, 0x7f, 1)},
		{"unknown groups, deep", ok, append(slices.Clone(good), deepGroup(1000)...)},
		{"unknown groups, deeper than protobuf goes", malformed, append(slices.Clone(good), deepGroup(100000)...)},
		{"length beyond the file", malformed, []byte{0x3a, 0xff, 0xff, 0xff, 0xff, 0x07}},
		{"length beyond int64", malformed, []byte{0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}},
		{"varint without end", malformed, bytes.Repeat([]byte{0xff}, 20)},
		{"field number 0", malformed, []byte{0x00, 0x00}},
		{"reserved wire type", malformed, []byte{0x0f}},
		{"graph that is a number", malformed, []byte{0x38, 0x01}},
		{"documentation that is not UTF-8", ok, append(slices.Clone(good), 0x12, 0x01, 0xff)},
		{"packed list cut inside a number", malformed, append(slices.Clone(good), graph([]byte{0x2a, 0x03, 0x0a, 0x01, 0x80})...)},
		{"a million nodes of two bytes", limited, graph(bytes.Repeat(append(node, 0), 1<<20))},
		{"a million dimensions of one byte", limited, graph(protowire.AppendBytes([]byte{0x2a}, protowire.AppendBytes([]byte{0x0a}, make([]byte, 1<<20))))},
	}
}

func TestDecodeRawBytes(t *testing.T) {
	g, sd := lenet(tiny)
	for _, c := range rawBytes(encode(t, g, sd, onnxio.EncodeOptions{})) {
		if _, _, _, err := decode(c.b); class(err) != c.expect {
			t.Errorf("%s: %s, %v; want %s", c.name, class(err), err, c.expect)
		}
	}
}

// No prefix of a good file is a good file.
func TestDecodeTruncated(t *testing.T) {
	g, sd := lenet(tiny)
	good := encode(t, g, sd, onnxio.EncodeOptions{})
	for n := range good {
		if _, _, _, err := decode(good[:n]); class(err) != malformed {
			t.Fatalf("%d of %d bytes: %v", n, len(good), err)
		}
	}
}

func TestDecodeLimits(t *testing.T) {
	g, sd := lenet(tiny)
	b := encode(t, g, sd, onnxio.EncodeOptions{})
	for _, c := range []struct {
		name   string
		limits onnxio.Limits
		expect string
	}{
		{"just enough bytes", onnxio.Limits{Bytes: int64(len(b))}, ok},
		{"one byte less", onnxio.Limits{Bytes: int64(len(b)) - 1}, limited},
		{"few fields", onnxio.Limits{Memory: 2560}, limited},
	} {
		_, err := onnxio.Decode(bytes.NewReader(b), int64(len(b)), onnxio.Options{Limits: c.limits})
		if class(err) != c.expect {
			t.Errorf("%s: %v, want %s", c.name, err, c.expect)
		}
	}
}

type brokenReader struct{}

func (brokenReader) ReadAt([]byte, int64) (int, error) { return 0, errFull }

func TestDecodeReader(t *testing.T) {
	if _, err := onnxio.Decode(brokenReader{}, 10, onnxio.Options{}); !errors.Is(err, errFull) {
		t.Errorf("error %v, want the reader's", err)
	}
	g, sd := lenet(tiny)
	good := encode(t, g, sd, onnxio.EncodeOptions{})
	for _, size := range []int64{-1, int64(len(good)) + 1, math.MaxInt32} {
		_, err := onnxio.Decode(bytes.NewReader(good), size, onnxio.Options{})
		if class(err) != malformed || !strings.Contains(err.Error(), fmt.Sprintf("of %d bytes", size)) {
			t.Errorf("%d bytes announced, %d there: %v", size, len(good), err)
		}
	}
}

// What a file costs is in proportion to its size, whatever it declares.
func TestDecodeAllocates(t *testing.T) {
	g, sd := lenet(tiny)
	for _, c := range rawBytes(encode(t, g, sd, onnxio.EncodeOptions{})) {
		before := vectors.Allocated()
		_, _, _, _ = decode(c.b)
		if got, most := vectors.Allocated()-before, uint64(1<<20+8*len(c.b)); got > most {
			t.Errorf("%s: %d bytes in the file, %d allocated, more than %d", c.name, len(c.b), got, most)
		}
	}
}

// What Decode accepts can be written and read again as the same network, or is
// an error that says why not.
func FuzzDecode(f *testing.F) {
	g, sd := lenet(tiny)
	good := encode(f, g, sd, onnxio.EncodeOptions{Props: map[string]string{"k": "v"}})
	for _, p := range patches {
		f.Add(patched(f, good, p.patch))
	}
	for _, c := range rawBytes(good) {
		if len(c.b) < 1<<14 {
			f.Add(c.b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		g, sd, meta, err := decode(b)
		if err != nil {
			if class(err) == "untyped" {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		var out bytes.Buffer
		opts := onnxio.EncodeOptions{Opset: meta.Opset, ProducerVersion: meta.ProducerVersion, DocString: meta.DocString, Props: meta.Props}
		if err := onnxio.Encode(&out, g, sd, opts); class(err) != ok {
			if class(err) == "untyped" {
				t.Fatalf("what was read cannot be written: %v", err)
			}
			return // such as opsets before 13
		}
		g2, sd2, meta2, err := decode(out.Bytes())
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		var again bytes.Buffer
		if err := onnxio.Encode(&again, g2, sd2, opts); err != nil || !bytes.Equal(again.Bytes(), out.Bytes()) || len(g.Nodes) != len(g2.Nodes) {
			t.Fatalf("graph\n%+v\nbecame\n%+v, %v", g, g2, err)
		}
		sameBits(t, sd2, sd, sd2.Names())
		meta2.Producer, meta2.IRVersion = meta.Producer, meta.IRVersion
		if !reflect.DeepEqual(meta, meta2) {
			t.Fatalf("metadata %+v became %+v", meta, meta2)
		}
	})
}
