package aten

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"lethe/graph"
	"lethe/model"
)

func matrixRows() map[string]row {
	return map[string]row{
		"aten.linear": {schema: "input, weight, bias=None", lower: func(c *call) { c.ret(c.linear(c.in("input"), c.in("weight"), c.opt("bias"))) }},
		"aten.addmm": {schema: "self, mat1, mat2, beta=1, alpha=1", lower: func(c *call) {
			a := attrs{}
			if v := c.float("alpha"); v != 1 {
				a["alpha"] = real(v)
			}
			if v := c.float("beta"); v != 1 {
				a["beta"] = real(v)
			}
			y, transposed := c.untransposed(c.in("mat2").name)
			if transposed {
				a["transB"] = num(1)
			}
			c.ret(c.op("Gemm", a, c.in("mat1").name, y, c.in("self").name))
		}},
		"aten.mm": {schema: "self, mat2", lower: func(c *call) {
			if y, transposed := c.untransposed(c.in("mat2").name); transposed {
				c.ret(c.op("Gemm", attrs{"transB": num(1)}, c.in("self").name, y))
				return
			}
			c.product("self", "mat2")
		}},
		"aten.matmul": {schema: "self, other", lower: func(c *call) { c.product("self", "other") }},
		"aten.bmm":    {schema: "self, mat2", lower: func(c *call) { c.product("self", "mat2") }},
		"aten.dot":    {schema: "self, tensor", lower: func(c *call) { c.product("self", "tensor") }},
		"aten.mv":     {schema: "self, vec", lower: func(c *call) { c.product("self", "vec") }},
		"aten.baddbmm": {schema: "self, batch1, batch2, beta=1, alpha=1", lower: func(c *call) {
			d := c.out(0).DType
			y := c.op("MatMul", nil, c.in("batch1").name, c.in("batch2").name)
			if v := c.float("alpha"); v != 1 {
				y = c.op("Mul", nil, y, c.scalar(d, v))
			}
			beta := c.float("beta")
			if beta == 0 {
				c.ret(y)
				return
			}
			x := c.in("self").name
			if beta != 1 {
				x = c.op("Mul", nil, x, c.scalar(d, beta))
			}
			c.ret(c.op("Add", nil, x, y))
		}},
		"aten.einsum": {schema: "equation, tensors", lower: func(c *call) {
			var names []string
			for _, x := range c.list("tensors") {
				names = append(names, c.cast(x.name, x.dtype, c.out(0).DType))
			}
			c.ret(c.op("Einsum", attrs{"equation": text(strings.ReplaceAll(c.str("equation"), " ", ""))}, names...))
		}},
		"aten.bilinear": {schema: "input1, input2, weight, bias=None", lower: func(c *call) {
			y := c.op("Einsum", attrs{"equation": text("...i,oij,...j->...o")}, c.in("input1").name, c.in("weight").name, c.in("input2").name)
			if b := c.opt("bias"); b != "" {
				y = c.op("Add", nil, y, b)
			}
			c.ret(y)
		}},
		"aten.cosine_similarity": {schema: "x1, x2, dim=1, eps=1e-8", lower: func(c *call) {
			d := c.out(0).DType
			x, y := c.number("x1", d), c.number("x2", d)
			at := c.axis("dim", len(x.shape))
			eps := c.scalar(d, c.float("eps"))
			unit := func(x operand) string {
				return c.op("Div", nil, x.name, c.op("Max", nil, c.reduce("ReduceL2", x.name, []int{at}, true), eps))
			}
			c.ret(c.reduce("ReduceSum", c.op("Mul", nil, unit(x), unit(y)), []int{at}, false))
		}},
		"aten.scaled_dot_product_attention":                {schema: attentionSchema, lower: attention},
		"aten._scaled_dot_product_flash_attention_for_cpu": {schema: "query, key, value, dropout_p=0, is_causal=False, attn_mask=None, scale=None", lower: attention},
		"aten._scaled_dot_product_attention_math":          {schema: "query, key, value, attn_mask=None, dropout_p=0, is_causal=False, dropout_mask=None, scale=None, enable_gqa=False", lower: attention},
		"aten._scaled_dot_product_efficient_attention":     {schema: "query, key, value, attn_bias, compute_log_sumexp=None, dropout_p=0, is_causal=False, scale=None, attn_mask=None", lower: func(c *call) { c.args["attn_mask"] = c.args["attn_bias"]; attention(c) }},
		"aten._scaled_dot_product_attention_math_for_mps":  {schema: "query, key, value, attn_mask=None, dropout_p=0, is_causal=False, dropout_mask=None, scale=None", lower: attention},
	}
}

const attentionSchema = "query, key, value, attn_mask=None, dropout_p=0, is_causal=False, scale=None, enable_gqa=False"

func (c *call) product(a, b string) {
	d := c.out(0).DType
	c.ret(c.op("MatMul", nil, c.number(a, d).name, c.number(b, d).name))
}

