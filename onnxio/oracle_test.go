package onnxio_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lethe/convert"
	"lethe/graph"
	"lethe/internal/oracle"
	"lethe/model"
	"lethe/onnxio"
	"lethe/ops"
)

// ask runs testdata/oracle.py.
func ask(t *testing.T, args ...string) []byte {
	t.Helper()
	python := oracle.Python(t, "numpy", "onnx", "onnxruntime")
	return oracle.Run(t, python, append([]string{filepath.Join("testdata", "oracle.py")}, args...)...)
}

// writeCase writes what oracle.py reads: the weights, and three images.
func writeCase(t *testing.T, path string, g *graph.Graph, sd *model.StateDict) {
	t.Helper()
	type array struct {
		Shape []int     `json:"shape"`
		Data  []float32 `json:"data"`
	}
	weights := map[string]array{}
	for name, x := range sd.All() {
		v, err := x.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		weights[name] = array{x.Shape(), v}
	}
	sample, _ := g.Inputs[0].Shape[1:].Ints()
	shape := append([]int{3}, sample...)
	n, _ := model.Elements(shape)
	input := array{shape, make([]float32, n)}
	for i := range input.Data {
		input.Data[i] = float32(math.Sin(float64(i) * 0.37))
	}
	b, err := json.Marshal(map[string]any{"weights": weights, "input": input})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// as returns sd with every tensor in another float type. Values are cut to
// what bfloat16 can hold first, so that all types hold the same network.
func as(t *testing.T, sd *model.StateDict, dtype model.DType) *model.StateDict {
	t.Helper()
	for name, x := range sd.All() {
		v, err := x.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		for _, f := range v {
			bits := math.Float32bits(f) &^ 0xffff
			switch dtype {
			case model.BFloat16:
				b.Write([]byte{byte(bits >> 16), byte(bits >> 24)})
			case model.Float32:
				b.Write([]byte{0, 0, byte(bits >> 16), byte(bits >> 24)})
			case model.Float64:
				wide := math.Float64bits(float64(math.Float32frombits(bits)))
				for i := range 8 {
					b.WriteByte(byte(wide >> (8 * i)))
				}
			}
		}
		x, err = model.NewTensor(dtype, x.Shape(), nil, 0, model.BytesStorage(b.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		sd = sd.With(name, x)
	}
	return sd
}

// Every opset, with batch normalization and with it folded, must pass ONNX's
// checker and compute in ONNX Runtime what numpy computes from the state dict.
func TestOracleRuns(t *testing.T) {
	for _, c := range []struct {
		name  string
		sizes sizes
		dtype model.DType
	}{
		{"usual", usual, model.Float32},
		{"colour", colour, model.Float32},
		{"tiny", tiny, model.Float32},
		{"bfloat16", usual, model.BFloat16},
		{"float64", usual, model.Float64},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, sd := lenet(c.sizes)
			if c.dtype != model.Float32 {
				sd = as(t, sd, c.dtype)
			}
			dir := t.TempDir()
			args := []string{"run", filepath.Join(dir, "case.json")}
			writeCase(t, args[1], g, sd)

			folded, foldedSD, err := convert.FoldBatchNorm(g, sd)
			if err != nil {
				t.Fatal(err)
			}
			type variant struct{ opset, weights, same int }
			var variants []variant
			for opset := 13; opset <= 21; opset++ {
				for _, v := range []struct {
					g  *graph.Graph
					sd *model.StateDict
					variant
				}{
					{g, sd, variant{opset, 18, 18}},
					{folded, foldedSD, variant{opset, 10, 6}}, // two convolutions are new
				} {
					path := filepath.Join(dir, fmt.Sprintf("%d.onnx", len(variants)))
					b := encode(t, v.g, v.sd, onnxio.EncodeOptions{Opset: opset})
					if err := os.WriteFile(path, b, 0o644); err != nil {
						t.Fatal(err)
					}
					args = append(args, path)
					variants = append(variants, v.variant)
				}
			}

			verdicts := json.NewDecoder(bytes.NewReader(ask(t, args...)))
			for _, v := range variants {
				var got struct {
					IR, Opset, Weights int
					SameWeights        int     `json:"same_weights"`
					MaxDiff            float64 `json:"max_diff"`
				}
				if err := verdicts.Decode(&got); err != nil {
					t.Fatal(err)
				}
				if (variant{got.Opset, got.Weights, got.SameWeights}) != v || got.IR != irVersions[v.opset] {
					t.Errorf("opset %d: %+v, want %+v with IR %d", v.opset, got, v, irVersions[v.opset])
				}
				// The logits are of the order of 1; float32 sums of 256 terms come closer than this.
				if !(got.MaxDiff < 5e-6) {
					t.Errorf("opset %d, %d weights: ONNX Runtime is %g away from numpy", v.opset, v.weights, got.MaxDiff)
				}
			}
		})
	}
}

// A model that another program wrote, with defaults spelled out or left out in
// other places, typed lists, and weights among the inputs, computes the same.
func TestOracleWrites(t *testing.T) {
	g, sd := lenet(usual)
	dir := t.TempDir()
	path := filepath.Join(dir, "model.onnx")
	writeCase(t, filepath.Join(dir, "case.json"), g, sd)
	ask(t, "write", filepath.Join(dir, "case.json"), path)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, weights, meta, err := decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if x, y := logits(t, got, weights), logits(t, g, sd); !slices.Equal(x, y) {
		t.Errorf("logits %v, want %v", x, y)
	}
	sameBits(t, weights, sd, sd.Names())
	if n := weights.Get("num_batches_tracked"); n == nil || n.DType() != model.Int64 {
		t.Errorf("the unused int64 initializer became %v", n)
	}
	if meta.Opset != 18 || meta.Producer != "oracle" || meta.DocString != "by another program" || meta.Props["classes"] != "10" {
		t.Errorf("metadata %+v", meta)
	}
}

// logits evaluates a network for one image.
func logits(t *testing.T, g *graph.Graph, sd *model.StateDict) []float64 {
	t.Helper()
	sample, _ := g.Inputs[0].Shape[1:].Ints()
	shape := append([]int{1}, sample...)
	n, _ := model.Elements(shape)
	image := make([]float32, n)
	for i := range image {
		image[i] = float32(math.Sin(float64(i) * 0.37))
	}
	out, err := ops.Run(t.Context(), g, sd, map[string]*ops.Tensor{g.Inputs[0].Name: ops.Float32s(shape, image)}, ops.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v, ok := out[g.Outputs[0].Name].Float64s()
	if !ok {
		t.Fatalf("the output is of type %v", out[g.Outputs[0].Name].DType())
	}
	return v
}
