package edit_test

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

// The whole way: decode a checkpoint, forget a class, judge the edit, encode.
func ExampleForget() {
	f, err := os.Open("../fixtures/lenet-fashion.pt")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		log.Fatal(err)
	}
	checkpoint, err := pickle.Decode(f, info.Size(), pickle.Options{})
	if err != nil {
		log.Fatal(err)
	}
	before := checkpoint.StateDict()
	graph, err := convert.Recognize(before)
	if err != nil {
		log.Fatal(err)
	}
	data, err := dataset.OpenFS(fixtures.FashionMNIST(), "fashion")
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	ankleBoot := []int{9}
	result, err := edit.Forget(ctx, graph, before, data.Train, edit.Options{Classes: ankleBoot, Norm: dataset.FashionNorm})
	if err != nil {
		log.Fatal(err)
	}
	report, err := verify.Judge(ctx, verify.Edit{
		Before: verify.NewNetwork(graph, before), After: verify.NewNetwork(graph, result.StateDict), Gate: verify.GateFull,
		Classes: ankleBoot, Train: data.Train, Norm: dataset.FashionNorm,
	})
	if err != nil {
		log.Fatal(err)
	}
	edited, err := checkpoint.With(result.StateDict)
	if err != nil {
		log.Fatal(err)
	}
	var out bytes.Buffer
	if err := pickle.Encode(&out, edited, pickle.EncodeOptions{}); err != nil {
		log.Fatal(err)
	}
	fmt.Println("passed:", report.Passed, "score:", report.Score.Total)
	fmt.Println("same size:", int64(out.Len()) == info.Size())
	// Output:
	// passed: true score: 100
	// same size: true
}
