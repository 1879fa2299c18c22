package job

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/convert/layers"
	"lethe/dataset"
	"lethe/graph"
	"lethe/model"
	"lethe/onnxio"
)

// Each kind of input becomes an ONNX model that says so, without a command line.
func TestConvert(t *testing.T) {
	tinyNet := filepath.Join("..", "..", "cmd", "testdata", "tiny", "lenet.pt")
	colour := filepath.Join("..", "..", "cmd", "testdata", "colour", "net.pt2")
	for _, c := range []struct {
		name string
		set  func(s *ConvertSettings)
		want func(done *Converted) bool
	}{
		{"state dict", func(s *ConvertSettings) { s.FoldBatchNorm = true }, func(d *Converted) bool {
			return d.Program == nil && d.Parity != nil && d.Classes > 1 && len(d.Shape) == 3
		}},
		{"program", func(s *ConvertSettings) {
			s.In, s.InputNames, s.OutputNames = colour, []string{"image"}, []string{"scores"}
		}, func(d *Converted) bool {
			return d.Parity == nil && d.Graph == d.Program.Graph && d.Graph.Inputs[0].Name == "image" && d.Graph.Outputs[0].Name == "scores"
		}},
		{"program, smaller", func(s *ConvertSettings) { s.In, s.Optimize = colour, true }, func(d *Converted) bool {
			return strings.Contains(strings.Join(d.Program.Notes, "\n"), "both run on two samples")
		}},
		{"graph of another file", func(s *ConvertSettings) { s.In, s.Reading.Like = colour, colour }, func(d *Converted) bool { return d.Program != nil }},
		{"weights apart", func(s *ConvertSettings) { s.In, s.ExternalData = colour, true }, func(d *Converted) bool { return len(d.Plan.Outputs) == 2 }},
	} {
		s := ConvertSettings{In: tinyNet, Out: filepath.Join(t.TempDir(), "out.onnx"), Opset: graph.DefaultOpset}
		c.set(&s)
		for _, dry := range []bool{true, false} {
			s.Plan.DryRun = dry
			var stderr bytes.Buffer
			done, err := Convert(t.Context(), s, streams(&stderr))
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			b, err := os.ReadFile(s.Out)
			if dry {
				if err == nil || done.Plan == nil || done.Graph == nil {
					t.Errorf("%s: a dry run gives %+v", c.name, done)
				}
				continue
			}
			if err != nil || !c.want(done) || done.Stdout || stderr.Len() > 0 {
				t.Errorf("%s: got %+v, %v, on stderr %q", c.name, done, err, &stderr)
			}
			if !onnxio.Sniff(bytes.NewReader(b), int64(len(b))) {
				t.Errorf("%s: the output is not an ONNX model", c.name)
			}
		}
	}
}

// Layers in a row are described, from names and shapes alone.
func TestConvertPrintsLayers(t *testing.T) {
	s := ConvertSettings{In: filepath.Join("..", "..", "cmd", "testdata", "tiny", "lenet.pt"), Out: "-", Opset: graph.DefaultOpset, PrintLayers: true, Inputs: [][]int{{1, 12, 12}}}
	var stdout, stderr bytes.Buffer
	std := streams(&stderr)
	std.Out = &stdout
	done, err := Convert(t.Context(), s, std)
	if err != nil || done.Plan != nil || !done.Stdout {
		t.Fatalf("got %+v, %v", done, err)
	}
	if _, err := layers.Parse(&stdout); err != nil {
		t.Error(err)
	}
}

// What cannot be converted is refused, and nothing is left.
func TestConvertRefuses(t *testing.T) {
	tinyNet := filepath.Join("..", "..", "cmd", "testdata", "tiny", "lenet.pt")
	for want, set := range map[string]func(s *ConvertSettings){
		"give either":                    func(s *ConvertSettings) { s.Reading.Like, s.Reading.Layers = "a", "b" },
		"--batch is for exported":        func(s *ConvertSettings) { s.Batch = 3 },
		"--like is a file":               func(s *ConvertSettings) { s.Reading.Like = "-" },
		"--input with several":           func(s *ConvertSettings) { s.Inputs = [][]int{{1}, {2}} },
		"has 2 names":                    func(s *ConvertSettings) { s.In, s.InputNames = "../../cmd/testdata/colour/net.pt2", []string{"a", "b"} },
		"nowhere.yaml":                   func(s *ConvertSettings) { s.Reading.Layers = "nowhere.yaml" },
		"no data folder or file nowhere": func(s *ConvertSettings) { s.Data = &DataSettings{Settings: dataset.Settings{Path: "nowhere"}} },
		"no file nowhere.pt":             func(s *ConvertSettings) { s.In = "nowhere.pt" },
	} {
		s := ConvertSettings{In: tinyNet, Out: filepath.Join(t.TempDir(), "out.onnx"), Opset: graph.DefaultOpset}
		set(&s)
		var stderr bytes.Buffer
		if _, err := Convert(t.Context(), s, streams(&stderr)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if left, err := os.ReadDir(filepath.Dir(s.Out)); err != nil || len(left) > 0 {
			t.Errorf("%s: %v is left, %v", want, left, err)
		}
	}
	var unsupported *model.UnsupportedError
	s := ConvertSettings{In: tinyNet, Out: filepath.Join(t.TempDir(), "out.onnx"), Opset: graph.DefaultOpset}
	if _, err := Convert(t.Context(), s, streams(new(bytes.Buffer))); err != nil {
		t.Fatal(err)
	}
	s.In, s.Out = s.Out, filepath.Join(t.TempDir(), "again.onnx")
	if _, err := Convert(t.Context(), s, streams(new(bytes.Buffer))); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "ONNX model already") {
		t.Errorf("an ONNX model: got %v", err)
	}
}
