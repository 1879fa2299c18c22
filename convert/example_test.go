package convert_test

import (
	"fmt"

	"lethe/convert"
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
