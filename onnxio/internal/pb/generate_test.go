package pb

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"lethe/internal/oracle"
)

// The generated file is what generate.sh makes of lethe_onnx.proto.
func TestGenerated(t *testing.T) {
	if _, err := exec.LookPath("protoc"); err != nil {
		oracle.Missing(t, err.Error())
	}
	dir := t.TempDir()
	if out, err := exec.Command("sh", "generate.sh", dir).CombinedOutput(); err != nil {
		t.Fatalf("generate.sh: %v\n%s", err, out)
	}
	got, err := os.ReadFile("lethe_onnx.pb.go")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(dir, "lethe_onnx.pb.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("lethe_onnx.pb.go is not what lethe_onnx.proto says; run go generate")
	}
}
