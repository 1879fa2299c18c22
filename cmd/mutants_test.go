package cmd_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mutate returns a copy of a file that is broken in one of the ways in which files
// break and are broken.
func mutate(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	at := r.IntN(len(b))
	switch r.IntN(8) {
	case 0: // a bit
		b[at] ^= 1 << r.IntN(8)
	case 1: // a few bytes
		for range 1 + r.IntN(8) {
			b[r.IntN(len(b))] = byte(r.Uint32())
		}
	case 2: // cut
		b = b[:at]
	case 3: // more
		b = slices.Insert(b, at, b[:min(at, 1+r.IntN(64))]...)
	case 4: // less
		b = slices.Delete(b, at, min(len(b), at+1+r.IntN(64)))
	case 5: // a number that is large
		for i := at; i < min(len(b), at+4); i++ {
			b[i] = 0xff
		}
	case 6: // near the end, where directories are
		b[len(b)-1-r.IntN(min(len(b), 200))] ^= byte(1 + r.IntN(255))
	case 7: // something twice
		b = append(b, b[at:]...)
	}
	return b
}

// Broken models of every kind, through every command: no panic, no signal, no
// endless run, an error of one line with a documented exit code, and no output
// after one. LETHE_MUTANTS=1000 says how many of each kind.
func TestMutants(t *testing.T) {
	count := 8
	if n, err := strconv.Atoi(os.Getenv("LETHE_MUTANTS")); err == nil {
		count = n
	}
	made := t.TempDir()
	for out, c := range map[string][]string{"model.onnx": {"pt2onnx", "--quiet"}, "model.safetensors": {"ptconvert", "--quiet"}} {
		command(t, c[0], c[1], "testdata/tiny/lenet.pt", filepath.Join(made, out))
	}
	for kind, path := range map[string]string{
		"onnx": filepath.Join(made, "model.onnx"), "safetensors": filepath.Join(made, "model.safetensors"), "checkpoint": "testdata/tiny/lenet.pt",
		"torchscript": "../pickle/testdata/script.pt", "pt2": "../pickle/testdata/v26-export.pt", "pt2 of torch 2.15": "../pickle/testdata/v215-export.pt",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(11, uint64(len(kind))))
			codes := map[int]int{}
			for i := range count {
				dir := t.TempDir()
				in := filepath.Join(dir, "in"+filepath.Ext(path))
				mutant := mutate(r, whole)
				writeFile(t, in, string(mutant))
				for _, args := range [][]string{
					{"ptcheck", in}, {"ptcheck", "--scan", in}, {"ptcheck", in, in}, {"ptconvert", in, "out.pt"}, {"ptconvert", in, "out.safetensors"},
					{"pt2onnx", in, "out.onnx"}, {"forget", "--class", "1", "--gate", "none", in, "out.pt", "--report", "r.json"},
				} {
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
					cmd := exec.CommandContext(ctx, filepath.Join(binaries(t), args[0]), args[1:]...)
					cmd.Dir = dir
					var stderr bytes.Buffer
					cmd.Stderr = &stderr
					cmd.Run()
					cancel()
					code := cmd.ProcessState.ExitCode()
					codes[code]++
					var bad string
					switch {
					case code < 0 || code > 4 || code == 2:
						bad = "ends with " + cmd.ProcessState.String()
					case strings.Contains(stderr.String(), "panic") || strings.Contains(stderr.String(), "goroutine "):
						bad = "panics"
					case code != 0 && (!strings.HasPrefix(last(stderr.String()), args[0]+": ") || obeyed(stderr.Bytes()) != ""):
						bad = "has no error of one line"
					}
					all, err := os.ReadDir(dir)
					if err != nil {
						t.Fatal(err)
					}
					if code != 0 && len(all) > 1 {
						bad = "leaves " + all[0].Name() + " and " + all[len(all)-1].Name()
					}
					for _, e := range all {
						if e.Name() != filepath.Base(in) {
							os.Remove(filepath.Join(dir, e.Name()))
						}
					}
					if bad != "" {
						kept := filepath.Join(os.TempDir(), "lethe-mutant-"+strconv.Itoa(i)+filepath.Ext(path))
						os.WriteFile(kept, mutant, 0o600)
						t.Errorf("mutant %d (%s): %q %s\n%.500s", i, kept, args, bad, &stderr)
					}
				}
			}
			t.Logf("exit codes: %v", codes)
		})
	}
}

// last returns the last line of a text.
func last(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
