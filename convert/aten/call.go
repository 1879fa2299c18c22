package aten

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lethe/graph"
	"lethe/model"
)

// row is what the table knows of an operator.
type row struct {
	// schema lists the arguments as PyTorch declares them, with their defaults:
	// "self, dim=-1, keepdim=False".
	schema string
	lower  func(c *call)
	params []param // of the schema
}

type param struct {
	name     string
	def      any
	required bool
}

// parseSchema returns the arguments of a schema. Words without quotes are
// strings.
func parseSchema(schema string) []param {
	var out []param
	for _, part := range strings.Split(schema, ", ") {
		if part == "" {
			continue
		}
		name, def, has := strings.Cut(part, "=")
		p := param{name: name, required: !has}
		switch {
		case !has || def == "None":
		case def == "True" || def == "False":
			p.def = def == "True"
		case def == "[]":
			p.def = []int64{}
		default:
			if n, err := strconv.ParseInt(def, 10, 64); err == nil {
				p.def = n
			} else if x, err := strconv.ParseFloat(def, 64); err == nil {
				p.def = x
			} else {
				p.def = def
			}
		}
		out = append(out, p)
	}
	return out
}

// call is the conversion of one node.
type call struct {
	*builder
	conv    *converter
	node    *Node
	args    map[string]any
	results []string
	bound   bool // the outputs are bound already
}

// newCall matches the arguments with a schema.
func (v *converter) newCall(n *Node, r *row) *call {
	c := &call{builder: v.builder, conv: v, node: n, args: map[string]any{}}
	for i, a := range n.Args {
		name := a.Name
		if name == "" && i < len(r.params) {
			name = r.params[i].name
		}
		if first := r.params[0].name; name == "self" && first == "input" || name == "input" && first == "self" {
			name = first // an operator that writes in place calls it self
		}
		if !slices.ContainsFunc(r.params, func(p param) bool { return p.name == name }) {
			if ignored[name] || a.Value == nil {
				continue
			}
			panic(refusal{what: fmt.Sprintf("argument %.50q", name)})
		}
		if o, ok := a.Value.(Opaque); ok {
			panic(refusal{what: fmt.Sprintf("argument %.50q: %s", name, string(o))})
		}
		c.args[name] = a.Value
	}
	for _, p := range r.params {
		if _, ok := c.args[p.name]; !ok {
			if p.required {
				panic(refusal{what: fmt.Sprintf("argument %q, which is missing", p.name)})
			}
			c.args[p.name] = p.def
		}
	}
	return c
}

// ignored are arguments that say how or where a tensor is computed, not what.
var ignored = map[string]bool{
	"device": true, "layout": true, "pin_memory": true, "memory_format": true, "non_blocking": true, "copy": true,
	"cudnn_enable": true, "cudnn_enabled": true, "generator": true, "requires_grad": true, "benchmark": true,
	"deterministic": true, "allow_tf32": true, "path": true, "dtype_layout": true,
}

func wrong(name, want string, v any) refusal {
	return refusal{what: fmt.Sprintf("argument %q, which is %T and not %s", name, v, want)}
}

// binding returns the binding of a tensor argument.
func (c *call) binding(name string) *binding {
	v, ok := c.args[name].(*Value)
	if !ok {
		panic(wrong(name, "a tensor", c.args[name]))
	}
	return c.conv.bindingOf(v)
}

// in returns a tensor argument.
func (c *call) in(name string) operand { return c.binding(name).current() }

// has reports whether an optional argument is given.
func (c *call) has(name string) bool { return c.args[name] != nil }

// opt returns the name of an optional tensor argument, or "".
func (c *call) opt(name string) string {
	if !c.has(name) {
		return ""
	}
	return c.in(name).name
}

// list returns a list of tensors.
func (c *call) list(name string) []operand {
	var out []operand
	values, ok := c.args[name].([]*Value)
	if !ok {
		panic(wrong(name, "a list of tensors", c.args[name]))
	}
	for _, v := range values {
		if v == nil {
			panic(wrong(name, "a list of tensors", nil))
		}
		out = append(out, c.conv.bindingOf(v).current())
	}
	return out
}

func (c *call) int(name string) int {
	switch v := c.args[name].(type) {
	case int64:
		return int(v)
	case bool:
		if v {
			return 1
		}
		return 0
	case graph.Dim:
		if n, ok := v.Int(); ok {
			return n
		}
	}
	panic(wrong(name, "a fixed integer", c.args[name]))
}

func (c *call) dim(name string) graph.Dim {
	if d, ok := c.args[name].(graph.Dim); ok {
		return d
	}
	return graph.Size(c.int(name))
}

func (c *call) bool(name string) bool {
	v, ok := c.args[name].(bool)
	if !ok {
		panic(wrong(name, "true or false", c.args[name]))
	}
	return v
}

func (c *call) float(name string) float64 {
	switch v := c.args[name].(type) {
	case float64:
		return v
	case int64:
		return float64(v)
	}
	panic(wrong(name, "a number", c.args[name]))
}

