package cli

import (
	"strings"
	"testing"

	"lethe/file"
	"lethe/pickle"
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

func TestLost(t *testing.T) {
	for _, c := range []struct {
		path string
		to   file.Format
		want string // parts of what is lost
	}{
		{"../../pickle/testdata/wrapped.pt", file.Checkpoint, ""},
		{"../../pickle/testdata/two.pt", file.Safetensors, `"model"`},
		{"../../pickle/testdata/script.pt", file.Checkpoint, `"code"`},
		{"../../pickle/testdata/views.pt", file.Safetensors, `"base", "tied", "row", "column" and 2 more`},
		{"../../safetensors/testdata/plain.safetensors", file.Checkpoint, ""}, // format: pt goes without saying
		{"../../fixtures/vectors/safetensors/metadata.safetensors", file.Checkpoint, `metadata "q`},
		{"../../fixtures/vectors/safetensors/metadata.safetensors", file.Safetensors, ""},
	} {
		var opts pickle.Options
		if strings.HasSuffix(c.path, "two.pt") {
			opts.Key = "ema/shadow"
		}
		n, err := OpenCheckpoint(t.Context(), c.path, nil, opts)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		var out strings.Builder
		n.TellLost(&out, "out", c.to)
		if got := out.String(); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s to %s: got %q, want %q", c.path, c.to, got, c.want)
		}
	}
}
