package aten

import (
	"slices"
	"strings"

	"lethe/graph"
)

// batchRule finds the shapes of what a node makes.
type batchRule func(f *freer, n *Node)

// batchRules returns the rules of operators that are not pointwise.
func batchRules() map[string]batchRule {
	rules := map[string]batchRule{}
	for names, rule := range map[string]batchRule{
		"linear":               lastAxis,
		"mm bmm matmul dot mv": multiplying,
		"addmm baddbmm":        multiplying,
		"einsum":               summing,
		"conv1d conv2d conv3d convolution _convolution _convolution_mode conv_transpose1d conv_transpose2d conv_transpose3d":                                                                                                                     leading,
		"batch_norm native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training _native_batch_norm_legit_functional _batch_norm_no_update _batch_norm_with_update _batch_norm_with_update_functional _batch_norm_impl_index": leading,
		"instance_norm group_norm native_group_norm":                                          leading,
		"layer_norm native_layer_norm rms_norm _fused_rms_norm":                               trailing,
		"softmax log_softmax _softmax _log_softmax _safe_softmax cumsum softmin logcumsumexp": alongAxis,
		"roll flip tril triu rot90":                                                           preserving,
		"max_pool1d max_pool2d max_pool3d max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices avg_pool1d avg_pool2d avg_pool3d":                                                                                                                                               leading,
		"adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d":                                                                                                                       leading,
		"upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d _upsample_bilinear2d_aa _upsample_bicubic2d_aa upsample_bilinear2d upsample_linear1d upsample_bicubic2d _upsample_nearest_exact1d _upsample_nearest_exact2d pixel_shuffle pixel_unshuffle channel_shuffle": leading,
		"view reshape flatten unflatten _unsafe_view view_as reshape_as ravel _reshape_alias":                                                                                                                                                                                                     reshaped,
		"permute transpose t swapaxes swapdims numpy_T movedim mT": permuted,
		"unsqueeze": unsqueezed, "squeeze": squeezed,
		"expand expand_as broadcast_to":                                            expanded,
		"zeros ones full empty new_zeros new_ones new_full new_empty":              made,
		"zeros_like ones_like full_like empty_like as_strided pad constant_pad_nd": preserving,
		"slice narrow slice_scatter":                                               sliced, "select select_scatter": selected,
		"split split_with_sizes chunk tensor_split unbind": pieces,
		"cat concat concatenate stack":                     joined,
		"index":                                            indexed, "index_put": written, "index_select": sliced, "embedding": embedded,
		"mean sum amax amin max min prod logsumexp any all std var var_mean linalg_vector_norm norm frobenius_norm argmax argmin": reduced,
		"scaled_dot_product_attention _scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_attention_math":             attended,
		"diagonal diagonal_copy diag_embed": diagonalBatch, "cdist _cdist_forward _euclidean_dist": distanceBatch, "pairwise_distance": pairwiseBatch, "cosine_similarity": cosineBatch,
		"unfold unfold_copy": unfoldBatch, "im2col col2im": columnBatch, "embedding_bag _embedding_bag _embedding_bag_forward_only": bagBatch,
		"scatter scatter_add index_add index_fill": scatterBatch, "grid_sampler grid_sampler_2d affine_grid_generator": gridBatch, "median": ranked, "bucketize": func(f *freer, n *Node) { f.set(n, f.of(f.first(n))) },
		"topk sort argsort glu": ranked, "one_hot": marked, "gather": gathered, "repeat tile": repeated, "to type_as _to_copy": func(f *freer, n *Node) { f.set(n, f.of(f.first(n))) },
		"repeat_interleave":          interleavedBatch,
		"prelu":                      func(f *freer, n *Node) { f.set(n, f.of(f.first(n))) },
		"lstm gru rnn_tanh rnn_relu": recurrentBatch, "lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell": cellBatch, "mkldnn_rnn_layer": oneLayerBatch,
	} {
		for name := range strings.FieldsSeq(names) {
			rules["aten."+name] = rule
		}
	}
	return rules
}

// pointwise combines elements that stand at the same place.
func pointwise(f *freer, n *Node) {
	if strings.HasSuffix(n.Op, "_") {
		shape := f.of(f.first(n))
		var all [][]extent
		for _, v := range tensors(n) {
			all = append(all, f.of(v))
		}
		if out := f.broadcast(all...); len(out) != len(shape) {
			f.fail("it writes another shape in place")
		}
		f.set(n, shape)
		return
	}
	var all [][]extent
	for _, v := range tensors(n) {
		all = append(all, f.of(v))
	}
	f.set(n, f.broadcast(all...))
}

