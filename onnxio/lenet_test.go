package onnxio_test

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"

	"lethe/convert"
	"lethe/graph"
	"lethe/model"
	"lethe/onnxio"
	"lethe/ops"
)

// sizes are those of a LeNet; features is what one image has after flatten.
type sizes struct{ in, c1, c2, features, hidden1, hidden2, classes int }

var (
	usual  = sizes{1, 6, 16, 256, 120, 84, 10}
	colour = sizes{3, 4, 5, 5 * 25, 7, 6, 3} // 32x32
	tiny   = sizes{1, 1, 1, 1, 1, 1, 2}      // 16x16
)

// irVersions is ONNX's table of which file format came with which opset.
var irVersions = map[int]int{13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10}

// lenet returns a LeNet with weights of the usual magnitudes, the same ones on
// every machine.
func lenet(s sizes) (*graph.Graph, *model.StateDict) {
	rng := rand.New(rand.NewPCG(1, 2))
	var entries []model.Entry
	add := func(name string, lo, hi float32, shape ...int) {
		n, _ := model.Elements(shape)
		v := make([]float32, n)
		for i := range v {
			v[i] = lo + float32((hi-lo)*rng.Float32())
		}
		entries = append(entries, model.Entry{Name: name, Tensor: model.Float32Tensor(shape, v)})
	}
	block := func(name string, in, out int) {
		add(name+".0.weight", -0.3, 0.3, out, in, 5, 5)
		add(name+".0.bias", -0.3, 0.3, out)
		add(name+".1.weight", 0.5, 1.5, out)
		add(name+".1.bias", -0.5, 0.5, out)
		add(name+".1.running_mean", -0.5, 0.5, out)
		add(name+".1.running_var", 0.01, 2, out)
	}
	linear := func(name string, in, out int) {
		add(name+".weight", -0.1, 0.1, out, in)
		add(name+".bias", -0.1, 0.1, out)
	}
	block("block1", s.in, s.c1)
	block("block2", s.c1, s.c2)
	linear("fc", s.features, s.hidden1)
	linear("fc1", s.hidden1, s.hidden2)
	linear("fc2", s.hidden2, s.classes)
	sd, err := model.NewStateDict(entries...)
	if err != nil {
		panic(err)
	}
	g, err := convert.Recognize(sd)
	if err != nil {
		panic(err)
	}
	return g, sd
}

func encode(t testing.TB, g *graph.Graph, sd *model.StateDict, opts onnxio.EncodeOptions) []byte {
	t.Helper()
	opts.Float32 = true
	var b bytes.Buffer
	if err := onnxio.Encode(&b, g, sd, opts); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func decode(b []byte) (*graph.Graph, *model.StateDict, *onnxio.Metadata, error) {
	f, err := onnxio.Decode(bytes.NewReader(b), int64(len(b)), onnxio.Options{})
	if err != nil {
		return nil, nil, nil, err
	}
	g, err := f.Graph()
	if err == nil {
		err = ops.Check(g)
	}
	if err == nil {
		_, err = ops.Infer(g, f.StateDict())
	}
	meta := f.Metadata()
	return g, f.StateDict(), &meta, err
}

// sameNetwork reports whether two graphs have the same inputs, outputs and nodes.
func sameNetwork(a, b *graph.Graph) bool {
	return a.Name == b.Name && reflect.DeepEqual(a.Inputs, b.Inputs) && reflect.DeepEqual(a.Outputs, b.Outputs) && reflect.DeepEqual(a.Nodes, b.Nodes)
}

// sameBits reports every entry of want that got lacks or has otherwise.
func sameBits(t testing.TB, got, want *model.StateDict, names []string) {
	t.Helper()
	for _, name := range names {
		x := got.Get(name)
		if x == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		if same, err := model.SameBits(x, want.Get(name)); err != nil || !same {
			t.Errorf("%s: bits differ (%v)", name, err)
		}
	}
}
