package onnxio

import (
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"lethe/model"
)

// Options say how to read a file.
type Options struct {
	Limits Limits

	// External opens a file with tensor data outside the model, at a path
	// relative to the model's folder, and returns its size. Nil means that there
	// is no such place; a model that needs one is then a
	// [model.UnsupportedError]. Paths that leave the folder by their spelling
	// are refused before; that links do not lead out of it is for External to see
	// to, as [os.Root] does.
	External func(location string) (io.ReaderAt, int64, error)
}

// File is an ONNX model as it lies in its file. It is immutable, and it reads
// tensor data on demand: what it was read from must stay open and unchanged for
// as long as the file, or a tensor of it, is in use.
type File struct {
	r        io.ReaderAt
	size     int64
	limits   Limits
	state    *model.StateDict
	weights  []*tensorProto // of the state dict, in its order
	outside  []*ExternalFile
	strings  []string // names of initializers that are strings
	metadata Metadata
	graphs   int // in the model: protobuf merges them

	located []*tensorProto    // all tensors with external data, wherever they are
	names   map[string]string // new locations, see [File.Relocate]
}

// level is a message on the wire, or a string or list in one. Where something
// inside changes its size, the lengths of all levels around it follow.
type level struct{ length, value span }

// maxDepth is how deep messages may be nested: protobuf's own libraries read no
// deeper.
const maxDepth = 100

// tensorProto is a TensorProto on the wire.
type tensorProto struct {
	path     []level // from the model to the TensorProto
	name     string
	number   uint64 // of the element type
	dims     []int
	badDims  bool // one is negative or too large for an int
	segment  bool
	raws     []span
	lists    map[int]bool // fields with typed data that are there
	packed   []level      // chunks of packed typed data
	loose    bool         // there is typed data that is not packed
	external bool         // data_location says so
	entries  []stringEntry

	// Settled by [scan.settle], of weights alone.
	t        *elementType
	n        int
	tensor   *model.Tensor
	place    *external // nil if the elements are in the model
	constant bool      // it is the value of a Constant node
}

// stringEntry is a StringStringEntryProto.
type stringEntry struct {
	key, value string
	path       []level // from the TensorProto to the value; nil if there is none
}

// scan reads the structure of a model, except what a graph computes.
type scan struct {
	w     *wire
	path  []level // from the model to where the scan is
	file  *File
	ends  map[string]bool // names of outputs of the main graph
	opens func(string) (io.ReaderAt, int64, error)
}

// Decode reads the structure of a model of any operators, opsets and element
// types; tensor data stays in r and in the files outside. Broken bytes are a
// [model.FormatError], sparse initializers a [model.UnsupportedError], excesses
// a [model.LimitError].
func Decode(r io.ReaderAt, size int64, opts Options) (*File, error) {
	limits := opts.Limits.orDefault()
	if size > limits.Bytes {
		return nil, &model.LimitError{What: "size of the onnx file in bytes", Got: uint64(size), Limit: uint64(limits.Bytes)}
	}
	if size < 0 {
		return nil, brokenAt(0, "a file of %d bytes", size)
	}
	f := &File{r: r, size: size, limits: limits}
	s := scan{w: &wire{r: r, size: size, limit: limits.Memory / fieldMemory}, file: f, ends: map[string]bool{}, opens: opts.External}
	if err := s.model(); err != nil {
		return nil, err
	}
	if f.graphs == 0 {
		return nil, broken("", "the model has no graph")
	}
	f.weights = slices.DeleteFunc(f.weights, func(t *tensorProto) bool {
		if !t.constant && t.number == typeString {
			f.strings = append(f.strings, t.name)
		}
		return t.number == typeString || t.constant && !s.isWeight(t)
	})
	slices.SortStableFunc(f.weights, func(a, b *tensorProto) int { // initializers first
		switch {
		case a.constant == b.constant:
			return 0
		case b.constant:
			return -1
		}
		return 1
	})
	if err := s.locate(); err != nil {
		return nil, err
	}
	entries := make([]model.Entry, 0, len(f.weights))
	for _, t := range f.weights {
		if err := s.settle(t); err != nil {
			return nil, err
		}
		entries = append(entries, model.Entry{Name: t.name, Tensor: t.tensor})
	}
	var err error
	f.state, err = model.NewStateDict(entries...)
	return f, err
}

// isWeight reports whether the tensor of a Constant node can be a weight: real
// numbers along at least one axis that another node reads.
func (s *scan) isWeight(t *tensorProto) bool {
	return !s.ends[t.name] && len(t.dims) > 0 && t.number < uint64(len(elementTypes)) && elementTypes[t.number].dtype.IsFloat()
}

