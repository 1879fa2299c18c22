package nn

import (
	"slices"
	"testing"

	"lethe/graph"
	"lethe/ops"
)

// maskedAttentions are attentions with all that may stand between the scores and Softmax.
func maskedAttentions(all map[string]*network) {
	attention := func(between func(n *network, scores, x string) string) *network {
		return tokens(func(n *network, x string) (string, int) {
			heads := func(x string, perm ...int64) string {
				return n.op("Transpose", graph.Attrs{"perm": graph.Ints(perm...)}, n.op("Reshape", nil, n.linear(x, 10, 10), n.ints(0, 6, 2, 5)))
			}
			q, k, v := heads(x, 0, 2, 1, 3), heads(x, 0, 2, 3, 1), heads(x, 0, 2, 1, 3)
			scores := between(n, n.op("MatMul", nil, q, k), x)
			return n.op("MatMul", nil, n.op("Dropout", nil, n.op("Softmax", nil, scores)), v), 60
		})
	}
	mask := func(n *network, dims ...int) string {
		name := n.weight(dims...)
		e := n.entries[len(n.entries)-1]
		n.entries = n.entries[:len(n.entries)-1]
		n.graph.Constants[name+" fixed"] = e.Tensor
		return name + " fixed"
	}
	all["attention divided"] = attention(func(n *network, scores, _ string) string { return n.op("Div", nil, scores, n.number(1.7)) })
	for name, dims := range map[string][]int{"of queries and keys": {6, 6}, "of keys": {1, 1, 1, 6}, "of heads": {2, 6, 6}, "of queries": {6, 1}} {
		all["attention with a mask "+name] = attention(func(n *network, scores, _ string) string {
			return n.op("Add", nil, mask(n, dims...), n.op("Mul", nil, n.number(0.6), scores))
		})
	}
	all["attention with a mask of each sample"] = attention(func(n *network, scores, x string) string {
		far := n.op("Cast", graph.Attrs{"to": graph.Int(1)}, n.op("Greater", nil, n.op("ReduceMean", nil, x, n.ints(2)), n.number(0.2)))
		far = n.op("Mul", nil, n.op("Transpose", graph.Attrs{"perm": graph.Ints(0, 2, 1)}, far), n.number(-3))
		return n.op("Add", nil, n.op("Add", nil, scores, n.op("Unsqueeze", nil, far, n.ints(1))), mask(n, 6, 6))
	})
	all["attention with a trained bias"] = attention(func(n *network, scores, _ string) string { return n.op("Add", nil, scores, n.weight(2, 6, 6)) })
	all["attention, scores read twice"] = attention(func(n *network, scores, x string) string {
		return n.op("Add", nil, scores, n.op("Tanh", nil, scores))
	})
}

// attends returns how many attentions of a session run as one layer.
func attends(s *Session) int {
	count := 0
	for _, l := range s.layers {
		if _, is := l.(*attendLayer); is {
			count++
		}
	}
	return count
}

// An attention runs as one layer where nobody else needs its scores, and computes the same
// whatever number of queries it looks at together: logits to the bit.
func TestAttentionInBlocks(t *testing.T) {
	all := map[string]*network{"ViT": viT(8, 2, 24, 3), "encoder": encoder()}
	attentions(all)
	maskedAttentions(all)
	byNodes := map[string]int{ // how many do not run as one layer
		"attention with a trained bias": 1, "attention, scores read twice": 1, "Attention capped": 1, "Attention of four axes": 1,
		"RotaryEmbedding 0": 1, "RotaryEmbedding 1": 1, "RotaryEmbedding 2": 1, "RotaryEmbedding of three axes": 1,
	}
	for name, n := range all {
		net, _ := n.bind(t)
		const count = 20
		x, params := n.draw(net, count), ops.Parameters(n.graph)
		s, err := net.NewSession(count, 1, params)
		if err != nil {
			t.Fatal(err)
		}
		layers := map[string]int{"ViT": 2, "encoder": 2}[name]
		if got, want := attends(s), max(layers, 1-byNodes[name]); got != want {
			t.Errorf("%s: %d attentions run as one layer, not %d", name, got, want)
		}
		whole, err := net.Logits(x, 1)
		if err != nil {
			t.Fatal(err)
		}
		grad := step(t, net, x, count, 1, params)
		func() {
			defer func(block, fewest int) { scoreBlock, fewestQueries = block, fewest }(scoreBlock, fewestQueries)
			scoreBlock, fewestQueries = 1, 4
			if logits, err := net.Logits(x, 1); err != nil || !slices.Equal(logits, whole) {
				t.Errorf("%s: in blocks the logits are others (%v)", name, err)
			}
			wide := make([]float64, len(grad))
			for i, v := range grad {
				wide[i] = float64(v)
			}
			if d := relative(step(t, net, x, count, 1, params), wide); !(d < 1e-6) {
				t.Errorf("%s: in blocks the gradient differs by %.2g of its norm", name, d)
			}
		}()
	}
}

// The memory of a transformer does not grow with the square of its tokens.
func TestAttentionHoldsNoScores(t *testing.T) {
	const heads, tokens = 3, 1025
	n := viTOf(32, 1, 2, 24, heads)
	net, _ := n.bind(t)
	for _, params := range [][]string{nil, ops.Parameters(n.graph)} {
		s, err := net.NewSession(Lanes, 1, params)
		if err != nil {
			t.Fatal(err)
		}
		if all := s.planned + len(s.attendRoom[0]); all > heads*tokens*tokens*Lanes {
			t.Errorf("a session that trains %d weights holds %d elements; the scores are %d", len(params), all, heads*tokens*tokens*Lanes)
		}
	}
}
