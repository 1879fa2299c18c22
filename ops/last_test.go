package ops

import (
	"slices"
	"testing"

	"lethe/graph"
	"lethe/model"
)

// ending returns a graph of a sample of two features that ends with nodes, of which
// the last one makes the output.
func ending(nodes ...graph.Node) *graph.Graph {
	return &graph.Graph{
		Inputs:  []graph.Value{graph.TensorValue("x", model.Float32, graph.Batch(2))},
		Outputs: []graph.Value{{Name: nodes[len(nodes)-1].Outputs[0]}},
		Nodes:   append([]graph.Node{apply("MatMul", "x w", "a", nil), apply("Relu", "a", "b", nil)}, nodes...),
	}
}

func TestLastLayer(t *testing.T) {
	for _, test := range []struct {
		name  string
		nodes []graph.Node
		want  []string // nil: refused
	}{
		{"product", []graph.Node{apply("Gemm", "b v c", "y", nil)}, []string{"v", "c"}},
		{"sum with a bias", []graph.Node{apply("Transpose", "v", "vt", nil), apply("MatMul", "b vt", "d", nil), apply("Add", "c d", "y", nil)}, []string{"v", "c"}},
		{"logarithms of probabilities", []graph.Node{apply("Gemm", "b v c", "d", nil), apply("LogSoftmax", "d", "y", nil)}, []string{"v", "c"}},
		{"normalization and a scale", []graph.Node{apply("MatMul", "b v", "d", nil), apply("BatchNormalization", "d s z m r", "e", nil), apply("Mul", "e k", "y", nil)}, []string{"v", "s", "z", "k"}},
		{"convolution and pooling", []graph.Node{apply("Conv", "b v c", "d", nil), apply("Relu", "d", "e", nil), apply("GlobalAveragePool", "e", "f", nil), apply("Flatten", "f", "y", nil)}, []string{"v", "c"}},
		{"a weight that is normalized", []graph.Node{apply("LpNormalization", "v", "u", nil), apply("MatMul", "b u", "d", nil), apply("Mul", "s d", "y", nil)}, []string{"v", "s"}},
		{"a constant that a node makes", []graph.Node{apply("Gemm", "b v c", "d", nil), apply("Constant", "", "k", nil), apply("Div", "d k", "y", nil)}, []string{"v", "c"}},
		{"a factor of each sample", []graph.Node{apply("Gemm", "b v c", "d", nil), apply("ReduceMax", "b", "k", nil), apply("Mul", "d k", "y", nil)}, nil},
		{"the last position", []graph.Node{apply("MatMul", "b v", "d", nil), apply("Gather", "d last", "y", nil)}, []string{"v"}},
		{"a sum of two products", []graph.Node{apply("MatMul", "b v", "d", nil), apply("MatMul", "b u", "e", nil), apply("Add", "d e", "y", nil)}, nil},
		{"a product of two samples", []graph.Node{apply("MatMul", "b b", "y", nil)}, nil},
		{"a difference of two values of one product", []graph.Node{apply("MatMul", "b v", "d", nil), apply("Neg", "d", "e", nil), apply("ReduceMax", "e", "f", nil), apply("Sub", "e f", "y", nil)}, []string{"v"}},
		{"the logarithm of probabilities and a little", []graph.Node{apply("MatMul", "b v", "d", nil), apply("Softmax", "d", "e", nil), apply("Add", "e k", "f", nil), apply("Log", "f", "y", nil)}, []string{"v", "k"}},
		{"a normalization of each sample", []graph.Node{apply("MatMul", "b v", "d", nil), apply("LayerNormalization", "d s z", "y", nil)}, []string{"v", "s", "z"}},
		{"a way around the product", []graph.Node{apply("MatMul", "b v", "d", nil), apply("Add", "d b", "y", nil)}, nil},
		{"another operator", []graph.Node{apply("Gemm", "b v c", "d", nil), apply("TopK", "d k", "y", nil)}, nil},
		{"an operator of another domain", []graph.Node{apply("Gemm", "b v c", "d", nil), {Domain: "own", Op: "Softmax", Inputs: []string{"d"}, Outputs: []string{"y"}}}, nil},
		{"a cycle", []graph.Node{apply("Identity", "y", "d", nil), apply("Identity", "d", "y", nil)}, nil},
	} {
		got, err := LastLayer(ending(test.nodes...))
		if (err != nil) != (test.want == nil) || !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, %v; want %q", test.name, got, err, test.want)
		}
	}
}

func TestLogits(t *testing.T) {
	product := apply("Gemm", "b v c", "d", nil)
	for _, test := range []struct {
		name  string
		nodes []graph.Node
		want  string // the output
	}{
		{"logits", []graph.Node{product}, "d"},
		{"probabilities", []graph.Node{product, apply("Softmax", "d", "y", graph.Attrs{"axis": graph.Int(1)})}, "d"},
		{"logarithms, laid out", []graph.Node{product, apply("LogSoftmax", "d", "e", nil), apply("Identity", "e", "y", nil)}, "d"},
		{"the logarithm of probabilities", []graph.Node{product, apply("Softmax", "d", "e", nil), apply("Log", "e", "y", nil)}, "d"},
		{"probabilities of each class by itself", []graph.Node{product, apply("Sigmoid", "d", "y", nil)}, "d"},
		{"over the batch", []graph.Node{product, apply("Softmax", "d", "y", graph.Attrs{"axis": graph.Int(0)})}, "y"},
		{"of the input itself", []graph.Node{apply("Softmax", "x", "y", nil)}, "y"},
		{"of another domain", []graph.Node{product, {Domain: "own", Op: "Softmax", Inputs: []string{"d"}, Outputs: []string{"y"}}}, "y"},
	} {
		g := ending(test.nodes...)
		got := Logits(g)
		if got.Outputs[0].Name != test.want || (got == g) != (test.want == g.Outputs[0].Name) {
			t.Errorf("%s: the output is %q, want %q", test.name, got.Outputs[0].Name, test.want)
		}
		if g.Outputs[0].Name != test.nodes[len(test.nodes)-1].Outputs[0] {
			t.Errorf("%s: the graph changed", test.name)
		}
	}
}
