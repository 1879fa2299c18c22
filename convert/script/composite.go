package script

import (
	"math"
	"slices"

	"lethe/convert/aten"
	"lethe/model"
)

// composite writes operators that are several others.
func (e *evaluator) composite(op string, args []any, named map[string]any) (any, bool) {
	switch op {
	case "_native_multi_head_attention":
		return e.nativeAttention(e.signature(args, named, "query", "key", "value", "embed_dim", "num_head", "qkv_weight", "qkv_bias", "proj_weight",
			"proj_bias", "mask", "need_weights", "average_attn_weights", "mask_type")), true
	case "_transformer_encoder_layer_fwd":
		return e.encoderLayer(e.signature(args, named, "src", "embed_dim", "num_head", "qkv_weight", "qkv_bias", "proj_weight", "proj_bias", "use_gelu",
			"norm_first", "eps", "norm_weight_1", "norm_bias_1", "norm_weight_2", "norm_bias_2", "ffn_weight_1", "ffn_bias_1", "ffn_weight_2", "ffn_bias_2",
			"mask", "mask_type")), true
	case "meshgrid":
		return e.meshgrid(args, named), true
	}
	return nil, false
}

// signature returns arguments by their names.
func (e *evaluator) signature(args []any, named map[string]any, names ...string) map[string]any {
	out := map[string]any{}
	for i, v := range args {
		if i < len(names) {
			out[names[i]] = v
		}
	}
	for k, v := range named {
		out[k] = v
	}
	return out
}

// on calls an operator with one result.
func (e *evaluator) on(op string, args ...any) *aten.Value {
	v, ok := e.operator(op, args, nil).(*aten.Value)
	if !ok {
		e.bad("%s of something else than a tensor", op)
	}
	return v
}

func ints(v ...any) *list { return &list{v} }

// nativeAttention is the attention of torch.nn.MultiheadAttention, batch first,
// as PyTorch computes it without gradients: the projection of queries, keys and
// values by one weight, attention by heads, the projection of the result. Where
// a mask is not 0, nobody looks.
func (e *evaluator) nativeAttention(a map[string]any) any {
	y, parts := e.heads(a, a["query"], a["key"], a["value"])
	if need, given := a["need_weights"].(bool); given && !need {
		return &tuple{values: []any{y, nil}}
	}
	weights := e.attentionWeights(a, parts[0], parts[1])
	if average, given := a["average_attn_weights"].(bool); !given || average {
		weights = e.on("mean", weights, ints(int64(1)))
	}
	return &tuple{values: []any{y, weights}}
}

// attentionWeights returns how much every query looks at every key, [sample, head, query,
// key]: softmax(query @ key.T / sqrt(width of a head)), which is 0 where nobody looks.
func (e *evaluator) attentionWeights(a map[string]any, query, key any) *aten.Value {
	shape := e.shapeOf(query)
	width, ok := shape[len(shape)-1].Int()
	if !ok {
		e.bad("heads of shape %v", shape)
	}
	product := e.on("matmul", e.on("div", query, math.Sqrt(float64(width))), e.on("transpose", key, int64(-2), int64(-1)))
	if keep := e.keep(a); keep != nil {
		product = e.on("masked_fill", product, e.on("logical_not", keep), math.Inf(-1))
	}
	return e.on("softmax", product, int64(-1))
}

