package onnxio

import (
	"fmt"

	"lethe/graph"
	"lethe/model"
)

// Limits bound what reading a file may cost; zero means the default. The sizes
// of tensors need no limit: their bytes must be in the file.
type Limits struct {
	Bytes  int64 // size of the file; default 2 GiB - 1, protobuf's own limit
	Memory int   // bytes that the structure may take, reckoned as 256 for each protobuf field; default 256 MiB
}

func (l Limits) orDefault() Limits {
	if l.Bytes == 0 {
		l.Bytes = maxFile
	}
	if l.Memory == 0 {
		l.Memory = 256 << 20
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

// defaultDomain reports whether a domain is that of ONNX's own operators.
func defaultDomain(domain string) bool { return domain == "" || domain == "ai.onnx" }

// Network returns the graph of a network that this package can write too, see
// [Encode]: with the semantics of [graph.DefaultOpset] whatever the file's
// opset, attributes that are defaults left out, float32 weights, a shape for
// every input and output, and no symbol but for the first axis. Anything else is
// a [model.UnsupportedError]. What the graph leaves out is documentation, types
// of intermediate values, and attributes that do not affect inference.
func (f *File) Network() (*graph.Graph, error) {
	if opset := f.metadata.Opset; opset != 0 {
		if err := checkOpset(int64(opset)); err != nil {
			return nil, err
		}
	}
	full, err := f.Graph()
	if err != nil {
		return nil, err
	}
	g := &graph.Graph{Name: full.Name, Nodes: full.Nodes}
	for i := range g.Nodes {
		g.Nodes[i].Doc = ""
	}
	for _, list := range []struct {
		from []graph.Value
		to   *[]graph.Value
		kind string
	}{{full.Inputs, &g.Inputs, "input "}, {full.Outputs, &g.Outputs, "output "}} {
		for _, v := range list.from {
			v.Doc = ""
			if v.Kind != graph.TensorKind || v.Shape == nil {
				return nil, &model.UnsupportedError{
					What:   fmt.Sprintf("%q is no tensor of a known shape", list.kind+v.Name),
					Advice: "onnx.shape_inference can add a shape that is missing",
				}
			}
			*list.to = append(*list.to, v)
		}
	}
	c, err := check(g, f.state)
	if err != nil {
		return nil, err
	}
	for _, name := range c.weights {
		if dtype := f.state.Get(name).DType(); dtype != model.Float32 {
			return nil, &model.UnsupportedError{
				What:   fmt.Sprintf("initializer %q of type %v", name, dtype),
				Advice: "networks compute in float32",
			}
		}
	}
	return c.Graph, nil
}