// untouched is the rule for operators without one: nothing must depend on the
// batch.
func untouched(f *freer, n *Node) {
	for _, v := range tensors(n) {
		if f.batched(f.of(v)) {
			f.fail("nothing is known about its batch")
		}
	}
}

// result returns the shape of output i as it was exported.
func (f *freer) result(n *Node, i int) []extent {
	if i >= len(n.Outputs) || n.Outputs[i] == nil {
		f.fail("it has no output %d", i)
	}
	return f.original(n.Outputs[i])
}

// leading keeps axis 0 and works inside the samples; weights do not depend on
// the batch.
func leading(f *freer, n *Node) {
	in := f.of(f.first(n))
	f.onlyFirst(in)
	out := f.result(n, 0)
	if len(in) == 0 || len(out) != len(in) || out[0].n != in[0].n {
		f.fail("it does not keep axis 0")
	}
	if rule := tensors(n); len(rule) > 1 {
		if f.batched(f.of(rule[1])) {
			f.fail("a weight depends on the batch")
		}
		if strings.Contains(n.Op, "conv") && len(f.of(rule[1])) != len(in) && f.batched(in) {
			f.fail("the input has no batch axis")
		}
	}
	out[0] = in[0]
	f.set(n, out)
}

// trailing works along the last axes.
func trailing(f *freer, n *Node) {
	in := f.of(f.first(n))
	count := 1
	if list, ok := f.arg(n, "normalized_shape").([]int64); ok {
		count = len(list)
	}
	if count > len(in) || f.batched(in[len(in)-count:]) {
		f.fail("it mixes samples")
	}
	f.set(n, in)
}

// axisOf returns an axis that an argument names.
func (f *freer) axisOf(n *Node, name string, rank, def int) int {
	i := def
	if v, ok := f.arg(n, name).(int64); ok {
		i = int(v)
	}
	return normal(i, rank)
}

func alongAxis(f *freer, n *Node) {
	in := f.of(f.first(n))
	if len(in) > 0 && f.kind(in[f.axisOf(n, "dim", len(in), -1)]) == batchSize {
		f.fail("it mixes samples")
	}
	f.set(n, in)
}

// preserving keeps the axes that depend on the batch as they are.
func preserving(f *freer, n *Node) {
	in, out := f.of(f.first(n)), f.result(n, 0)
	if len(in) != len(out) {
		f.fail("it changes the number of axes")
	}
	var dims []int64
	if d, ok := f.arg(n, "dims").([]int64); ok {
		dims = d
	}
	for i, e := range in {
		if f.kind(e) == openSize && out[i].n == e.n && strings.HasSuffix(n.Op, "_like") {
			out[i] = e
		}
		if f.kind(e) != batchSize {
			continue
		}
		if out[i].n != e.n || slices.ContainsFunc(dims, func(d int64) bool { return normal(int(d), len(in)) == i }) {
			f.fail("it mixes samples")
		}
		out[i] = e
	}
	f.set(n, out)
}

func lastAxis(f *freer, n *Node) {
	in, out := f.of(f.first(n)), f.result(n, 0)
	last := len(in) - 1
	if last < 0 || len(out) != len(in) || f.kind(in[last]) == batchSize {
		f.fail("it mixes samples")
	}
	copy(out, in[:last])
	f.set(n, out)
}

// multiplying multiplies matrices, in axes before the last two for each of
// them. A first operand of addmm and baddbmm is added.
func multiplying(f *freer, n *Node) {
	all := tensors(n)
	if strings.HasSuffix(n.Op, "addmm") || strings.HasSuffix(n.Op, "addbmm") {
		all = all[1:]
	}
	if len(all) != 2 {
		f.fail("it has %d operands", len(all))
	}
	a, b, out := f.of(all[0]), f.of(all[1]), f.result(n, 0)
	if len(a) > 1 && len(b) == 1 && f.kind(a[len(a)-1]) != batchSize && f.kind(b[0]) != batchSize { // by a vector
		f.set(n, slices.Clone(a[:len(a)-1]))
		return
	}
	if len(a) < 2 || len(b) < 2 {
		if f.batched(a) || f.batched(b) {
			f.fail("it multiplies vectors")
		}
		return
	}
	if f.kind(a[len(a)-1]) == batchSize || f.kind(b[len(b)-2]) == batchSize {
		f.fail("it sums over samples")
	}
	shape := f.broadcast(a[:len(a)-2], b[:len(b)-2])
	shape = append(shape, a[len(a)-2], b[len(b)-1])
	if len(shape) != len(out) {
		f.fail("it has %d axes", len(out))
	}
	f.set(n, shape)
}

