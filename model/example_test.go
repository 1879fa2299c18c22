package model_test

import (
	"fmt"
	"strings"

	"lethe/model"
)

func ExampleNewStateDict() {
	sd, err := model.NewStateDict(
		model.Entry{Name: "fc.weight", Tensor: model.Float32Tensor([]int{2, 2}, []float32{1, 2, 3, 4})},
		model.Entry{Name: "fc.bias", Tensor: model.Float32Tensor([]int{2}, []float32{0, 0})},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	edited := sd.With("fc.bias", model.Float32Tensor([]int{2}, []float32{0, -1}))
	for name, t := range edited.All() {
		v, err := t.Float32s()
		fmt.Println(name, t.DType(), t.Shape(), v, err)
	}
	// Output:
	// fc.weight float32 [2 2] [1 2 3 4] <nil>
	// fc.bias float32 [2] [0 -1] <nil>
}

// The columns of a matrix, which lies in a file row by row.
func ExampleNewTensor() {
	storage := model.BytesStorage([]byte{1, 2, 3, 4, 5, 6})
	transposed, err := model.NewTensor(model.Uint8, []int{3, 2}, []int{1, 3}, 0, storage)
	if err != nil {
		fmt.Println(err)
		return
	}
	b, err := transposed.Bytes()
	fmt.Println(b, transposed.Contiguous(), err)
	_, err = model.NewTensor(model.Uint8, []int{7}, nil, 0, storage)
	fmt.Println(err)
	// Output:
	// [1 4 2 5 3 6] false <nil>
	// broken tensor: shape [7], strides [1] and offset 0 need 7 bytes of a storage of 6
}

// The bytes of a tensor stay where they are until somebody asks for them.
func ExampleNewStorage() {
	file := strings.NewReader("header, and then: \x00\x00\x80\x3f")
	storage := model.NewStorage(file, file.Size())
	t, err := model.NewTensor(model.Uint8, []int{4}, nil, 18, storage)
	if err != nil {
		fmt.Println(err)
		return
	}
	b, err := t.Bytes()
	fmt.Printf("%x %v\n", b, err)
	// Output: 0000803f <nil>
}

func ExampleBytesStorage() {
	storage := model.BytesStorage([]byte{0, 0, 128, 63, 0, 0, 0, 64})
	t, err := model.NewTensor(model.Float32, []int{2}, nil, 0, storage)
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := t.Float32s()
	fmt.Println(storage.Size(), v, err)
	// Output: 8 [1 2] <nil>
}

func ExampleFloat32Tensor() {
	t := model.Float32Tensor([]int{2, 3}, []float32{1, 2, 3, 4, 5, 6})
	fmt.Println(t.Shape(), t.Strides(), t.Len())
	// Output: [2 3] [3 1] 6
}

func ExampleFromFloat32s() {
	t, err := model.FromFloat32s(model.BFloat16, []int{2}, []float32{1, 0.1})
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := t.Float32s()
	fmt.Println(t.DType(), v, err)
	// Output: bfloat16 [1 0.100097656] <nil>
}

func ExampleElements() {
	fmt.Println(model.Elements([]int{64, 3, 7, 7}))
	fmt.Println(model.Elements([]int{1 << 40, 1 << 40}))
	// Output:
	// 9408 true
	// 0 false
}

func ExampleCStrides() {
	fmt.Println(model.CStrides([]int{64, 3, 7, 7}))
	// Output: [147 49 7 1]
}

func ExampleSameBits() {
	rows := model.BytesStorage([]byte{1, 2, 3, 4})
	columns := model.BytesStorage([]byte{1, 3, 2, 4})
	a, _ := model.NewTensor(model.Uint8, []int{2, 2}, nil, 0, rows)
	b, _ := model.NewTensor(model.Uint8, []int{2, 2}, []int{1, 2}, 0, columns)
	fmt.Println(model.SameBits(a, b))
	// Output: true <nil>
}

func ExampleStateDict_Aliases() {
	w := model.Float32Tensor([]int{2}, []float32{1, 2})
	sd, err := model.NewStateDict(model.Entry{Name: "embedding", Tensor: w}, model.Entry{Name: "head", Tensor: w})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sd.Aliases())
	// Output: map[head:embedding]
}
