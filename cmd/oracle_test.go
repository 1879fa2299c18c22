package cmd_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lethe/internal/network"
	"lethe/internal/oracle"
	"lethe/pickle"
	"lethe/verify"
)

const (
	base     = "../fixtures/lenet-fashion.pt"
	sample   = "../fixtures/fashion-mnist" // what is embedded in the programs
	fullData = "/usr/share/datasets/fashion-mnist"
	shirt    = "6"
)

// What an edit of the LeNet may move: every parameter before the last layer.
var movable = []string{
	"block1.0.weight", "block1.0.bias", "block1.1.weight", "block1.1.bias",
	"block2.0.weight", "block2.0.bias", "block2.1.weight", "block2.1.bias",
	"fc.weight", "fc.bias", "fc1.weight", "fc1.bias",
}

// command runs one of our programs and returns what it prints.
func command(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(filepath.Join(binaries(t), name), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, &stderr)
	}
	return out
}

// script runs one of the scripts in testdata and decodes what it prints.
func script(t *testing.T, python string, answer any, name string, args ...string) {
	t.Helper()
	out := oracle.Run(t, python, append([]string{filepath.Join("testdata", name)}, args...)...)
	if err := json.Unmarshal(out, answer); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// images writes a batch of random images to a file.
func images(t *testing.T) (path string, x []float32) {
	r := rand.New(rand.NewPCG(8, 8))
	x = make([]float32, 37*28*28)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, x)
	path = filepath.Join(t.TempDir(), "images.f32")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path, x
}

func readFloats(t *testing.T, path string) []float32 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v := make([]float32, len(b)/4)
	binary.Decode(b, binary.LittleEndian, v)
	return v
}