func (c *call) str(name string) string {
	v, ok := c.args[name].(string)
	if !ok {
		panic(wrong(name, "a word", c.args[name]))
	}
	return v
}

// ints returns a list of integers; a single one is a list of one.
func (c *call) ints(name string) []int {
	switch v := c.args[name].(type) {
	case nil:
		return nil
	case int64:
		return []int{int(v)}
	case []int64:
		out := make([]int, len(v))
		for i, x := range v {
			out[i] = int(x)
		}
		return out
	case graph.Shape:
		if n, ok := v.Ints(); ok {
			return n
		}
	case []*Value: // what an empty list of unknown type becomes
		if len(v) == 0 {
			return nil
		}
	}
	panic(wrong(name, "a list of fixed integers", c.args[name]))
}

// floats returns a list of numbers.
func (c *call) floats(name string) []float64 {
	switch v := c.args[name].(type) {
	case nil:
		return nil
	case []float64:
		return v
	case float64:
		return []float64{v}
	}
	panic(wrong(name, "a list of numbers", c.args[name]))
}

// axis returns an axis of a tensor of some rank, counted from the first.
func (c *call) axis(name string, rank int) int { return normal(c.int(name), rank) }

func normal(i, rank int) int {
	if rank == 0 && (i == 0 || i == -1) {
		return 0
	}
	if i < 0 {
		i += rank
	}
	if i < 0 || i >= rank {
		panic(refusal{what: fmt.Sprintf("axis %d of a tensor with %d axes", i, rank)})
	}
	return i
}

// axes returns a list of axes, all of them if the argument is missing or empty.
func (c *call) axes(name string, rank int) []int {
	list := c.ints(name)
	var out []int
	for _, i := range list {
		out = append(out, normal(i, rank))
	}
	if len(list) == 0 {
		for i := range rank {
			out = append(out, i)
		}
	}
	return out
}

// out returns output i of the node.
func (c *call) out(i int) *Value {
	if i >= len(c.node.Outputs) || c.node.Outputs[i] == nil {
		panic(refusal{what: fmt.Sprintf("output %d, which is missing", i)})
	}
	return c.node.Outputs[i]
}

// ret sets the values of the outputs. Outputs without one must not be used.
func (c *call) ret(names ...string) { c.results = names }

// alias makes the outputs the same tensor as an argument.
func (c *call) alias(name string) {
	x := c.binding(name)
	c.conv.bind(c.out(0), x)
	c.bound = true
}

// view makes output i a view of an argument.
func (c *call) view(i int, of string, show func(whole operand) string, write func(whole operand, part string) string) {
	parent := c.binding(of)
	v := c.out(i)
	c.conv.bind(v, &binding{value: v, name: show(parent.current()), parent: parent, version: parent.root().version, show: show, write: write})
	c.bound = true
}

// number returns an argument that is a number or a tensor as a value of the
// given type.
func (c *call) number(name string, dtype model.DType) operand {
	switch v := c.args[name].(type) {
	case *Value:
		x := c.conv.bindingOf(v).current()
		return operand{c.cast(x.name, x.dtype, dtype), dtype, x.shape}
	case graph.Dim:
		return operand{c.cast(c.squeeze(c.size(v), 0), model.Int64, dtype), dtype, graph.Shape{}}
	case bool, int64, float64:
		return operand{c.scalar(dtype, v), dtype, graph.Shape{}}
	}
	panic(wrong(name, "a number or a tensor", c.args[name]))
}

// promoted returns the type in which arguments are compared: the widest of the
// highest category, where tensors with axes come before those without, and
// those before numbers.
func (c *call) promoted(names ...string) model.DType {
	var best [3]model.DType
	rank, top := 0, -1
	for _, name := range names {
		var d model.DType
		level := 2
		switch v := c.args[name].(type) {
		case *Value:
			d = v.DType
			if level = 1; len(v.Shape) > 0 {
				level = 0
			}
		case float64:
			d = model.Float32
		case int64, graph.Dim:
			d = model.Int64
		case bool:
			d = model.Bool
		}
		best[level] = widest(best[level], d)
		rank = max(rank, category(d))
	}
	for i, d := range best {
		if d != model.Invalid && category(d) == rank {
			top = i
			break
		}
	}
	if top < 0 {
		panic(refusal{what: "operands without a type"})
	}
	return best[top]
}

func category(d model.DType) int {
	switch {
	case isComplex(d):
		return 3
	case d == model.Invalid:
		return -1
	case d == model.Bool:
		return 0
	case d.IsFloat():
		return 2
	}
	return 1
}

func widest(a, b model.DType) model.DType {
	switch {
	case a == b || b == model.Invalid:
		return a
	case a == model.Invalid || category(b) > category(a):
		return b
	case category(a) > category(b):
		return a
	case a.Size() == b.Size() && category(a) == 2:
		return model.Float32 // float16 and bfloat16
	case a.Size() == b.Size():
		return model.Int16 // int8 and uint8
	case a.Size() > b.Size():
		return a
	}
	return b
}
