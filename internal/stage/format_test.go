package stage

import (
	"strings"
	"testing"

	"lethe/file"
)

func TestFormatOf(t *testing.T) {
	for path, want := range map[string][2]file.Format{ // for an input of each format
		"a.pt": {file.Checkpoint, file.Checkpoint}, "a.PTH": {file.Checkpoint, file.Checkpoint}, "a.bin": {file.Checkpoint, file.Checkpoint},
		"a.safetensors": {file.Safetensors, file.Safetensors}, "a.pt.safetensors": {file.Safetensors, file.Safetensors},
		"-": {file.Checkpoint, file.Safetensors}, "a": {file.Checkpoint, file.Safetensors},
	} {
		if got := [2]file.Format{FormatOf(path, file.Checkpoint), FormatOf(path, file.Safetensors)}; got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}

// A name that says another format than what is written is refused, with what to do.
func TestNamesOfOutputs(t *testing.T) {
	for path, want := range map[string][3]string{ // of an ONNX model, a description of layers, a state dict
		"out.onnx":          {"", "out.yaml", ""},
		"dir.v2/out.ONNX":   {"", "dir.v2/out.yaml", ""},
		"out.pt":            {"out.onnx", "out.yaml", ""},
		"a.b/out.x.bin":     {"a.b/out.x.onnx", "a.b/out.x.yaml", ""},
		"out.safetensors":   {"out.onnx", "out.yaml", ""},
		"out.pt2":           {"out.onnx", "out.yaml", ""},
		"out.safetensor":    {"", "", "names no format"},
		"out.xyz":           {"", "", "names no format"},
		"out.yaml":          {"", "", "names no format"},
		"out":               {"", "", ""},
		"out-1.0":           {"", "", ""},
		"a.xyz/out":         {"", "", ""},
		"-":                 {"", "", ""},
		"":                  {"", "", ""},
		"oci://host/a:v.xy": {"", "", ""},
	} {
		for i, err := range []error{OnlyONNX(path, "an ONNX model", ".onnx"), OnlyONNX(path, "a description of layers", ".yaml"), KnownFormat(path)} {
			if want[i] == "" && err != nil || want[i] != "" && (err == nil || !strings.HasSuffix(err.Error(), "call it "+want[i]) && !strings.Contains(err.Error(), want[i]+":")) {
				t.Errorf("%s, %d: the error is %v, want %q", path, i, err, want[i])
			}
		}
	}
}
