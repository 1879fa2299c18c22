package nn

import (
	"errors"
	"fmt"
	"testing"

	"lethe/graph"
	"lethe/model"
)

// attentions are the operators of transformers that ONNX has as one.
func attentions(all map[string]*network) {
	heads := func(n *network, x string, heads, size int64) string { // [batch, heads, 6, size]
		apart := n.op("Reshape", nil, n.linear(x, 10, int(heads*size)), n.ints(0, 6, heads, size))
		return n.op("Transpose", graph.Attrs{"perm": graph.Ints(0, 2, 1, 3)}, apart)
	}
	with := func(more graph.Attrs) graph.Attrs {
		a := graph.Attrs{"q_num_heads": graph.Int(2), "kv_num_heads": graph.Int(2)}
		for name, v := range more {
			a[name] = v
		}
		return a
	}
	for name, more := range map[string]graph.Attrs{
		"": nil, " scaled": {"scale": graph.Float(0.7)}, " causal": {"is_causal": graph.Int(1)}, " capped": {"softcap": graph.Float(0.4)},
	} {
		all["Attention"+name] = tokens(func(n *network, x string) (string, int) {
			return n.op("Attention", with(more), n.linear(x, 10, 6), n.linear(x, 10, 6), n.linear(x, 10, 8)), 48
		})
	}
	all["Attention, shared keys"] = tokens(func(n *network, x string) (string, int) {
		a := with(graph.Attrs{"q_num_heads": graph.Int(4)})
		return n.op("Attention", a, n.linear(x, 10, 12), n.linear(x, 10, 6), n.linear(x, 10, 8)), 6 * 16
	})
	all["Attention of four axes"] = tokens(func(n *network, x string) (string, int) {
		return n.op("Attention", nil, heads(n, x, 3, 2), heads(n, x, 3, 2), heads(n, x, 3, 4), n.weight(3, 1, 6)), 72
	})
	all["Attention to some"] = tokens(func(n *network, x string) (string, int) {
		mask := make([]bool, 36)
		for i := range mask {
			mask[i] = i%6 != 2 && i%7 != 3
		}
		n.graph.Constants["mask"] = bools(mask...)
		return n.op("Attention", with(nil), n.linear(x, 10, 6), n.linear(x, 10, 6), n.linear(x, 10, 8), n.op("Reshape", nil, "mask", n.ints(6, 6))), 48
	})
	for i, more := range []graph.Attrs{nil, {"interleaved": graph.Int(1)}, {"rotary_embedding_dim": graph.Int(2)}} {
		half := []int{3, 3, 1}[i]
		all[fmt.Sprint("RotaryEmbedding ", i)] = tokens(func(n *network, x string) (string, int) {
			n.graph.Constants["at"] = int64Tensor([]int{1, 6}, 0, 1, 2, 3, 5, 5)
			samples := n.op("Slice", nil, n.op("Shape", nil, x), n.ints(0), n.ints(1))
			at := n.op("Expand", nil, "at", n.op("Concat", graph.Attrs{"axis": graph.Int(0)}, samples, n.ints(6)))
			return n.op("RotaryEmbedding", more, heads(n, x, 2, 6), n.weight(7, half), n.weight(7, half), at), 72
		})
	}
	all["RotaryEmbedding of three axes"] = tokens(func(n *network, x string) (string, int) {
		a := graph.Attrs{"num_heads": graph.Int(2)}
		return n.op("RotaryEmbedding", a, n.linear(x, 10, 8), n.linear(x, 10, 2), n.linear(x, 10, 2)), 48
	})
}

// What is not supported is refused, and not computed otherwise.
func TestAttentionRefuses(t *testing.T) {
	for name, f := range map[string]func(n *network, x string) string{
		"earlier keys": func(n *network, x string) string {
			x = n.op("Unsqueeze", nil, x, n.ints(1))
			return n.op("Attention", nil, x, x, x, "", x, x)
		},
		"nothing to attend to": func(n *network, x string) string {
			n.graph.Constants["mask"] = bools(false, false, false, false, false, false)
			x = n.op("Unsqueeze", nil, x, n.ints(1))
			return n.op("Attention", nil, x, x, x, n.op("Unsqueeze", nil, "mask", n.ints(0)))
		},
		"the scores as well": func(n *network, x string) string {
			x = n.op("Unsqueeze", nil, x, n.ints(1))
			return n.op("Relu", nil, n.ops("Attention", nil, 4, x, x, x)[3])
		},
	} {
		n := tokens(func(n *network, x string) (string, int) { return f(n, x), 60 })
		if name == "the scores as well" {
			n = tokens(func(n *network, x string) (string, int) { return f(n, x), 36 })
		}
		sd, err := model.NewStateDict(n.entries...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Bind(n.graph, sd); !errors.As(err, new(*model.UnsupportedError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
