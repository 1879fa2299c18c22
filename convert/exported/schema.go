package exported

import (
	"encoding/json"
	"fmt"
	"strings"

	"lethe/graph"
	"lethe/model"
)

// The bounds of a program. The largest of the networks of torchvision and timm
// has some 4,000 nodes.
const (
	nodesMax  = 1_000_000
	valuesMax = 4_000_000
	axesMax   = 64
	majorMax  = 8 // of the schema
)

// document is the JSON text of an exported program, as far as it matters.
type document struct {
	major, minor int64
	torch        string
	dialect      string
	graph        *rawGraph
	signature    rawSignature
	callIn       string   // pytree of the inputs
	callOut      string   // pytree of the outputs
	argNames     []string // of forward
}

// rawGraph is the graph of a program or of a block inside it.
type rawGraph struct {
	inputs, outputs []any
	nodes           []rawNode
	tensors         map[string]meta
	sizes           map[string]graph.Dim
	constants       map[string]string // of torch 2.1: base64
	custom          bool              // it has custom objects
}

type rawNode struct {
	target  string
	inputs  []rawArg
	outputs []any
	module  string
}

type rawArg struct {
	name string
	arg  any
}

// meta is a TensorMeta.
type meta struct {
	dtype   model.DType
	code    int64 // of the type, for messages
	sizes   graph.Shape
	strides graph.Shape
	strided bool
}

// rawSignature says what the inputs and outputs of a graph are: in lists of
// unions, or up to torch 2.1 in maps.
type rawSignature struct {
	inputs, outputs []any
	old             map[string]any
}

// dtypes are the element types of torch.export's schema (ScalarType).
var dtypes = map[int64]model.DType{
	1: model.Uint8, 2: model.Int8, 3: model.Int16, 4: model.Int32, 5: model.Int64, 6: model.Float16, 7: model.Float32, 8: model.Float64,
	9: model.Complex32, 10: model.Complex64, 11: model.Complex128, 12: model.Bool, 13: model.BFloat16, 28: model.Uint16,
	29: model.Float8E4M3FN, 30: model.Float8E5M2, 31: model.Float8E4M3FNUZ, 32: model.Float8E5M2FNUZ, 33: model.Float8E8M0FNU,
	34: model.Uint32, 35: model.Uint64,
}

// reader turns JSON into a document.
type reader struct {
	*parser
	nodes, values int
	blocks        int    // nesting of blocks at the moment
	root          string // class of the whole network
}

