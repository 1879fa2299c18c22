package pickle_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

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

// A folder that torch.distributed.checkpoint wrote.
func ExampleDecodeDistributed() {
	open := func(name string) (io.ReaderAt, int64, error) {
		b, err := os.ReadFile(filepath.Join("testdata/dcp", name))
		return bytes.NewReader(b), int64(len(b)), err
	}
	c, err := pickle.DecodeDistributed(open, pickle.Options{})
	if err != nil {
		panic(err)
	}
	w, err := c.StateDict().Get("w").Float32s()
	fmt.Println(c.StateDict().Names(), w, err)
	// Output: [w b] [0 1 2 3 4 5] <nil>
}

// A batch of images as CIFAR has them.
func ExampleObject() {
	in, err := os.ReadFile("testdata/batch2.pkl")
	if err != nil {
		panic(err)
	}
	v, err := pickle.Object(bytes.NewReader(in), int64(len(in)), pickle.Options{})
	if err != nil {
		panic(err)
	}
	batch := v.(map[string]any)
	fmt.Println(batch["batch_label"], batch["labels"], batch["data"].(*model.Tensor).Shape())
	// Output: batch 1 of 5 [6 9] [2 4]
}

// The weights of an exported program, and where its graph is.
func ExampleOpenProgram() {
	in, err := os.ReadFile("../convert/exported/testdata/torch-2.15-mlp_dynamic.pt2")
	if err != nil {
		panic(err)
	}
	p, err := pickle.OpenProgram(bytes.NewReader(in), int64(len(in)), pickle.Options{})
	if err != nil {
		panic(err)
	}
	fmt.Println(p.Member, p.State.Names())
	// Output: mlp_dynamic/models/model.json [1.weight 1.bias 4.weight 4.bias 6.weight 6.bias]
}

func ExampleParseProfile() {
	p, err := pickle.ParseProfile("2.1")
	fmt.Println(p == pickle.Profile21, err)
	_, err = pickle.ParseProfile("3")
	fmt.Println(err)
	// Output:
	// true <nil>
	// no profile "3"; there are 1.6, 2.1 and 2.7
}

func ExampleDecode() {
	in := []byte("no checkpoint")
	_, err := pickle.Decode(bytes.NewReader(in), int64(len(in)), pickle.Options{})
	fmt.Println(err)
	// Output: broken checkpoint, byte 0: the file is plain text, not a checkpoint of torch.save
}

// The same checkpoint in the layout of torch 1.6, in a folder of another name.
func ExampleEncode() {
	in, err := os.ReadFile("testdata/plain.pt")
	if err != nil {
		panic(err)
	}
	c, err := pickle.Decode(bytes.NewReader(in), int64(len(in)), pickle.Options{})
	if err != nil {
		panic(err)
	}
	var same, old bytes.Buffer
	if err := pickle.Encode(&same, c, pickle.EncodeOptions{}); err != nil {
		panic(err)
	}
	if err := pickle.Encode(&old, c, pickle.EncodeOptions{Profile: pickle.Profile16, Root: "old"}); err != nil {
		panic(err)
	}
	info, err := pickle.Inspect(bytes.NewReader(old.Bytes()), int64(old.Len()), pickle.Options{})
	fmt.Println(bytes.Equal(in, same.Bytes()), info.Root, err)
	// Output: true old <nil>
}
