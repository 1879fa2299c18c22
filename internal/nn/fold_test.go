package nn

import (
	"math"
	"testing"

	"lethe/graph"
	"lethe/ops"
)

// What runs as one layer with a convolution computes what the nodes compute one after
// the other: an Identity between them keeps them apart.
func TestFoldedConvolutions(t *testing.T) {
	type form struct {
		name    string
		conv    func(n *network, x string) string
		size    int // of a side of the result
		sum     bool
		act     string
		trained func(name string) bool
	}
	attrs := func(group, stride int64, pads ...int64) graph.Attrs {
		return graph.Attrs{"group": graph.Int(group), "strides": graph.Ints(stride, stride), "pads": graph.Ints(pads...)}
	}
	const c = 12
	forms := []form{
		{"1x1", func(n *network, x string) string { return n.op("Conv", nil, x, n.weight(c, c, 1, 1), n.weight(c)) }, 7, true, "Clip", nil},
		{"Winograd", func(n *network, x string) string { return n.op("Conv", same(3), x, n.weight(c, c, 3, 3)) }, 7, true, "Relu", nil},
		{"Winograd without a sum", func(n *network, x string) string { return n.op("Conv", same(3), x, n.weight(c, c, 3, 3), n.weight(c)) }, 7, false, "Clip", nil},
		{"without an activation", func(n *network, x string) string { return n.op("Conv", same(3), x, n.weight(c, c, 3, 3)) }, 7, true, "", nil},
		{"stride", func(n *network, x string) string {
			return n.op("Conv", attrs(1, 2, 1, 1, 1, 1), x, n.weight(c, c, 3, 3))
		}, 4, false, "Relu", nil},
		{"groups", func(n *network, x string) string {
			return n.op("Conv", attrs(3, 1, 1, 1, 1, 1), x, n.weight(c, 4, 3, 3), n.weight(c))
		}, 7, false, "Relu", nil},
		{"depthwise", func(n *network, x string) string {
			return n.op("Conv", attrs(c, 1, 1, 1, 1, 1), x, n.weight(c, 1, 3, 3))
		}, 7, false, "Clip", nil},
		{"depthwise, uneven", func(n *network, x string) string {
			return n.op("Conv", attrs(c, 2, 1, 2, 2, 0), x, n.weight(c, 1, 3, 3), n.weight(c))
		}, 4, false, "", nil},
		{"scale alone", func(n *network, x string) string { return n.op("Conv", same(3), x, n.weight(c, c, 3, 3)) }, 7, false, "Relu", func(name string) bool { return name == "w2" }},
	}
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			var results [2][]float32
			var layers [2]int
			for i, apart := range []bool{false, true} {
				n := newNetwork(c, 7, 7)
				between := func(x string) string {
					if apart {
						return n.op("Identity", nil, x)
					}
					return x
				}
				x := n.op("Relu", nil, "x")
				y := between(n.norm(between(f.conv(n, x)), c))
				if f.sum {
					y = between(n.op("Add", nil, x, y))
				}
				switch f.act {
				case "Relu":
					y = n.op("Relu", nil, y)
				case "Clip":
					y = n.op("Clip", nil, y, n.number(0), n.number(6))
				}
				n.end(y, c*f.size*f.size)
				net, _ := n.bind(t)
				params := ops.Parameters(n.graph)
				var train []string
				for _, p := range params {
					if net.weights[p] != nil && (f.trained == nil || f.trained(p)) {
						train = append(train, p)
					}
				}
				const count = 35
				data := n.draw(net, count)
				logits, err := net.Logits(data, 1)
				if err != nil {
					t.Fatal(err)
				}
				s, err := net.NewSession(count, 2, train)
				if err != nil {
					t.Fatal(err)
				}
				results[i], layers[i] = append(logits, step(t, net, data, count, 2, train)...), len(s.layers)
			}
			if layers[0] >= layers[1] {
				t.Errorf("%d layers, %d apart", layers[0], layers[1])
			}
			var difference, norm float64
			for i, v := range results[1] {
				difference += math.Pow(float64(v-results[0][i]), 2)
				norm += math.Pow(float64(v), 2)
			}
			if !(difference <= 1e-11*norm) {
				t.Errorf("the results differ by %.2g of their norm", math.Sqrt(difference/norm))
			}
		})
	}
}
