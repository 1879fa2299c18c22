package aten

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"lethe/graph"
	"lethe/model"
)

// expander writes operators that are several others as those: the fused attention of
// torch.nn, Fourier transforms and complex numbers (as pairs of real ones), and what is
// written to the elements of a mask.
type expander struct {
	program *Program
	nodes   []*Node
	node    *Node             // that is being written out
	made    int               // how many nodes were there before it
	parts   map[*Value]pair   // of complex tensors
	masked  map[*Value]atMask // what was read at a mask
	count   int               // of operators that were added
	known   map[string]*Value // constants
	size    int               // elements of the constants that were made
}

// pair is a complex tensor: its real and its imaginary part.
type pair [2]*Value

// atMask are the elements of a tensor at which a mask is true.
type atMask struct{ whole, mask *Value }

// expansions are the operators that are always written out, with their arguments.
func expansions() map[string]func(x *expander, c *call) {
	all := map[string]func(x *expander, c *call){
		"aten._native_multi_head_attention":   (*expander).nativeAttention,
		"aten._transformer_encoder_layer_fwd": (*expander).encoderLayer,
		"aten.masked_scatter":                 (*expander).maskedScatter,
	}
	for name, f := range composites() {
		all["aten."+name] = func(x *expander, c *call) {
			out := f.of(x, c)
			if strings.HasSuffix(x.node.Op, "_") {
				x.write(c.tensor(c.rowParams()[0]), out[0])
				return
			}
			for i, v := range out {
				x.result(i, v)
			}
		}
	}
	return all
}

// compositeRows are the rows of those operators, of which nothing but the arguments is
// needed.
func compositeRows() map[string]row {
	rows := map[string]row{
		"aten._native_multi_head_attention": {schema: "query, key, value, embed_dim, num_head, qkv_weight, qkv_bias, proj_weight, proj_bias, mask=None, need_weights=True, average_attn_weights=True, mask_type=None"},
		"aten._transformer_encoder_layer_fwd": {schema: "src, embed_dim, num_heads, qkv_weight, qkv_bias, proj_weight, proj_bias, use_gelu, norm_first, eps, " +
			"norm_weight_1, norm_bias_1, norm_weight_2, norm_bias_2, ffn_weight_1, ffn_bias_1, ffn_weight_2, ffn_bias_2, mask=None, mask_type=None"},
		"aten.masked_scatter": {schema: "self, mask, source"},
	}
	for name, f := range composites() {
		rows["aten."+name] = row{schema: f.schema}
	}
	for name, schema := range complexSchemas {
		rows["aten."+name] = row{schema: schema}
	}
	for name, r := range rows {
		r.lower = func(*call) { panic(refusal{what: "arguments that are not understood"}) }
		rows[name] = r
	}
	return rows
}

// expand returns the program with those operators written out, and why nodes that are
// still there could not be.
func expand(p *Program) (*Program, map[*Node]refusal) {
	all := expansions()
	x := &expander{program: p, parts: map[*Value]pair{}, masked: map[*Value]atMask{}, known: map[string]*Value{}}
	if !slices.ContainsFunc(p.Nodes, func(n *Node) bool { return all[strings.TrimSuffix(n.Op, "_")] != nil || x.concerns(n) }) {
		return p, nil
	}
	out := *p
	out.Weights = slices.Clone(p.Weights)
	x.program = &out
	x.complexWeights()
	refused := map[*Node]refusal{}
	for _, n := range p.Nodes {
		x.node, x.made = n, len(x.nodes)
		if r := x.try(n, all[strings.TrimSuffix(n.Op, "_")]); r != nil {
			refused[n] = *r
			x.nodes = append(x.nodes[:x.made], n)
		}
	}
	out.Nodes = x.nodes
	return &out, refused
}

// concerns reports whether a node makes complex numbers or reads at a mask.
func (x *expander) concerns(n *Node) bool {
	for _, v := range append(tensors(n), n.Outputs...) {
		if v != nil && isComplex(v.DType) {
			return true
		}
	}
	return fourier(n) != nil || n.Op == "aten.index" && maskOf(n) != nil
}

// try writes one node out, or takes it over; the refusal is why it cannot.
func (x *expander) try(n *Node, f func(x *expander, c *call)) (r *refusal) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case refusal:
			r = &e
		case runtime.Error: // an axis or an element that is not there
			r = &refusal{what: "arguments that do not fit its tensors"}
		default:
			panic(e)
		}
	}()
	complex := false
	for _, v := range tensors(n) {
		_, isPair := x.parts[v]
		complex = complex || isPair
	}
	switch {
	case f != nil:
		f(x, x.arguments(n))
	case complex || fourier(n) != nil || slices.ContainsFunc(n.Outputs, func(v *Value) bool { return v != nil && isComplex(v.DType) }):
		x.complex(n)
	case n.Op == "aten.index" && maskOf(n) != nil:
		x.readMask(n, maskOf(n))
	case !x.ofMasked(n):
		for _, v := range tensors(n) {
			if _, isMasked := x.masked[v]; isMasked {
				panic(refusal{what: "elements of a mask, whose number depends on data", advice: "use where or masked_fill"})
			}
		}
		x.nodes = append(x.nodes, n)
	}
	return nil
}

