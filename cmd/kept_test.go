package cmd_test

import (
	"path/filepath"
	"testing"

	"lethe/internal/oracle"
)

// An edit of TorchScript and of ONNX stays one: torch.jit.load and ONNX Runtime
// take it, and compute from it what we do.
func TestOracleKept(t *testing.T) {
	if testing.Short() {
		t.Skip("two edits take seconds")
	}
	dir := t.TempDir()
	input, x := images(t)
	want := filepath.Join(dir, "logits.f32")
	t.Run("TorchScript", func(t *testing.T) {
		torch := oracle.Python(t, "torch")
		traced, out := filepath.Join(dir, "traced.pt"), filepath.Join(dir, "out.pt")
		script(t, torch, new(any), "torch_oracle.py", "trace", base, traced)
		command(t, "forget", "--class", "Shirt", "--no-onnx", traced, out)
		script(t, torch, new(any), "torch_oracle.py", "script", out, input, want)
		agree(t, "our evaluator and torch.jit", ours(t, out, x), readFloats(t, want))
	})
	t.Run("ONNX", func(t *testing.T) {
		python := oracle.Python(t, "numpy", "onnx", "onnxruntime")
		in, out := filepath.Join(dir, "in.onnx"), filepath.Join(dir, "out.onnx")
		command(t, "pt2onnx", base, in)
		command(t, "forget", "--class", "Shirt", in, out)
		script(t, python, new(any), "onnx_oracle.py", out, input, want)
		agree(t, "our evaluator and ONNX Runtime", ours(t, out, x), readFloats(t, want))
	})
}
