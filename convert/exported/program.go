// Package exported reads exported programs, which torch.export.save writes into
// .pt2 archives, without PyTorch: the JSON text of the graph becomes an
// [aten.Program]. All versions of the schema from torch 2.1 on are read. The
// text is data: expressions of sizes are parsed by a fixed grammar, Python code
// (guards) is passed over, and nothing is evaluated.
package exported

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"lethe/convert/aten"
	"lethe/graph"
	"lethe/model"
)

// Source is what a .pt2 archive holds.
type Source struct {
	Member string // the name of the graph's record, for errors
	Graph  io.Reader

	// State holds parameters and saved buffers, Constants everything else that
	// the graph refers to by name: literals, attributes, other buffers.
	State, Constants *model.StateDict

	// Unpack returns the tensor in a file of torch.save: the constants of torch
	// 2.1 are such files inside the graph. It may be nil.
	Unpack func(file []byte) (*model.Tensor, error)
}

// Decode reads the program. A text that breaks the rules of its format is a
// [model.FormatError], one that is too large a [model.LimitError]. What is
// valid but cannot be converted is listed in the program.
func Decode(src Source) (*aten.Program, error) {
	r := &reader{parser: newParser(src.Graph, src.Member)}
	d, err := readDocument(r)
	if err != nil {
		return nil, err
	}
	b := &builder{reader: r, doc: d, src: src, out: &aten.Program{}}
	if d.graph.custom {
		b.unknown("a custom object", "", "export a network without custom classes")
	}
	b.listEntries()
	if err := b.program(); err != nil {
		return nil, err
	}
	b.nameBatch()
	b.out.Name = r.root
	return b.out, nil
}

// builder makes a program of a document.
type builder struct {
	*reader
	doc    *document
	src    Source
	out    *aten.Program
	values []*aten.Value
}

// listEntries lists the state dict, and which names are others of one tensor.
func (b *builder) listEntries() {
	plain := func(entry string) string { return entry }
	if b.doc.signature.old != nil {
		plain = plainName
	}
	b.out.Tied = map[string]string{}
	aliases := b.src.State.Aliases()
	for _, entry := range b.src.State.Names() {
		b.out.Entries = append(b.out.Entries, plain(entry))
		if first := aliases[entry]; first != "" {
			b.out.Tied[plain(entry)] = plain(first)
		}
	}
}

// scope holds what the names of a graph stand for.
type scope struct {
	graph   *rawGraph
	tensors map[string]*aten.Value
	opaque  map[string]bool
}

func (b *builder) unknown(what, module, advice string) {
	b.out.Unknown = append(b.out.Unknown, aten.Unknown{What: what, Module: module, Advice: advice})
}

func (b *builder) note(format string, args ...any) {
	b.out.Notes = append(b.out.Notes, fmt.Sprintf(format, args...))
}

func (b *builder) program() error {
	s := &scope{b.doc.graph, map[string]*aten.Value{}, map[string]bool{}}
	read := b.inputs
	if b.doc.signature.old != nil {
		read = b.oldInputs
	}
	if err := read(s); err != nil {
		return err
	}
	if err := b.packedConstants(s); err != nil {
		return err
	}
	if err := b.nodes(s); err != nil {
		return err
	}
	return b.outputs(s)
}

// define gives a tensor its name. A name stands for one tensor.
func (b *builder) define(s *scope, name string) (*aten.Value, error) {
	if s.tensors[name] != nil || s.opaque[name] {
		return nil, b.bad("the value %.100q is made twice", name)
	}
	m, ok := s.graph.tensors[name]
	if !ok {
		return nil, b.bad("nothing is known of the type of value %.100q", name)
	}
	if m.dtype == model.Invalid || m.dtype == model.Complex32 {
		b.unknown(fmt.Sprintf("element type %v (%d)", m.dtype, m.code), "", "convert the network to a real type first")
	}
	if !m.strided {
		b.unknown("a sparse tensor or another layout", "", "convert it to a dense tensor first")
	}
	v := &aten.Value{Name: name, DType: m.dtype, Shape: m.sizes, Scattered: m.scattered()}
	s.tensors[name] = v
	b.values = append(b.values, v)
	return v, nil
}

// scattered reports whether the elements lie in another order than that of the
// axes.
func (m meta) scattered() bool {
	if len(m.strides) != len(m.sizes) {
		return true
	}
	step := graph.Size(1)
	for i := len(m.sizes) - 1; i >= 0; i-- {
		if !m.sizes[i].Is(1) && !m.strides[i].Equal(step) {
			return true
		}
		step = step.Mul(m.sizes[i])
	}
	return false
}

