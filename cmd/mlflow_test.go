package cmd_test

import (
	"bytes"
	"fmt"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lethe/internal/oracle"
)

// A real MLflow server: a model is registered with MLflow's own library, edited
// by reference, loaded with MLflow's library again; and commands are killed.
func TestOracleMLflow(t *testing.T) {
	python := oracle.Python(t, "mlflow, onnx, onnxruntime")
	server := oracle.MLflow(t)
	t.Run("forget", func(t *testing.T) { testMLflowForget(t, python) })
	t.Run("program", func(t *testing.T) { testMLflowProgram(t, python) })
	t.Run("kill", func(t *testing.T) {
		u, err := url.Parse(server)
		if err != nil {
			t.Fatal(err)
		}
		killAtEach(t, httputil.NewSingleHostReverseProxy(u), func(host string, kill int) string {
			t.Setenv("MLFLOW_TRACKING_URI", "http://"+host)
			return fmt.Sprintf("models:/killed%d@champion", kill)
		})
	})
}

func testMLflowForget(t *testing.T, python string) {
	dir := t.TempDir()
	script := filepath.Join("testdata", "mlflow_client.py")
	oracle.Run(t, python, script, "register", "lenet", base, "lenet.pth")

	uri, digest := filepath.Join(dir, "uri"), filepath.Join(dir, "digest")
	command(t, "forget", "--class", "3", "models:/lenet@champion", "models:/lenet@challenger", "--attest", filepath.Join(dir, "a.jsonl"), "--output-uri-file", uri, "--output-digest-file", digest)
	told, err := os.ReadFile(uri)
	if err != nil || string(told) != "models:/lenet/2" {
		t.Fatalf("the output is at %q, %v", told, err)
	}
	if told, err = os.ReadFile(digest); err != nil || !strings.HasPrefix(string(told), "sha256:") {
		t.Errorf("the digest is %q, %v", told, err)
	}
	got := string(oracle.Run(t, python, script, "load", "lenet", "challenger", string(told)))
	want := `flavors onnx, python_function, pytorch
run FINISHED
artifacts MLmodel, README.md, SHA256SUMS, conda.yaml, data/lenet.onnx, data/lenet.pth, evidence/report.json, evidence/statements.jsonl
digests hold
source models:/lenet/1
champion 1
logits 2x10
`
	if got != want {
		t.Errorf("MLflow finds\n%swant\n%s", got, want)
	}
	if out := string(command(t, "ptcheck", "--class", "3", "models:/lenet@champion", "models:/lenet/2")); !strings.Contains(out, "same names") {
		t.Errorf("ptcheck prints %s", out)
	}

	// The same edit of the file has the same weights.
	file := filepath.Join(dir, "edited.pth")
	command(t, "forget", "--quiet", "--no-onnx", "--class", "3", base, file)
	pulled := filepath.Join(dir, "pulled.pth")
	command(t, "ptconvert", "--root", "lenet", "models:/lenet/2", pulled)
	again := filepath.Join(dir, "again.pth")
	command(t, "ptconvert", "--root", "lenet", file, again)
	a, err := os.ReadFile(pulled)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(again); err != nil || !bytes.Equal(a, b) {
		t.Errorf("the edit of the file differs, %v", err)
	}
	for _, c := range []struct {
		code int
		args []string
	}{
		{1, []string{"models:/lenet@champion", "models:/lenet@challenger"}}, // without --force
		{2, []string{"models:/lenet@champion", "models:/lenet/3"}},
		{2, []string{"models:/lenet/latest", filepath.Join(dir, "x.pt")}},
		{3, []string{"--gate", "full", "--budget-l2", "0.01", "models:/lenet@champion", "models:/lenet"}},
		{5, []string{"models:/lenet/99", "models:/lenet"}},
		{5, []string{"models:/nonesuch@champion", "models:/lenet"}},
	} {
		cmd := exec.Command(filepath.Join(binaries(t), "forget"), append([]string{"--class", "3"}, c.args...)...)
		if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != c.code {
			t.Errorf("forget %q: exit code %d, want %d\n%s", c.args, cmd.ProcessState.ExitCode(), c.code, out)
		}
	}
	if got := string(oracle.Run(t, python, script, "versions", "lenet")); got != "1 2\n" {
		t.Errorf("after what failed there are the versions %s", got)
	}

	// In place: the alias goes along, and only now that the edit passes.
	digest = filepath.Join(dir, "another digest")
	command(t, "forget", "--quiet", "--class", "3", "models:/lenet@champion", "models:/lenet", "--output-digest-file", digest)
	if told, err = os.ReadFile(digest); err != nil {
		t.Fatal(err)
	}
	if got := string(oracle.Run(t, python, script, "load", "lenet", "champion", string(told))); !strings.Contains(got, "source models:/lenet/1\nchampion 3\n") {
		t.Errorf("after an edit in place MLflow finds\n%s", got)
	}
}

// A model of MLflow 3 is an exported program, data/model.pt2, and stays one.
func testMLflowProgram(t *testing.T, python string) {
	dir := t.TempDir()
	script := filepath.Join("testdata", "mlflow_client.py")
	program, images := filepath.Join("testdata", "colour", "net.pt2"), filepath.Join("testdata", "colour", "images.npz")
	oracle.Run(t, python, script, "register", "colour", program, "model.pt2")
	data := []string{"--class", "2", "--gate", "none", "--data", images, "--mean", "0.25", "--std", "0.25"}
	digest := filepath.Join(dir, "digest")
	command(t, "forget", append([]string{"--quiet", "models:/colour@champion", "models:/colour", "--output-digest-file", digest}, data...)...)
	told, err := os.ReadFile(digest)
	if err != nil {
		t.Fatal(err)
	}
	got := string(oracle.Run(t, python, script, "load", "colour", "champion", string(told)))
	for _, want := range []string{"data/model.onnx, data/model.pt2, evidence/report.json", "digests hold", "source models:/colour/1\nchampion 2\n", "logits 2x"} {
		if !strings.Contains(got, want) {
			t.Errorf("MLflow finds\n%swant %s", got, want)
		}
	}
	file := filepath.Join(dir, "edited.pt2")
	command(t, "forget", append([]string{"--quiet", "--no-onnx", program, file}, data...)...)
	if out := command(t, "ptcheck", append([]string{"models:/colour/2", file}, data...)...); !regexp.MustCompile(`distance of the parameters \(L2\) +0\.0000`).Match(out) {
		t.Errorf("the edit of the file differs:\n%s", out)
	}
}