// ours returns the logits that our own evaluator computes for a checkpoint.
func ours(t *testing.T, path string, x []float32) []float32 {
	t.Helper()
	n, err := network.Open(t.Context(), path, nil, pickle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	v, err := n.Net.Logits(x, 0)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// agree compares logits, relative to the largest.
func agree(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) || len(want) != 37*10 {
		t.Fatalf("%s: %d and %d logits", what, len(got), len(want))
	}
	var diff, top float64
	for i := range want {
		diff = max(diff, math.Abs(float64(got[i])-float64(want[i]))) // max keeps NaN
		top = max(top, math.Abs(float64(want[i])))
	}
	if !(diff <= 1e-4*top) || top < 1 {
		t.Errorf("%s: logits differ by %g, the largest is %g", what, diff, top)
	}
}

// sameFigures compares the measures and the score in a report with those of
// PyTorch on the same images.
func sameFigures(t *testing.T, python string, r *verify.Report, before, after, images, labels string) {
	t.Helper()
	var want struct {
		Before, After verify.Measures
		L2, Score     float64
	}
	script(t, python, &want, "torch_oracle.py", "measure", before, after, images, labels, shirt)
	near := func(what string, got, want, tolerance float64) {
		t.Helper()
		if !(math.Abs(got-want) <= tolerance) {
			t.Errorf("%s: %v in the report, %v by torch", what, got, want)
		}
	}
	near("L2", r.Comparison.L2, want.L2, 1e-4)
	near("score", r.Score.Total, want.Score, 0.1)
	for _, c := range []struct {
		when      string
		got, want *verify.Measures
	}{{"before", r.Data.TrainBefore, &want.Before}, {"after", r.Data.TrainAfter, &want.After}} {
		if c.got.Images != c.want.Images || c.got.Forgotten != c.want.Forgotten || c.want.Forgotten == 0 {
			t.Errorf("%s: %d images of %d in the report, %d of %d by torch", c.when, c.got.Forgotten, c.got.Images, c.want.Forgotten, c.want.Images)
		}
		// Two images may fall on the other side by rounding.
		near("target "+c.when, c.got.Target, c.want.Target, 2.1/float64(c.want.Forgotten))
		near("remain "+c.when, c.got.Remain, c.want.Remain, 2.1/float64(c.want.Images-c.want.Forgotten))
		near("KL "+c.when, c.got.KL, c.want.KL, 1e-4)
	}
}

// PyTorch and ONNX Runtime accept what forget writes, and find in it what the
// report says.
func TestOracle(t *testing.T) {
	if testing.Short() {
		t.Skip("an edit takes half a minute")
	}
	torch := oracle.Python(t, "torch")
	dir := t.TempDir()
	out, onnx := filepath.Join(dir, "out.pt"), filepath.Join(dir, "out.onnx")
	var report verify.Report
	if err := json.Unmarshal(command(t, "forget", "--class", "Shirt", "--json", base, out), &report); err != nil {
		t.Fatal(err)
	}
	input, x := images(t)
	want := filepath.Join(dir, "logits.f32")
	script(t, torch, new(any), "torch_oracle.py", "logits", out, input, want)
	logits := readFloats(t, want)

	t.Run("checkpoint", func(t *testing.T) {
		var got struct {
			Entries, Metadata int
			SameForm          bool `json:"same_form"` // type, keys, order, dtypes, shapes, strides, _metadata
			SafeSame          bool `json:"safe_same"` // weights_only gives the same values
			Changed           []string
		}
		script(t, torch, &got, "torch_oracle.py", "compare", base, out)
		if got.Entries != 20 || got.Metadata == 0 || !got.SameForm || !got.SafeSame || !slices.Equal(got.Changed, movable) {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("logits", func(t *testing.T) {
		agree(t, "our evaluator and torch", ours(t, out, x), logits)
	})
	t.Run("report", func(t *testing.T) {
		sameFigures(t, torch, &report, base, out, sample+"/train-images-idx3-ubyte.gz", sample+"/train-labels-idx1-ubyte.gz")
	})
	t.Run("full data", func(t *testing.T) {
		found, err := filepath.Glob(fullData + "/train-*-ubyte*") // images, labels
		if err != nil || len(found) != 2 {
			oracle.Missing(t, "no Fashion-MNIST in "+fullData+" (Debian's package dataset-fashion-mnist)")
		}
		var r verify.Report
		if err := json.Unmarshal(command(t, "ptcheck", "--class", shirt, "--data", fullData, "--json", base, out), &r); err != nil {
			t.Fatal(err)
		}
		sameFigures(t, torch, &r, base, out, found[0], found[1])
	})
	t.Run("ONNX", func(t *testing.T) {
		agree(t, "ONNX Runtime and torch", runONNX(t, onnx, input, ""), logits)
	})
}

// runONNX returns the logits of a model by ONNX Runtime, after its checks.
// The weights in it have the names of the state dict, with prefix.
func runONNX(t *testing.T, path, input, prefix string) []float32 {
	t.Helper()
	var got struct {
		Opset, IR       int
		Inputs, Outputs []string
		Batch           any
		Initializers    []string
		BatchOfOne      float64 `json:"batch_of_one"`
	}
	target := filepath.Join(t.TempDir(), "logits.f32")
	script(t, oracle.Python(t, "numpy", "onnx", "onnxruntime"), &got, "onnx_oracle.py", path, input, target)
	if _, named := got.Batch.(string); !named || got.Opset != 17 || got.IR != 8 || got.BatchOfOne > 1e-5 ||
		!slices.Equal(got.Inputs, []string{"input"}) || !slices.Equal(got.Outputs, []string{"logits"}) {
		t.Errorf("%s: %+v", path, got)
	}
	names := slices.Concat(movable, []string{"fc2.weight", "fc2.bias",
		"block1.1.running_mean", "block1.1.running_var", "block2.1.running_mean", "block2.1.running_var"})
	for i := range names {
		names[i] = prefix + names[i]
	}
	if !slices.Equal(slices.Sorted(slices.Values(got.Initializers)), slices.Sorted(slices.Values(names))) {
		t.Errorf("%s: initializers %q, want %q", path, got.Initializers, names)
	}
	return readFloats(t, target)
}

// A checkpoint of a training script, in a dictionary and from DataParallel, is
// as good.
func TestOracleWrapped(t *testing.T) {
	torch := oracle.Python(t, "torch")
	dir := t.TempDir()
	wrapped, onnx := filepath.Join(dir, "wrapped.pt"), filepath.Join(dir, "wrapped.onnx")
	script(t, torch, new(any), "torch_oracle.py", "wrap", base, wrapped)

	var inventory struct {
		Path    []string `json:"path_to_state_dict"`
		Entries []struct{ Name string }
	}
	if err := json.Unmarshal(command(t, "ptcheck", "--json", wrapped), &inventory); err != nil {
		t.Fatal(err)
	}
	if len(inventory.Path) != 1 || len(inventory.Entries) != 20 || inventory.Entries[0].Name != "module."+movable[0] {
		t.Errorf("ptcheck sees %+v", inventory)
	}
	command(t, "ptcheck", wrapped, wrapped)

	command(t, "pt2onnx", wrapped, onnx)
	input, x := images(t)
	want := filepath.Join(dir, "logits.f32")
	script(t, torch, new(any), "torch_oracle.py", "logits", base, input, want)
	agree(t, "our evaluator and torch", ours(t, wrapped, x), readFloats(t, want))
	agree(t, "ONNX Runtime and torch", runONNX(t, onnx, input, "module."), readFloats(t, want))
}
