package nn

import (
	"math/rand/v2"
	"testing"

	"lethe/graph"
	"lethe/ops"
)

// Memory that is needed at the same time does not overlap, and no place is left
// empty that could be used.
func TestArrange(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	for range 200 {
		var spans []*span
		for range 1 + r.IntN(30) {
			from := r.IntN(20)
			spans = append(spans, &span{from: from, to: from + r.IntN(6), size: 16 * (1 + r.IntN(9))})
		}
		total := arrange(spans)
		largest := 0
		for at := range 30 {
			alive := 0
			for i, x := range spans {
				if x.at < 0 || x.at+x.size > total {
					t.Fatalf("a place from %d to %d of %d", x.at, x.at+x.size, total)
				}
				if at < x.from || at > x.to {
					continue
				}
				alive += x.size
				for _, y := range spans[:i] {
					if at >= y.from && at <= y.to && x.at < y.at+y.size && y.at < x.at+x.size {
						t.Fatalf("at %d two share the place %d", at, max(x.at, y.at))
					}
				}
			}
			largest = max(largest, alive)
		}
		if total > 2*largest {
			t.Errorf("%d elements for what takes %d at a time", total, largest)
		}
	}
}

// deep is a network of as many residual blocks.
func deep(blocks int) *network {
	return image(4, func(n *network, x string) (string, int) {
		for range blocks {
			y := n.op("Relu", nil, n.norm(n.conv(x, 4, 4, 3, same(3)), 4))
			x = n.op("Add", nil, x, y)
		}
		return x, 4 * 63
	})
}

// The forward pass alone takes no more memory for a deeper network: what nobody
// reads any more makes room. A training step does.
func TestForwardHoldsOnlyWhatIsRead(t *testing.T) {
	room := func(blocks int, train bool) int {
		n := deep(blocks)
		net, _ := n.bind(t)
		var params []string
		if train {
			params = ops.Parameters(n.graph)
		}
		s, err := net.NewSession(64, 1, params)
		if err != nil {
			t.Fatal(err)
		}
		return s.planned
	}
	if shallow, deep := room(2, false), room(30, false); deep > shallow {
		t.Errorf("forward takes %d elements for 30 blocks and %d for 2", deep, shallow)
	}
	if shallow, deep := room(2, true), room(30, true); deep < 5*shallow {
		t.Errorf("a step takes %d elements for 30 blocks and %d for 2: it cannot have kept what backward reads", deep, shallow)
	}
}

// A gradient that nothing writes, of an output that leads nowhere, is 0.
func TestOutputsThatLeadNowhere(t *testing.T) {
	n := tokens(func(n *network, x string) (string, int) {
		parts := n.ops("Split", graph.Attrs{"axis": graph.Int(2)}, 2, x, n.ints(4, 6))
		n.op("Exp", nil, parts[1])
		return parts[0], 24
	})
	net, _ := n.bind(t)
	grad := step(t, net, samples(20, net.SampleSize()), 20, 1, ops.Parameters(n.graph))
	for i := range 5 * 10 { // the first weight, [5][10]
		if zero := grad[i] == 0; zero != (i%10 >= 4) {
			t.Errorf("element %d of the gradient is %v", i, grad[i])
		}
	}
}