func summing(f *freer, n *Node) {
	equation, _ := f.arg(n, "equation").(string)
	left, right, ok := strings.Cut(strings.ReplaceAll(equation, " ", ""), "->")
	terms := strings.Split(left, ",")
	all := tensors(n)
	if !ok || len(terms) != len(all) || strings.Contains(left, ".") {
		f.fail("the equation %q is not understood", equation)
	}
	letters := map[rune]extent{}
	for i, term := range terms {
		shape := f.of(all[i])
		if len(term) != len(shape) {
			f.fail("the equation %q does not fit", equation)
		}
		for j, r := range term {
			if known, ok := letters[r]; ok {
				f.same(known, shape[j])
			}
			letters[r] = shape[j]
		}
	}
	var out []extent
	for _, r := range right {
		out = append(out, letters[r])
		delete(letters, r)
	}
	for _, e := range letters {
		if f.kind(e) == batchSize && len(out) > 0 {
			f.fail("it sums over samples")
		}
	}
	f.set(n, out)
}

func reduced(f *freer, n *Node) {
	in := f.of(f.first(n))
	if n.Overload == "other" {
		pointwise(f, n)
		return
	}
	axes := upTo(len(in))
	switch v := f.arg(n, "dim").(type) {
	case int64:
		axes = []int{normal(int(v), len(in))}
	case []int64:
		if len(v) > 0 {
			axes = nil
		}
		for _, d := range v {
			axes = append(axes, normal(int(d), len(in)))
		}
	}
	var kept, short []extent
	for i, e := range in {
		if !slices.Contains(axes, i) {
			kept, short = append(kept, e), append(short, e)
			continue
		}
		if f.kind(e) == batchSize {
			f.fail("it mixes samples")
		}
		kept = append(kept, extent{n: 1})
	}
	for _, v := range n.Outputs {
		if v == nil {
			continue
		}
		f.shapes[v] = short
		if len(v.Shape) == len(kept) && len(axes) > 0 {
			f.shapes[v] = kept
		}
	}
}

func attended(f *freer, n *Node) {
	all := tensors(n)
	if len(all) < 3 {
		f.fail("it has %d operands", len(all))
	}
	q, v := f.of(all[0]), f.of(all[2])
	if len(q) < 3 || f.batched(q[1:]) && f.kind(q[len(q)-1]) == batchSize {
		f.fail("it mixes samples")
	}
	for _, other := range all[1:3] {
		o := f.of(other)
		if len(o) != len(q) {
			f.fail("its operands have %d and %d axes", len(q), len(o))
		}
		f.same(q[0], o[0])
		if f.batched(o[len(o)-2:]) {
			f.fail("it mixes samples")
		}
	}
	out := slices.Clone(q)
	out[len(out)-1] = v[len(v)-1]
	f.set(n, out)
}

// recurrentBatch has the batch in axis 1, or 0 with batch_first. States begin
// with the layers.
func recurrentBatch(f *freer, n *Node) {
	first, _ := f.arg(n, "batch_first").(bool)
	at := 1
	if first {
		at = 0
	}
	all := tensors(n)
	in := f.of(all[0])
	states := 1
	if n.Op == "aten.lstm" {
		states = 2
	}
	f.recurrent(n, in, all[1:1+states], at, 1)
}

func oneLayerBatch(f *freer, n *Node) {
	all := tensors(n)
	if len(all) != 7 {
		f.fail("it has %d operands", len(all))
	}
	f.recurrent(n, f.of(all[0]), all[5:7], 1, 1)
}

func (f *freer) recurrent(n *Node, in []extent, states []*Value, at, stateAt int) {
	if len(in) != 3 || f.batched(slices.Delete(slices.Clone(in), at, at+1)) {
		f.fail("it mixes samples")
	}
	for _, v := range states {
		s := f.of(v)
		if len(s) != 3 {
			f.fail("a state has %d axes", len(s))
		}
		f.same(in[at], s[stateAt])
	}
	for i, v := range n.Outputs {
		if v == nil || len(v.Shape) != 3 {
			continue
		}
		shape := f.original(v)
		if i == 0 {
			shape[at] = in[at]
		} else {
			shape[stateAt] = in[at]
		}
		f.shapes[v] = shape
	}
}

// fixBatch gives the batch a size.
func fixBatch(p *Program, size int) {
	by := map[string]graph.Dim{graph.BatchSymbol: graph.Size(size)}
	subst := func(s graph.Shape) {
		for i := range s {
			s[i] = s[i].Subst(by)
		}
	}
	for _, in := range p.Inputs {
		subst(in.Shape)
	}
	for _, n := range p.Nodes {
		for _, v := range n.Outputs {
			if v != nil {
				subst(v.Shape)
			}
		}
		for i, a := range n.Args {
			switch x := a.Value.(type) {
			case graph.Dim:
				n.Args[i].Value = x.Subst(by)
			case graph.Shape:
				subst(x)
			}
		}
	}
}