// specName returns the name of the tensor that a specification is about.
func specName(v any) string {
	m, _ := v.(map[string]any)
	if inner, ok := m["as_tensor"].(map[string]any); ok {
		m = inner
	}
	name, _ := m["name"].(string)
	return name
}

func (b *builder) inputs(s *scope) error {
	if len(b.doc.signature.inputs) != len(b.doc.graph.inputs) {
		return b.bad("the graph has %d inputs, its signature %d", len(b.doc.graph.inputs), len(b.doc.signature.inputs))
	}
	for i, spec := range b.doc.signature.inputs {
		kind, value, err := b.union(spec)
		if err != nil {
			return err
		}
		m, ok := value.(map[string]any)
		if !ok {
			return b.bad("input %d of the signature is not an object", i)
		}
		name := specName(m["arg"])
		if have := specName(b.doc.graph.inputs[i]); have != name {
			return b.bad("input %d is %.100q in the graph and %.100q in the signature", i, have, name)
		}
		text := func(key string) string { t, _ := m[key].(string); return t }
		switch kind {
		case "parameter":
			err = b.weight(s, name, text("parameter_name"), false)
		case "buffer":
			persistent, known := m["persistent"].(bool)
			err = b.weight(s, name, text("buffer_name"), known && !persistent)
		case "tensor_constant":
			err = b.weight(s, name, text("tensor_constant_name"), true)
		case "user_input":
			if name == "" {
				b.unknown(fmt.Sprintf("input %d, which is a number and no tensor", i), "", "export the network with tensors as its inputs")
				continue
			}
			err = b.userInput(s, name)
		case "constant_input":
			b.note("the input %q is fixed to the value that the network was exported with", text("name"))
		default:
			b.unknown("an input of kind "+kind, "", "export the network with tensors as its inputs")
			if name != "" {
				s.opaque[name] = true
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) userInput(s *scope, name string) error {
	v, err := b.define(s, name)
	if err == nil {
		b.out.Inputs = append(b.out.Inputs, v)
	}
	return err
}

// weight binds a tensor of the graph to an entry of the state dict or to a
// constant. Whatever is not saved with the state dict is a constant.
func (b *builder) weight(s *scope, name, entry string, constant bool) error {
	v, err := b.define(s, name)
	if err != nil {
		return err
	}
	t := b.src.State.Get(entry)
	if t == nil || constant {
		if c := b.src.Constants.Get(entry); c != nil {
			t, constant = c, true
		}
	}
	if t == nil {
		return b.bad("the archive has no tensor %.100q, which the graph needs", entry)
	}
	return b.bind(v, entry, t, constant)
}

func (b *builder) bind(v *aten.Value, entry string, t *model.Tensor, constant bool) error {
	sizes, ok := v.Shape.Ints()
	if !ok || !slices.Equal(sizes, t.Shape()) || v.DType != t.DType() {
		return b.bad("%q is %v of shape %v in the archive, and %v of shape %v in the graph", entry, t.DType(), t.Shape(), v.DType, v.Shape)
	}
	if first := b.out.Tied[entry]; first != "" && !constant {
		entry = first
	}
	b.out.Weights = append(b.out.Weights, aten.Weight{Value: v, Name: entry, Tensor: t, Constant: constant})
	return nil
}

// oldInputs reads the signature of torch 2.1: maps from the graph's names.
func (b *builder) oldInputs(s *scope) error {
	group := func(key string) map[string]any { m, _ := b.doc.signature.old[key].(map[string]any); return m }
	parameters, buffers := group("inputs_to_parameters"), group("inputs_to_buffers")
	for _, in := range b.doc.graph.inputs {
		name := specName(in)
		entry, isWeight := parameters[name].(string)
		if !isWeight {
			entry, isWeight = buffers[name].(string)
		}
		if !isWeight {
			if err := b.userInput(s, name); err != nil {
				return err
			}
			continue
		}
		v, err := b.define(s, name)
		if err != nil {
			return err
		}
		t := b.src.State.Get(entry)
		if t == nil {
			return b.bad("the archive has no tensor %.100q, which the graph needs", entry)
		}
		if err := b.bind(v, plainName(entry), t, false); err != nil {
			return err
		}
	}
	return nil
}

// numbered is how torch 2.1 calls a child of a Sequential that is the network.
var numbered = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^self_(\d+)(\.|$)`) })

// plainName undoes what torch 2.1 does to the names of a state dict:
// L__self___conv1.weight, getattr_L__self___layers___0___conv1.weight,
// L__self___self_1.weight.
func plainName(s string) string {
	if rest, ok := strings.CutPrefix(s, "getattr_"); ok && strings.HasPrefix(rest, "L__self___") {
		s = rest
	}
	if rest, ok := strings.CutPrefix(s, "L__self___"); ok {
		return numbered().ReplaceAllString(strings.ReplaceAll(rest, "___", "."), "$1$2")
	}
	return s
}

// packedConstants reads the constants that torch 2.1 keeps inside the graph.
func (b *builder) packedConstants(s *scope) error {
	for _, name := range slices.Sorted(maps.Keys(b.doc.graph.constants)) {
		file, err := decodeBase64(b.doc.graph.constants[name])
		if err != nil || b.src.Unpack == nil {
			return b.bad("the constant %.100q cannot be read: %v", name, err)
		}
		t, err := b.src.Unpack(file)
		if err != nil {
			return fmt.Errorf("constant %q of the graph: %w", name, err)
		}
		if _, ok := b.doc.graph.tensors[name]; !ok {
			b.doc.graph.tensors[name] = meta{dtype: t.DType(), sizes: graph.Sizes(t.Shape()...), strided: true}
		}
		v, err := b.define(s, name)
		if err != nil {
			return err
		}
		if err := b.bind(v, name, t, true); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) outputs(s *scope) error {
	specs := b.doc.signature.outputs
	var names []any
	if old := b.doc.signature.old; old != nil {
		names, _ = old["user_outputs"].([]any)
	}
	var args []any
	for _, name := range names {
		args = append(args, map[string]any{"as_tensor": map[string]any{"name": name}})
	}
	for i, spec := range specs {
		kind, value, err := b.union(spec)
		if err != nil {
			return err
		}
		m, _ := value.(map[string]any)
		switch kind {
		case "user_output":
			args = append(args, m["arg"])
		case "buffer_mutation", "parameter_mutation", "token":
		case "user_input_mutation":
			b.note("output %d, an input that the network writes to, is left out", i)
		default:
			b.unknown("an output of kind "+kind+": the program trains", "", "export the network with torch.export.export(model.eval(), ...)")
		}
	}
	paths := outputNames(b.doc.callOut, len(args))
	for i, arg := range args {
		kind, value, err := b.union(arg)
		if err != nil {
			return err
		}
		if kind != "as_tensor" {
			b.note("output %q is not a tensor (%s) and is left out", paths[i], strings.TrimPrefix(kind, "as_"))
			continue
		}
		v, err := b.tensor(s, value)
		if err != nil {
			return err
		}
		b.out.Outputs = append(b.out.Outputs, aten.Output{Name: paths[i], Value: v})
	}
	return nil
}

// anonymous are names of inputs that torch up to 2.3 makes up.
var anonymous = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(arg\d+_\d+|l_.*_)$`) })

