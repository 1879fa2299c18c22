package cli

import (
	"strings"
	"testing"

	"lethe/pickle"
)

func TestFormatOf(t *testing.T) {
	for path, want := range map[string][2]Format{ // for an input of each format
		"a.pt": {FormatCheckpoint, FormatCheckpoint}, "a.PTH": {FormatCheckpoint, FormatCheckpoint}, "a.bin": {FormatCheckpoint, FormatCheckpoint},
		"a.safetensors": {FormatSafetensors, FormatSafetensors}, "a.pt.safetensors": {FormatSafetensors, FormatSafetensors},
		"-": {FormatCheckpoint, FormatSafetensors}, "a": {FormatCheckpoint, FormatSafetensors},
	} {
		if got := [2]Format{FormatOf(path, FormatCheckpoint), FormatOf(path, FormatSafetensors)}; got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}

func TestLost(t *testing.T) {
	for _, c := range []struct {
		path string
		to   Format
		want string // parts of what is lost
	}{
		{"../../pickle/testdata/wrapped.pt", FormatCheckpoint, ""},
		{"../../pickle/testdata/two.pt", FormatSafetensors, `"model"`},
		{"../../pickle/testdata/script.pt", FormatCheckpoint, `"code"`},
		{"../../pickle/testdata/views.pt", FormatSafetensors, `"base", "tied", "row", "column" and 2 more`},
		{"../../safetensors/testdata/plain.safetensors", FormatCheckpoint, ""}, // format: pt goes without saying
		{"../../fixtures/vectors/safetensors/metadata.safetensors", FormatCheckpoint, `metadata "q`},
		{"../../fixtures/vectors/safetensors/metadata.safetensors", FormatSafetensors, ""},
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
