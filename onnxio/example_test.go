package onnxio_test

import (
	"bytes"
	"fmt"

	"lethe/graph"
	"lethe/model"
	"lethe/onnxio"
)

// classifier returns one linear layer with two inputs and two classes.
func classifier() (*graph.Graph, *model.StateDict) {
	sd, err := model.NewStateDict(
		model.Entry{Name: "fc.weight", Tensor: model.Float32Tensor([]int{2, 2}, []float32{1, 2, 3, 4})},
		model.Entry{Name: "fc.bias", Tensor: model.Float32Tensor([]int{2}, []float32{5, 6})},
	)
	if err != nil {
		panic(err)
	}
	return &graph.Graph{
		Name:    "classifier",
		Inputs:  []graph.Value{graph.TensorValue("input", model.Float32, graph.Batch(2))},
		Outputs: []graph.Value{graph.TensorValue("logits", model.Float32, graph.Batch(2))},
		Nodes: []graph.Node{{
			Name: "fc", Op: "Gemm",
			Inputs: []string{"input", "fc.weight", "fc.bias"}, Outputs: []string{"logits"},
			Attrs: graph.Attrs{"transB": graph.Int(1)},
		}},
	}, sd
}

// Any graph, under the operator sets that it names.
func ExampleEncode() {
	g, sd := classifier()
	g.Opsets = map[string]int{"": 21}
	g.Nodes = append(g.Nodes, graph.Node{Op: "Softmax", Inputs: []string{"logits"}, Outputs: []string{"p"}})
	g.Outputs[0].Name = "p"
	var file bytes.Buffer
	if err := onnxio.Encode(&file, g, sd, onnxio.EncodeOptions{ProducerVersion: "1"}); err != nil {
		fmt.Println(err)
		return
	}
	f, err := onnxio.Decode(bytes.NewReader(file.Bytes()), int64(file.Len()), onnxio.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	g, err = f.Graph()
	fmt.Println(g.Opset(""), g.Nodes[1].Op, f.StateDict().Names(), err)

	err = onnxio.Encode(&file, g, sd, onnxio.EncodeOptions{Opset: 9})
	fmt.Println(err)
	// Output:
	// 21 Softmax [fc.weight fc.bias] <nil>
	// onnx opset 9; opsets 13 to 28 are supported
}

func ExampleDecode() {
	g, sd := classifier()
	var file bytes.Buffer
	if err := onnxio.Encode(&file, g, sd, onnxio.EncodeOptions{}); err != nil {
		fmt.Println(err)
		return
	}

	f, err := onnxio.Decode(bytes.NewReader(file.Bytes()), int64(file.Len()), onnxio.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if g, err = f.Graph(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s by %s, opset %d\n", g.Name, f.Metadata().Producer, g.Opset(""))
	for _, n := range g.Nodes {
		fmt.Println(n.Op, n.Inputs, n.Outputs)
	}
	weight, err := f.StateDict().Get("fc.weight").Float32s()
	fmt.Println(weight, err)
	// Output:
	// classifier by lethe, opset 17
	// Gemm [input fc.weight fc.bias] [logits]
	// [1 2 3 4] <nil>
}

func ExampleSniff() {
	g, sd := classifier()
	var file bytes.Buffer
	if err := onnxio.Encode(&file, g, sd, onnxio.EncodeOptions{}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(onnxio.Sniff(bytes.NewReader(file.Bytes()), int64(file.Len())))
	fmt.Println(onnxio.Sniff(bytes.NewReader([]byte("PK...")), 5))
	// Output:
	// true
	// false
}

// The tensors of a large model in a file beside it.
func ExampleEncodeTensors() {
	g, _ := classifier()
	sd, err := model.NewStateDict(
		model.Entry{Name: "fc.weight", Tensor: model.Float32Tensor([]int{1000, 2}, make([]float32, 2000))},
		model.Entry{Name: "fc.bias", Tensor: model.Float32Tensor([]int{1000}, make([]float32, 1000))},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	var file, tensors bytes.Buffer
	if err := onnxio.Encode(&file, g, sd, onnxio.EncodeOptions{Location: "model.onnx.data"}); err != nil {
		fmt.Println(err)
		return
	}
	if err := onnxio.EncodeTensors(&tensors, g, sd); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(file.Len() < 1000, tensors.Len())
	// Output: true 12000
}

func ExampleExternalName() {
	fmt.Println(onnxio.ExternalName("in.onnx.data", "in.onnx", "out.onnx"))
	fmt.Println(onnxio.ExternalName("weights.bin", "in.onnx", "out.onnx"))
	// Output:
	// out.onnx.data
	// out.onnx.weights.bin
}
