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

// What New makes is what torch.save makes of a dict of the same tensors.
func TestOracleNew(t *testing.T) {
	py := oracle.Python(t, "torch")
	dir := t.TempDir()
	for _, name := range []string{"plain", "tree", "many"} {
		c, err := New(mustDecode(t, readTestdata(t, name+".pt")).StateDict())
		if err != nil {
			t.Fatal(err)
		}
		in, out := filepath.Join(dir, name+".in"), filepath.Join(dir, name+".pt")
		if err := os.WriteFile(in, mustEncode(t, c), 0o600); err != nil {
			t.Fatal(err)
		}
		oracle.Run(t, py, "testdata/random_trees.py", "again", in, out)
		want, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		opts := EncodeOptions{Profile: Profile16, Root: name}
		for _, r := range unpack(t, want) {
			switch {
			case r.name == formatRecord:
				opts.Profile = Profile27
			case r.name == orderRecord && opts.Profile == Profile16:
				opts.Profile = Profile21
			}
		}
		var got bytes.Buffer
		if err := Encode(&got, c, opts); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: not what torch makes of it", name)
		}
	}
}

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
