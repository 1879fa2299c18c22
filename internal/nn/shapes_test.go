package nn

import (
	"strings"
	"testing"

	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// A transformer whose length is free beside the batch is evaluated by package ops at any
// length, and bound for one of them computes the same.
func TestFreeLength(t *testing.T) {
	const width, heads = 12, 3
	n := newNetwork(1, 5)
	n.graph.Inputs[0].Shape = graph.Shape{graph.Symbol(graph.BatchSymbol), graph.Symbol("length"), graph.Size(5)}
	x := n.linear("x", 5, width)
	for range 2 {
		split := func(x string, perm ...int64) string {
			return n.op("Transpose", graph.Attrs{"perm": graph.Ints(perm...)}, n.op("Reshape", nil, n.linear(x, width, width), n.ints(0, 0, heads, width/heads)))
		}
		scores := n.op("MatMul", nil, split(x, 0, 2, 1, 3), split(x, 0, 2, 3, 1))
		y := n.op("MatMul", nil, n.op("Softmax", nil, n.op("Mul", nil, scores, n.number(0.5))), split(x, 0, 2, 1, 3))
		// As exporters write it: the length is asked for when it runs.
		length := n.op("Slice", nil, n.op("Shape", nil, x), n.ints(1), n.ints(2))
		shape := n.op("Concat", graph.Attrs{"axis": graph.Int(0)}, n.ints(-1), length, n.ints(width))
		y = n.op("Reshape", nil, n.op("Transpose", graph.Attrs{"perm": graph.Ints(0, 2, 1, 3)}, y), shape)
		x = n.layerNorm(n.op("Add", nil, x, n.linear(y, width, width)), width)
	}
	n.end(n.op("ReduceMean", graph.Attrs{"keepdims": graph.Int(0)}, x, n.ints(1)), width)
	sd, err := model.NewStateDict(n.entries...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Bind(n.graph, sd); err == nil || !strings.Contains(err.Error(), "length") {
		t.Errorf("a free length is bound, or not named: %v", err)
	}
	for _, length := range []int{1, 4, 17} {
		const count = 3
		in := samples(count, length*5)
		value, err := ops.FromModel(model.Float32Tensor([]int{count, length, 5}, in))
		if err != nil {
			t.Fatal(err)
		}
		out, err := ops.Run(t.Context(), n.graph, sd, map[string]*ops.Tensor{"x": value}, ops.Options{})
		if err != nil {
			t.Fatalf("length %d: %v", length, err)
		}
		want, _ := out[n.graph.Outputs[0].Name].Float64s()
		net, err := Bind(n.graph.WithSizes(map[string]int{"length": length}), sd)
		if err != nil {
			t.Fatalf("length %d: %v", length, err)
		}
		got, err := net.Logits(in, 1)
		if err != nil || !(relative(got, want) < 1e-5) {
			t.Errorf("length %d: the logits differ by %.2g of their norm (%v)", length, relative(got, want), err)
		}
	}
}

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
