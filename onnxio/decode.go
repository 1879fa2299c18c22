package onnxio

import (
	"cmp"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"lethe/graph"
	"lethe/model"
	"lethe/onnxio/internal/pb"
)

// DecodeOptions are the caller's part in reading.
type DecodeOptions struct {
	Limits Limits
}

// Limits bound what reading a file may cost; zero means the default. The sizes
// of tensors need no limit: their bytes must be in the file.
type Limits struct {
	Bytes  int64 // size of the file; default 2 GiB - 1, protobuf's own limit
	Fields int   // protobuf fields, each a few hundred bytes in memory at most; default 2^18
}

func (l Limits) orDefault() Limits {
	if l.Bytes == 0 {
		l.Bytes = maxFile
	}
	if l.Fields == 0 {
		l.Fields = 1 << 18
	}
	return l
}

// Metadata is what a file says beyond the network itself.
type Metadata struct {
	IRVersion       int // of the file format
	Opset           int // of the default operator set
	Producer        string
	ProducerVersion string
	DocString       string
	Props           map[string]string // nil if there are none
}

// Decode reads an ONNX model. The graph has the semantics of [graph.DefaultOpset]
// whatever the file's opset, every input and output has a shape, and no axis
// but the first has a symbol for a size. The state dict holds all initializers, used
// or not, in the order of the file; it keeps their bytes in memory. An
// initializer that is also listed as an input of the graph is a weight, not an
// input.
//
// The file may be hostile: its size and structure are checked against limits
// before anything is allocated for it. What is dropped is documentation,
// shapes of intermediate values, and attributes that do not affect inference.
func Decode(r io.ReaderAt, size int64, opts DecodeOptions) (*graph.Graph, *model.StateDict, *Metadata, error) {
	m, err := parse(r, size, opts.Limits.orDefault())
	if err != nil {
		return nil, nil, nil, err
	}
	meta, err := decodeHead(m)
	if err != nil {
		return nil, nil, nil, err
	}
	sd, err := decodeInitializers(m.Graph)
	if err != nil {
		return nil, nil, nil, err
	}
	g, err := decodeGraph(m.Graph, sd)
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := check(g, sd)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, name := range c.weights {
		if dtype := sd.Get(name).DType(); dtype != model.Float32 {
			return nil, nil, nil, &model.UnsupportedError{
				What:   fmt.Sprintf("initializer %q of type %v", name, dtype),
				Advice: "networks compute in float32",
			}
		}
	}
	return c.Graph, sd, meta, nil
}

// parse reads the bytes and turns them into messages.
func parse(r io.ReaderAt, size int64, limits Limits) (*pb.Model, error) {
	if size > limits.Bytes {
		return nil, &model.LimitError{What: "size of the onnx file in bytes", Got: uint64(size), Limit: uint64(limits.Bytes)}
	}
	b, err := io.ReadAll(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, fmt.Errorf("read onnx: %w", err)
	}
	if int64(len(b)) != size {
		return nil, broken("", "the file ends after %d of %d bytes", len(b), size)
	}
	m := &pb.Model{}
	s := scanner{limit: limits.Fields}
	if err := s.scan(b, 0, m.ProtoReflect().Descriptor()); err != nil {
		return nil, err
	}
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, m); err != nil {
		return nil, broken("", "%v", err)
	}
	return m, nil
}

// scanner walks over encoded messages before they are decoded, because decoding
// allocates: an empty message takes two bytes in a file and hundreds in memory.
// The messages do not nest without end, see lethe_onnx.proto.
type scanner struct {
	fields, limit int
}

func (s *scanner) scan(b []byte, offset int64, message protoreflect.MessageDescriptor) error {
	for len(b) > 0 {
		num, wire, tag := protowire.ConsumeTag(b)
		if tag < 0 {
			return brokenAt(offset, "no whole protobuf field begins here: %v", protowire.ParseError(tag))
		}
		size := protowire.ConsumeFieldValue(num, wire, b[tag:])
		if size < 0 {
			return brokenAt(offset, "no whole protobuf field begins here: %v", protowire.ParseError(size))
		}
		s.fields++
		if fd := message.Fields().ByNumber(num); fd != nil && wire == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(b[tag:])
			switch fd.Kind() {
			case protoreflect.MessageKind:
				if err := s.scan(value, offset+int64(tag+size-len(value)), fd.Message()); err != nil {
					return err
				}
			case protoreflect.Int64Kind: // packed: as many as one per byte
				s.fields += len(value)
			}
		}
		if s.fields > s.limit {
			return &model.LimitError{What: "number of protobuf fields in the onnx file", Got: uint64(s.fields), Limit: uint64(s.limit)}
		}
		b = b[tag+size:]
		offset += int64(tag + size)
	}
	return nil
}

