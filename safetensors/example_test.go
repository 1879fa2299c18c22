package safetensors_test

import (
	"bytes"
	"fmt"

	"lethe/model"
	"lethe/safetensors"
)

func Example() {
	sd, err := model.NewStateDict(model.Entry{Name: "bias", Tensor: model.Float32Tensor([]int{2}, []float32{1, -1})})
	if err != nil {
		panic(err)
	}
	f, err := safetensors.New(sd, safetensors.Pair{Key: "format", Value: "pt"})
	if err != nil {
		panic(err)
	}
	var file bytes.Buffer
	if err := safetensors.Encode(&file, f); err != nil {
		panic(err)
	}
	f, err = safetensors.Decode(bytes.NewReader(file.Bytes()), int64(file.Len()), safetensors.Options{})
	if err != nil {
		panic(err)
	}
	values, err := f.StateDict().Get("bias").Float32s()
	fmt.Println(values, f.Metadata(), err)
	// Output: [1 -1] [{format pt}] <nil>
}
