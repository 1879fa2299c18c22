package dataset_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"lethe/dataset"
	"lethe/fixtures"
)

// A set of one's own: three samples of two numbers.
func Example() {
	set := &dataset.Set{Shape: []int{2}, Classes: 2, Values: []float32{1, 2, 3, 4, 5, 6}, Labels: []int{0, 1, 0}}
	x := make([]float32, 2)
	set.Reader(dataset.OneNorm(1, 2))(2, x)
	fmt.Println(set.Len(), x)
	fmt.Println(set.Split(1))
	// Output:
	// 3 [2 2.5]
	// [1] [0 2]
}

func ExampleOpen() {
	data, err := dataset.Open("../fixtures/fashion-mnist")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(data.Train.Len(), data.Test.Len(), data.Train.Shape, data.Names[3])
	// Output: 6000 1000 [1 28 28] Dress
}

func ExampleOpenFS() {
	data, err := dataset.OpenFS(fixtures.FashionMNIST(), "fashion")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(data.Train.Stratified(20, 0).Labels))
	// Output: 200
}

func ExampleReadIDX() {
	images := bytes.NewReader([]byte{0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255, 255, 0}) // two of 1 x 2
	labels := bytes.NewReader([]byte{0, 0, 8, 1, 0, 0, 0, 2, 0, 1})
	set, err := dataset.ReadIDX(images, labels, dataset.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(set.Shape, set.Image(1), set.Labels)
	// Output: [1 1 2] [255 0] [0 1]
}

func ExampleReadPreprocess() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "preprocessor_config.json")
	err = os.WriteFile(path, []byte(`{"do_resize": true, "size": {"height": 224, "width": 224}, "resample": 3, "do_normalize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}`), 0o666)
	if err != nil {
		fmt.Println(err)
		return
	}
	p, norm, err := dataset.ReadPreprocess(path)
	fmt.Println(p.Words(), norm.Mean, err)
	// Output: [--channels rgb --resize 224x224:bicubic] 0.5,0.5,0.5 <nil>
}

func ExampleDefaultNorm() {
	fmt.Println(dataset.DefaultNorm(3).Mean)
	// Output: 0.485,0.456,0.406
}

func ExampleOneNorm() {
	norm := dataset.OneNorm(0.5, 0.25)
	fmt.Println(norm.Mean, norm.Std, norm.Check(3))
	// Output: 0.5 0.25 <nil>
}

func ExampleParseClass() {
	names := []string{"cat", "dog"}
	fmt.Println(dataset.ParseClass("Dog", names))
	fmt.Println(dataset.ParseClass("2", names))
	// Output:
	// 1 <nil>
	// 0 no class "2"; the classes are 0 cat, 1 dog
}

func ExampleParsePerChannel() {
	fmt.Println(dataset.ParsePerChannel("0.485,0.456,0.406"))
	// Output: 0.485,0.456,0.406 <nil>
}

func ExampleParseScale() {
	fmt.Println(dataset.ParseScale("1/255"))
	// Output: 0.00392156862745098 <nil>
}

func ExampleParseSize() {
	fmt.Println(dataset.ParseSize("32x48"))
	// Output: 32x48 <nil>
}

func ExampleParseResize() {
	fmt.Println(dataset.ParseResize("256:bicubic"))
	// Output: 256 bicubic <nil>
}
