package cmd_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lethe/graph"
	"lethe/model"
	"lethe/onnxio"
)

// endings are the last nodes of networks, from the activation "x" of shape
// [N, 4, 3, 3], and the weight of the last layer.
var endings = []struct {
	name  string
	last  string // the weight of the last layer
	shape []int
	nodes []graph.Node
}{
	{"convolution and pooling", "head.weight", []int{2, 4, 1, 1}, []graph.Node{
		{Name: "head", Op: "Conv", Inputs: []string{"x", "head.weight"}, Outputs: []string{"maps"}},
		{Name: "pool", Op: "GlobalAveragePool", Inputs: []string{"maps"}, Outputs: []string{"pooled"}},
		{Name: "flatten", Op: "Flatten", Inputs: []string{"pooled"}, Outputs: []string{"logits"}},
	}},
	{"convolution as large as the image", "head.weight", []int{2, 4, 3, 3}, []graph.Node{
		{Name: "head", Op: "Conv", Inputs: []string{"x", "head.weight"}, Outputs: []string{"maps"}},
		{Name: "flatten", Op: "Flatten", Inputs: []string{"maps"}, Outputs: []string{"logits"}},
	}},
	{"product and softmax", "head.weight", []int{36, 2}, []graph.Node{
		{Name: "flatten", Op: "Flatten", Inputs: []string{"x"}, Outputs: []string{"row"}},
		{Name: "head", Op: "MatMul", Inputs: []string{"row", "head.weight"}, Outputs: []string{"scores"}},
		{Name: "softmax", Op: "Softmax", Inputs: []string{"scores"}, Outputs: []string{"logits"}, Attrs: graph.Attrs{"axis": graph.Int(1)}},
	}},
}

// drawn returns a tensor with some values, which seed changes.
func drawn(seed float64, shape ...int) *model.Tensor {
	n, _ := model.Elements(shape)
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(math.Sin(seed + 0.7*float64(i)))
	}
	return model.Float32Tensor(shape, v)
}

// ptcheck compares ONNX models whose last layer is not fully connected: an edit
// of the weights before it passes, one of the layer itself does not.
func TestNetworksThatEndOtherwise(t *testing.T) {
	ptcheck := filepath.Join(binaries(t), "ptcheck")
	for _, c := range endings {
		t.Run(c.name, func(t *testing.T) {
			write := func(path string, stem, head float64) string {
				sd, err := model.NewStateDict(
					model.Entry{Name: "stem.weight", Tensor: drawn(stem, 4, 1, 3, 3)},
					model.Entry{Name: c.last, Tensor: drawn(head, c.shape...)},
				)
				if err != nil {
					t.Fatal(err)
				}
				nodes := []graph.Node{
					{Name: "stem", Op: "Conv", Inputs: []string{"images", "stem.weight"}, Outputs: []string{"stem.out"}},
					{Name: "relu", Op: "Relu", Inputs: []string{"stem.out"}, Outputs: []string{"x"}},
				}
				g := &graph.Graph{Name: "net", Nodes: append(nodes, c.nodes...),
					Inputs:  []graph.Value{graph.TensorValue("images", model.Float32, graph.Batch(1, 5, 5))},
					Outputs: []graph.Value{graph.TensorValue("logits", model.Float32, graph.Batch(2))}}
				var b bytes.Buffer
				if err := onnxio.Encode(&b, g, sd, onnxio.EncodeOptions{}); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
					t.Fatal(err)
				}
				return path
			}
			dir := t.TempDir()
			base := write(filepath.Join(dir, "base.onnx"), 1, 2)
			edited := write(filepath.Join(dir, "edited.onnx"), 3, 2)
			cheated := write(filepath.Join(dir, "cheated.onnx"), 1, 4)
			for _, check := range []struct {
				after string
				code  int
				says  string
			}{
				{edited, 0, "last layer bit-identical holds"},
				{cheated, 3, "last layer bit-identical FAILS: " + c.last},
			} {
				text, err := exec.Command(ptcheck, base, check.after).CombinedOutput()
				code := 0
				var exit *exec.ExitError
				if errors.As(err, &exit) {
					code = exit.ExitCode()
				} else if err != nil {
					t.Fatal(err)
				}
				if said := strings.Join(strings.Fields(string(text)), " "); code != check.code || !strings.Contains(said, check.says) {
					t.Errorf("exit code %d, want %d and %q:\n%s", code, check.code, check.says, text)
				}
			}
		})
	}
}
