package cmd_test

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"lethe/internal/oracle"
)

var update = flag.Bool("update", false, "rewrite the digest of the edit that is the same everywhere")

// tinyEdit is an edit of a network so small that any processor, even one that
// is emulated, does it in seconds. testdata/tiny.py makes its files.
var tinyEdit = []string{"--quiet", "--gate", "none", "--class", "1", "--data", "testdata/tiny"}

// edited runs the edit and returns what it writes: checkpoint, ONNX, report.
func edited(t *testing.T, env []string, command ...string) [3][]byte {
	t.Helper()
	dir := t.TempDir()
	var out [3][]byte
	paths := [3]string{filepath.Join(dir, "out.pt"), filepath.Join(dir, "out.onnx"), filepath.Join(dir, "report.json")}
	command = append(append(command, tinyEdit...), "--report", paths[2], "testdata/tiny/lenet.pt", paths[0])
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", command, err, text)
	}
	for i, path := range paths {
		var err error
		if out[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// An edit has the same bytes on every machine: the digest is the one that is
// committed, and neither the number of threads nor the instruction set matters.
func TestSameBytes(t *testing.T) {
	forget := filepath.Join(binaries(t), "forget")
	want := edited(t, nil, forget)
	const golden = "testdata/tiny/sha256.txt"
	digest := fmt.Sprintf("%x\n", sha256.Sum256(want[0]))
	if *update {
		if err := os.WriteFile(golden, []byte(digest), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if committed, err := os.ReadFile(golden); err != nil || string(committed) != digest {
		t.Errorf("the edited checkpoint has the digest %sand %s says %s(%v)", digest, golden, committed, err)
	}
	same := func(t *testing.T, got [3][]byte) {
		for i, what := range []string{"checkpoint", "ONNX model", "report"} {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("another %s", what)
			}
		}
	}
	for _, threads := range []string{"1", "2", "3", "8"} {
		t.Run(threads+" threads", func(t *testing.T) { same(t, edited(t, nil, forget, "--threads", threads)) })
	}
	t.Run("avx2", func(t *testing.T) { same(t, edited(t, []string{"LETHE_CPU=avx2"}, forget)) })
	t.Run("portable", func(t *testing.T) {
		if os.Getenv("REQUIRE_ORACLE") != "1" {
			t.Skip("half a minute; runs with REQUIRE_ORACLE=1")
		}
		same(t, edited(t, []string{"LETHE_CPU=portable"}, forget))
	})
	t.Run("Oracle arm64", func(t *testing.T) {
		qemu, err := exec.LookPath("qemu-aarch64")
		if err != nil {
			oracle.Missing(t, "no qemu-aarch64 (Debian's package qemu-user)")
		}
		arm := filepath.Join(t.TempDir(), "forget")
		build := exec.Command("go", "build", "-o", arm, "./forget")
		build.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
		if text, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, text)
		}
		if text, err := exec.Command(qemu, arm, "--version").CombinedOutput(); err != nil || !bytes.Contains(text, []byte("linux/arm64")) {
			t.Fatalf("not a program for arm64: %v\n%s", err, text)
		}
		same(t, edited(t, nil, qemu, arm))
	})
}
