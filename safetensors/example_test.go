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

// file returns the bytes of a file with one tensor.
func file() []byte {
	sd, err := model.NewStateDict(model.Entry{Name: "bias", Tensor: model.Float32Tensor([]int{2}, []float32{1, -1})})
	if err != nil {
		panic(err)
	}
	f, err := safetensors.New(sd, safetensors.TorchMetadata)
	if err != nil {
		panic(err)
	}
	var b bytes.Buffer
	if err := safetensors.Encode(&b, f); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func ExampleSniff() {
	b := file()
	fmt.Println(safetensors.Sniff(bytes.NewReader(b), int64(len(b))))
	fmt.Println(safetensors.Sniff(bytes.NewReader([]byte("PK...")), 5))
	// Output:
	// true
	// false
}

func ExampleInspect() {
	b := file()
	info, err := safetensors.Inspect(bytes.NewReader(b), int64(len(b)), safetensors.Options{})
	if err != nil {
		panic(err)
	}
	for _, e := range info.Entries {
		fmt.Println(e.Name, e.DType, e.Shape)
	}
	// Output: bias float32 [2]
}

func ExampleDecode() {
	b := file()
	f, err := safetensors.Decode(bytes.NewReader(b), int64(len(b)), safetensors.Options{})
	if err != nil {
		panic(err)
	}
	fmt.Println(f.StateDict().Names())
	_, err = safetensors.Decode(bytes.NewReader(b[:len(b)-1]), int64(len(b))-1, safetensors.Options{})
	fmt.Println(err)
	// Output:
	// [bias]
	// broken safetensors: the data of "bias" ends at 8, the file has 7 bytes of data
}

func ExampleNew() {
	sd, err := model.NewStateDict(model.Entry{Name: "scale", Tensor: model.Float32Tensor(nil, []float32{0.5})})
	if err != nil {
		panic(err)
	}
	f, err := safetensors.New(sd, safetensors.Pair{Key: "licence", Value: "MIT"})
	fmt.Println(f.Metadata(), err)
	// Output: [{licence MIT}] <nil>
}

func ExampleEncode() {
	sd, err := model.NewStateDict(model.Entry{Name: "scale", Tensor: model.Float32Tensor(nil, []float32{0.5})})
	if err != nil {
		panic(err)
	}
	f, err := safetensors.New(sd)
	if err != nil {
		panic(err)
	}
	var b bytes.Buffer
	err = safetensors.Encode(&b, f)
	fmt.Printf("%q %v\n", b.String()[8:], err)
	// Output: "{\"scale\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}       \x00\x00\x00?" <nil>
}
