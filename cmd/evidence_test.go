package cmd_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"lethe/internal/oracle"
)

const keys = "../evidence/testdata/"

// The Python package model-signing verifies what we sign, and we verify what it
// signs.
func TestOracleModelSigning(t *testing.T) {
	python := oracle.Python(t, "model_signing")
	dir := t.TempDir()
	out := filepath.Join(dir, "out.pt")
	command(t, "forget", append(tinyEdit, "--sign", keys+"key.pem", "--no-onnx", "testdata/tiny/lenet.pt", out)...)
	verify := func() error {
		return exec.Command(python, "-m", "model_signing", "verify", "key", out, "--signature", out+".sig", "--public_key", keys+"pub.pem").Run()
	}
	if err := verify(); err != nil {
		t.Errorf("model-signing refuses our signature: %v", err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(out, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if verify() == nil {
		t.Error("model-signing takes our signature of another file")
	}
	for _, target := range []string{out, dir} {
		sig := filepath.Join(dir, "theirs.sig")
		oracle.Run(t, python, "-m", "model_signing", "sign", "key", target, "--signature", sig, "--private_key", keys+"key.pem")
		command(t, "ptcheck", "--verify-signature", keys+"pub.pem", "--signature", sig, target)
	}
}

// What the commands write is valid by the published schema.
func TestReportSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../docs/schema/report-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out, report := filepath.Join(dir, "out.pt"), filepath.Join(dir, "report.json")
	edit := append(tinyEdit, "--report", report, "testdata/tiny/lenet.pt", out)
	command(t, "forget", edit...)
	written, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	judge := []string{"--json", "--gate", "none", "testdata/tiny/lenet.pt", out}
	for name, text := range map[string][]byte{
		"forget":        written,
		"ptcheck":       command(t, "ptcheck", judge...),
		"ptcheck class": command(t, "ptcheck", append(judge, "--class", "1", "--data", "testdata/tiny")...),
		"ptcheck audit": command(t, "ptcheck", append(judge, "--class", "1", "--data", "testdata/tiny", "--audit", "--quiet=false")...),
	} {
		tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(tree); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	const golden = "../evidence/testdata/report.json"
	if *update {
		if err := os.WriteFile(golden, written, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	// Its digests of the ONNX model and the version differ from build to build.
	var got, want map[string]any
	committed, err := os.ReadFile(golden)
	if err == nil {
		err = json.Unmarshal(committed, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(written, &got); err != nil {
		t.Fatal(err)
	}
	for _, r := range []map[string]any{got, want} {
		delete(r, "tool")
		delete(r["files"].(map[string]any), "onnx")
	}
	x, _ := json.Marshal(got)
	y, _ := json.Marshal(want)
	if !bytes.Equal(x, y) {
		t.Errorf("%s is not what forget writes; go test ./cmd -run ReportSchema -update", golden)
	}
}

// A byte that changed anywhere in the checkpoint is refused, by its signature and
// by its report.
func TestTamperedCheckpoint(t *testing.T) {
	dir := t.TempDir()
	out, report := filepath.Join(dir, "out.pt"), filepath.Join(dir, "report.json")
	command(t, "forget", append(tinyEdit, "--no-onnx", "--report", report, "--sign", keys+"key.pem", "testdata/tiny/lenet.pt", out)...)
	good, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	ptcheck := filepath.Join(binaries(t), "ptcheck")
	for i := range 20 {
		at := i * (len(good) - 1) / 19
		bad := bytes.Clone(good)
		bad[at] ^= 4
		if err := os.WriteFile(out, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if text, err := exec.Command(ptcheck, "--verify-signature", keys+"pub.pem", out).CombinedOutput(); err == nil || !bytes.Contains(text, []byte("is not what was signed")) {
			t.Errorf("byte %d, by the signature: %v, %s", at, err, text)
		}
		if text, err := exec.Command(ptcheck, "--data", "testdata/tiny", "--report", report, "testdata/tiny/lenet.pt", out).CombinedOutput(); err == nil {
			t.Errorf("byte %d, by the report: %s", at, text)
		}
	}
}
