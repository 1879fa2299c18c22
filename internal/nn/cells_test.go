package nn

import (
	"fmt"

	"lethe/graph"
)

// recurrent layers of sequences of 6 steps of 5 features.
func recurrent(all map[string]*network) {
	for op, gates := range map[string]int{"RNN": 1, "GRU": 3, "LSTM": 4} {
		for name, attrs := range map[string]graph.Attrs{
			"": {}, " reverse": {"direction": graph.String("reverse")}, " both": {"direction": graph.String("bidirectional")},
			" linear before reset": {"linear_before_reset": graph.Int(1)},
		} {
			if name == " linear before reset" && op != "GRU" {
				continue
			}
			const h = 7
			attrs["hidden_size"] = graph.Int(h)
			d := 1
			if name == " both" {
				d = 2
			}
			n := newNetwork(6, 5)
			x := n.op("Transpose", graph.Attrs{"perm": graph.Ints(1, 0, 2)}, n.linear("x", 5, 5))
			inputs := []string{x, n.drawn(0, 2, d, gates*h, 5), n.drawn(0, 2, d, gates*h, h)}
			if name != " reverse" {
				inputs = append(inputs, n.weight(d, 2*gates*h))
			}
			outs := n.ops(op, attrs, 2, inputs...)
			y := n.op("Transpose", graph.Attrs{"perm": graph.Ints(2, 0, 1, 3)}, outs[0])
			last := n.op("Transpose", graph.Attrs{"perm": graph.Ints(1, 0, 2)}, outs[1])
			all[op+name] = n.end(n.op("Concat", graph.Attrs{"axis": graph.Int(1)}, n.op("Flatten", nil, y), n.op("Flatten", nil, last)), 7*h*d)
		}
	}
}

// normalizations are softmax and normalization along every axis.
func normalizations(all map[string]*network) {
	for _, op := range []string{"Softmax", "LogSoftmax"} {
		for _, axis := range []int64{1, 2} {
			all[fmt.Sprint(op, axis)] = tokens(func(n *network, x string) (string, int) {
				return n.op(op, graph.Attrs{"axis": graph.Int(axis)}, x), 60
			})
		}
	}
	all["LayerNormalization"] = tokens(func(n *network, x string) (string, int) {
		y := n.layerNorm(x, 10)
		return n.op("LayerNormalization", graph.Attrs{"axis": graph.Int(1)}, y, n.positive(6, 10), n.weight(6, 10)), 60
	})
	all["RMSNormalization"] = tokens(func(n *network, x string) (string, int) {
		return n.op("RMSNormalization", nil, x, n.positive(10)), 60
	})
	all["GroupNormalization"] = image(6, func(n *network, x string) (string, int) {
		return n.op("GroupNormalization", graph.Attrs{"num_groups": graph.Int(3)}, x, n.positive(6), n.weight(6)), 6 * 63
	})
	all["InstanceNormalization"] = image(4, func(n *network, x string) (string, int) {
		return n.op("InstanceNormalization", nil, x, n.positive(4), n.weight(4)), 4 * 63
	})
}
