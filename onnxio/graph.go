package onnxio

import (
	"fmt"
	"math"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// newestOpset is the newest operator set of ONNX 1.23.
const newestOpset = 28

// Graph returns the structure of the model, of any operators and domains:
// weights are names of the state dict, initializers of other than real numbers
// are constants too. Constant nodes whose values are weights are left out. A
// size that the file does not name is a symbol of its own. Nodes are put into
// topological order. The graph is made anew by every call.
//
// Broken graphs are a [model.FormatError]; sparse and string tensors, opaque
// types and operator sets newer than ONNX 1.23 are a [model.UnsupportedError].
func (f *File) Graph() (*graph.Graph, error) {
	if f.metadata.IRVersion < minIR || f.metadata.IRVersion > maxIR {
		return nil, &model.UnsupportedError{
			What:   fmt.Sprintf("onnx file format (IR) version %d", f.metadata.IRVersion),
			Advice: fmt.Sprintf("versions %d to %d are supported", minIR, maxIR),
		}
	}
	d := decoder{scan: scan{w: &wire{r: f.r, size: f.size, limit: f.limits.Memory / fieldMemory}, file: &File{}, ends: map[string]bool{}}, f: f,
		located: map[int64]*tensorProto{}, constants: map[string]bool{}}
	for _, t := range f.located {
		d.located[t.at().start] = t
	}
	for _, t := range f.weights {
		if t.constant {
			d.constants[t.name] = true
		}
	}
	g := &graph.Graph{Opsets: map[string]int{}, Constants: map[string]*model.Tensor{}, Types: map[string]graph.Type{}, Props: f.metadata.Props}
	err := d.walk(field{value: span{0, f.size}}, func(x field) error {
		switch {
		case is(modelGraph, x):
			return d.graph(x, g, true)
		case is(modelOpsets, x):
			return d.opset(x, g.Opsets)
		case is(modelFunctions, x):
			fn, err := d.function(x)
			g.Functions = append(g.Functions, fn)
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for name, t := range f.state.All() {
		if !t.DType().IsFloat() {
			g.Constants[name] = t
		}
	}
	return g, f.judge(g)
}

// judge checks the whole of a graph and sorts it.
func (f *File) judge(g *graph.Graph) error {
	made := map[string]bool{}
	for _, v := range g.Inputs {
		made[v.Name] = true
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if n.Domain == "" && g.Opsets[""] == 0 {
			return broken("", "the default operator set is not imported")
		}
		for _, out := range n.Outputs {
			if out != "" && (made[out] || f.state.Get(out) != nil) {
				return broken(nodeName(n), "the name %q is already taken", out)
			}
			made[out] = true
		}
	}
	if err := g.Sort(); err != nil {
		return err
	}
	if err := g.Check(); err != nil {
		return err
	}
	if v := g.Opsets[""]; v > newestOpset {
		return &model.UnsupportedError{What: fmt.Sprintf("onnx opset %d", v), Advice: fmt.Sprintf("opsets up to %d are supported", newestOpset)}
	}
	held := map[string]bool{}
	for _, name := range f.strings {
		held[name] = true
	}
	for _, name := range g.Weights() {
		switch {
		case held[name]:
			return &model.UnsupportedError{What: fmt.Sprintf("initializer %q holds strings, and the network reads it", name)}
		case f.state.Get(name) == nil && slices.ContainsFunc(g.Outputs, func(v graph.Value) bool { return v.Name == name }):
			return broken("output "+name, "no node makes it")
		case f.state.Get(name) == nil:
			return broken("", "%q is neither made by an earlier node nor a weight", name)
		}
	}
	return nil
}

// decoder reads graphs.
type decoder struct {
	scan
	f         *File
	located   map[int64]*tensorProto // tensors with external data by the first byte of their message
	constants map[string]bool        // names of the outputs of Constant nodes whose values are weights
}

// at returns the bytes of the message.
func (t *tensorProto) at() span { return t.path[len(t.path)-1].value }

// take sets a string to a field's.
func (d *decoder) take(to *string, x field) (err error) {
	*to, err = d.text(x)
	return err
}

// add appends a field's string to a list.
func (d *decoder) add(to *[]string, x field) error {
	s, err := d.text(x)
	*to = append(*to, s)
	return err
}

func (d *decoder) opset(x field, to map[string]int) error {
	var domain string
	var version uint64
	err := d.walk(x, func(x field) (err error) {
		switch {
		case is(1, x):
			err = d.take(&domain, x)
		case x.number == 2 && x.wire == wireVarint:
			version = x.bits
		}
		return err
	})
	if err != nil {
		return err
	}
	if defaultDomain(domain) {
		domain = ""
	}
	if _, twice := to[domain]; twice {
		return broken("", "the operator set %q is imported twice", domain)
	}
	if version > math.MaxInt32 {
		return &model.UnsupportedError{What: fmt.Sprintf("onnx opset %d", version), Advice: fmt.Sprintf("opsets up to %d are supported", newestOpset)}
	}
	to[domain] = int(version)
	return nil
}

// graph reads a graph into g; main says that it is the model's own, whose
// initializers are known.
func (d *decoder) graph(x field, g *graph.Graph, main bool) error {
	var inputs []graph.Value
	err := d.walk(x, func(x field) (err error) {
		switch {
		case is(graphNode, x):
			var n graph.Node
			if n, err = d.node(x); err == nil && !(main && n.Op == "Constant" && n.Domain == "" && d.constants[n.Output(0)]) {
				g.Nodes = append(g.Nodes, n)
			}
		case is(2, x):
			err = d.take(&g.Name, x)
		case is(graphWeights, x) && !main:
			var name string
			var t *model.Tensor
			if name, t, err = d.tensor(x); err != nil {
				return err
			}
			if _, twice := g.Constants[name]; twice || name == "" {
				return broken("", "the initializer %q of graph %q occurs twice or has no name", name, g.Name)
			}
			g.Constants[name] = t
		case is(10, x):
			err = d.take(&g.Doc, x)
		case is(11, x):
			err = d.value(x, &inputs)
		case is(graphOutput, x):
			err = d.value(x, &g.Outputs)
		case is(13, x):
			var inside []graph.Value
			if err = d.value(x, &inside); err == nil {
				g.Types[inside[0].Name] = inside[0].Type
			}
		case is(graphSparse, x):
			err = &model.UnsupportedError{What: fmt.Sprintf("graph %q has a sparse initializer", g.Name), Advice: "save the model with dense initializers"}
		}
		return err
	})
	for _, v := range inputs { // some writers list the initializers among the inputs
		_, constant := g.Constants[v.Name]
		if !constant && !(main && (d.f.state.Get(v.Name) != nil)) {
			g.Inputs = append(g.Inputs, v)
		}
	}
	return err
}

func (d *decoder) node(x field) (n graph.Node, err error) {
	err = d.walk(x, func(x field) error {
		switch {
		case is(1, x):
			return d.add(&n.Inputs, x)
		case is(nodeOutput, x):
			return d.add(&n.Outputs, x)
		case is(3, x):
			return d.take(&n.Name, x)
		case is(nodeOp, x):
			return d.take(&n.Op, x)
		case is(nodeAttr, x):
			name, a, err := d.attr(x)
			if err != nil {
				return err
			}
			if _, twice := n.Attrs[name]; twice {
				return broken(nodeName(&n), "attribute %q occurs twice", name)
			}
			if n.Attrs == nil {
				n.Attrs = graph.Attrs{}
			}
			n.Attrs[name] = a
		case is(6, x):
			return d.take(&n.Doc, x)
		case is(nodeDomain, x):
			return d.take(&n.Domain, x)
		case is(8, x):
			return d.take(&n.Overload, x)
		}
		return nil
	})
	if defaultDomain(n.Domain) {
		n.Domain = ""
	}
	return n, err
}

// attrKinds are the kinds of attributes by their number in ONNX. Those that are
// missing are sparse.
var attrKinds = map[uint64]graph.AttrKind{1: graph.FloatAttr, 2: graph.IntAttr, 3: graph.StringAttr, 4: graph.TensorAttr, 5: graph.GraphAttr,
	6: graph.FloatsAttr, 7: graph.IntsAttr, 8: graph.StringsAttr, 9: graph.TensorsAttr, 10: graph.GraphsAttr, 13: graph.TypeAttr, 14: graph.TypesAttr}

// attr reads an attribute.
func (d *decoder) attr(x field) (name string, a graph.Attr, err error) {
	var kind uint64
	var ref string
	if err := d.walk(x, func(x field) error { // the type comes last on the wire
		switch {
		case is(attrName, x):
			return d.take(&name, x)
		case x.number == 20 && x.wire == wireVarint:
			kind = x.bits
		case is(21, x):
			return d.take(&ref, x)
		}
		return nil
	}); err != nil {
		return name, a, err
	}
	switch k, known := attrKinds[kind]; {
	case kind == 0:
		return name, a, broken("", "attribute %q has no type", name)
	case kind == 11 || kind == 12:
		return name, a, &model.UnsupportedError{What: fmt.Sprintf("attribute %q is a sparse tensor", name)}
	case !known:
		return name, a, &model.UnsupportedError{What: fmt.Sprintf("attribute %q of onnx attribute type %d", name, int64(kind))}
	case ref != "":
		return name, graph.Ref(k, ref), nil
	default:
		a, err = d.attrValue(x, k)
		return name, a, err
	}
}

// attrValue reads the value of an attribute. A zero may be missing.
func (d *decoder) attrValue(x field, kind graph.AttrKind) (graph.Attr, error) {
	var v attrParts
	err := d.walk(x, func(x field) (err error) {
		switch {
		case kind == graph.FloatAttr && x.number == 2 && x.wire == wireFixed4:
			v.real = math.Float32frombits(uint32(x.bits))
		case kind == graph.IntAttr && x.number == 3 && x.wire == wireVarint:
			v.integer = int64(x.bits)
		case kind == graph.StringAttr && is(4, x):
			err = d.take(&v.text, x)
		case kind == graph.TensorAttr && is(attrTensor, x), kind == graph.TensorsAttr && is(attrTensors, x):
			var t *model.Tensor
			_, t, err = d.tensor(x)
			v.tensors = append(v.tensors, t)
		case kind == graph.GraphAttr && is(attrGraph, x), kind == graph.GraphsAttr && is(attrGraphs, x):
			g := &graph.Graph{Constants: map[string]*model.Tensor{}, Types: map[string]graph.Type{}}
			err = d.graph(x, g, false)
			v.graphs = append(v.graphs, g)
		case kind == graph.TypeAttr && is(14, x), kind == graph.TypesAttr && is(15, x):
			var t graph.Type
			t, err = d.typeProto(x, "")
			v.types = append(v.types, t)
		case kind == graph.FloatsAttr && x.number == 7:
			return d.numbers(x, wireFixed4, func(bits uint64) { v.reals = append(v.reals, math.Float32frombits(uint32(bits))) })
		case kind == graph.IntsAttr && x.number == 8:
			return d.numbers(x, wireVarint, func(bits uint64) { v.ints = append(v.ints, int64(bits)) })
		case kind == graph.StringsAttr && is(9, x):
			err = d.add(&v.texts, x)
		}
		return err
	})
	if err != nil {
		return graph.Attr{}, err
	}
	return v.attr(kind)
}

// attrParts are the values that an attribute holds, by their fields.
type attrParts struct {
	integer int64
	real    float32
	text    string
	ints    []int64
	reals   []float32
	texts   []string
	tensors []*model.Tensor
	graphs  []*graph.Graph
	types   []graph.Type
}

// attr returns the attribute of a kind that has these values.
func (v *attrParts) attr(kind graph.AttrKind) (a graph.Attr, err error) {
	one := func(n int) error {
		if n != 1 {
			return broken("", "an attribute that is %v has %d values", kind, n)
		}
		return nil
	}
	switch kind {
	case graph.FloatAttr:
		return graph.Float(v.real), nil
	case graph.IntAttr:
		return graph.Int(v.integer), nil
	case graph.StringAttr:
		return graph.String(v.text), nil
	case graph.FloatsAttr:
		return graph.Floats(v.reals...), nil
	case graph.IntsAttr:
		return graph.Ints(v.ints...), nil
	case graph.StringsAttr:
		return graph.Strings(v.texts...), nil
	case graph.TensorsAttr:
		return graph.Tensors(v.tensors...), nil
	case graph.GraphsAttr:
		return graph.Subgraphs(v.graphs...), nil
	case graph.TypesAttr:
		return graph.TypesOf(v.types...), nil
	case graph.TensorAttr:
		if err = one(len(v.tensors)); err == nil {
			a = graph.Tensor(v.tensors[0])
		}
	case graph.GraphAttr:
		if err = one(len(v.graphs)); err == nil {
			a = graph.Subgraph(v.graphs[0])
		}
	case graph.TypeAttr:
		if err = one(len(v.types)); err == nil {
			a = graph.TypeOf(v.types[0])
		}
	}
	return a, err
}

// numbers calls add for the number of a field, or for each of a packed list.
func (d *decoder) numbers(x field, wire int, add func(uint64)) error {
	switch x.wire {
	case wire:
		add(x.bits)
		return nil
	case wireBytes:
		pass := numbers{w: d.w, wire: wire, packed: x.value}
		for {
			v, ok, err := pass.next()
			if err != nil || !ok {
				return err
			}
			add(v.bits)
		}
	}
	return nil
}

// tensor reads a tensor; its elements stay where they are.
func (d *decoder) tensor(x field) (name string, _ *model.Tensor, err error) {
	t, err := d.scan.tensor(x)
	if err != nil {
		return "", nil, err
	}
	if t.number == typeString {
		return t.name, nil, &model.UnsupportedError{What: fmt.Sprintf("the tensor %q holds strings", t.name)}
	}
	if t.external {
		if t = d.located[t.at().start]; t == nil {
			return "", nil, broken("", "a tensor has external data in a graph that has none")
		}
	}
	if t.tensor == nil {
		copied := *t
		t = &copied
		err = d.settle(t)
	}
	return t.name, t.tensor, err
}

func (d *decoder) function(x field) (fn graph.Function, err error) {
	fn.Opsets, fn.Defaults = map[string]int{}, graph.Attrs{}
	err = d.walk(x, func(x field) error {
		switch {
		case is(1, x):
			return d.take(&fn.Name, x)
		case is(4, x):
			return d.add(&fn.Inputs, x)
		case is(5, x):
			return d.add(&fn.Outputs, x)
		case is(6, x):
			return d.add(&fn.Required, x)
		case is(functionNode, x):
			n, err := d.node(x)
			fn.Nodes = append(fn.Nodes, n)
			return err
		case is(8, x):
			return d.take(&fn.Doc, x)
		case is(9, x):
			return d.opset(x, fn.Opsets)
		case is(10, x):
			return d.take(&fn.Domain, x)
		case is(functionAttr, x):
			name, a, err := d.attr(x)
			fn.Defaults[name] = a
			return err
		case is(13, x):
			return d.take(&fn.Overload, x)
		}
		return nil
	})
	return fn, err
}
