package pickle

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lethe/internal/oracle"
)

// Random objects that torch saved come out of Decode and Encode byte for byte;
// in the other profiles, torch reads the same from them.
func TestOracleRandom(t *testing.T) {
	py := oracle.Python(t, "torch")
	dir := t.TempDir()
	const count = 300
	oracle.Run(t, py, "testdata/random_trees.py", "make", dir, strconv.Itoa(count))
	files, err := filepath.Glob(filepath.Join(dir, "*.pt"))
	if err != nil || len(files) != count {
		t.Fatalf("%d files, %v", len(files), err)
	}
	profiles := []Profile{Profile16, Profile21, Profile27}
	for i, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var opts Options
		if strings.HasSuffix(path, ".model.pt") {
			opts.Key = "model"
		}
		c, err := Decode(bytes.NewReader(b), int64(len(b)), opts)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(path), err)
			continue
		}
		if !bytes.Equal(mustEncode(t, c), b) {
			t.Errorf("%s: other bytes than torch's", filepath.Base(path))
		}
		var out bytes.Buffer
		if err := Encode(&out, c, EncodeOptions{Profile: profiles[i%len(profiles)], Root: "other"}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(strings.TrimSuffix(path, ".pt")+".out", out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if t.Failed() {
		return
	}
	if got := string(oracle.Run(t, py, "testdata/random_trees.py", "same", dir)); got != strconv.Itoa(count)+"\n" {
		t.Errorf("torch compared %s files", got)
	}
}
