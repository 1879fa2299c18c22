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

// A file in the format before 1.6 means the same, to torch and to us, whether or
// not it says that it is from a big-endian machine.
func TestOracleLegacyBigEndian(t *testing.T) {
	py := oracle.Python(t, "torch")
	dir := t.TempDir()
	little := readTestdata(t, "legacy.pt")
	big := bytes.Replace(little, []byte("little_endianq\x02\x88"), []byte("little_endianq\x02\x89"), 1)
	if bytes.Equal(little, big) {
		t.Fatal("legacy.pt does not say that it is little-endian")
	}
	var theirs [2][]byte
	for i, b := range [][]byte{little, big} {
		in, out := filepath.Join(dir, "in.pt"), filepath.Join(dir, "out.pt")
		if err := os.WriteFile(in, b, 0o600); err != nil {
			t.Fatal(err)
		}
		oracle.Run(t, py, "testdata/random_trees.py", "again", in, out)
		var err error
		if theirs[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(theirs[0], theirs[1]) {
		t.Error("torch reads other values")
	}
	if !bytes.Equal(mustEncode(t, mustDecode(t, little)), mustEncode(t, mustDecode(t, big))) {
		t.Error("we read other values")
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