func readDocument(r *reader) (*document, error) {
	d := &document{major: -1}
	err := r.object(func(key string) (err error) {
		switch key {
		case "graph_module":
			return r.graphModule(d)
		case "schema_version":
			err = r.version(d)
		case "torch_version":
			d.torch, err = r.text()
		case "dialect":
			d.dialect, err = r.text()
		case "verifiers":
			var list []any
			if list, err = r.listOrNil(); err == nil {
				d.dialect = fmt.Sprint(list...)
			}
		default:
			_, err = r.value()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	switch {
	case d.major < 0:
		return nil, r.bad("the program has no schema_version")
	case d.major == 0 || d.major > majorMax:
		return nil, &model.UnsupportedError{What: fmt.Sprintf("the exported program is of schema %d.%d; versions up to %d are known", d.major, d.minor, majorMax),
			Advice: "a newer Lethe may know it"}
	case d.graph == nil:
		return nil, r.bad("the program has no graph_module with a graph")
	}
	return d, nil
}

func (r *reader) version(d *document) error {
	v, err := r.value()
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case int64:
		d.major = v
		return nil
	case map[string]any:
		major, ok := v["major"].(int64)
		minor, isInt := v["minor"].(int64)
		if ok && isInt {
			d.major, d.minor = major, minor
			return nil
		}
	}
	return r.bad("schema_version is not a version")
}

// text returns a string or, for null, "".
func (r *reader) text() (string, error) {
	v, err := r.value()
	s, ok := v.(string)
	if err == nil && !ok && v != nil {
		err = r.bad("a string is expected")
	}
	return s, err
}

// listOrNil returns an array or, for null, nil.
func (r *reader) listOrNil() ([]any, error) {
	v, err := r.value()
	l, ok := v.([]any)
	if err == nil && !ok && v != nil {
		err = r.bad("an array is expected")
	}
	return l, err
}

func (r *reader) graphModule(d *document) error {
	return r.object(func(key string) (err error) {
		switch key {
		case "graph":
			d.graph, err = r.graph()
			return err
		case "signature":
			v, err := r.value()
			if err != nil {
				return err
			}
			m, ok := v.(map[string]any)
			if !ok {
				return r.bad("the signature is not an object")
			}
			d.signature.inputs, _ = m["input_specs"].([]any)
			d.signature.outputs, _ = m["output_specs"].([]any)
			if m["user_inputs"] != nil {
				d.signature.old = m
			}
			return nil
		case "call_spec":
			v, err := r.value()
			m, _ := v.(map[string]any)
			d.callIn, _ = m["in_spec"].(string)
			d.callOut, _ = m["out_spec"].(string)
			return err
		case "module_call_graph":
			return r.moduleCalls(d)
		}
		_, err = r.value()
		return err
	})
}

// moduleCalls reads the signature of the whole module, which is the first entry.
func (r *reader) moduleCalls(d *document) error {
	first := true
	return r.array(func() error {
		v, err := r.value()
		if err != nil || !first {
			return err
		}
		first = false
		entry, _ := v.(map[string]any)
		signature, _ := entry["signature"].(map[string]any)
		if in, ok := signature["in_spec"].(string); ok {
			d.callIn = in
		}
		if out, ok := signature["out_spec"].(string); ok {
			d.callOut = out
		}
		names, _ := signature["forward_arg_names"].([]any)
		for _, n := range names {
			if s, ok := n.(string); ok {
				d.argNames = append(d.argNames, s)
			}
		}
		return nil
	})
}

// graph reads a graph from the stream, node by node.
func (r *reader) graph() (*rawGraph, error) {
	g := &rawGraph{tensors: map[string]meta{}, sizes: map[string]graph.Dim{}, constants: map[string]string{}}
	err := r.object(func(key string) (err error) {
		switch key {
		case "inputs":
			g.inputs, err = r.listOrNil()
		case "outputs":
			g.outputs, err = r.listOrNil()
		case "nodes":
			err = r.array(func() error {
				v, err := r.value()
				if err != nil {
					return err
				}
				return r.addNode(g, v)
			})
		case "tensor_values", "sym_int_values", "constants", "custom_obj_values":
			err = r.entries(func(name string, v any) error { return r.addEntry(g, key, name, v) })
		default:
			_, err = r.value()
		}
		return err
	})
	return g, err
}

// entries calls f for every entry of an object, or never for null.
func (r *reader) entries(f func(name string, v any) error) error {
	if b, err := r.token(); err != nil || b != '{' {
		if err == nil {
			_, err = r.value()
		}
		return err
	}
	return r.object(func(name string) error {
		v, err := r.value()
		if err != nil {
			return err
		}
		return f(name, v)
	})
}

func (r *reader) addEntry(g *rawGraph, key, name string, v any) (err error) {
	if r.values++; r.values > valuesMax {
		return &model.LimitError{What: "values of the program", Got: uint64(r.values), Limit: valuesMax}
	}
	switch key {
	case "tensor_values":
		g.tensors[name], err = r.meta(v)
	case "sym_int_values":
		g.sizes[name], err = r.dim(v)
	case "constants":
		g.constants[name], _ = v.(string)
	default:
		g.custom = true
	}
	if err != nil {
		err = fmt.Errorf("value %q: %w", name, err)
	}
	return err
}

// subgraph returns a graph that is the value of an argument.
func (r *reader) subgraph(v any) (*rawGraph, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, r.bad("a block is not a graph")
	}
	g := &rawGraph{tensors: map[string]meta{}, sizes: map[string]graph.Dim{}}
	g.inputs, _ = m["inputs"].([]any)
	g.outputs, _ = m["outputs"].([]any)
	nodes, _ := m["nodes"].([]any)
	for _, n := range nodes {
		if err := r.addNode(g, n); err != nil {
			return nil, err
		}
	}
	for _, key := range []string{"tensor_values", "sym_int_values", "custom_obj_values"} {
		values, _ := m[key].(map[string]any)
		for name, v := range values {
			if err := r.addEntry(g, key, name, v); err != nil {
				return nil, err
			}
		}
	}
	return g, nil
}

func (r *reader) addNode(g *rawGraph, v any) error {
	if r.nodes++; r.nodes > nodesMax {
		return &model.LimitError{What: "nodes of the program", Got: uint64(r.nodes), Limit: nodesMax}
	}
	m, _ := v.(map[string]any)
	n := rawNode{}
	var ok bool
	if n.target, ok = m["target"].(string); !ok || n.target == "" {
		return r.bad("node %d has no target", len(g.nodes))
	}
	bad := func(what string) error { return r.bad("node %d, %.100s: %s", len(g.nodes), n.target, what) }
	inputs, ok := m["inputs"].([]any)
	if !ok {
		return bad("it has no list of inputs")
	}
	if n.outputs, ok = m["outputs"].([]any); !ok {
		return bad("it has no list of outputs")
	}
	for _, in := range inputs {
		arg, _ := in.(map[string]any)
		name, ok := arg["name"].(string)
		if !ok {
			return bad("an argument has no name")
		}
		n.inputs = append(n.inputs, rawArg{name, arg["arg"]})
	}
	metadata, _ := m["metadata"].(map[string]any)
	stack, _ := metadata["nn_module_stack"].(string)
	n.module = modulePath(stack)
	if r.root == "" {
		r.root = rootClass(stack)
	}
	g.nodes = append(g.nodes, n)
	return nil
}

// modulePath returns the path of the innermost module of an nn_module_stack,
// "key,path,type;key,path,type" or, up to torch 2.1, "key:(path,type);...".
func modulePath(stack string) string {
	last := stack[strings.LastIndexByte(stack, ';')+1:]
	if i := strings.Index(last, ":("); i >= 0 {
		path, _, _ := strings.Cut(last[i+2:], ",")
		return pathOfExpression(path)
	}
	fields := strings.Split(last, ",")
	if len(fields) < 2 {
		return ""
	}
	path, _, _ := strings.Cut(fields[1], "@") // a second call of one module
	return path
}

// rootClass returns the name of the class of the outermost module, if that is
// the whole network, without the modules of Python that it is in.
func rootClass(stack string) string {
	first, _, _ := strings.Cut(stack, ";")
	fields := strings.Split(first, ",")
	if len(fields) != 3 || fields[1] != "" {
		return ""
	}
	return fields[2][strings.LastIndexByte(fields[2], '.')+1:]
}

// pathOfExpression turns L['self'].layers[0].conv1, which torch 2.1 writes,
// into layers.0.conv1.
func pathOfExpression(s string) string {
	s = strings.TrimPrefix(s, "L['self']")
	s = strings.NewReplacer("getattr(", "", ")", "", "['", ".", "']", "", "[", ".", "]", "", ", '", ".", "'", "").Replace(s)
	return strings.Trim(s, ". ")
}

// union returns the only entry of an object that is not null. torch 2.1 writes
// every alternative; a later one writes as_none with the value true.
func (r *reader) union(v any) (key string, value any, err error) {
	m, ok := v.(map[string]any)
	if !ok {
		return "", nil, r.bad("an object with one entry is expected, not %T", v)
	}
	for k, v := range m {
		if v == nil {
			continue
		}
		if key != "" {
			return "", nil, r.bad("a union has both %.50q and %.50q", min(key, k), max(key, k))
		}
		key, value = k, v
	}
	if key == "" {
		return "", nil, r.bad("a union of %d entries has no value", len(m))
	}
	return key, value, nil
}

// meta returns a TensorMeta; torch 2.1 wraps it.
func (r *reader) meta(v any) (meta, error) {
	m, _ := v.(map[string]any)
	if inner, ok := m["meta"].(map[string]any); ok {
		m = inner
	}
	code, ok := m["dtype"].(int64)
	if !ok {
		return meta{}, r.bad("a tensor has no dtype")
	}
	out := meta{dtype: dtypes[code], code: code}
	layout, ok := m["layout"].(int64)
	out.strided = !ok || layout == 7
	var err error
	if out.sizes, err = r.dims(m["sizes"]); err != nil {
		return meta{}, err
	}
	out.strides, err = r.dims(m["strides"])
	return out, err
}

func (r *reader) dims(v any) (graph.Shape, error) {
	list, ok := v.([]any)
	if !ok || len(list) > axesMax {
		return nil, r.bad("a tensor has no list of at most %d sizes", axesMax)
	}
	out := graph.Shape{}
	for _, x := range list {
		d, err := r.dim(x)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// dim returns a SymInt: a number or an expression.
func (r *reader) dim(v any) (graph.Dim, error) {
	key, value, err := r.union(v)
	if err != nil {
		return graph.Dim{}, err
	}
	switch key {
	case "as_int":
		if n, ok := value.(int64); ok {
			return graph.Size(int(n)), nil
		}
	case "as_expr":
		m, _ := value.(map[string]any)
		if text, ok := m["expr_str"].(string); ok {
			d, err := parseExpression(text)
			if err != nil {
				return graph.Dim{}, r.bad("expression %.100q: %v", text, err)
			}
			return d, nil
		}
	}
	return graph.Dim{}, r.bad("a size is neither a number nor an expression")
}

// decodeJSON is for the small texts inside the program that are JSON again.
func decodeJSON(text string) any {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return nil
	}
	return v
}