// readMask reads at a mask: one that comes with the program is a list of places, of
// another one it is noted.
func (x *expander) readMask(n *Node, mask *Value) {
	at := slices.IndexFunc(x.program.Weights, func(w Weight) bool { return w.Value == mask })
	if at < 0 || len(mask.Shape) != 1 {
		x.masked[n.Outputs[0]] = atMask{x.call("clone", n.Args[0].Value), mask} // the elements are those of now
		return
	}
	bytes, err := x.program.Weights[at].Tensor.Bytes()
	if err != nil {
		panic(refusal{what: err.Error()})
	}
	var places []float32
	for i, b := range bytes {
		if b != 0 {
			places = append(places, float32(i))
		}
	}
	index := x.constant(mask.Name+".places", model.Float32, []int{len(places)}, places)
	x.result(0, x.call("index_select", n.Args[0].Value, 0, x.call("to", index, model.Int64)))
}

// arguments matches the arguments of a node with the schema of its row.
func (x *expander) arguments(n *Node) *call {
	r, _ := lookUp(n)
	if r == nil {
		panic(refusal{advice: Advice(n.Op)})
	}
	return (&converter{builder: &builder{}}).newCall(n, r)
}

// call adds an operator with one result.
func (x *expander) call(op string, args ...any) *Value { return x.calls(op, args...)[0] }

// calls adds an operator.
func (x *expander) calls(op string, args ...any) []*Value {
	if x.count++; x.count > nodesMax {
		panic(refusal{what: "an operator that is too many others"})
	}
	op, overload, _ := strings.Cut(op, ".")
	n := &Node{Op: "aten." + op, Overload: overload, Module: x.node.Module}
	for _, a := range args {
		switch v := a.(type) {
		case int:
			a = int64(v)
		case []int:
			list := make([]int64, len(v))
			for i, k := range v {
				list[i] = int64(k)
			}
			a = list
		}
		n.Args = append(n.Args, Arg{Value: a})
	}
	if err := Infer(n); err != nil {
		panic(refusal{what: err.Error()})
	}
	for _, v := range n.Outputs {
		v.Name = op + "_x" + strconv.Itoa(x.count)
	}
	x.nodes = append(x.nodes, n)
	return n.Outputs
}

// nodesMax is how many nodes all that is written out may have.
const nodesMax = 1 << 20

// result makes a value that was added for the node one of its outputs. If it was there
// before, it is copied: nothing else may be written through the output.
func (x *expander) result(i int, v *Value) {
	if i >= len(x.node.Outputs) || x.node.Outputs[i] == nil {
		return
	}
	out := x.node.Outputs[i]
	if !slices.ContainsFunc(x.nodes[x.made:], func(n *Node) bool { return slices.Contains(n.Outputs, v) }) {
		v = x.call("clone", v)
	}
	x.replace(v, out)
}

// replace puts a value into the place of one that the node's operators make.
func (x *expander) replace(v, out *Value) {
	for _, n := range x.nodes[x.made:] {
		for j, o := range n.Outputs {
			if o == v {
				n.Outputs[j] = out
			}
		}
		for j, a := range n.Args {
			if a.Value == any(v) {
				n.Args[j].Value = out
			}
			if list, ok := a.Value.([]*Value); ok {
				for k := range list {
					if list[k] == v {
						list[k] = out
					}
				}
			}
		}
	}
}

// constant returns a tensor of numbers, which the program gets as a constant.
func (x *expander) constant(name string, dtype model.DType, shape []int, elements []float32) *Value {
	if v := x.known[name]; v != nil {
		return v
	}
	t, err := model.FromFloat32s(dtype, shape, elements)
	if err != nil {
		panic(refusal{what: err.Error()})
	}
	return x.bind(name, t)
}

func (x *expander) bind(name string, t *model.Tensor) *Value {
	v := &Value{Name: name, DType: t.DType(), Shape: graph.Sizes(t.Shape()...)}
	x.known[name] = v
	x.program.Weights = append(x.program.Weights, Weight{Value: v, Name: name, Tensor: t, Constant: true})
	return v
}

