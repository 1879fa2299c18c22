package ops

import (
	"strings"
	"testing"

	"lethe/graph"
	"lethe/model"
)

// Of several outputs the classifier is the one that the others do not come after, and of
// several of those the one that is called logits.
func TestClassifier(t *testing.T) {
	weight := func(shape ...int) *model.Tensor {
		n, _ := model.Elements(shape)
		return model.Float32Tensor(shape, make([]float32, n))
	}
	sd := new(model.StateDict).With("w", weight(2, 4)).With("v", weight(4, 3)).With("u", weight(4, 5)).With("one", weight(4, 1))
	nodes := []graph.Node{
		apply("MatMul", "x w", "a", nil), apply("Relu", "a", "features", nil),
		apply("MatMul", "features v", "classes", nil), apply("Softmax", "classes", "probabilities", nil),
		apply("ArgMax", "classes", "best", graph.Attrs{"axis": graph.Int(1), "keepdims": graph.Int(0)}), apply("MatMul", "features u", "groups", nil),
		apply("Identity", "groups", "my_logits", nil), apply("MatMul", "features one", "value", nil),
	}
	for _, test := range []struct{ outputs, want string }{
		{"classes", "classes"},
		{"features classes", "classes"},
		{"classes features", "classes"},
		{"classes probabilities", "probabilities"},
		{"probabilities features classes", "probabilities"},
		{"best classes", "classes"},
		{"value classes", "classes"},
		{"classes my_logits", "my_logits"},
		{"classes groups", ""},
		{"value best", ""},
	} {
		g := &graph.Graph{Inputs: []graph.Value{graph.TensorValue("x", model.Float32, graph.Batch(2))}, Nodes: nodes}
		for _, name := range strings.Fields(test.outputs) {
			g.Outputs = append(g.Outputs, graph.Value{Name: name})
		}
		got, err := Classifier(g, sd)
		if test.want == "" {
			if err == nil || !strings.Contains(err.Error(), `"best" [N]`) && !strings.Contains(err.Error(), `"groups" [N 5]`) {
				t.Errorf("%s: %v, which does not list the outputs", test.outputs, err)
			}
			continue
		}
		if err != nil || len(got.Outputs) != 1 || got.Outputs[0].Name != test.want {
			t.Errorf("%s: %v, %v; want %s", test.outputs, got, err, test.want)
		}
	}
}
