package convert_test

import (
	"fmt"

	"lethe/convert"
	"lethe/graph"
	"lethe/model"
)

// lenet returns a state dict with the names and shapes of the LeNet.
func lenet() *model.StateDict {
	var entries []model.Entry
	for _, e := range []struct {
		name  string
		shape []int
	}{
		{"block1.0.weight", []int{6, 1, 5, 5}}, {"block1.0.bias", []int{6}},
		{"block1.1.weight", []int{6}}, {"block1.1.bias", []int{6}},
		{"block1.1.running_mean", []int{6}}, {"block1.1.running_var", []int{6}},
		{"block2.0.weight", []int{16, 6, 5, 5}}, {"block2.0.bias", []int{16}},
		{"block2.1.weight", []int{16}}, {"block2.1.bias", []int{16}},
		{"block2.1.running_mean", []int{16}}, {"block2.1.running_var", []int{16}},
		{"fc.weight", []int{120, 256}}, {"fc.bias", []int{120}},
		{"fc1.weight", []int{84, 120}}, {"fc1.bias", []int{84}},
		{"fc2.weight", []int{10, 84}}, {"fc2.bias", []int{10}},
	} {
		n, _ := model.Elements(e.shape)
		entries = append(entries, model.Entry{Name: e.name, Tensor: model.Float32Tensor(e.shape, make([]float32, n))})
	}
	sd, err := model.NewStateDict(entries...)
	if err != nil {
		panic(err)
	}
	return sd
}

func ExampleRecognize() {
	g, err := convert.Recognize(lenet())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(g.Name, g.Inputs[0].Shape, g.Outputs[0].Shape)
	for _, n := range g.Nodes {
		fmt.Println(n.Op, n.Inputs)
	}
	// Output:
	// LeNet [N 1 28 28] [N 10]
	// Conv [input block1.0.weight block1.0.bias]
	// BatchNormalization [block1.0 block1.1.weight block1.1.bias block1.1.running_mean block1.1.running_var]
	// Relu [block1.1]
	// MaxPool [block1.2]
	// Conv [block1.3 block2.0.weight block2.0.bias]
	// BatchNormalization [block2.0 block2.1.weight block2.1.bias block2.1.running_mean block2.1.running_var]
	// Relu [block2.1]
	// MaxPool [block2.2]
	// Flatten [block2.3]
	// Gemm [flatten fc.weight fc.bias]
	// Relu [fc]
	// Gemm [fc.relu fc1.weight fc1.bias]
	// Relu [fc1]
	// Gemm [fc1.relu fc2.weight fc2.bias]
}

func ExampleFoldBatchNorm() {
	sd := lenet()
	g, err := convert.Recognize(sd)
	if err != nil {
		fmt.Println(err)
		return
	}
	folded, _, err := convert.FoldBatchNorm(g, sd)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(g.Nodes), "nodes became", len(folded.Nodes))
	// Output: 14 nodes became 12
}

// small returns a convolution, its batch normalization, and a node that does nothing
// in evaluation.
func small() (*graph.Graph, *model.StateDict) {
	x := graph.TensorValue("x", model.Float32, graph.Batch(1, 4, 4))
	y := graph.TensorValue("y", model.Float32, graph.Batch(1, 4, 4))
	g := &graph.Graph{
		Opsets: map[string]int{"": 17}, Inputs: []graph.Value{x}, Outputs: []graph.Value{y},
		Nodes: []graph.Node{
			{Op: "Conv", Inputs: []string{"x", "conv.weight"}, Outputs: []string{"c"}},
			{Op: "BatchNormalization", Inputs: []string{"c", "bn.weight", "bn.bias", "bn.mean", "bn.var"}, Outputs: []string{"b"}},
			{Op: "Dropout", Inputs: []string{"b"}, Outputs: []string{"d"}},
			{Op: "Relu", Inputs: []string{"d"}, Outputs: []string{"y"}},
		},
	}
	entries := []model.Entry{{Name: "conv.weight", Tensor: model.Float32Tensor([]int{1, 1, 1, 1}, []float32{3})}}
	for _, name := range []string{"bn.weight", "bn.bias", "bn.mean", "bn.var"} {
		entries = append(entries, model.Entry{Name: name, Tensor: model.Float32Tensor([]int{1}, []float32{1})})
	}
	sd, err := model.NewStateDict(entries...)
	if err != nil {
		panic(err)
	}
	return g, sd
}

func ExampleOptimize() {
	g, sd, err := convert.Optimize(small())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range g.Nodes {
		fmt.Println(n.Op, n.Inputs)
	}
	fmt.Println(sd.Names())
	// Output:
	// Conv [x conv.weight conv.bias]
	// Relu [b]
	// [conv.weight conv.bias]
}

func ExampleFoldWeights() {
	g, sd, err := convert.FoldWeights(small())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(g.Nodes), sd.Names())
	// Output: 3 [conv.weight conv.bias]
}

// The weight of a layer that was pruned.
func ExampleEffective() {
	sd, err := model.NewStateDict(
		model.Entry{Name: "fc.weight_orig", Tensor: model.Float32Tensor([]int{1, 3}, []float32{1, 2, 3})},
		model.Entry{Name: "fc.weight_mask", Tensor: model.Float32Tensor([]int{1, 3}, []float32{1, 0, 1})},
	)
	if err != nil {
		panic(err)
	}
	sd, _, err = convert.Effective(sd)
	if err != nil {
		panic(err)
	}
	w, err := sd.Get("fc.weight").Float32s()
	fmt.Println(w, err)
	// Output: [1 0 3] <nil>
}
