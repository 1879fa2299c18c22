package ops

import (
	"math"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// attentionOp is scaled dot product attention: softmax(Q K' scale + bias) V,
// with several heads, shared keys and values, causal and other masks, and a
// cache of earlier keys and values.
var attentionOp = &Operator{
	Name: "Attention", Since: 23, outputs: 4,
	inputs: []input{data("Q", floats), data("K", floats), data("V", floats), data("attn_mask", floats|integers|bools).opt(),
		data("past_key", floats).opt(), data("past_value", floats).opt(), data("nonpad_kv_seqlen", set(int64Type)).opt().from(24)},
	attrs: []attr{
		intAttr("is_causal", 0), noDefault("kv_num_heads", intKind), noDefault("q_num_heads", intKind),
		intAttr("qk_matmul_output_mode", 0), noDefault("scale", graph.FloatAttr), floatAttr("softcap", 0),
		noDefault("softmax_precision", intKind),
		intAttr("left_window_size", -1).from(25), intAttr("right_window_size", -1).from(25),
	},
	infer: inferAttention,
	eval:  evalAttention,
}

func inferAttention(f *inference) {
	q, k, v := f.input(0), f.input(1), f.input(2)
	if len(q.shape) != len(k.shape) || len(k.shape) != len(v.shape) || len(q.shape) < 3 {
		f.set(0, q.dtype, nil)
		return
	}
	batch, queries := q.shape[0], q.shape[len(q.shape)-2]
	var heads, kvHeads, keys, size, width graph.Dim
	if len(q.shape) == 4 {
		heads, kvHeads, keys, size, width = q.shape[1], k.shape[1], k.shape[2], k.shape[3], v.shape[3]
	} else {
		heads, kvHeads, keys = graph.Size(f.int("q_num_heads")), graph.Size(f.int("kv_num_heads")), k.shape[1]
		if heads.Is(0) || kvHeads.Is(0) {
			f.fail("q_num_heads and kv_num_heads are needed for inputs of three axes")
		}
		size, width = k.shape[2].Div(kvHeads), v.shape[2].Div(kvHeads)
	}
	if past := f.input(4).shape; f.given(4) {
		if len(past) != 4 {
			f.set(0, q.dtype, nil)
			return
		}
		keys = keys.Add(past[2])
	}
	if len(q.shape) == 4 {
		f.set(0, q.dtype, graph.Shape{batch, heads, queries, width})
	} else {
		f.set(0, q.dtype, graph.Shape{batch, queries, heads.Mul(width)})
	}
	f.set(1, k.dtype, graph.Shape{batch, kvHeads, keys, size})
	f.set(2, v.dtype, graph.Shape{batch, kvHeads, keys, width})
	f.set(3, q.dtype, graph.Shape{batch, heads, queries, keys})
}

// byHeads returns a tensor as [batch, heads, sequence, size].
func (c *call) byHeads(t *Tensor, heads int) *Tensor {
	if len(t.shape) == 4 {
		return t
	}
	if len(t.shape) != 3 || heads < 1 || t.shape[2]%heads != 0 {
		c.fail("an input of shape %v cannot be divided into %d heads", t.shape, heads)
	}
	byHead := c.reshaped(t, []int{t.shape[0], t.shape[1], heads, t.shape[2] / heads})
	return c.transpose(byHead, []int{0, 2, 1, 3})
}

func evalAttention(c *call) {
	three := len(c.input(0).shape) == 3
	q := c.byHeads(c.input(0), c.int("q_num_heads"))
	k, v := c.byHeads(c.input(1), c.int("kv_num_heads")), c.byHeads(c.input(2), c.int("kv_num_heads"))
	past := 0
	if c.input(4) != nil && c.input(5) != nil {
		if len(c.input(4).shape) != 4 || len(c.input(5).shape) != 4 {
			c.fail("past_key has shape %v and past_value %v; both must have four axes", c.input(4).shape, c.input(5).shape)
		}
		past = c.input(4).shape[2]
		k, v = c.concat([]*Tensor{c.input(4), k}, 2), c.concat([]*Tensor{c.input(5), v}, 2)
	}
	s := [4]int{q.shape[0], q.shape[1], q.shape[2], k.shape[2]} // batch, heads, queries, keys
	kv := k.shape[1]
	if k.shape[0] != s[0] || v.shape[0] != s[0] || v.shape[1] != kv || kv == 0 || s[1]%kv != 0 || k.shape[3] != q.shape[3] || v.shape[2] != s[3] {
		c.fail("queries of shape %v, keys of shape %v and values of shape %v do not go together: keys and values must be as many, and keys as long as queries", q.shape, k.shape, v.shape)
	}
	bias := c.attentionBias(s, past)
	scale := 1 / math.Sqrt(float64(q.shape[3]))
	if c.has("scale") {
		scale = c.float("scale")
	}
	group, size, width := s[1]/kv, q.shape[3], v.shape[3]
	Q, K, V := c.floats(q), c.floats(k), c.floats(v)
	scores := make([]float64, c.size(s[:])) // what output 3 shows
	out := make([]float64, c.size([]int{s[0], s[1], s[2], width}))
	mode, cap := c.int("qk_matmul_output_mode"), c.float("softcap")
	for i := range s[0] * s[1] {
		from := i/s[1]*kv + i%s[1]/group
		keys := transposed(K[from*s[3]*size:(from+1)*s[3]*size], s[3], size)
		row := make([]float64, s[2]*s[3])
		if s[2]*s[3]*size > 0 {
			multiply(row, Q[i*s[2]*size:(i+1)*s[2]*size], keys, s[2], s[3], size)
		}
		show := scores[i*s[2]*s[3] : (i+1)*s[2]*s[3]]
		capture := func(m int) {
			if m == mode {
				copy(show, row)
			}
		}
		for j := range row {
			row[j] *= scale
		}
		capture(0)
		if cap != 0 {
			for j := range row {
				row[j] = cap * math.Tanh(row[j]/cap)
			}
		}
		capture(1)
		masked := bias[i*s[2]*s[3] : (i+1)*s[2]*s[3]]
		for j := range row {
			row[j] += masked[j]
		}
		capture(2)
		for r := range s[2] {
			line := row[r*s[3] : (r+1)*s[3]]
			if math.IsInf(largestOf(masked[r*s[3]:(r+1)*s[3]]), -1) {
				clear(line)
			} else {
				softmaxRow(line)
			}
		}
		capture(3)
		if s[2]*s[3]*width > 0 {
			multiply(out[i*s[2]*width:(i+1)*s[2]*width], row, V[from*s[3]*width:(from+1)*s[3]*width], s[2], width, s[3])
		}
	}
	y := c.from(q.dtype, []int{s[0], s[1], s[2], width}, out)
	if three {
		y = c.reshaped(c.transpose(y, []int{0, 2, 1, 3}), []int{s[0], s[2], s[1] * width})
	}
	c.set(0, y)
	c.set(1, k)
	c.set(2, v)
	c.set(3, c.from(q.dtype, s[:], scores))
}

// attentionBias returns what is added to the scores [batch, heads, queries,
// keys]: the mask, and minus infinity where a query must not look.
func (c *call) attentionBias(s [4]int, past int) []float64 {
	bias := make([]float64, c.size(s[:]))
	if mask := c.input(3); mask != nil {
		c.addMask(bias, mask, s)
	}
	valid, given := c.inInts(6)
	if given && len(valid) != s[0] {
		c.fail("nonpad_kv_seqlen has %d lengths, and there are %d samples", len(valid), s[0])
	}
	causal, left, right := c.flag("is_causal"), c.int("left_window_size"), c.int("right_window_size")
	if c.opset < 25 {
		left, right = -1, -1
	}
	for i := range s[0] {
		offset := past
		if given && c.input(4) == nil {
			offset = valid[i] - s[2]
		}
		for h := range s[1] {
			for q := range s[2] {
				line := bias[((i*s[1]+h)*s[2]+q)*s[3]:][:s[3]]
				at := q + offset
				for k := range line {
					if causal && k > at || left >= 0 && k < at-left || right >= 0 && k > at+right || given && k >= valid[i] {
						line[k] = math.Inf(-1)
					}
				}
			}
		}
	}
	return bias
}

func (c *call) addMask(bias []float64, mask *Tensor, s [4]int) {
	m := c.floats(mask)
	shape := slices.Clone(mask.shape)
	if len(shape) == 0 {
		c.fail("the mask has no axes")
	}
	if mask.dtype == model.Bool {
		for i, x := range m {
			m[i] = 0
			if x == 0 {
				m[i] = math.Inf(-1)
			}
		}
	}
	// A mask of fewer keys hides the others.
	n := shape[len(shape)-1]
	if n < s[3] {
		wide := make([]float64, 0, len(m)/max(n, 1)*s[3])
		for i := 0; i < len(m); i += n {
			wide = append(wide, m[i:i+n]...)
			for range s[3] - n {
				wide = append(wide, math.Inf(-1))
			}
		}
		m, shape[len(shape)-1] = wide, s[3]
	}
	if !slices.Equal(c.broadcastShape(s[:], shape), s[:]) {
		c.fail("the mask has shape %v, which cannot be broadcast to the scores, %v", mask.shape, s)
	}
	pairs(s[:], s[:], shape, func(at, _, ib, n, _, sb int) {
		for i := range n {
			bias[at+i] += m[ib]
			ib += sb
		}
	})
}