// maskOf returns the mask at which a node reads or writes, if that is the only index.
func maskOf(n *Node) *Value {
	if len(n.Args) < 2 {
		return nil
	}
	list, _ := n.Args[1].Value.([]*Value)
	if len(list) == 1 && list[0] != nil && list[0].DType == model.Bool {
		return list[0]
	}
	return nil
}

// ofMasked writes out a node that computes with what was read at a mask: what it does
// to each element it does to all elements of the tensor, and what is written at the mask
// is chosen there. It reports whether the node is one.
func (x *expander) ofMasked(n *Node) bool {
	var from *atMask
	for _, v := range tensors(n) {
		if m, ok := x.masked[v]; ok {
			if from != nil && from.mask != m.mask {
				return false
			}
			from = &m
		}
	}
	if from == nil {
		return false
	}
	name := strings.TrimSuffix(n.Op, "_")
	if mask := maskOf(n); name == "aten.index_put" && mask == from.mask && len(n.Args) > 2 {
		c := x.arguments(n)
		values, ok := c.args["values"].(*Value)
		if whole, isMasked := x.masked[values]; ok && isMasked && c.args["accumulate"] != true {
			self := c.tensor("self")
			for len(mask.Shape) < len(self.Shape) {
				mask = x.call("unsqueeze", mask, -1)
			}
			x.write(self, x.call("where", mask, whole.whole, self))
			return true
		}
	}
	if !known().elementwise[name] && !known().elementwise[synonyms[name]] && name != "aten.clone" && name != "aten.to" {
		return false
	}
	var args []any
	for _, a := range n.Args {
		v, ok := a.Value.(*Value)
		m, isMasked := x.masked[v]
		switch {
		case isMasked:
			args = append(args, m.whole)
		case ok && len(v.Shape) > 0:
			return false
		default:
			args = append(args, a.Value)
		}
	}
	y := &Node{Op: name, Overload: n.Overload, Module: n.Module}
	for i, a := range args {
		y.Args = append(y.Args, Arg{Name: n.Args[i].Name, Value: a})
	}
	if err := Infer(y); err != nil {
		panic(refusal{what: err.Error()})
	}
	x.count++
	y.Outputs[0].Name = strings.TrimPrefix(name, "aten.") + "_x" + strconv.Itoa(x.count)
	x.nodes = append(x.nodes, y)
	result := atMask{y.Outputs[0], from.mask}
	x.masked[n.Outputs[0]] = result
	if first, ok := n.Args[0].Value.(*Value); ok && name != n.Op {
		x.masked[first] = result
	}
	return true
}

// write makes a value what the node returns, or what it writes into its tensor.
func (x *expander) write(self, v *Value) {
	if strings.HasSuffix(x.node.Op, "_") {
		v = x.call("copy_", self, v)
	}
	x.result(0, v)
}

// maskedScatter puts the elements of a source, one after the other, where a mask is
// true.
func (x *expander) maskedScatter(c *call) {
	self, mask := c.tensor("self"), c.tensor("mask")
	mask = x.call("expand", x.call("to", mask, model.Bool), self.Shape)
	flat := x.call("to", x.call("reshape", mask, []int{-1}), model.Int64)
	at := x.call("clamp", x.call("sub", x.call("cumsum", flat, 0), 1), 0)
	y := x.call("index_select", x.call("reshape", c.tensor("source"), []int{-1}), 0, at)
	x.write(self, x.call("where", mask, x.call("reshape", y, self.Shape), self))
}

// nativeAttention is the attention of torch.nn.MultiheadAttention, batch first,
// as PyTorch computes it without gradients: the projection of queries, keys and
// values by one weight, attention by heads, the projection of the result. Where
// a mask is not 0, nobody looks.
func (x *expander) nativeAttention(c *call) {
	y, parts := x.heads(c, c.tensor("query"), c.tensor("key"), c.tensor("value"), c.int("num_head"))
	x.result(0, y)
	if !c.bool("need_weights") {
		return
	}
	size, ok := parts[0].Shape[3].Int()
	if !ok || size < 1 {
		panic(refusal{what: fmt.Sprintf("heads of shape %v", parts[0].Shape)})
	}
	product := x.call("matmul", x.call("mul", parts[0], 1/sqrt(size)), x.call("transpose", parts[1], -2, -1))
	if keep := x.keep(c); keep != nil {
		product = x.call("masked_fill", product, x.call("logical_not", keep), negativeInfinity)
	}
	weights := x.call("softmax", product, -1)
	if c.bool("average_attn_weights") {
		weights = x.call("mean.dim", weights, []int{1})
	}
	x.result(1, weights)
}

