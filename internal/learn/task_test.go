package learn

import (
	"slices"
	"strings"
	"testing"

	"lethe/graph"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/report"
)

func TestMovable(t *testing.T) {
	g, _ := lenet(t)
	for _, c := range []struct {
		pick Selection
		want string // the names, or the beginning of the error
	}{
		{Selection{Train: []string{"fc1"}}, "fc1.weight fc1.bias"},
		{Selection{Train: []string{"fc1.", "fc.bias"}}, "fc.bias fc1.weight fc1.bias"},
		{Selection{Train: []string{"fc*.bias"}}, "fc.bias fc1.bias"},
		{Selection{Train: []string{"block2"}, Freeze: []string{"block2.1"}}, "block2.0.weight block2.0.bias"},
		{Selection{Freeze: []string{"block?.[01].*", "fc"}}, "fc1.weight fc1.bias"},
		{Selection{Train: []string{"fc2"}}, "error: the patterns leave no parameter that may move; those of the last layer, fc2.weight, fc2.bias"},
		{Selection{Freeze: []string{"*"}}, "error: the patterns leave no parameter"},
		{Selection{Train: []string{"layer4"}}, `error: no parameter fits "layer4"; there are block1.0.weight`},
		{Selection{Freeze: []string{"block1.1.running_mean"}}, `error: no parameter fits "block1.1.running_mean"`},
		{Selection{Freeze: []string{"["}}, `error: the pattern "[" of parameters`},
	} {
		move, last, err := Movable(g, c.pick)
		got := strings.Join(move, " ")
		if err != nil {
			got = "error: " + err.Error()
		} else if !slices.Equal(last, []string{"fc2.weight", "fc2.bias"}) {
			t.Errorf("%+v: the last layer is %v", c.pick, last)
		}
		if got != c.want && (err == nil || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%+v: %s, want %s", c.pick, got, c.want)
		}
	}
}

// The reference network has rules of its own, whatever its names; any other has
// those that follow from it.
func TestRules(t *testing.T) {
	g, sd := lenet(t)
	rules := func(g *graph.Graph, sd *model.StateDict) report.Rules {
		net, err := nn.Bind(g, sd)
		if err != nil {
			t.Fatal(err)
		}
		move, _, err := Movable(g, Selection{})
		if err != nil {
			t.Fatal(err)
		}
		return Rules(net, move, 0.95)
	}
	if got := rules(g, sd); got != report.FashionMNIST {
		t.Errorf("the reference network has the rules %+v", got)
	}
	other := &graph.Graph{
		Opsets: g.Opsets, Inputs: g.Inputs, Outputs: g.Outputs,
		Nodes: []graph.Node{
			{Name: "flat", Op: "Flatten", Inputs: []string{g.Inputs[0].Name}, Outputs: []string{"flat"}},
			{Name: "a", Op: "MatMul", Inputs: []string{"flat", "a"}, Outputs: []string{"hidden"}},
			{Name: "b", Op: "MatMul", Inputs: []string{"hidden", "b"}, Outputs: []string{g.Outputs[0].Name}},
		},
	}
	weights, err := model.NewStateDict(
		model.Entry{Name: "a", Tensor: model.Float32Tensor([]int{784, 4}, slices.Repeat([]float32{0.5}, 4*784))},
		model.Entry{Name: "b", Tensor: model.Float32Tensor([]int{4, 10}, slices.Repeat([]float32{9}, 40))})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := rules(other, weights), report.RulesFor(10, 0.95, 28); got != want { // sqrt(4 x 784 x 0.25)
		t.Errorf("another network has the rules %+v, want %+v", got, want)
	}
}
