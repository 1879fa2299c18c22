package pickle_test

import (
	"bytes"
	"fmt"
	"os"

	"lethe/model"
	"lethe/pickle"
)

// A new bias goes into a checkpoint; everything else of it stays.
func Example() {
	in, err := os.ReadFile("testdata/wrapped.pt")
	if err != nil {
		panic(err)
	}
	c, err := pickle.Decode(bytes.NewReader(in), int64(len(in)), pickle.Options{})
	if err != nil {
		panic(err)
	}
	bias := model.Float32Tensor([]int{3}, []float32{0, 0, -1})
	c, err = c.With(c.StateDict().With("module.fc.bias", bias))
	if err != nil {
		panic(err)
	}
	var out bytes.Buffer
	if err := pickle.Encode(&out, c, pickle.EncodeOptions{}); err != nil {
		panic(err)
	}
	c, err = pickle.Decode(bytes.NewReader(out.Bytes()), int64(out.Len()), pickle.Options{})
	if err != nil {
		panic(err)
	}
	values, err := c.StateDict().Get("module.fc.bias").Float32s()
	fmt.Println(values, err)
	// Output: [0 0 -1] <nil>
}

func ExampleInspect() {
	in, err := os.ReadFile("testdata/wrapped.pt")
	if err != nil {
		panic(err)
	}
	info, err := pickle.Inspect(bytes.NewReader(in), int64(len(in)), pickle.Options{})
	if err != nil {
		panic(err)
	}
	fmt.Println(info.Path, len(info.Entries), info.Entries[7].Name, info.Entries[7].Shape)
	// Output: [state_dict] 9 module.fc.weight [3 8]
}

// A checkpoint of tensors that come from elsewhere.
func ExampleNew() {
	sd, err := model.NewStateDict(model.Entry{Name: "bias", Tensor: model.Float32Tensor([]int{2}, []float32{1, -1})})
	if err != nil {
		panic(err)
	}
	c, err := pickle.New(sd)
	if err != nil {
		panic(err)
	}
	var out bytes.Buffer
	if err := pickle.Encode(&out, c, pickle.EncodeOptions{Profile: pickle.Profile27, Root: "bias"}); err != nil {
		panic(err)
	}
	info, err := pickle.Inspect(bytes.NewReader(out.Bytes()), int64(out.Len()), pickle.Options{})
	fmt.Println(info.Root, info.Entries[0].Name, len(info.Members), err)
	// Output: bias bias 7 <nil>
}
