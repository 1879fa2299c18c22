package job

import (
	"bytes"
	"errors"
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

// changed writes the network of a file as an ONNX model with a changed graph.
func changed(t *testing.T, in string, change func(g *graph.Graph, x *graph.Index)) string {
	t.Helper()
	n, err := network.Open(t.Context(), in, strings.NewReader(""), pickle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	g := n.Graph.Clone()
	change(g, graph.NewIndex(g))
	var b bytes.Buffer
	if err := onnxio.Encode(&b, g, n.State, onnxio.EncodeOptions{}); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "in.onnx")
	if err := os.WriteFile(out, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return out
}

// Of features and logits the logits are edited and judged; the file keeps both, and what
// is not judged is said.
func TestForgetOneOfSeveralOutputs(t *testing.T) {
	s := tiny(t)
	var stderr bytes.Buffer
	plain, err := Forget(t.Context(), s, streams(&stderr))
	if err != nil {
		t.Fatal(err)
	}
	var features string
	s.In = changed(t, s.In, func(g *graph.Graph, x *graph.Index) {
		features = x.Maker(g.Outputs[0].Name).Input(0)
		g.Outputs = append([]graph.Value{graph.TensorValue(features, model.Float32, nil)}, g.Outputs...)
	})
	s.Out = filepath.Join(t.TempDir(), "out.onnx")
	std := streams(&stderr)
	std.Quiet = false
	done, err := Forget(t.Context(), s, std)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := done.Report.Data.TrainAfter, plain.Report.Data.TrainAfter; !reflect.DeepEqual(got, want) {
		t.Errorf("after the edit %+v, with one output %+v", got, want)
	}
	if !strings.Contains(stderr.String(), "not judged: [\""+features+"\"]") {
		t.Errorf("nothing of the output %q: %s", features, stderr.String())
	}
	after, err := network.Open(t.Context(), s.Out, strings.NewReader(""), pickle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	if n := len(after.Structure.Graph.Outputs); n != 2 {
		t.Errorf("the file has %d outputs", n)
	}
}

// A network with one number for each sample is no classifier that can forget.
func TestForgetOneNumber(t *testing.T) {
	for name, op := range map[string]graph.Node{
		"a row of one":   {Op: "ReduceMax", Attrs: graph.Attrs{"axes": graph.Ints(1), "keepdims": graph.Int(1)}},
		"a number":       {Op: "ReduceMax", Attrs: graph.Attrs{"axes": graph.Ints(1), "keepdims": graph.Int(0)}},
		"a whole number": {Op: "ArgMax", Attrs: graph.Attrs{"axis": graph.Int(1), "keepdims": graph.Int(0)}},
	} {
		s := tiny(t)
		s.In = changed(t, s.In, func(g *graph.Graph, _ *graph.Index) {
			op.Name, op.Inputs, op.Outputs = "end", []string{g.Outputs[0].Name}, []string{"end"}
			g.Nodes = append(g.Nodes, op)
			g.Outputs = []graph.Value{{Name: "end"}}
		})
		s.Out = filepath.Join(t.TempDir(), "out.onnx")
		_, err := Forget(t.Context(), s, streams(new(bytes.Buffer)))
		var unsupported *model.UnsupportedError
		if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "number for each") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