// walk calls visit for every field of a message that is itself a field.
func (s *scan) walk(message field, visit func(field) error) error {
	if len(s.path) > maxDepth {
		return &model.LimitError{What: "nesting depth of protobuf messages", Got: maxDepth + 1, Limit: maxDepth}
	}
	s.path = append(s.path, level{message.length, message.value})
	defer func() { s.path = s.path[:len(s.path)-1] }()
	return s.w.each(message.value, visit)
}

func (s *scan) text(f field) (string, error) {
	b, err := s.w.bytes(f.value)
	return string(b), err
}

// is reports whether a field has the number and is a message or a string.
func is(number int, f field) bool { return f.number == number && f.wire == wireBytes }

// Numbers of the fields of the messages around tensors.
const (
	modelGraph     = 7
	modelOpsets    = 8
	modelTraining  = 20
	modelFunctions = 25
	functionNode   = 7
	functionAttr   = 11
	graphNode      = 1
	graphWeights   = 5
	graphOutput    = 12
	graphSparse    = 15
	nodeOutput     = 2
	nodeOp         = 4
	nodeAttr       = 5
	nodeDomain     = 7
	attrName       = 1
	attrTensor     = 5
	attrGraph      = 6
	attrTensors    = 10
	attrGraphs     = 11
	attrSparse     = 22
	attrSparses    = 23
)

func (s *scan) model() error {
	return s.walk(field{value: span{0, s.w.size}}, func(f field) error {
		switch {
		case is(modelGraph, f):
			s.file.graphs++
			return s.graph(f, true)
		case is(modelTraining, f):
			return s.walk(f, func(f field) error {
				if is(1, f) || is(2, f) {
					return s.graph(f, false)
				}
				return nil
			})
		case is(modelFunctions, f):
			return s.walk(f, func(f field) error {
				switch {
				case is(functionNode, f):
					return s.node(f, false)
				case is(functionAttr, f):
					_, _, err := s.attribute(f)
					return err
				}
				return nil
			})
		}
		return s.file.metadata.read(s, f)
	})
}

// graph reads a graph; main says that it is the model's own.
func (s *scan) graph(message field, main bool) error {
	return s.walk(message, func(f field) error {
		switch {
		case is(graphNode, f):
			return s.node(f, main)
		case is(graphWeights, f):
			t, err := s.tensor(f)
			if err == nil && main {
				if t.name == "" || !utf8.ValidString(t.name) {
					return broken("", "an initializer has no name, or one that is not UTF-8: %q", t.name)
				}
				s.file.weights = append(s.file.weights, t)
			}
			return err
		case is(graphSparse, f):
			name, err := s.sparse(f)
			if err == nil && main {
				err = &model.UnsupportedError{What: fmt.Sprintf("initializer %q is sparse", name), Advice: "save the model with dense initializers"}
			}
			return err
		case is(graphOutput, f) && main:
			return s.walk(f, func(f field) error {
				if is(1, f) {
					name, err := s.text(f)
					s.ends[name] = true
					return err
				}
				return nil
			})
		}
		return nil
	})
}

func (s *scan) node(message field, main bool) error {
	var op, domain string
	var outputs int
	var output string
	var constant *tensorProto
	err := s.walk(message, func(f field) (err error) {
		switch {
		case is(nodeAttr, f):
			name, t, err := s.attribute(f)
			if name == "value" && t != nil {
				constant = t
			}
			return err
		case !main:
		case is(nodeOp, f):
			op, err = s.text(f)
		case is(nodeDomain, f):
			domain, err = s.text(f)
		case is(nodeOutput, f):
			if outputs++; outputs == 1 {
				output, err = s.text(f)
			}
		}
		return err
	})
	if err == nil && constant != nil && op == "Constant" && defaultDomain(domain) && output != "" && utf8.ValidString(output) {
		constant.name, constant.constant = output, true
		s.file.weights = append(s.file.weights, constant)
	}
	return err
}

// attribute reads an attribute and returns its name and its tensor, if it is
// one.
func (s *scan) attribute(message field) (name string, t *tensorProto, err error) {
	err = s.walk(message, func(f field) (err error) {
		switch {
		case is(attrName, f):
			name, err = s.text(f)
		case is(attrTensor, f):
			t, err = s.tensor(f)
		case is(attrTensors, f):
			_, err = s.tensor(f)
		case is(attrGraph, f), is(attrGraphs, f):
			err = s.graph(f, false)
		case is(attrSparse, f), is(attrSparses, f):
			_, err = s.sparse(f)
		}
		return err
	})
	return name, t, err
}

