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

func nodeName(n *graph.Node) string { return fmt.Sprintf("node %s (%s)", n.Name, n.Op) }

// broken returns a FormatError about a part of a model.
func broken(member, format string, args ...any) error {
	return &model.FormatError{Format: "onnx", Member: member, Offset: -1, Reason: fmt.Sprintf(format, args...)}
}
