package graph_test

import (
	"fmt"

	"lethe/graph"
	"lethe/model"
)

// A fully connected layer and a ReLU. What the nodes read and nobody makes are
// weights, which are in a state dict.
func Example() {
	g := &graph.Graph{
		Name:    "small",
		Inputs:  []graph.Value{graph.TensorValue("x", model.Float32, graph.Batch(4))},
		Outputs: []graph.Value{graph.TensorValue("y", model.Float32, graph.Shape{graph.Symbol("N"), graph.Size(2)})},
		Nodes: []graph.Node{
			{Op: "Gemm", Inputs: []string{"x", "fc.weight", "fc.bias"}, Outputs: []string{"h"}, Attrs: graph.Attrs{"transB": graph.Int(1)}},
			{Op: "Relu", Inputs: []string{"h"}, Outputs: []string{"y"}},
		},
	}
	fmt.Println(g.Check(), g.Weights())
	fmt.Println(g.Inputs[0].Shape, g.Outputs[0].Shape, g.Nodes[0].Int("transB", 0))
	// Output:
	// <nil> [fc.weight fc.bias]
	// [N 4] [N 2] 1
}

func ExampleTensorValue() {
	v := graph.TensorValue("tokens", model.Int64, graph.Batch(128))
	fmt.Println(v.Name, v.DType, v.Shape)
	// Output: tokens int64 [N 128]
}

func ExampleNewIndex() {
	g := &graph.Graph{Nodes: []graph.Node{
		{Name: "fc", Op: "Gemm", Inputs: []string{"x", "w"}, Outputs: []string{"h"}},
		{Name: "relu", Op: "Relu", Inputs: []string{"h"}, Outputs: []string{"y"}},
	}}
	index := graph.NewIndex(g)
	fmt.Println(index.Maker("h").Name, index.Uses("h")[0].Node.Name, index.Maker("x"))
	// Output: fc relu <nil>
}

func ExampleSize() {
	n, fixed := graph.Size(28).Mul(graph.Size(28)).Int()
	fmt.Println(n, fixed)
	// Output: 784 true
}

func ExampleSymbol() {
	n := graph.Symbol("N")
	fmt.Println(n.Mul(graph.Size(3)).Sub(n))
	fmt.Println(n.Mul(graph.Size(3)).Eval(map[string]int{"N": 8}))
	// Output:
	// 2*N
	// 24 true
}

func ExampleSizes() {
	fmt.Println(graph.Sizes(3, 224, 224))
	// Output: [3 224 224]
}

func ExampleBatch() {
	fmt.Println(graph.Batch(3, 224, 224))
	// Output: [N 3 224 224]
}

// A size as text in another language.
func ExampleCompute() {
	join := func(sign string) func(a, b string) string {
		return func(a, b string) string { return "(" + a + sign + b + ")" }
	}
	call := func(name string) func(a, b string) string {
		return func(a, b string) string { return name + "(" + a + ", " + b + ")" }
	}
	python := graph.Arithmetic[string]{
		Int:    func(n int64) string { return fmt.Sprint(n) },
		Symbol: func(name string) string { return name },
		Add:    join("+"), Mul: join("*"), Div: join("//"), Max: call("max"), Min: call("min"),
	}
	half := graph.Symbol("width").Add(graph.Size(1)).Div(graph.Size(2))
	fmt.Println(graph.Compute(half, python))
	// Output: ((width+1)//2)
}

func ExampleInt() {
	axis := graph.Int(-1)
	fmt.Println(axis.Int(), axis.Float(), axis)
	// Output: -1 0 -1
}

func ExampleFloat() {
	fmt.Println(graph.Float(1e-5).Float())
	// Output: 1e-05
}

func ExampleString() {
	fmt.Println(graph.String("SAME_UPPER").Text())
	// Output: SAME_UPPER
}

func ExampleInts() {
	fmt.Println(graph.Ints(2, 2).Ints())
	// Output: [2 2]
}

func ExampleFloats() {
	fmt.Println(graph.Floats(0.5, 1).Floats())
	// Output: [0.5 1]
}

func ExampleStrings() {
	fmt.Println(graph.Strings("Tanh", "Relu").Strings())
	// Output: [Tanh Relu]
}

func ExampleTensor() {
	zero := graph.Tensor(model.Float32Tensor([]int{1}, []float32{0}))
	fmt.Println(zero.Tensor().Shape())
	// Output: [1]
}

func ExampleTensors() {
	one := model.Float32Tensor(nil, []float32{1})
	fmt.Println(len(graph.Tensors(one, one).Tensors()))
	// Output: 2
}

// The branches of an If are graphs.
func ExampleSubgraph() {
	branch := &graph.Graph{Nodes: []graph.Node{{Op: "Relu", Inputs: []string{"x"}, Outputs: []string{"y"}}}}
	n := graph.Node{Op: "If", Attrs: graph.Attrs{"then_branch": graph.Subgraph(branch)}}
	for g := range n.Subgraphs() {
		fmt.Println(g.Nodes[0].Op)
	}
	// Output: Relu
}

func ExampleSubgraphs() {
	fmt.Println(len(graph.Subgraphs(&graph.Graph{}, &graph.Graph{}).Graphs()))
	// Output: 2
}

func ExampleTypeOf() {
	t := graph.Type{DType: model.Float16, Shape: graph.Sizes(3)}
	fmt.Println(graph.TypeOf(t).Type().Equal(t))
	// Output: true
}

func ExampleTypesOf() {
	fmt.Println(len(graph.TypesOf(graph.Type{}, graph.Type{}).Types()))
	// Output: 2
}

// Inside a function of a file, alpha is what the node that calls it says.
func ExampleRef() {
	a := graph.Ref(graph.FloatAttr, "alpha")
	fmt.Println(a.Ref(), a.Kind() == graph.FloatAttr)
	// Output: alpha true
}
