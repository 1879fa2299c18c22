package scan_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"lethe/pickle"
	"lethe/scan"
)

// What Lethe's own reader takes is not a danger, and what is a danger it refuses.
func TestVectors(t *testing.T) {
	files, err := filepath.Glob("../fixtures/vectors/pickle/*.pt")
	if err != nil || len(files) < 100 {
		t.Fatal(len(files), err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := scan.File(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pickle.Decode(bytes.NewReader(b), int64(len(b)), pickle.Options{}); err == nil && (r.Worst() == scan.Danger || len(r.Gaps) > 0) {
			t.Errorf("%s is read, and %s: %+v %+v", name, r.Verdict(), r.Findings, r.Gaps)
		}
	}
}