func decodeHead(m *pb.Model) (*Metadata, error) {
	if m.Graph == nil {
		return nil, broken("", "the model has no graph")
	}
	if m.IrVersion < minIR || m.IrVersion > maxIR {
		return nil, &model.UnsupportedError{
			What:   fmt.Sprintf("onnx file format (IR) version %d", m.IrVersion),
			Advice: fmt.Sprintf("versions %d to %d are supported", minIR, maxIR),
		}
	}
	for _, refused := range []struct {
		what  string
		found [][]byte
	}{
		{"functions", m.Functions},
		{"training information", m.TrainingInfo},
		{"sparse initializers", m.Graph.SparseInitializer},
		{"annotations of quantized values", m.Graph.QuantizationAnnotation},
	} {
		if len(refused.found) > 0 {
			return nil, &model.UnsupportedError{What: "an onnx model with " + refused.what}
		}
	}
	meta := &Metadata{IRVersion: int(m.IrVersion), Producer: m.ProducerName, ProducerVersion: m.ProducerVersion, DocString: m.DocString}
	for _, set := range m.OpsetImport {
		if !defaultDomain(set.Domain) {
			continue // a node that uses another one is refused
		}
		if meta.Opset != 0 {
			return nil, broken("", "the default operator set is imported twice")
		}
		if err := checkOpset(set.Version); err != nil {
			return nil, err
		}
		meta.Opset = int(set.Version)
	}
	if meta.Opset == 0 {
		return nil, broken("", "the default operator set is not imported")
	}
	for _, p := range m.MetadataProps {
		if _, dup := meta.Props[p.Key]; dup {
			return nil, broken("", "metadata property %q occurs twice", p.Key)
		}
		if meta.Props == nil {
			meta.Props = map[string]string{}
		}
		meta.Props[p.Key] = p.Value
	}
	return meta, nil
}

// defaultDomain tells whether a domain is that of ONNX's own operators.
func defaultDomain(domain string) bool { return domain == "" || domain == "ai.onnx" }

func decodeInitializers(g *pb.Graph) (*model.StateDict, error) {
	entries := make([]model.Entry, 0, len(g.Initializer))
	for _, t := range g.Initializer {
		if t.Name == "" {
			return nil, broken("", "an initializer has no name")
		}
		tensor, err := decodeTensor(t)
		if err != nil {
			return nil, err
		}
		entries = append(entries, model.Entry{Name: t.Name, Tensor: tensor})
	}
	return model.NewStateDict(entries...)
}

func decodeGraph(g *pb.Graph, sd *model.StateDict) (*graph.Graph, error) {
	out := &graph.Graph{Name: g.Name}
	for _, v := range g.Input {
		if sd.Get(v.Name) != nil {
			continue
		}
		value, err := decodeValue(v, "input "+v.Name)
		if err != nil {
			return nil, err
		}
		out.Inputs = append(out.Inputs, value)
	}
	for _, v := range g.Output {
		value, err := decodeValue(v, "output "+v.Name)
		if err != nil {
			return nil, err
		}
		out.Outputs = append(out.Outputs, value)
	}
	for _, n := range g.Node {
		node, err := decodeNode(n)
		if err != nil {
			return nil, err
		}
		out.Nodes = append(out.Nodes, node)
	}
	return out, nil
}

func decodeValue(v *pb.ValueInfo, member string) (graph.Value, error) {
	tensor := v.GetType().GetTensorType()
	if tensor == nil || tensor.Shape == nil {
		return graph.Value{}, &model.UnsupportedError{
			What:   fmt.Sprintf("%q is no tensor of a known shape", member),
			Advice: "onnx.shape_inference can add a shape that is missing",
		}
	}
	dtype, err := decodeDType(tensor.ElemType, member)
	if err != nil {
		return graph.Value{}, err
	}
	shape := make(graph.Shape, len(tensor.Shape.Dim))
	for i, d := range tensor.Shape.Dim {
		size, known := d.Value.(*pb.Shape_Dimension_DimValue)
		if !known {
			shape[i] = graph.Symbol(cmp.Or(d.GetDimParam(), fmt.Sprintf("%s.%d", v.Name, i)))
			continue
		}
		if size.DimValue < 0 || size.DimValue > large {
			return graph.Value{}, broken(member, "axis %d has the size %d, outside 0 to %d", i, size.DimValue, large)
		}
		shape[i] = graph.Size(int(size.DimValue))
	}
	return graph.TensorValue(v.Name, dtype, shape), nil
}

func decodeNode(n *pb.Node) (graph.Node, error) {
	out := graph.Node{Name: n.Name, Op: n.OpType, Inputs: n.Input, Outputs: n.Output}
	if !defaultDomain(n.Domain) || n.Overload != "" {
		return out, &model.UnsupportedError{What: fmt.Sprintf("operator %q of domain %q, overload %q (node %q)", n.OpType, n.Domain, n.Overload, n.Name)}
	}
	for _, a := range n.Attribute {
		if _, dup := out.Attrs[a.Name]; dup {
			return out, broken(nodeName(&out), "attribute %q occurs twice", a.Name)
		}
		if a.RefAttrName != "" {
			return out, &model.UnsupportedError{What: fmt.Sprintf("attribute %q of node %q refers to a function's attribute", a.Name, n.Name)}
		}
		var value graph.Attr
		switch a.Type { // the value's own field may be missing where it is zero
		case pb.Attribute_INT:
			value = graph.Int(a.GetI())
		case pb.Attribute_FLOAT:
			value = graph.Float(a.GetF())
		case pb.Attribute_STRING:
			value = graph.String(string(a.S))
		case pb.Attribute_INTS:
			value = graph.Ints(a.Ints...)
		case pb.Attribute_FLOATS:
			value = graph.Floats(a.Floats...)
		case pb.Attribute_UNDEFINED:
			return out, broken(nodeName(&out), "attribute %q has no type", a.Name)
		default:
			return out, &model.UnsupportedError{What: fmt.Sprintf("attribute %q of %q %q of type %v", a.Name, n.OpType, n.Name, a.Type)}
		}
		if out.Attrs == nil {
			out.Attrs = graph.Attrs{}
		}
		out.Attrs[a.Name] = value
	}
	return out, nil
}
