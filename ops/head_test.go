package ops

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"lethe/graph"
	"lethe/model"
)

// TestHead compares the affine map of a last layer with the layer itself.
func TestHead(t *testing.T) {
	pointwise := graph.Attrs{"kernel_shape": graph.Ints(1, 1)}
	for _, test := range []struct {
		name  string
		image bool // b is [batch, 4, 3, 2], else [batch, 4]
		nodes []graph.Node
		ok    bool
	}{
		{"product", false, []graph.Node{apply("Gemm", "b v c", "y", nil)}, true},
		{"factors of a product", false, []graph.Node{apply("Gemm", "b v c", "y", graph.Attrs{"alpha": graph.Float(0.5), "beta": graph.Float(2)})}, true},
		{"transposed", false, []graph.Node{apply("Gemm", "b vt c", "y", graph.Attrs{"transB": graph.Int(1)})}, true},
		{"transposed on its way, a sum the other way round", false, []graph.Node{apply("Transpose", "vt", "v2", nil), apply("MatMul", "b v2", "d", nil), apply("Add", "c d", "y", nil)}, true},
		{"differences, quotients and a normalization", false, []graph.Node{apply("MatMul", "b v", "d", nil), apply("Sub", "d c", "e", nil), apply("Div", "e two", "f", nil), apply("BatchNormalization", "f s c c p", "y", nil)}, true},
		{"a factor", false, []graph.Node{apply("MatMul", "b v", "d", nil), apply("Mul", "s d", "y", nil)}, true},
		{"convolution and average", true, []graph.Node{apply("Conv", "b k c", "d", pointwise), apply("GlobalAveragePool", "d", "e", nil), apply("Flatten", "e", "y", nil)}, true},
		{"mean over the positions", true, []graph.Node{apply("Conv", "b k c", "d", pointwise), apply("ReduceMean", "d", "y", graph.Attrs{"axes": graph.Ints(2, 3), "keepdims": graph.Int(0)})}, true},
		{"mean over the channels", true, []graph.Node{apply("Conv", "b k c", "d", pointwise), apply("ReduceMean", "d", "e", graph.Attrs{"axes": graph.Ints(1), "keepdims": graph.Int(0)}), apply("Flatten", "e", "y", nil)}, false},
		{"a kernel of 3", true, []graph.Node{apply("Conv", "b k3 c", "d", nil), apply("GlobalAveragePool", "d", "e", nil), apply("Flatten", "e", "y", nil)}, false},
		{"no average", true, []graph.Node{apply("Conv", "b k c", "d", pointwise), apply("Flatten", "d", "y", nil)}, false},
		{"an activation", true, []graph.Node{apply("Conv", "b k c", "d", pointwise), apply("Relu", "d", "e", nil), apply("GlobalAveragePool", "e", "f", nil), apply("Flatten", "f", "y", nil)}, false},
		{"a quotient the other way round", false, []graph.Node{apply("MatMul", "b v", "d", nil), apply("Div", "s d", "y", nil)}, false},
		{"a product of every position", true, []graph.Node{apply("MatMul", "b u", "d", nil), apply("GlobalAveragePool", "d", "e", nil), apply("Flatten", "e", "y", nil)}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			sd := &model.StateDict{}
			add := func(name string, low float64, shape ...int) {
				v := make([]float32, product(shape))
				for i := range v {
					v[i] = float32(low + rng.Float64())
				}
				tensor, err := Float32s(shape, v).Model()
				if err != nil {
					t.Fatal(err)
				}
				sd = sd.With(name, tensor)
			}
			add("v", -0.5, 4, 5)
			add("vt", -0.5, 5, 4)
			add("u", -0.5, 2, 5)
			add("c", 0.5, 5)
			add("s", 0.5, 5)
			add("p", 0.5, 5)
			add("two", 2, 1)
			add("k", -0.5, 5, 4, 1, 1)
			add("k3", -0.5, 5, 4, 3, 1)
			shape := []int{3, 4}
			if test.image {
				shape = []int{3, 4, 3, 2}
			}
			g := &graph.Graph{
				Inputs:  []graph.Value{graph.TensorValue("x", model.Float32, graph.Batch(shape[1:]...))},
				Outputs: []graph.Value{{Name: "y"}},
				Nodes:   append([]graph.Node{apply("Relu", "x", "b", nil)}, test.nodes...),
				Opsets:  map[string]int{"": 17},
			}
			h, err := NewHead(g, sd)
			if (err == nil) != test.ok {
				t.Fatalf("%v", err)
			}
			if !test.ok {
				return
			}
			v := make([]float32, product(shape))
			for i := range v {
				v[i] = float32(rng.NormFloat64())
			}
			both := h.Graph.Clone()
			both.Outputs = append(both.Outputs, graph.Value{Name: h.Features})
			out, err := Run(context.Background(), both, sd, map[string]*Tensor{"x": Float32s(shape, v)}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			want, _ := out["y"].Float64s()
			features, _ := out[h.Features].Float64s()
			if len(want) != 3*h.Classes || len(features) != 3*h.Inputs {
				t.Fatalf("%d logits and %d features of 3 samples, want %d and %d each", len(want), len(features), h.Classes, h.Inputs)
			}
			for i, y := range want {
				row, c := features[i/h.Classes*h.Inputs:], i%h.Classes
				got := h.Weights[h.Inputs*h.Classes+c]
				for j := range h.Inputs {
					got += row[j] * h.Weights[j*h.Classes+c]
				}
				if math.Abs(got-y) > 1e-5 {
					t.Errorf("logit %d is %g, want %g", i, got, y)
				}
			}
		})
	}
}