// nameBatch calls the size of the first axis of the inputs N, the name that
// the batch has in every graph of Lethe, and gives inputs without a name one.
func (b *builder) nameBatch() {
	taken := map[string]bool{}
	for i, in := range b.out.Inputs {
		if anonymous().MatchString(in.Name) {
			in.Name = "input"
			if len(b.doc.argNames) == len(b.out.Inputs) {
				in.Name = b.doc.argNames[i]
			} else if len(b.out.Inputs) > 1 {
				in.Name = fmt.Sprintf("input_%d", i)
			}
		}
		taken[in.Name] = true
	}
	for _, in := range b.out.Inputs {
		if len(in.Shape) == 0 {
			continue
		}
		name, ok := in.Shape[0].Symbol()
		if !ok {
			continue
		}
		by := map[string]graph.Dim{name: graph.Symbol(graph.BatchSymbol)}
		for _, v := range b.values {
			for i := range v.Shape {
				v.Shape[i] = v.Shape[i].Subst(by)
			}
		}
		for _, n := range b.out.Nodes {
			for i, a := range n.Args {
				switch x := a.Value.(type) {
				case graph.Dim:
					n.Args[i].Value = x.Subst(by)
				case graph.Shape:
					for j := range x {
						x[j] = x[j].Subst(by)
					}
				}
			}
		}
		return
	}
}
