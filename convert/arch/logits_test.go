package arch_test

import (
	"compress/gzip"
	"encoding/json"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"lethe/convert/arch"
	"lethe/convert/aten"
	"lethe/model"
	"lethe/ops"
)

// uniform makes the numbers of testdata/make.py: splitmix64 of the CRC-32 of a
// name and the index, from -1 to 1.
func uniform(name string, n int) []float32 {
	out := make([]float32, n)
	seed := uint64(crc32.ChecksumIEEE([]byte(name))) << 32
	for i := range out {
		z := (seed + uint64(i)) * 0x9E3779B97F4A7C15
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		z ^= z >> 31
		out[i] = float32(float64(z>>40)/(1<<23) - 1)
	}
	return out
}

// madeUp makes the weights of testdata/make.py.
func madeUp(name string, shape []int, gain float64) []float32 {
	n, ok := model.Elements(shape)
	if !ok {
		return nil
	}
	u := uniform(name, n)
	scale, shift := float32(0.25), float32(0)
	switch {
	case strings.HasSuffix(name, "running_var"):
		shift = 1
	case strings.HasSuffix(name, "running_mean"):
	case len(shape) < 2:
		if strings.HasSuffix(name, "weight") {
			shift = 1
		}
	default:
		scale = float32(gain / math.Sqrt(float64(n/shape[0])))
	}
	for i := range u {
		u[i] = shift + u[i]*scale
	}
	return u
}

// fill returns a state dict in which the floats that PyTorch's module was given
// are made up, and the other entries are those of the module.
func fill(t *testing.T, sd *model.StateDict, gain float64) *model.StateDict {
	t.Helper()
	var entries []model.Entry
	for name, tensor := range sd.All() {
		switch {
		case strings.HasSuffix(name, "relative_coords_table"):
			tensor = model.Float32Tensor(tensor.Shape(), coordinates(8))
		case strings.HasSuffix(name, "relative_position_index"):
			tensor = index(t, tensor.Shape())
		case tensor.DType() == model.Float32:
			tensor = model.Float32Tensor(tensor.Shape(), madeUp(name, tensor.Shape(), gain))
		}
		entries = append(entries, model.Entry{Name: name, Tensor: tensor})
	}
	out, err := model.NewStateDict(entries...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// golden is what the real module made of made-up weights and images.
type golden struct {
	Weights [][3]any // of networks that are not published
	Size    int
	Gain    float64
	Logits  [][]float64
	Largest float64
}

// input returns the images, of shape [samples, 3, size, size].
func (g golden) input() []float32 { return uniform("input", len(g.Logits)*3*g.Size*g.Size) }

// eachNetwork calls f with a network of every family of torchvision with made-up
// weights.
func eachNetwork(t *testing.T, f func(t *testing.T, n *arch.Network, g golden)) {
	t.Helper()
	b, err := os.ReadFile("testdata/logits.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]golden
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	dicts := shapes(t, "testdata/torchvision.json.gz")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		g := all[name]
		t.Run(name, func(t *testing.T) {
			sd := dicts[name]
			if sd == nil {
				sd = dict(t, g.Weights)
			}
			n, err := arch.Recognize(fill(t, sd, g.Gain), arch.Options{Input: []int{3, g.Size, g.Size}})
			if err != nil {
				t.Fatal(err)
			}
			f(t, n, g)
		})
	}
}

// TestLogits compares the logits of our evaluator with those of the real module
// in PyTorch.
func TestLogits(t *testing.T) {
	eachNetwork(t, func(t *testing.T, n *arch.Network, g golden) {
		x := ops.Float32s([]int{len(g.Logits), 3, g.Size, g.Size}, g.input())
		compare(t, n, map[string]*ops.Tensor{"input": x}, g.Logits, g.Largest)
	})
}

// TestHuggingFace is TestLogits for small networks of transformers.
func TestHuggingFace(t *testing.T) {
	f, err := os.Open("testdata/huggingface.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string]struct {
		Config  json.RawMessage
		Weights [][3]any
		Inputs  map[string][]int64
		Shapes  [][]int
		Logits  [][]float64
	}
	if err := json.Unmarshal(all, &golden); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(golden)) {
		g := golden[name]
		t.Run(name, func(t *testing.T) {
			config, err := arch.ReadConfig(strings.NewReader(string(g.Config)))
			if err != nil {
				t.Fatal(err)
			}
			opts := arch.Options{Config: config}
			inputs := map[string]*ops.Tensor{}
			for input, ids := range g.Inputs {
				inputs[input] = ops.Int64s(g.Shapes[0], ids)
			}
			if len(inputs) == 0 {
				s := g.Shapes[0]
				opts.Input = s[1:]
				inputs["input"] = ops.Float32s(s, uniform("input", s[0]*s[1]*s[2]*s[3]))
			}
			n, err := arch.Recognize(fill(t, dict(t, g.Weights), 2), opts)
			if err != nil {
				t.Fatal(err)
			}
			largest := 0.0
			for _, row := range g.Logits {
				for _, v := range row {
					largest = max(largest, math.Abs(v))
				}
			}
			compare(t, n, inputs, g.Logits, largest)
		})
	}
}

// compare runs the graph of a network; the logits may be off by 1e-4 of the
// largest.
func compare(t *testing.T, n *arch.Network, inputs map[string]*ops.Tensor, want [][]float64, largest float64) {
	t.Helper()
	r, err := aten.Convert(n.Program, aten.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := ops.Run(t.Context(), r.Graph, r.State, inputs, ops.Options{})
	if err != nil {
		t.Fatal(err)
	}
	y := out["logits"]
	got, ok := y.Float64s()
	if !ok {
		t.Fatalf("the logits are %v", y.DType())
	}
	compareLogits(t, got, y.Shape()[1], want, largest)
}

// compareLogits compares rows of so many columns with the logits of PyTorch.
func compareLogits(t *testing.T, got []float64, columns int, want [][]float64, largest float64) {
	t.Helper()
	for i, row := range want {
		for j, v := range row {
			if d := math.Abs(got[i*columns+j] - v); !(d <= 1e-4*largest) {
				t.Fatalf("logit %d of sample %d is %v, PyTorch has %v", j, i, got[i*columns+j], v)
			}
		}
	}
}
