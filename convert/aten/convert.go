package aten

import (
	"cmp"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"

	"lethe/graph"
	"lethe/model"
)

// Options say how a program is converted. The zero value is right for a network
// in evaluation mode.
type Options struct {
	Opset int // of ONNX, from 13 on; 0 means [graph.DefaultOpset], or the first later one that has all operators

	// ForceEval takes batch normalization and dropout for those of evaluation
	// even where the program was exported in training mode.
	ForceEval bool

	// Batch is the number of samples in every batch, where a size that is left
	// open becomes a number; 0 leaves it open.
	Batch int
}

// Result is a converted network.
type Result struct {
	Graph *graph.Graph
	State *model.StateDict  // the weights that the graph refers to, in the program's order
	Notes []string          // what a person should know
	Tied  map[string]string // second names of tensors of the graph, and the names that it has them under

	// Unused are the names of the state dict that the graph does not read, such
	// as those of counters.
	Unused []string
}

// converter turns a program into a graph.
type converter struct {
	*builder
	program  *Program
	opts     Options
	free     bool // a later opset may be taken
	bindings map[*Value]*binding
	notes    []string
	parts    map[string]*Part
	order    []string          // keys of parts
	refused  map[*Node]refusal // nodes that could not be written out
	labels   map[string]*Value // the values of the program that nodes make, by their names in the graph
}

// Convert returns the program as a graph of ONNX. It fills in what it finds out
// about the sizes of the program's values. Parameters and buffers keep
// their names and their bits; names of values follow the program. Everything
// that cannot be converted is listed in one [UnsupportedError].
func Convert(p *Program, opts Options) (*Result, error) {
	free := opts.Opset == 0
	if free {
		opts.Opset = graph.DefaultOpset
	}
	r, again, err := convertAt(p, opts, free)
	for again > opts.Opset {
		opts.Opset = again
		r, again, err = convertAt(p, opts, free)
	}
	return r, err
}

// later is the panic of an operator that a later opset has, if that may be taken.
type later int

// convertAt converts to the operators of one opset. A number other than 0 is
// that of a later one, which an operator needs; only if the opset is free.
func convertAt(p *Program, opts Options, free bool) (r *Result, again int, err error) {
	defer func() {
		if e := recover(); e != nil {
			opset, ok := e.(later)
			if !ok {
				panic(e)
			}
			again = int(opset)
		}
	}()
	v := &converter{
		builder: &builder{
			g:     &graph.Graph{Name: cmp.Or(p.Name, "network"), Opsets: map[string]int{"": opts.Opset}, Constants: map[string]*model.Tensor{}},
			opset: opts.Opset, weight: map[string]*model.Tensor{}, taken: map[string]bool{}, maker: map[string]int{},
			known: map[string]string{}, sizes: map[string]string{}, source: map[string]axis{}, data: map[string]bool{},
		},
		program: p, opts: opts, free: free, bindings: map[*Value]*binding{}, parts: map[string]*Part{}, labels: map[string]*Value{}, notes: slices.Clone(p.Notes),
	}
	v.program, v.refused = expand(p)
	v.batch()
	for _, u := range p.Unknown {
		v.unsupported(u.What, u.Module, u.Advice)
	}
	state, err := v.weights()
	if err != nil {
		return nil, 0, err
	}
	v.inputs()
	v.onlyReal()
	for _, n := range v.program.Nodes {
		v.node(n)
	}
	if len(v.parts) > 0 {
		e := &UnsupportedError{}
		for _, key := range v.order {
			e.Parts = append(e.Parts, *v.parts[key])
		}
		return nil, 0, e
	}
	if err := v.outputs(); err != nil {
		return nil, 0, err
	}
	v.finish()
	all, err := model.NewStateDict(state...)
	if err != nil {
		return nil, 0, err
	}
	if err := v.check(all); err != nil {
		return nil, 0, err
	}
	used := map[string]bool{}
	for _, name := range v.g.Weights() {
		used[name] = true
	}
	var entries []model.Entry
	for _, e := range state {
		if used[e.Name] {
			entries = append(entries, e)
		}
	}
	sd, err := model.NewStateDict(entries...)
	if err != nil {
		return nil, 0, err
	}
	r = &Result{Graph: v.g, State: sd, Notes: v.notes, Tied: map[string]string{}}
	for _, name := range p.Entries {
		if first := p.Tied[name]; first != "" && used[first] {
			r.Tied[name] = first
		} else if !used[name] {
			r.Unused = append(r.Unused, name)
		}
	}
	return r, 0, nil
}

