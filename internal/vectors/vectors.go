// Package vectors is what the tests of the formats share: the names that the
// manifests in fixtures/vectors give to outcomes, and files that a test makes.
// Only tests import it.
package vectors

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"lethe/model"
)

// Untyped is the outcome that no file may have.
const Untyped = "untyped error"

// Outcome names an error as the manifests do: ok, malformed, unsupported or
// limit.
func Outcome(err error) string {
	var f *model.FormatError
	var u *model.UnsupportedError
	var l *model.LimitError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &f):
		return "malformed"
	case errors.As(err, &u):
		return "unsupported"
	case errors.As(err, &l):
		return "limit"
	}
	return Untyped
}

// Allocated is the number of bytes that were ever allocated.
func Allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// Golden compares b with a file, or writes the file if update is set.
func Golden(t testing.TB, path string, b []byte, update bool) {
	t.Helper()
	if update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if old, err := os.ReadFile(path); err != nil || !bytes.Equal(old, b) {
		t.Errorf("%s is not what this test makes (%v); run it with -update", path, err)
	}
}

// SameFile reports whether a file holds exactly b.
func SameFile(path string, b []byte) bool {
	got, err := os.ReadFile(path)
	return err == nil && bytes.Equal(got, b)
}
