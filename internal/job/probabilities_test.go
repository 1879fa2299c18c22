package job

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lethe/graph"
	"lethe/internal/network"
	"lethe/model"
	"lethe/onnxio"
	"lethe/pickle"
)

// What ends in probabilities, or in their logarithms, is edited and judged by its
// logits: the same numbers as without them, and the file keeps its end.
func TestForgetProbabilities(t *testing.T) {
	s := tiny(t)
	var stderr bytes.Buffer
	plain, err := Forget(t.Context(), s, streams(&stderr))
	if err != nil {
		t.Fatal(err)
	}
	n, err := network.Open(t.Context(), s.In, strings.NewReader(""), pickle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, op := range []string{"Softmax", "LogSoftmax"} {
		g := n.Graph.Clone()
		out := g.Outputs[0]
		g.Nodes = append(g.Nodes, graph.Node{Name: "end", Op: op, Inputs: []string{out.Name}, Outputs: []string{"end"}, Attrs: graph.Attrs{"axis": graph.Int(1)}})
		g.Outputs = []graph.Value{graph.TensorValue("end", model.Float32, out.Shape)}
		var b bytes.Buffer
		if err := onnxio.Encode(&b, g, n.State, onnxio.EncodeOptions{}); err != nil {
			t.Fatal(err)
		}
		s := s
		s.In, s.Out = filepath.Join(t.TempDir(), "in.onnx"), filepath.Join(t.TempDir(), "out.onnx")
		if err := os.WriteFile(s.In, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		done, err := Forget(t.Context(), s, streams(&stderr))
		if err != nil {
			t.Fatalf("%s: %v", op, err)
		}
		if got, want := done.Report.Data.TrainAfter, plain.Report.Data.TrainAfter; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: after the edit %+v, without it %+v", op, got, want)
		}
		again, err := network.Open(t.Context(), s.Out, strings.NewReader(""), pickle.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if end := again.Graph.Nodes[len(again.Graph.Nodes)-1].Op; end != op {
			t.Errorf("the file ends in %s, not %s", end, op)
		}
		again.Close()
		check := CheckSettings{Before: s.In, After: s.Out, Data: s.Data, Class: "1", Gate: s.Gate, Threads: 1}
		if found, err := Check(t.Context(), check, streams(&stderr)); err != nil || !reflect.DeepEqual(found.Report.Data.TrainAfter, plain.Report.Data.TrainAfter) {
			t.Errorf("%s: judged anew: %+v, %v", op, found, err)
		}
	}
}
