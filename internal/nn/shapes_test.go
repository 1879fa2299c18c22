package nn

import (
	"strings"
	"testing"

	"lethe/graph"
	"lethe/model"
)

// Shapes that contradict each other: the error names the node and both.
func TestContradictingShapesAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		f     func(n *network) string
		parts []string
	}{
		"Gemm": {func(n *network) string {
			return n.op("Gemm", graph.Attrs{"transB": graph.Int(1)}, n.op("Flatten", nil, "x"), n.weight(3, 7))
		}, []string{"n1", "60", "[3 7]"}},
		"MatMul": {func(n *network) string { return n.op("MatMul", nil, "x", n.weight(9, 3)) }, []string{"n0", "6 10]", "[9 3]"}},
		"Add":    {func(n *network) string { return n.op("Add", nil, "x", n.weight(6, 4)) }, []string{"n0", "6 10]", "[6 4]"}},
		"Conv":   {func(n *network) string { return n.op("Conv", nil, "x", n.weight(4, 5, 3)) }, []string{"n0", "6 10]", "[4 5 3]"}},
		"Concat": {func(n *network) string {
			return n.op("Concat", graph.Attrs{"axis": graph.Int(1)}, "x", n.op("Transpose", graph.Attrs{"perm": graph.Ints(0, 2, 1)}, "x"))
		}, []string{"n1", "6 10]", "10 6]"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(6, 10)
			n.graph.Outputs = []graph.Value{{Name: c.f(n)}}
			sd, err := model.NewStateDict(n.entries...)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Bind(n.graph, sd)
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range c.parts {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}
