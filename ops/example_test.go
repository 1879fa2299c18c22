package ops_test

import (
	"context"
	"fmt"

	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// classifier flattens images of 2x2 elements, of which any number comes at once,
// and has two scores for each.
func classifier() (*graph.Graph, *model.StateDict) {
	target, err := ops.Int64s([]int{2}, []int64{0, -1}).Model()
	if err != nil {
		panic(err)
	}
	sd, err := model.NewStateDict(model.Entry{Name: "fc.weight", Tensor: model.Float32Tensor([]int{2, 4}, []float32{1, 1, 1, 1, 1, -1, 1, -1})})
	if err != nil {
		panic(err)
	}
	return &graph.Graph{
		Inputs:    []graph.Value{graph.TensorValue("images", model.Float32, graph.Batch(1, 2, 2))},
		Outputs:   []graph.Value{graph.TensorValue("scores", model.Float32, graph.Batch(2))},
		Constants: map[string]*model.Tensor{"target": target},
		Nodes: []graph.Node{
			{Name: "flatten", Op: "Reshape", Inputs: []string{"images", "target"}, Outputs: []string{"rows"}},
			{Name: "fc", Op: "Gemm", Inputs: []string{"rows", "fc.weight"}, Outputs: []string{"scores"}, Attrs: graph.Attrs{"transB": graph.Int(1)}},
		},
	}, sd
}

func ExampleRun() {
	g, sd := classifier()
	images := ops.Float32s([]int{1, 1, 2, 2}, []float32{1, 2, 3, 4})
	out, err := ops.Run(context.Background(), g, sd, map[string]*ops.Tensor{"images": images}, ops.Options{})
	if err != nil {
		panic(err)
	}
	scores, _ := out["scores"].Float64s()
	fmt.Println(out["scores"].Shape(), scores)
	// Output: [1 2] [10 -2]
}

func ExampleInfer() {
	g, sd := classifier()
	facts, err := ops.Infer(g, sd)
	if err != nil {
		panic(err)
	}
	fmt.Println(facts.Type("rows").Shape, facts.Type("scores").Shape)
	// Output: [N 4] [N 2]
}

func ExampleCheck() {
	g, _ := classifier()
	g.Nodes[1].Op = "Gem"
	fmt.Println(ops.Check(g))
	// Output: the network has an operator that is not supported: Gem (in node "fc")
}

func ExampleFold() {
	g, sd := classifier()
	// The target of the Reshape, as an exporter of PyTorch writes it.
	g.Nodes = append([]graph.Node{{Op: "Identity", Inputs: []string{"target"}, Outputs: []string{"same"}}}, g.Nodes...)
	g.Nodes[1].Inputs[1] = "same"
	folded, err := ops.Fold(g, sd)
	if err != nil {
		panic(err)
	}
	fmt.Println(len(g.Nodes), len(folded.Nodes), folded.Weights())
	// Output: 3 2 [fc.weight]
}

func ExampleParameters() {
	g, _ := classifier()
	last, err := ops.LastLayer(g)
	fmt.Println(ops.Parameters(g), last, err)
	// Output: [fc.weight] [fc.weight] <nil>
}