// batch leaves the number of samples open where that can be shown, or fixes it
// on demand.
func (v *converter) batch() {
	if err := freeBatch(v.program); err != nil {
		v.notes = append(v.notes, "the batch has the size that the program was exported with: "+err.Error())
		if v.opts.Batch > 0 && !v.program.hasBatch(v.opts.Batch) {
			v.unsupported(fmt.Sprintf("a batch of %d", v.opts.Batch), "", "export the program with a dynamic batch")
		}
		return
	}
	if v.opts.Batch > 0 {
		fixBatch(v.program, v.opts.Batch)
	}
}

// hasBatch reports whether axis 0 of the first input has a size.
func (p *Program) hasBatch(n int) bool {
	return len(p.Inputs) > 0 && len(p.Inputs[0].Shape) > 0 && p.Inputs[0].Shape[0].Is(n)
}

// unsupported lists a part of the program that cannot be converted.
func (v *converter) unsupported(what, module, advice string) {
	key := what + "\x00" + advice
	if p := v.parts[key]; p != nil {
		p.Count++
		return
	}
	v.parts[key] = &Part{What: what, Count: 1, First: module, Advice: advice}
	v.order = append(v.order, key)
}

// weights binds the tensors that come with the program.
func (v *converter) weights() (state []model.Entry, err error) {
	known := map[string]*model.Tensor{}
	for _, w := range v.program.Weights {
		name := w.Name
		if w.Constant {
			name = "const." + name
		}
		v.bind(w.Value, &binding{value: w.Value, name: name})
		if t := known[name]; t != nil {
			if t.DType() != w.Tensor.DType() || !slices.Equal(t.Shape(), w.Tensor.Shape()) {
				return nil, &model.FormatError{Format: "program", Offset: -1, Reason: fmt.Sprintf("two tensors have the name %q", name)}
			}
			continue
		}
		known[name], v.taken[name] = w.Tensor, true
		if w.Constant {
			v.g.Constants[name] = w.Tensor
		} else {
			state = append(state, model.Entry{Name: name, Tensor: w.Tensor})
		}
	}
	return state, nil
}

func (v *converter) inputs() {
	for _, in := range v.program.Inputs {
		name := v.unique(in.Name)
		v.data[name] = true
		v.g.Inputs = append(v.g.Inputs, graph.TensorValue(name, in.DType, in.Shape))
		v.bind(in, &binding{value: in, name: name})
		for i, d := range in.Shape {
			if symbol, ok := d.Symbol(); ok {
				if _, known := v.source[symbol]; !known {
					v.source[symbol] = axis{name, i}
				}
			}
		}
	}
}

func (v *converter) bind(value *Value, to *binding) { v.bindings[value] = to }

func (v *converter) bindingOf(value *Value) *binding {
	x := v.bindings[value]
	if x == nil {
		panic(refusal{what: fmt.Sprintf("the value %q, which nothing makes", value.Name)})
	}
	return x
}

