package canary_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lethe/internal/canary"
	"lethe/internal/oracle"
	"lethe/scan"
)

// corpus returns the files by name.
func corpus(t testing.TB, seed uint64, n int) map[string]canary.File {
	t.Helper()
	files := map[string]canary.File{}
	if err := canary.Generate(seed, n, func(f canary.File) error {
		files[f.Name] = f
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return files
}

func TestGenerate(t *testing.T) {
	const n = 1000
	files := corpus(t, 1, n)
	if len(files) != n {
		t.Errorf("%d files of %d have a name of their own", len(files), n)
	}
	ways, containers := map[string]bool{}, map[string]bool{}
	for name, f := range corpus(t, 1, n) {
		if sha256.Sum256(f.Data) != sha256.Sum256(files[name].Data) || f.Kind() != files[name].Kind() {
			t.Errorf("%s differs the second time", name)
		}
		if len(f.Data) == 0 {
			t.Errorf("%s is empty: %s", name, f.Kind())
		}
		ways[f.Way], containers[f.Container] = true, true
	}
	if len(ways) < 150 || len(containers) < 100 {
		t.Errorf("%d ways in %d containers", len(ways), len(containers))
	}
	other := corpus(t, 2, 10)
	for name, f := range other {
		if bytes.Equal(f.Data, files[name].Data) {
			t.Errorf("%s is the same with another seed", name)
		}
	}
}

func fails(t *testing.T, f canary.File) bool {
	t.Helper()
	r, err := scan.File(bytes.NewReader(f.Data), int64(len(f.Data)))
	if err != nil {
		t.Fatalf("%s: %v", f.Name, err)
	}
	return r.Fails(scan.Unknown)
}

// TestScan asks no loader: nothing that the generator makes may pass.
func TestScan(t *testing.T) {
	for _, f := range corpus(t, 3, 3000) {
		if !fails(t, f) {
			t.Errorf("%s passes: %s", f.Name, f.Kind())
		}
	}
}

// TestOracleCanary loads files with every loader at hand. A file whose canary
// fires must fail the scan; and most must fire, or the test says nothing.
func TestOracleCanary(t *testing.T) {
	const n = 240
	python := oracle.Python(t, "torch", "numpy")
	dir, files := t.TempDir(), corpus(t, 4, n)
	for name, f := range files {
		if err := os.WriteFile(filepath.Join(dir, name), f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	output := filepath.Join(t.TempDir(), "fired.jsonl")
	oracle.Run(t, python, "testdata/load.py", "--first", output, dir)
	results, err := os.Open(output)
	if err != nil {
		t.Fatal(err)
	}
	defer results.Close()
	fired, ways := 0, map[string]bool{}
	for lines := bufio.NewScanner(results); lines.Scan(); {
		var line struct {
			File  string
			Fired []string
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if len(line.Fired) == 0 {
			continue
		}
		f := files[line.File]
		fired++
		ways[f.Way] = true
		if !fails(t, f) {
			t.Errorf("%s passes the scan and runs with %s: %s", f.Name, strings.Join(line.Fired, ", "), f.Kind())
		}
	}
	if fired < n/2 || len(ways) < 40 {
		t.Errorf("only %d of %d fire, in %d ways", fired, n, len(ways))
	}
	t.Logf("%d of %d fire, in %d ways", fired, n, len(ways))
}

// TestOracleHarmless scans what training scripts write.
func TestOracleHarmless(t *testing.T) {
	const n = 120
	python := oracle.Python(t, "torch", "numpy")
	dir := t.TempDir()
	oracle.Run(t, python, "testdata/harmless.py", dir, strconv.Itoa(n), "5")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != n {
		t.Errorf("%d files", len(entries))
	}
	verdicts := map[string]int{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		r, err := scan.File(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		verdicts[r.Verdict()]++
		if v := r.Verdict(); v == "danger" || v == "incomplete" {
			t.Errorf("%s: %s: %s", e.Name(), v, explain(r))
		}
	}
	t.Log(verdicts)
}

func explain(r *scan.Result) string {
	var b strings.Builder
	for _, f := range r.Findings {
		if f.Level == scan.Danger {
			fmt.Fprintf(&b, "%s %s: %s; ", f.Kind, f.What, f.Why)
		}
	}
	for _, g := range r.Gaps {
		fmt.Fprintf(&b, "%s; ", g.What)
	}
	return b.String()
}
