package job

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lethe/dataset"
	"lethe/graph"
	"lethe/model"
	"lethe/onnxio"
)

// openLength is a network that takes sequences of any length and counts which feature
// is the largest, as an ONNX model; its samples, of length 5, are in the other file.
func openLength(t *testing.T) (network, samples string) {
	t.Helper()
	const features, length, count = 4, 5, 200
	unit := make([]float32, features*features)
	for i := range features {
		unit[i*(features+1)] = 2
	}
	sd, err := model.NewStateDict(
		model.Entry{Name: "w", Tensor: model.Float32Tensor([]int{features, features}, unit)},
		model.Entry{Name: "v", Tensor: model.Float32Tensor([]int{features, features}, slices.Clone(unit))})
	if err != nil {
		t.Fatal(err)
	}
	g := &graph.Graph{
		Name: "sequences", Opsets: map[string]int{"": 17},
		Inputs:  []graph.Value{graph.TensorValue("x", model.Float32, graph.Shape{graph.Symbol("N"), graph.Symbol("T"), graph.Size(features)})},
		Outputs: []graph.Value{graph.TensorValue("y", model.Float32, graph.Batch(features))},
		Nodes: []graph.Node{
			{Name: "product", Op: "MatMul", Inputs: []string{"x", "w"}, Outputs: []string{"a"}},
			{Name: "bend", Op: "Tanh", Inputs: []string{"a"}, Outputs: []string{"b"}},
			{Name: "mean", Op: "ReduceMean", Inputs: []string{"b"}, Outputs: []string{"c"}, Attrs: graph.Attrs{"axes": graph.Ints(1), "keepdims": graph.Int(0)}},
			{Name: "classes", Op: "Gemm", Inputs: []string{"c", "v"}, Outputs: []string{"y"}},
		},
	}
	dir := t.TempDir()
	network, samples = filepath.Join(dir, "net.onnx"), filepath.Join(dir, "samples.npz")
	var b bytes.Buffer
	if err := onnxio.Encode(&b, g, sd, onnxio.EncodeOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(network, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	b.Reset()
	z := zip.NewWriter(&b)
	array := func(name, descr, shape string, data any) {
		w, err := z.Create(name + ".npy")
		if err != nil {
			t.Fatal(err)
		}
		header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape)
		header += strings.Repeat(" ", 63-(10+len(header))%64) + "\n"
		fmt.Fprintf(w, "\x93NUMPY\x01\x00%c%c%s", len(header)%256, len(header)/256, header)
		binary.Write(w, binary.LittleEndian, data)
	}
	for _, part := range []string{"train", "test"} {
		x, y := make([]float32, count*length*features), make([]int64, count)
		for i := range y {
			y[i] = int64(i % features)
			for j := range length * features {
				x[i*length*features+j] = float32((i*7+j*5)%11)/20 - 0.25
				if j%features == i%features {
					x[i*length*features+j] += 0.5
				}
			}
		}
		array("x_"+part, "<f4", fmt.Sprintf("(%d, %d, %d)", count, length, features), x)
		array("y_"+part, "<i8", fmt.Sprintf("(%d,)", count), y)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(samples, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return network, samples
}

// A network whose length is open is edited for the length of the samples. The file
// that is written leaves it open, as the input does.
func TestForgetOpenLength(t *testing.T) {
	s := tiny(t)
	network, samples := openLength(t)
	s.In, s.Out, s.Data.Path = network, filepath.Join(t.TempDir(), "out.onnx"), samples
	s.ONNX = filepath.Join(filepath.Dir(s.Out), "beside.onnx")
	s.Evidence.Report = filepath.Join(filepath.Dir(s.Out), "report.json")
	var stderr bytes.Buffer
	done, err := Forget(t.Context(), s, streams(&stderr))
	if err != nil {
		t.Fatal(err)
	}
	if r := done.Report; r.Comparison.L2 == 0 || r.Parity == nil {
		t.Errorf("the edit did nothing: %+v", r.Data)
	}
	for _, path := range []string{s.Out, s.ONNX} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := onnxio.Decode(bytes.NewReader(b), int64(len(b)), onnxio.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if g, err := f.Graph(); err != nil || fmt.Sprint(g.Inputs[0].Shape) != "[N T 4]" {
			t.Errorf("%s takes %v, %v", path, g.Inputs[0].Shape, err)
		}
	}
	check := CheckSettings{Before: s.In, After: s.Out, Data: s.Data, Report: s.Evidence.Report, Threads: 1}
	if found, err := Check(t.Context(), check, streams(&stderr)); err != nil || found.Claim == nil {
		t.Errorf("the report is not confirmed: %v", err)
	}
	check.Report, check.Gate = "", s.Gate
	if _, err := Check(t.Context(), check, streams(&stderr)); err == nil || !strings.Contains(err.Error(), "inputs of shape [N T 4], which leaves more open than the batch; give --class and --data") {
		t.Errorf("without samples: %v", err)
	}
	misfit := s
	misfit.Out, misfit.Data.Path = filepath.Join(t.TempDir(), "out.onnx"), ""
	misfit.ONNX, misfit.Evidence.Report = "", ""
	misfit.Data.Settings = dataset.Settings{}
	if _, err := Forget(t.Context(), misfit, streams(&stderr)); err == nil || !strings.Contains(err.Error(), "inputs of shape [N T 4], the samples have the shape [1 28 28]") {
		t.Errorf("samples of another size: %v", err)
	}
}