// node converts one node, or lists why it cannot be converted.
func (v *converter) node(n *Node) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case refusal:
			v.refuse(n, r)
		case runtime.Error: // an axis or an element that is not there
			v.refuse(n, refusal{what: "arguments that do not fit its tensors"})
		default:
			panic(r)
		}
	}()
	v.prefix = n.Module
	if len(n.Outputs) > 0 && n.Outputs[0] != nil {
		v.prefix = strings.TrimPrefix(n.Module+"/"+n.Outputs[0].Name, "/")
	}
	if r, ok := v.refused[n]; ok {
		panic(r)
	}
	r, inPlace := lookUp(n)
	if r == nil {
		panic(refusal{what: "\x00", advice: Advice(n.Op)})
	}
	if r.lower == nil {
		return
	}
	c := v.newCall(n, r)
	r.lower(c)
	switch {
	case c.bound:
		for _, out := range n.Outputs {
			if out != nil && v.bindings[out] != nil {
				v.label(v.bindings[out].name, out)
			}
		}
	case inPlace:
		target := c.binding(r.params[0].name)
		if len(c.results) == 0 {
			panic(refusal{what: "writing in place"})
		}
		target.assign(c.results[0])
		if len(n.Outputs) > 0 && n.Outputs[0] != nil {
			v.bind(n.Outputs[0], target)
			v.label(c.results[0], n.Outputs[0])
		}
	default:
		for i, out := range n.Outputs {
			if out == nil {
				continue
			}
			x := &binding{value: out}
			if i < len(c.results) && c.results[i] != "" {
				x.name = c.results[i]
			} else {
				x.absent = fmt.Sprintf("output %d of %s", i, n.Op)
			}
			v.bind(out, x)
			v.label(x.name, out)
		}
	}
}

// label notes which value of the program a node makes.
func (v *converter) label(name string, value *Value) {
	if _, made := v.maker[name]; made && v.labels[name] == nil {
		v.labels[name] = value
	}
}

// refuse lists a node. Its outputs get stand-ins, so that what follows can be
// judged too.
func (v *converter) refuse(n *Node, r refusal) {
	name := strings.TrimPrefix(n.Op, "aten.")
	if n.Overload != "" && n.Overload != "default" {
		name += "." + n.Overload
	}
	what := "operator " + name
	if r.what != "\x00" {
		what += ": " + r.what
	}
	v.unsupported(what, n.Module, r.advice)
	for _, out := range n.Outputs {
		if out != nil {
			v.bind(out, &binding{value: out, name: v.unique("unsupported")})
		}
	}
}

// lookUp returns the row of a node's operator, which is that of the operator
// without the underscore if it writes in place.
func lookUp(n *Node) (r *row, inPlace bool) {
	for _, key := range []string{n.Op + "." + n.Overload, n.Op} {
		if r := known().rows[key]; r != nil {
			return r, false
		}
	}
	base, ok := strings.CutSuffix(n.Op, "_")
	if !ok {
		return nil, false
	}
	for _, key := range []string{base + "." + n.Overload, base} {
		if r := known().rows[key]; r != nil {
			return r, true
		}
	}
	return nil, false
}

// Advice says what a person can do about an operator that cannot be converted, such
// as "aten.bernoulli".
func Advice(op string) string {
	namespace, name, _ := strings.Cut(op, ".")
	switch {
	case strings.HasPrefix(namespace, "quantized") || strings.Contains(name, "quantize") || strings.Contains(name, "quantized"):
		return "export the network before it is quantized"
	case strings.HasPrefix(op, "torch._functorch."):
		return "torch.func.vmap stands in the program: call program.run_decompositions() before torch.export.save"
	case namespace != "aten":
		return "it belongs to another library; replace it by operators of PyTorch"
	case strings.Contains(name, "rand") || strings.Contains(name, "bernoulli") || strings.Contains(name, "multinomial"):
		return "it draws random numbers; export the network in evaluation mode"
	case strings.Contains(name, "packed_sequence") || strings.Contains(name, "padded_sequence"):
		return "sequences of several lengths are not packed in ONNX: give them to the network unpacked, and read its output where each one ends"
	case strings.Contains(name, "fft") || name == "stft" || name == "istft" || name == "view_as_complex" || name == "view_as_real":
		return "ONNX has no complex numbers: write it with real ones, such as a product with a matrix of cosines and sines, or leave it to what prepares the input"
	case name == "item" || name == "_local_scalar_dense" || name == "nonzero":
		return "what the network does depends on its data; write it without reading numbers out of tensors"
	}
	return "replace it by other operators, or ask for it"
}

