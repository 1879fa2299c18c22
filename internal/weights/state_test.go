package weights

import (
	"strings"
	"testing"

	"lethe/file"
	"lethe/pickle"
)

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
		n, err := Open(t.Context(), c.path, nil, opts)
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
