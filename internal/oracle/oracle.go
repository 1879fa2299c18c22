// Package oracle lets tests ask other programs, above all PyTorch and ONNX
// Runtime, what they think of what Lethe reads and writes. Only tests import it.
package oracle

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// pythons remembers what Python found: importing torch takes a second.
var pythons sync.Map // names of the modules -> path, "" if there is none

// Python returns a Python that can import all modules: the one that
// LETHE_PYTHON names, /usr/bin/python3, python3, or the .venv that .ci/run makes
// in the root of the module, whichever is first. Without one the test is
// skipped, or fails if REQUIRE_ORACLE=1.
func Python(t testing.TB, modules ...string) string {
	t.Helper()
	names := strings.Join(modules, ", ")
	path, ok := pythons.Load(names)
	if !ok {
		path = find(names)
		pythons.Store(names, path)
	}
	if path == "" {
		Missing(t, "no Python with "+names)
	}
	return path.(string)
}

func find(modules string) string {
	for _, p := range candidates() {
		if p != "" && exec.Command(p, "-c", "import "+modules).Run() == nil {
			return p
		}
	}
	return ""
}

func candidates() []string {
	all := []string{os.Getenv("LETHE_PYTHON"), "/usr/bin/python3", "python3"}
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return append(all, filepath.Join(dir, ".venv", "bin", "python"))
		}
		dir = filepath.Dir(dir)
	}
	return all
}

// Missing skips a test for which something is missing, or fails it if
// REQUIRE_ORACLE=1.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("REQUIRE_ORACLE") == "1" {
		t.Fatal("REQUIRE_ORACLE=1, and " + what)
		return
	}
	t.Skip(what)
}

// Run runs a Python with the arguments, a script first, and returns what it
// prints. A script that fails, fails the test.
func Run(t testing.TB, python string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(python, args...)
	// Scripts that lie in the source tree must not leave compiled copies there.
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return out
}