// outputs names what the program returns.
func (v *converter) outputs() (err error) {
	defer func() {
		if r, ok := recover().(refusal); ok {
			err = &UnsupportedError{Parts: []Part{{What: r.what, Count: 1, Advice: r.advice}}}
		}
	}()
	if len(v.program.Outputs) == 0 {
		return &model.UnsupportedError{What: "the program returns no tensor"}
	}
	v.prefix = ""
	isNode := func(name string) bool { _, ok := v.maker[name]; return ok }
	renamed := map[string]bool{}
	for _, out := range v.program.Outputs {
		x := v.bindingOf(out.Value).current()
		for _, d := range x.shape {
			if n, ok := d.Int(); ok && n > math.MaxInt32 {
				panic(refusal{what: fmt.Sprintf("the output %q of shape %v", out.Name, x.shape)})
			}
		}
		name := v.unique(out.Name)
		if isNode(x.name) && !renamed[x.name] {
			renamed[name] = true
			v.rename(x.name, name)
		} else {
			v.g.Nodes = append(v.g.Nodes, graph.Node{Name: name, Op: "Identity", Inputs: []string{x.name}, Outputs: []string{name}})
			v.maker[name] = len(v.g.Nodes) - 1
			renamed[name] = true
		}
		v.g.Outputs = append(v.g.Outputs, graph.TensorValue(name, x.dtype, x.shape))
	}
	return nil
}

// rename gives a value that a node makes another name.
func (v *converter) rename(old, name string) {
	at := v.maker[old]
	outs := v.g.Nodes[at].Outputs
	outs[slices.Index(outs, old)] = name
	for i := at + 1; i < len(v.g.Nodes); i++ {
		for j, in := range v.g.Nodes[i].Inputs {
			if in == old {
				v.g.Nodes[i].Inputs[j] = name
			}
		}
	}
	for _, x := range v.bindings {
		if x.name == old {
			x.name = name
		}
	}
	if value := v.labels[old]; value != nil {
		v.labels[name] = value
		delete(v.labels, old)
	}
	v.maker[name] = at
	delete(v.maker, old)
}

// finish removes what is not needed and names the nodes after the modules that
// they are in.
func (v *converter) finish() {
	v.g.Prune()
	v.names()
	v.widenBFloat16()
	v.g.Prune()
	seen := map[string]bool{}
	for i := range v.g.Nodes {
		n := &v.g.Nodes[i]
		name := n.Name
		if last := name[strings.LastIndexByte(name, '/')+1:]; name == "" || !strings.HasPrefix(last, strings.ToLower(n.Op)) {
			name = strings.TrimPrefix(name+"/"+n.Op, "/")
		}
		free := name
		for j := 1; seen[free]; j++ {
			free = fmt.Sprintf("%s_%d", name, j)
		}
		seen[free] = true
		n.Name = free
	}
}

// names gives the values that are tensors of the program their names.
func (v *converter) names() {
	to := map[string]string{}
	isOutput := map[string]bool{}
	for _, out := range v.g.Outputs {
		isOutput[out.Name] = true
	}
	for i := range v.g.Nodes {
		for _, name := range v.g.Nodes[i].Outputs {
			if value := v.labels[name]; value != nil && !isOutput[name] {
				to[name] = v.unique(value.Name)
				v.labels[to[name]] = value
				delete(v.labels, name)
			}
		}
	}
	for i := range v.g.Nodes {
		for _, list := range [][]string{v.g.Nodes[i].Inputs, v.g.Nodes[i].Outputs} {
			for j, name := range list {
				if better := to[name]; better != "" {
					list[j] = better
				}
			}
		}
	}
}
