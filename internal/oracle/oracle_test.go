package oracle

import (
	"os"
	"path/filepath"
	"testing"
)

// fake puts a python3 in a module's .venv that can import modules that begin
// with "known", and moves the test into a folder of that module.
func fake(t *testing.T) string {
	root := t.TempDir()
	path := filepath.Join(root, ".venv", "bin", "python")
	script := "#!/bin/sh\ncase $2 in 'import known'*) echo \"$3\";; *) echo no such module >&2; exit 1;; esac\n"
	for name, content := range map[string]string{path: script, filepath.Join(root, "go.mod"): "module m\n", filepath.Join(root, "a", "b", "x"): ""} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Join(root, "a", "b"))
	return path
}

// recorder is a test that notes how it ended.
type recorder struct {
	testing.TB
	skipped, failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Skip(...any)           { r.skipped = true }
func (r *recorder) Fatal(...any)          { r.failed = true }
func (r *recorder) Fatalf(string, ...any) { r.failed = true }

func TestPython(t *testing.T) {
	want := fake(t)
	if got := Python(t, "known", "known2"); got != want {
		t.Errorf("the .venv of the module: got %q", got)
	}
	other := filepath.Join(t.TempDir(), "python")
	if err := os.Symlink(want, other); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LETHE_PYTHON", other)
	if got := Python(t, "known3"); got != other {
		t.Errorf("LETHE_PYTHON: got %q", got)
	}
	for _, require := range []string{"", "1"} {
		t.Setenv("REQUIRE_ORACLE", require)
		r := &recorder{TB: t}
		Python(r, "no_module_has_this_name")
		if r.skipped != (require == "") || r.failed != (require == "1") {
			t.Errorf("REQUIRE_ORACLE=%q: skipped %v, failed %v", require, r.skipped, r.failed)
		}
	}
}

func TestRun(t *testing.T) {
	python := fake(t)
	if got := string(Run(t, python, "-c", "import known", "word")); got != "word\n" {
		t.Errorf("got %q", got)
	}
	r := &recorder{TB: t}
	Run(r, python, "-c", "import other")
	if !r.failed {
		t.Error("a script that fails did not fail the test")
	}
}