// untransposed returns the matrix that a value is the transpose of, if it is.
func (c *call) untransposed(name string) (string, bool) {
	at, ok := c.maker[name]
	if !ok {
		return name, false
	}
	n := &c.g.Nodes[at]
	if n.Op != "Transpose" || !slices.Equal(n.Ints("perm"), []int{1, 0}) {
		return name, false
	}
	return n.Inputs[0], true
}

// linear multiplies by a weight of the shape [out, in]. Gemm takes matrices
// only; other inputs are multiplied by the transposed weight, which keeps its
// name and its bits.
func (c *call) linear(x, w operand, bias string) string {
	if len(x.shape) == 2 && len(w.shape) == 2 {
		return c.op("Gemm", attrs{"transB": num(1)}, x.name, w.name, bias)
	}
	if len(w.shape) == 2 {
		w.name = c.transpose(w.name, []int{1, 0})
	}
	y := c.op("MatMul", nil, x.name, w.name)
	if bias != "" {
		y = c.op("Add", nil, y, bias)
	}
	return y
}

// attention is softmax(q k^T scale + mask) v. Truth values in a mask say who
// takes part. A row of which nobody takes part gives zeros, where the softmax
// of ONNX gives NaN.
func attention(c *call) {
	q, k, v := c.in("query"), c.in("key"), c.in("value")
	if c.float("dropout_p") != 0 && !c.conv.opts.ForceEval {
		panic(trainingMode("dropout of attention"))
	}
	rank := len(q.shape)
	if rank < 2 || len(k.shape) != rank || len(v.shape) != rank {
		panic(refusal{what: fmt.Sprintf("attention of shapes %v, %v and %v", q.shape, k.shape, v.shape)})
	}
	width, ok := q.shape[rank-1].Int()
	if !ok || width < 1 {
		panic(refusal{what: "attention with heads whose width is not fixed"})
	}
	scale := 1 / math.Sqrt(float64(width))
	if c.has("scale") {
		scale = c.float("scale")
	}
	if grouped, _ := c.args["enable_gqa"].(bool); grouped {
		k, v = c.sharedHeads(q, k), c.sharedHeads(q, v)
	}
	perm := upTo(rank)
	perm[rank-1], perm[rank-2] = rank-2, rank-1
	scores := c.op("MatMul", nil, c.op("Mul", nil, q.name, c.scalar(q.dtype, scale)), c.transpose(k.name, perm))
	masked := false
	if c.bool("is_causal") {
		scores = c.op("Add", nil, scores, c.causal(q.dtype, q.shape[rank-2], k.shape[rank-2]))
	}
	if c.has("attn_mask") {
		mask := c.in("attn_mask")
		masked = c.data[mask.name] || mask.dtype == model.Bool
		if mask.dtype == model.Bool {
			scores = c.op("Where", nil, mask.name, scores, c.scalar(q.dtype, math.Inf(-1)))
		} else {
			scores = c.op("Add", nil, scores, c.cast(mask.name, mask.dtype, q.dtype))
		}
	}
	weights := c.op("Softmax", attrs{"axis": num(-1)}, scores)
	if masked {
		nobody := c.op("Equal", nil, c.reduce("ReduceMax", scores, []int{-1}, true), c.scalar(q.dtype, math.Inf(-1)))
		weights = c.op("Where", nil, nobody, c.scalar(q.dtype, 0.0), weights)
	}
	c.ret(c.op("MatMul", nil, weights, v.name))
}

// causal returns a mask that is 0 on and below the diagonal and -Inf above.
func (c *call) causal(d model.DType, rows, columns graph.Dim) string {
	m, ok := rows.Int()
	n, isFixed := columns.Int()
	if ok && isFixed && m >= 0 && n > 0 && m <= elementsMax/n {
		mask := make([]float64, m*n)
		for i := range m {
			for j := i + 1; j < n; j++ {
				mask[i*n+j] = math.Inf(-1)
			}
		}
		return c.reals(d, []int{m, n}, mask)
	}
	c.since(14, "Trilu")
	one := c.expand(operand{c.scalar(d, math.Inf(-1)), d, graph.Shape{}}, graph.Shape{rows, columns})
	return c.op("Trilu", attrs{"upper": num(1)}, one, c.index(1))
}

// sharedHeads repeats the heads of a key or value until there are as many as
// of the query.
func (c *call) sharedHeads(q, k operand) operand {
	at := len(q.shape) - 3
	if at < 0 {
		panic(refusal{what: "grouped attention without heads"})
	}
	many, ok := q.shape[at].Int()
	few, isFixed := k.shape[at].Int()
	if !ok || !isFixed || few < 1 || many%few != 0 {
		panic(refusal{what: fmt.Sprintf("grouped attention of %v and %v heads", q.shape[at], k.shape[at])})
	}
	if many == few {
		return k
	}
	narrow := slices.Insert(slices.Clone(k.shape), at+1, graph.Size(1))
	wide := slices.Clone(narrow)
	wide[at+1] = graph.Size(many / few)
	out := slices.Clone(k.shape)
	out[at] = graph.Size(many)
	y := c.expand(operand{c.unsqueeze(k.name, at+1), k.dtype, narrow}, wide)
	return operand{c.reshape(operand{y, k.dtype, wide}, out), k.dtype, out}
}
