package exported

import (
	"encoding/base64"
	"fmt"
	"math"
	"strings"

	"lethe/convert/aten"
	"lethe/graph"
	"lethe/model"
)

// blocksMax is how deep blocks may be nested; torch nests one or two.
const blocksMax = 8

func decodeBase64(s string) ([]byte, error) { return base64.StdEncoding.DecodeString(s) }

func (b *builder) nodes(s *scope) error {
	for i := range s.graph.nodes {
		if err := b.node(s, &s.graph.nodes[i]); err != nil {
			return fmt.Errorf("node %d, %.100s: %w", i, s.graph.nodes[i].target, err)
		}
	}
	return nil
}

func (b *builder) node(s *scope, raw *rawNode) error {
	if b.sizesOnly(s, raw) {
		return nil
	}
	if strings.HasPrefix(raw.target, "torch.ops.higher_order.") {
		return b.block(s, raw)
	}
	n := &aten.Node{Op: strings.TrimPrefix(raw.target, "torch.ops."), Module: raw.module}
	if i := strings.LastIndexByte(n.Op, '.'); strings.Count(n.Op, ".") > 1 {
		n.Op, n.Overload = n.Op[:i], n.Op[i+1:]
	}
	n.Op = aten.OperatorName(n.Op)
	for _, in := range raw.inputs {
		v, err := b.argument(s, in.arg)
		if err != nil {
			return fmt.Errorf("argument %.50q: %w", in.name, err)
		}
		n.Args = append(n.Args, aten.Arg{Name: in.name, Value: v})
	}
	for _, out := range raw.outputs {
		kind, value, err := b.union(out)
		if err != nil {
			return err
		}
		switch kind {
		case "as_tensor":
			v, err := b.define(s, specName(map[string]any{kind: value}))
			if err != nil {
				return err
			}
			n.Outputs = append(n.Outputs, v)
		case "as_tensors":
			list, _ := value.([]any)
			for _, x := range list {
				v, err := b.define(s, specName(x))
				if err != nil {
					return err
				}
				n.Outputs = append(n.Outputs, v)
			}
		case "as_none":
			n.Outputs = append(n.Outputs, nil)
		default:
			if name := scalarName(value); name != "" {
				s.opaque[name] = true
				continue
			}
			b.unknown(n.Op+", which makes a "+strings.TrimPrefix(kind, "as_"), raw.module, "")
		}
	}
	b.out.Nodes = append(b.out.Nodes, n)
	return nil
}

// scalarName returns the name of a number that the graph computes.
func scalarName(v any) string {
	m, _ := v.(map[string]any)
	name, _ := m["as_name"].(string)
	return name
}

// sizesOnly reports whether a node computes only numbers. Sizes are known as
// expressions, so such nodes are not needed; what is not a size is opaque.
func (b *builder) sizesOnly(s *scope, raw *rawNode) bool {
	if len(raw.outputs) == 0 {
		return false
	}
	for _, out := range raw.outputs {
		kind, value, err := b.union(out)
		if err != nil || kind != "as_sym_int" && kind != "as_sym_float" && kind != "as_sym_bool" {
			return false
		}
		name := scalarName(value)
		if _, ok := s.graph.sizes[name]; !ok || kind != "as_sym_int" {
			s.opaque[name] = true
		}
	}
	return true
}

