package arch_test

import (
	"testing"

	"lethe/convert/arch"
	"lethe/convert/aten"
	"lethe/internal/nn"
)

// TestEngine runs the networks of TestLogits in the engine that trains: logits as
// torch has them, to 1e-4 of the largest.
func TestEngine(t *testing.T) {
	eachNetwork(t, func(t *testing.T, n *arch.Network, g golden) {
		r, err := aten.Convert(n.Program, aten.Options{})
		if err != nil {
			t.Fatal(err)
		}
		net, err := nn.Bind(r.Graph, r.State)
		if err != nil {
			t.Fatal(err)
		}
		logits, err := net.Logits(g.input(), 1)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float64, len(logits))
		for i, v := range logits {
			got[i] = float64(v)
		}
		compareLogits(t, got, net.Classes(), g.Logits, g.Largest)
	})
}