// heads returns the result of attention and its queries, keys and values by heads,
// each [sample, head, place, width].
func (e *evaluator) heads(a map[string]any, query, key, value any) (*aten.Value, []any) {
	width, heads := e.fixed(a["embed_dim"]), e.fixed(a["num_head"])
	if width < 1 || heads < 1 || width%heads != 0 {
		e.bad("%d heads of a width of %d", heads, width)
	}
	sources := []any{query, key, value}
	parts := make([]any, 3)
	if query == key && key == value {
		l, _ := elements(e.operator("chunk", []any{e.on("linear", query, a["qkv_weight"], a["qkv_bias"]), int64(3), int64(-1)}, nil))
		if len(l) != 3 {
			e.bad("a projection that is not of three parts")
		}
		copy(parts, l)
	} else {
		weights, _ := elements(e.operator("chunk", []any{a["qkv_weight"], int64(3), int64(0)}, nil))
		biases, _ := elements(e.operator("chunk", []any{a["qkv_bias"], int64(3), int64(0)}, nil))
		if len(weights) != 3 || len(biases) != 3 {
			e.bad("a projection that is not of three parts")
		}
		for i := range parts {
			parts[i] = e.on("linear", sources[i], weights[i], biases[i])
		}
	}
	for i, p := range parts {
		shape := e.shapeOf(p)
		if len(shape) != 3 {
			e.unsupported("", "attention of shape %v", shape)
		}
		split := e.on("view", p, ints(plain(shape[0]), plain(shape[1]), heads, width/heads))
		parts[i] = e.on("transpose", split, int64(1), int64(2))
	}
	y := e.on("scaled_dot_product_attention", append(slices.Clone(parts), e.keep(a))...)
	y = e.on("transpose", y, int64(1), int64(2))
	shape := e.shapeOf(query)
	y = e.on("reshape", y, ints(plain(shape[0]), plain(shape[1]), width))
	return e.on("linear", y, a["proj_weight"], a["proj_bias"]), parts
}

// keep returns the mask of attention as PyTorch's other operator has it: true
// where somebody looks.
func (e *evaluator) keep(a map[string]any) any {
	mask, ok := a["mask"].(*aten.Value)
	if !ok {
		return nil
	}
	if mask.DType != model.Bool {
		mask = e.on("ne", mask, int64(0))
	}
	if a["mask_type"] == int64(1) { // of keys, for every sample
		if len(mask.Shape) != 2 {
			e.bad("a mask of keys of shape %v", mask.Shape)
		}
		mask = e.on("unsqueeze", e.on("unsqueeze", mask, int64(1)), int64(1))
	}
	return e.on("logical_not", mask)
}

// encoderLayer is torch.nn.TransformerEncoderLayer.
func (e *evaluator) encoderLayer(a map[string]any) any {
	x := a["src"]
	width := a["embed_dim"]
	norm := func(v any, i string) any {
		return e.on("layer_norm", v, ints(width), a["norm_weight_"+i], a["norm_bias_"+i], a["eps"])
	}
	attend := func(v any) any {
		y, _ := e.heads(a, v, v, v)
		return y
	}
	act := "relu"
	if gelu, _ := a["use_gelu"].(bool); gelu {
		act = "gelu"
	}
	forward := func(v any) any {
		v = e.on(act, e.on("linear", v, a["ffn_weight_1"], a["ffn_bias_1"]))
		return e.on("linear", v, a["ffn_weight_2"], a["ffn_bias_2"])
	}
	if first, _ := a["norm_first"].(bool); first {
		x = e.on("add", x, attend(norm(x, "1")))
		return e.on("add", x, forward(norm(x, "2")))
	}
	x = norm(e.on("add", x, attend(x)), "1")
	return norm(e.on("add", x, forward(x)), "2")
}

// meshgrid repeats vectors along the axes of a grid.
func (e *evaluator) meshgrid(args []any, named map[string]any) any {
	if len(args) == 0 {
		e.bad("meshgrid without tensors")
	}
	values, _ := elements(args[0])
	shape := ints()
	for _, v := range values {
		if len(e.shapeOf(v)) != 1 {
			e.unsupported("", "meshgrid of shape %v", e.shapeOf(v))
		}
		shape.values = append(shape.values, plain(e.shapeOf(v)[0]))
	}
	xy := named["indexing"] == "xy" && len(values) > 1
	out := &list{}
	for i, v := range values {
		one := ints()
		for j := range values {
			if i == j {
				one.values = append(one.values, int64(-1))
			} else {
				one.values = append(one.values, int64(1))
			}
		}
		grid := e.on("expand", e.on("view", v, one), shape)
		if xy {
			grid = e.on("transpose", grid, int64(0), int64(1))
		}
		out.values = append(out.values, grid)
	}
	return out
}