// heads returns the result of attention and its queries, keys and values by heads,
// each [sample, head, place, width].
func (x *expander) heads(c *call, query, key, value *Value, heads int) (*Value, []*Value) {
	width := c.int("embed_dim")
	if width < 1 || heads < 1 || width%heads != 0 {
		panic(refusal{what: fmt.Sprintf("%d heads of a width of %d", heads, width)})
	}
	var parts []*Value
	if query == key && key == value {
		parts = x.calls("chunk", x.call("linear", query, c.tensor("qkv_weight"), c.tensor("qkv_bias")), 3, -1)
	} else {
		weights, biases := x.calls("chunk", c.tensor("qkv_weight"), 3, 0), x.calls("chunk", c.tensor("qkv_bias"), 3, 0)
		for i, source := range []*Value{query, key, value} {
			parts = append(parts, x.call("linear", source, weights[i], biases[i]))
		}
	}
	parts = slices.Clone(parts)
	for i, p := range parts {
		if len(p.Shape) != 3 || len(parts) != 3 {
			panic(refusal{what: fmt.Sprintf("attention of shape %v", p.Shape)})
		}
		split := x.call("view", p, graph.Shape{p.Shape[0], p.Shape[1], graph.Size(heads), graph.Size(width / heads)})
		parts[i] = x.call("transpose", split, 1, 2)
	}
	args := []any{parts[0], parts[1], parts[2]}
	if keep := x.keep(c); keep != nil {
		args = append(args, keep)
	}
	y := x.call("transpose", x.call("scaled_dot_product_attention", args...), 1, 2)
	y = x.call("reshape", y, graph.Shape{query.Shape[0], query.Shape[1], graph.Size(width)})
	return x.call("linear", y, c.tensor("proj_weight"), c.tensor("proj_bias")), parts
}

// keep returns the mask of attention as PyTorch's other operator has it: true
// where somebody looks; nil if there is none.
func (x *expander) keep(c *call) *Value {
	mask, ok := c.args["mask"].(*Value)
	if !ok {
		return nil
	}
	if mask.DType != model.Bool {
		mask = x.call("ne", mask, 0)
	}
	if c.args["mask_type"] == int64(1) { // of keys, for every sample
		if len(mask.Shape) != 2 {
			panic(refusal{what: fmt.Sprintf("a mask of keys of shape %v", mask.Shape)})
		}
		mask = x.call("unsqueeze", x.call("unsqueeze", mask, 1), 1)
	}
	return x.call("logical_not", mask)
}

// encoderLayer is torch.nn.TransformerEncoderLayer.
func (x *expander) encoderLayer(c *call) {
	y := c.tensor("src")
	norm := func(v *Value, i string) *Value {
		return x.call("layer_norm", v, []int{c.int("embed_dim")}, c.tensor("norm_weight_"+i), c.tensor("norm_bias_"+i), c.float("eps"))
	}
	attend := func(v *Value) *Value {
		y, _ := x.heads(c, v, v, v, c.int("num_heads"))
		return y
	}
	act := "relu"
	if c.bool("use_gelu") {
		act = "gelu"
	}
	forward := func(v *Value) *Value {
		v = x.call(act, x.call("linear", v, c.tensor("ffn_weight_1"), c.tensor("ffn_bias_1")))
		return x.call("linear", v, c.tensor("ffn_weight_2"), c.tensor("ffn_bias_2"))
	}
	if c.bool("norm_first") {
		y = x.call("add", y, attend(norm(y, "1")))
		y = x.call("add", y, forward(norm(y, "2")))
	} else {
		y = norm(x.call("add", y, attend(y)), "1")
		y = norm(x.call("add", y, forward(y)), "2")
	}
	x.result(0, y)
}

// inferComposites are the types and shapes of the operators that are written out.
func inferComposites() map[string]inferRule {
	rules := map[string]inferRule{
		"masked_scatter":                 likeFirst,
		"_transformer_encoder_layer_fwd": likeFirst,
		"_native_multi_head_attention": func(c *call) []*Value {
			q, k := c.tensor("query"), c.tensor("key")
			if len(q.Shape) != 3 || len(k.Shape) != 3 {
				panic(refusal{what: fmt.Sprintf("attention of shapes %v and %v", q.Shape, k.Shape)})
			}
			out := append(made1(q.DType, slices.Clone(q.Shape)), nil)
			if c.bool("need_weights") {
				shape := graph.Shape{q.Shape[0], q.Shape[1], k.Shape[1]}
				if !c.bool("average_attn_weights") {
					shape = slices.Insert(shape, 1, c.dim("num_head"))
				}
				out[1] = &Value{DType: q.DType, Shape: shape}
			}
			return out
		},
	}
	for name, f := range composites() {
		rules[name] = inferComposite(f.of)
	}
	return rules
}
