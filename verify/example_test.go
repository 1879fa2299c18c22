package verify_test

import (
	"bytes"
	"context"
	"fmt"

	"lethe/dataset"
	"lethe/graph"
	"lethe/model"
	"lethe/onnxio"
	"lethe/report"
	"lethe/verify"
)

// tiny returns a network over images of 1 x 2 pixels that tells which of the
// two is lit: fc passes the pixels on, fc1 makes two classes of them.
func tiny(fc ...float32) (*graph.Graph, *model.StateDict) {
	gemm := func(name, in string) graph.Node {
		return graph.Node{Name: name, Op: "Gemm", Inputs: []string{in, name + ".weight"}, Outputs: []string{name}}
	}
	g := &graph.Graph{
		Name:    "tiny",
		Inputs:  []graph.Value{graph.TensorValue("input", model.Float32, graph.Batch(1, 1, 2))},
		Outputs: []graph.Value{graph.TensorValue("fc1", model.Float32, graph.Batch(2))},
		Nodes: []graph.Node{
			{Name: "flatten", Op: "Flatten", Inputs: []string{"input"}, Outputs: []string{"flatten"}},
			gemm("fc", "flatten"), gemm("fc1", "fc"),
		},
	}
	sd, err := model.NewStateDict(
		model.Entry{Name: "fc.weight", Tensor: model.Float32Tensor([]int{2, 2}, fc)},
		model.Entry{Name: "fc1.weight", Tensor: model.Float32Tensor([]int{2, 2}, []float32{1, 0, 0, 1})})
	if err != nil {
		panic(err)
	}
	return g, sd
}

func ExampleCompare() {
	g, before := tiny(1, 0, 0, 1)
	after := before.
		With("fc.weight", model.Float32Tensor([]int{2, 2}, []float32{1, 3, 4, 1})).
		With("fc1.weight", model.Float32Tensor([]int{2, 2}, []float32{1, 0, 0, 2}))
	c, err := verify.Compare(g, before, after)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, ch := range c.Changes {
		fmt.Printf("%s, %s: L2 %g, largest %g\n", ch.Name, ch.Role, ch.L2, ch.Max)
	}
	fmt.Println(verify.Err(c.Checks))
	// Output:
	// fc.weight, parameter: L2 5, largest 4
	// fc1.weight, last layer: L2 1, largest 1
	// check failed: last layer bit-identical (fc1.weight moved by up to 1)
}

func ExampleGrade() {
	m := &verify.Measures{Target: 0.07, Remain: 0.891, KL: 0.14}
	const l2 = 0.66
	fmt.Printf("%.1f\n", verify.Grade(report.FashionMNIST, m, l2))
	fmt.Println(verify.Err([]verify.Check{verify.GateHard.Check(report.FashionMNIST, m, l2, report.Limits{})}))
	fmt.Println(verify.Err([]verify.Check{verify.GateFull.Check(report.FashionMNIST, m, l2, report.Limits{})}))
	// Output:
	// {92.5 100.0 70.0 100.0 100.0}
	// <nil>
	// check failed: gate full (remain 0.8910 is under 0.9)
}

func ExampleJudge() {
	g, before := tiny(1, 0, 0, 1)
	_, after := tiny(1, 0.5, 0, 0) // nothing speaks for class 1 any more
	r, err := verify.Judge(context.Background(), verify.Edit{
		Before: verify.NewNetwork(g, before), After: verify.NewNetwork(g, after), Gate: verify.GateFull, Classes: []int{1},
		Train: &dataset.Set{Shape: []int{1, 1, 2}, Classes: 2, Pixels: []uint8{255, 0, 0, 255}, Labels: []int{0, 1}},
		Norm:  dataset.OneNorm(0, 1),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("accuracy on the forgotten: %g, was %g\n", r.Data.TrainAfter.Target, r.Data.TrainBefore.Target)
	fmt.Printf("accuracy on the others: %g, was %g\n", r.Data.TrainAfter.Remain, r.Data.TrainBefore.Remain)
	fmt.Printf("passed: %v, %.0f of 100\n", r.Passed, r.Score.Total)
	// Output:
	// accuracy on the forgotten: 0, was 1
	// accuracy on the others: 1, was 1
	// passed: true, 100 of 100
}

func ExampleAuditMeasure_Gap() {
	m := verify.AuditMeasure{
		Name:      "few_shot_1",
		After:     &verify.Estimate{Value: 0.96, Low: 0.94, High: 0.98, N: 10},
		Retrained: &verify.Estimate{Value: 0.70, Low: 0.63, High: 0.76, N: 10},
	}
	gap, apart, _ := m.Gap()
	fmt.Printf("%+.2f %v\n", gap, apart)
	// Output: +0.26 true
}

// A network is bound once, and tells what does not fit.
func ExampleNewNetwork() {
	g, sd := tiny(1, 0, 0, 1)
	n := verify.NewNetwork(g, sd)
	fmt.Println(n.Check(), n.InputShape(), n.Classes())
	fmt.Println(n.Logits([]float32{3, 5}, 1))
	fmt.Println(verify.NewNetwork(g, &model.StateDict{}).Check() != nil)
	// Output:
	// <nil> [1 1 2] 2
	// [3 5] <nil>
	// true
}

func ExampleNetwork_Measure() {
	g, sd := tiny(1, 0, 0, 1)
	images := &dataset.Set{Shape: []int{1, 1, 2}, Classes: 2, Pixels: []uint8{255, 0, 0, 255, 255, 0}, Labels: []int{0, 1, 1}}
	m, err := verify.NewNetwork(g, sd).Measure(context.Background(), images, []int{1}, dataset.OneNorm(0, 1), 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Images, m.Forgotten, m.Target, m.Remain)
	// Output: 3 2 0.5 1
}

// What was written is compared with the weights that it was written from.
func ExampleONNX() {
	g, sd := tiny(1, 0, 0, 1)
	var file bytes.Buffer
	if err := onnxio.Encode(&file, g, sd, onnxio.EncodeOptions{}); err != nil {
		fmt.Println(err)
		return
	}
	_, err := verify.ONNX(file.Bytes(), verify.NewNetwork(g, sd))
	fmt.Println(err)
	_, other := tiny(1, 0.5, 0, 1)
	_, err = verify.ONNX(file.Bytes(), verify.NewNetwork(g, other))
	fmt.Println(err != nil)
	// Output:
	// <nil>
	// true
}

func ExampleParseGate() {
	g, err := verify.ParseGate("full")
	fmt.Println(g == verify.GateFull, err)
	_, err = verify.ParseGate("strict")
	fmt.Println(err)
	// Output:
	// true <nil>
	// unknown gate "strict": the gates are none, hard and full
}

func ExampleErr() {
	fmt.Println(verify.Err([]verify.Check{{Name: verify.SameNames, OK: true}, {Name: verify.AllFinite, OK: true}}))
	fmt.Println(verify.Err([]verify.Check{{Name: verify.SameNames, OK: false, Detail: "fc.bias is gone"}}))
	// Output:
	// <nil>
	// check failed: same names (fc.bias is gone)
}
