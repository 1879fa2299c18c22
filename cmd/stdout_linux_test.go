package cmd_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the exit code says where the result cannot be printed, and what then is in
// the folder.
func TestStandardOutput(t *testing.T) {
	tiny, err := filepath.Abs("testdata/tiny")
	if err != nil {
		t.Fatal(err)
	}
	in := filepath.Join(tiny, "lenet.pt")
	edit := "forget --class 1 --gate none --data " + tiny + " " + in + " out.pt"
	for _, c := range []struct {
		name, line string
		code       int
		says       string
		files      string
	}{
		{"full, nothing else to do", "ptcheck " + in + " >/dev/full", 1, "ptcheck: cannot print the result: no space left on device\n", ""},
		{"full, outputs stand", edit + " >/dev/full", 1, "forget: cannot print the result: no space left on device; the outputs are written and complete\n", "out.onnx out.pt"},
		{"full, outputs stand, as JSON", edit + " --json >/dev/full", 1, "; the outputs are written and complete\n", "out.onnx out.pt"},
		{"full, nothing to print", edit + " --quiet >/dev/full", 0, "", "out.onnx out.pt"},
		{"full, output", "ptconvert " + in + " - >/dev/full", 1, "ptconvert: cannot write standard output: no space left on device\n", ""},
		{"full, one output", "forget --class 1 --gate none --data " + tiny + " --report r.json " + in + " - >/dev/full", 1, "forget: cannot write standard output: no space left on device\n", ""},
		{"closed, nothing else to do", "ptcheck " + in + " >&-", 0, "the result was not printed: standard output is closed, or discards what is written\n", ""},
		{"closed, outputs stand", "ptconvert " + in + " out.pt >&-", 0, "the result was not printed", "out.pt"},
		{"closed, nothing to print", "ptconvert --quiet " + in + " out.pt >&-", 0, "", "out.pt"},
		{"closed, output", "ptconvert " + in + " - >&-", 1, "ptconvert: an output goes to standard output, which is closed", ""},
		{"closed, one output", "forget --class 1 --gate none --data " + tiny + " --report r.json " + in + " - >&-", 1, "forget: an output goes to standard output, which is closed", ""},
		{"discarded", "ptcheck " + in + " >/dev/null", 0, "", ""},
		{"gone", "{ sleep 0.2; ptcheck " + in + "; } | true; exit ${PIPESTATUS[0]}", 1, "ptcheck: cannot print the result: broken pipe\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cmd := exec.Command("bash", "-c", c.line)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+binaries(t)+string(os.PathListSeparator)+os.Getenv("PATH"))
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			cmd.Run()
			if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(stderr.String(), c.says) || c.says == "" && stderr.Len() > 0 {
				t.Errorf("exit code %d, want %d; stderr %q, want %q", code, c.code, &stderr, c.says)
			}
			var files []string
			all, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range all {
				files = append(files, e.Name())
			}
			if got := strings.Join(files, " "); got != c.files {
				t.Errorf("the folder has %q, want %q", got, c.files)
			}
		})
	}
}