// block puts the nodes of a block that only changes how PyTorch runs them in
// the place of the block. Blocks that choose or repeat are not supported.
func (b *builder) block(s *scope, raw *rawNode) error {
	name := strings.TrimPrefix(raw.target, "torch.ops.higher_order.")
	autocast := name == "wrap_with_autocast"
	inline := name == "wrap_with_set_grad_enabled" || autocast
	half := model.Invalid // the type of autocast, if that is on
	var body *rawGraph
	var operands []any
	asked := false // whether it is on comes before what it keeps
	for _, in := range raw.inputs {
		kind, value, err := b.union(in.arg)
		if err != nil {
			return err
		}
		switch m, _ := value.(map[string]any); {
		case kind == "as_graph" && body == nil:
			if body, err = b.subgraph(m["graph"]); err != nil {
				return err
			}
		case body != nil:
			operands = append(operands, in.arg)
		case autocast && kind == "as_scalar_type":
			code, _ := value.(int64)
			half = dtypes[code]
		case autocast && kind == "as_none" && !asked:
			half = model.BFloat16 // of CPUs
		case autocast && kind == "as_bool" && !asked:
			asked = true
			if value == false {
				half = model.Invalid
			}
		}
	}
	if b.blocks++; b.blocks > blocksMax {
		return &model.LimitError{What: "nesting of blocks in the program", Got: uint64(b.blocks), Limit: blocksMax}
	}
	defer func() { b.blocks-- }()
	if !inline || body == nil || len(body.inputs) != len(operands) {
		b.unknown("higher-order operator "+name, raw.module, blockAdvice(name))
		return b.skipOutputs(s, raw)
	}
	inner := &scope{body, map[string]*aten.Value{}, map[string]bool{}}
	for i, in := range body.inputs {
		v, err := b.argument(s, operands[i])
		if err != nil {
			return err
		}
		if t, ok := v.(*aten.Value); ok {
			inner.tensors[specName(in)] = t
			continue
		}
		if d, ok := v.(graph.Dim); ok {
			kind, value, err := b.union(in)
			if err != nil || kind != "as_sym_int" {
				return b.bad("a block takes a size where it is given none")
			}
			body.sizes[scalarName(value)] = d
		}
	}
	before := len(b.out.Nodes)
	if err := b.nodes(inner); err != nil {
		return err
	}
	if half != model.Invalid {
		b.out.Nodes = append(b.out.Nodes[:before:before], b.autocast(b.out.Nodes[before:], half)...)
	}
	return b.blockOutputs(s, inner, raw, body)
}

// blockOutputs binds what a block returns to the names of its node.
func (b *builder) blockOutputs(s, inner *scope, raw *rawNode, body *rawGraph) error {
	var names []string
	for _, out := range raw.outputs {
		kind, value, err := b.union(out)
		if err != nil {
			return err
		}
		if kind == "as_tensors" {
			list, _ := value.([]any)
			for _, x := range list {
				names = append(names, specName(x))
			}
			continue
		}
		names = append(names, specName(map[string]any{kind: value}))
	}
	var results []any
	for _, out := range body.outputs {
		kind, value, err := b.union(out)
		if err != nil {
			return err
		}
		if list, ok := value.([]any); ok && kind == "as_tensors" {
			results = append(results, list...)
			continue
		}
		results = append(results, value)
	}
	if len(names) != len(results) {
		return b.bad("a block returns %d values, its node has %d", len(results), len(names))
	}
	for i, name := range names {
		v, err := b.tensor(inner, results[i])
		if err != nil {
			return err
		}
		if s.tensors[name] != nil {
			return b.bad("the value %.100q is made twice", name)
		}
		s.tensors[name] = v
	}
	return nil
}

func (b *builder) skipOutputs(s *scope, raw *rawNode) error {
	for _, out := range raw.outputs {
		kind, value, err := b.union(out)
		if err != nil {
			return err
		}
		list, _ := value.([]any)
		if kind == "as_tensor" {
			list = []any{value}
		}
		for _, x := range list {
			if _, err := b.define(s, specName(x)); err != nil {
				return err
			}
		}
	}
	return nil
}

func blockAdvice(name string) string {
	switch name {
	case "cond", "while_loop", "map", "scan":
		return "what the network does depends on its data; export the branch that is needed"
	}
	return ""
}

// tensor returns the value that a {"name": ...} stands for.
func (b *builder) tensor(s *scope, v any) (*aten.Value, error) {
	m, _ := v.(map[string]any)
	name, ok := m["name"].(string)
	if !ok {
		return nil, b.bad("a tensor has no name")
	}
	t := s.tensors[name]
	if t == nil {
		return nil, b.bad("the value %.100q is read before anything makes it", name)
	}
	return t, nil
}

