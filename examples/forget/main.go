// Command forget makes the LeNet in a checkpoint forget a class of Fashion-MNIST, by
// the sample of it that Lethe brings, judges the edit, and writes what passed:
// forget in.pt out.pt CLASS.
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"

	"lethe/convert"
	"lethe/dataset"
	"lethe/edit"
	"lethe/fixtures"
	"lethe/pickle"
	"lethe/verify"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: forget in.pt out.pt CLASS")
	}
	in := must(os.ReadFile(os.Args[1]))
	checkpoint := must(pickle.Decode(bytes.NewReader(in), int64(len(in)), pickle.Options{}))
	before := checkpoint.StateDict()
	network := must(convert.Recognize(before))
	data := must(dataset.OpenFS(fixtures.FashionMNIST(), "fashion"))
	classes := []int{must(dataset.ParseClass(os.Args[3], data.Names))}

	ctx := context.Background()
	result := must(edit.Forget(ctx, network, before, data.Train, edit.Options{Classes: classes, Norm: dataset.FashionNorm}))
	report := must(verify.Judge(ctx, verify.Edit{
		Before: verify.NewNetwork(network, before), After: verify.NewNetwork(network, result.StateDict), Gate: verify.GateFull,
		Classes: classes, Train: data.Train, Test: data.Test, Norm: dataset.FashionNorm,
	}))
	check(verify.Err(report.AllChecks()))
	fmt.Printf("score %.2f for forgetting %s\n", report.Score.Total, data.Names[classes[0]])

	var out bytes.Buffer
	check(pickle.Encode(&out, must(checkpoint.With(result.StateDict)), pickle.EncodeOptions{}))
	check(os.WriteFile(os.Args[2], out.Bytes(), 0o666))
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