// sparse reads a SparseTensorProto and returns its name, which is that of its
// values.
func (s *scan) sparse(message field) (name string, err error) {
	err = s.walk(message, func(f field) error {
		if !is(1, f) && !is(2, f) {
			return nil
		}
		t, err := s.tensor(f)
		if err == nil && is(1, f) {
			name = t.name
		}
		return err
	})
	return name, err
}

// maxDims is the most dimensions that PyTorch gives a tensor; ONNX sets no
// bound.
const maxDims = 64

// tensor reads a TensorProto and judges nothing.
func (s *scan) tensor(message field) (*tensorProto, error) {
	t := &tensorProto{path: append(slices.Clone(s.path), level{message.length, message.value})}
	err := s.walk(message, func(f field) (err error) {
		switch {
		case f.number == tensorDims:
			return t.readDims(s.w, f)
		case f.number == tensorType && f.wire == wireVarint:
			t.number = f.bits
		case is(tensorSegment, f):
			t.segment = true
		case is(tensorName, f):
			t.name, err = s.text(f)
		case is(tensorRaw, f):
			t.raws = append(t.raws, f.value)
		case is(tensorStrings, f):
			t.has(tensorStrings)
		case f.number == tensorLocation && f.wire == wireVarint:
			t.external = f.bits == locationExternal
		case is(tensorExternal, f):
			var e stringEntry
			e, err = s.entry(f)
			t.entries = append(t.entries, e)
		default:
			if wire, ok := listWires[f.number]; ok {
				switch {
				case f.wire == wireBytes && f.value.len() > 0:
					t.has(f.number)
					t.packed = append(t.packed, level{f.length, f.value})
				case f.wire == wire:
					t.has(f.number)
					t.loose = true
				}
			}
		}
		return err
	})
	if err == nil && t.external {
		s.file.located = append(s.file.located, t)
	}
	return t, err
}

func (t *tensorProto) has(list int) {
	if t.lists == nil {
		t.lists = map[int]bool{}
	}
	t.lists[list] = true
}

// readDims reads dimensions, packed or not.
func (t *tensorProto) readDims(w *wire, f field) error {
	add := func(bits uint64) error {
		d, ok := toInt(bits)
		if !ok {
			t.badDims = true
		}
		if t.dims = append(t.dims, d); len(t.dims) > maxDims {
			return &model.LimitError{What: "dimensions of a tensor of the onnx file", Got: uint64(len(t.dims)), Limit: maxDims}
		}
		return nil
	}
	switch f.wire {
	case wireVarint:
		return add(f.bits)
	case wireBytes:
		for at := f.value.start; at < f.value.end; {
			bits, next, err := w.varint(at, f.value.end)
			if err == nil {
				err = add(bits)
			}
			if err != nil {
				return err
			}
			at = next
		}
	}
	return nil
}

// entry reads a StringStringEntryProto.
func (s *scan) entry(message field) (e stringEntry, err error) {
	err = s.walk(message, func(f field) (err error) {
		switch {
		case is(1, f):
			e.key, err = s.text(f)
		case is(2, f):
			e.value, err = s.text(f)
			e.path = []level{{message.length, message.value}, {f.length, f.value}}
		}
		return err
	})
	return e, err
}

// read takes what a field of the model says about it.
func (m *Metadata) read(s *scan, f field) (err error) {
	switch {
	case f.number == 1 && f.wire == wireVarint:
		m.IRVersion = int(f.bits)
	case is(2, f):
		m.Producer, err = s.text(f)
	case is(3, f):
		m.ProducerVersion, err = s.text(f)
	case is(6, f):
		m.DocString, err = s.text(f)
	case is(modelOpsets, f):
		var domain string
		var version int64
		err = s.walk(f, func(f field) (err error) {
			switch {
			case is(1, f):
				domain, err = s.text(f)
			case f.number == 2 && f.wire == wireVarint:
				version = int64(f.bits)
			}
			return err
		})
		if defaultDomain(domain) {
			m.Opset = int(version)
		}
	case is(14, f):
		var e stringEntry
		if e, err = s.entry(f); err == nil {
			if m.Props == nil {
				m.Props = map[string]string{}
			}
			if _, twice := m.Props[e.key]; twice {
				return broken("", "metadata property %q occurs twice", e.key)
			}
			m.Props[e.key] = e.value
		}
	}
	return err
}

// StateDict returns the weights: the initializers in the order of the file, and
// then the real numbers that Constant nodes hand to others, under the names of
// the nodes' outputs. Initializers that are strings are not among them.
func (f *File) StateDict() *model.StateDict { return f.state }

// Metadata returns what the file says beside the network.
func (f *File) Metadata() Metadata { return f.metadata }

// Strings returns the names of the initializers that are strings; they stay in
// the file and are not part of the state dict.
func (f *File) Strings() []string { return slices.Clone(f.strings) }