// argument returns an argument as [aten.Node] describes it.
func (b *builder) argument(s *scope, v any) (any, error) {
	kind, value, err := b.union(v)
	if err != nil {
		return nil, err
	}
	list, _ := value.([]any)
	switch kind {
	case "as_none":
		return nil, nil
	case "as_tensor":
		return b.tensor(s, value)
	case "as_tensors", "as_optional_tensors":
		return b.tensors(s, list)
	case "as_optional_tensor":
		m, _ := value.(map[string]any)
		if m["as_tensor"] == nil {
			return nil, nil
		}
		return b.tensor(s, m["as_tensor"])
	case "as_bool", "as_string":
		return value, nil
	case "as_int":
		if n, ok := value.(int64); ok {
			return n, nil
		}
		return nil, b.bad("as_int is not an integer")
	case "as_float":
		return b.float(value)
	case "as_ints", "as_sym_ints":
		return b.integers(s, kind, list)
	case "as_floats":
		out := []float64{}
		for _, x := range list {
			f, err := b.float(x)
			if err != nil {
				return nil, err
			}
			out = append(out, f)
		}
		return out, nil
	case "as_sym_int":
		return b.symInt(s, value)
	case "as_scalar_type":
		code, _ := value.(int64)
		if dtypes[code] == model.Invalid {
			return aten.Opaque(fmt.Sprintf("element type %d", code)), nil
		}
		return dtypes[code], nil
	case "as_layout":
		if value != int64(7) {
			return aten.Opaque("a layout that is not strided"), nil
		}
		return nil, nil
	case "as_memory_format", "as_device":
		return nil, nil
	case "as_bools":
		return value, nil
	}
	return aten.Opaque(strings.TrimPrefix(kind, "as_")), nil
}

func (b *builder) tensors(s *scope, list []any) (any, error) {
	out := []*aten.Value{}
	for _, x := range list {
		m, _ := x.(map[string]any)
		if _, isNone := m["as_none"]; isNone && m["as_tensor"] == nil {
			out = append(out, nil)
			continue
		}
		if inner, ok := m["as_tensor"].(map[string]any); ok {
			x = inner
		} else if name, ok := m["as_tensor"].(string); ok { // up to torch 2.3
			x = map[string]any{"name": name}
		}
		t, err := b.tensor(s, x)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// float returns a number; torch 2.7 and later write the special ones as words.
func (b *builder) float(v any) (float64, error) {
	switch v := v.(type) {
	case float64:
		return v, nil
	case int64:
		return float64(v), nil
	case string:
		switch v {
		case "Infinity":
			return math.Inf(1), nil
		case "-Infinity":
			return math.Inf(-1), nil
		case "NaN":
			return math.NaN(), nil
		}
	}
	return 0, b.bad("a float is not a number")
}

// integers returns []int64, or a graph.Shape if an element is an expression.
func (b *builder) integers(s *scope, kind string, list []any) (any, error) {
	ints, dims, fixed := []int64{}, graph.Shape{}, true
	for _, x := range list {
		v := x
		if kind == "as_sym_ints" {
			var err error
			if v, err = b.symInt(s, x); err != nil {
				return nil, err
			}
		}
		switch v := v.(type) {
		case int64:
			ints, dims = append(ints, v), append(dims, graph.Size(int(v)))
		case graph.Dim:
			dims, fixed = append(dims, v), false
		case aten.Opaque:
			return v, nil
		default:
			return nil, b.bad("an element of a list of integers is not an integer")
		}
	}
	if fixed {
		return ints, nil
	}
	return dims, nil
}

// symInt returns an int64, or a graph.Dim for one that the graph computes.
func (b *builder) symInt(s *scope, v any) (any, error) {
	if n, ok := v.(int64); ok {
		return n, nil
	}
	m, _ := v.(map[string]any)
	if n, ok := m["as_int"].(int64); ok {
		return n, nil
	}
	name, ok := m["as_name"].(string)
	if !ok {
		return nil, b.bad("a size is neither a number nor a name")
	}
	if d, ok := s.graph.sizes[name]; ok {
		if n, ok := d.Int(); ok {
			return int64(n), nil
		}
		return d, nil
	}
	if s.opaque[name] {
		return aten.Opaque("a number that depends on data"), nil
	}
	return nil, b.bad("the size %.100q is read before anything makes it", name)
}
