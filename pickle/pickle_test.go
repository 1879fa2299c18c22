package pickle

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lethe/internal/oracle"
	"lethe/internal/vectors"
	"lethe/model"
)

var update = flag.Bool("update", false, "write fixtures/vectors/pickle again")

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode(b []byte) (*Checkpoint, error) {
	return Decode(bytes.NewReader(b), int64(len(b)), Options{})
}

func inspect(b []byte, opts Options) (*Info, error) {
	return Inspect(bytes.NewReader(b), int64(len(b)), opts)
}

func mustDecode(t testing.TB, b []byte) *Checkpoint {
	t.Helper()
	c, err := decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustEncode(t testing.TB, c *Checkpoint) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Encode(&b, c, EncodeOptions{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func mustWith(t testing.TB, c *Checkpoint, sd *model.StateDict) *Checkpoint {
	t.Helper()
	with, err := c.With(sd)
	if err != nil {
		t.Fatal(err)
	}
	return with
}

// listing describes a state dict as testdata/make.py does.
func listing(t testing.TB, sd *model.StateDict) string {
	t.Helper()
	var out strings.Builder
	for name, x := range sd.All() {
		b, err := x.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		list := func(v []int) string { return strings.ReplaceAll(fmt.Sprint(v), " ", ",") }
		fmt.Fprintf(&out, "%s %v %s %s %d %08x\n", name, x.DType(), list(x.Shape()), list(x.Strides()), x.Offset(), crc32.ChecksumIEEE(b))
	}
	return out.String()
}

// goldens returns the names of the files in testdata that have the outcome.
func goldens(t testing.TB, expect string) (names []string) {
	t.Helper()
	all, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(all) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, path := range all {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		if strings.Contains(string(readTestdata(t, name+".txt")), "\nexpect: "+expect+"\n") {
			names = append(names, name)
		}
	}
	return names
}

// otherForms are golden files in a form that torch does not write by itself,
// with the file of the same object that it does.
var otherForms = map[string]string{"legacy": "plain", "legacytree": "tree", "protocol3": "kinds", "protocol4": "plain", "protocol5": "kinds",
	"old1": "old1-again", "old2": "old2-again", "old3": "old3-again", "old4": "old4-again", "old5": "old5-again", "zip1": "zip1-again",
	"cpp": "cpp-again", "python2": "python2-again", "tar": "tar-again"}

// torch's own reading of its files must be ours, and an unedited checkpoint
// must come out byte for byte.
func TestGolden(t *testing.T) {
	for _, name := range goldens(t, "ok") {
		t.Run(name, func(t *testing.T) {
			b := readTestdata(t, name+".pt")
			c := mustDecode(t, b)
			_, want, _ := strings.Cut(string(readTestdata(t, name+".txt")), "\nexpect: ok\n")
			if got := listing(t, c.StateDict()); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			// What torch would write again is another file where it was told
			// to use another format.
			if same := otherForms[name]; same != "" {
				var out bytes.Buffer
				if err := Encode(&out, c, EncodeOptions{Profile: Profile16, Root: same}); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(out.Bytes(), readTestdata(t, same+".pt")) {
					t.Errorf("it does not become %s.pt, which holds the same", same)
				}
				sd := flippedAll(t, c)
				again := mustDecode(t, mustEncode(t, mustWith(t, c, sd)))
				for name, x := range sd.All() {
					if same, err := model.SameBits(x, again.StateDict().Get(name)); err != nil || !same {
						t.Errorf("%q is not what it was edited to (%v)", name, err)
					}
				}
				return
			}
			if !bytes.Equal(mustEncode(t, c), b) {
				t.Error("encoding the unedited checkpoint changes its bytes")
			}
			if !bytes.Equal(mustEncode(t, mustWith(t, c, c.StateDict())), b) {
				t.Error("an edit that changes nothing changes bytes")
			}
		})
	}
	for _, name := range append(goldens(t, "inert"), goldens(t, "arrays")...) {
		t.Run(name, func(t *testing.T) {
			b := readTestdata(t, name+".pt")
			_, err := decode(b)
			inside := "Sequential"
			if name == "arrays" {
				inside = "5 numpy arrays"
			}
			if got := vectors.Outcome(err); got != "unsupported" || !strings.Contains(err.Error(), inside) || !strings.Contains(err.Error(), "--inert") {
				t.Errorf("got %s: %v", got, err)
			}
			t.Log(err)
			c, err := Decode(bytes.NewReader(b), int64(len(b)), Options{Inert: true})
			if err != nil {
				t.Fatal(err)
			}
			_, want, _ := strings.Cut(string(readTestdata(t, name+".txt")), "\nexpect: ")
			_, want, _ = strings.Cut(want, "\n")
			if got := listing(t, c.StateDict()); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			if !bytes.Equal(mustEncode(t, c), b) {
				t.Error("encoding the unedited checkpoint changes its bytes")
			}
			// An edit goes into the same tree.
			sd := flippedAll(t, c)
			out := mustEncode(t, mustWith(t, c, sd))
			again, err := Decode(bytes.NewReader(out), int64(len(out)), Options{Inert: true})
			if err != nil {
				t.Fatal(err)
			}
			for name, x := range sd.All() {
				if same, err := model.SameBits(x, again.StateDict().Get(name)); err != nil || !same {
					t.Errorf("%q has other values (%v)", name, err)
				}
			}
		})
	}
	for _, name := range goldens(t, "weights") {
		t.Run(name, func(t *testing.T) {
			c := mustDecode(t, readTestdata(t, name+".pt"))
			_, want, _ := strings.Cut(string(readTestdata(t, name+".txt")), "\nexpect: weights\n")
			if got := listing(t, c.StateDict()); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			roundTrip(t, c)
		})
	}
	for _, name := range goldens(t, "unsupported") {
		t.Run(name, func(t *testing.T) {
			_, err := decode(readTestdata(t, name+".pt"))
			if got := vectors.Outcome(err); got != "unsupported" {
				t.Errorf("got %s: %v", got, err)
			}
			t.Log(err)
		})
	}
}

// What New makes of the tensors of any checkpoint holds the same tensors, with
// their ties.
func TestNew(t *testing.T) {
	for _, name := range goldens(t, "ok") {
		sd := mustDecode(t, readTestdata(t, name+".pt")).StateDict()
		c, err := New(sd)
		if err != nil {
			t.Fatal(err)
		}
		again := mustDecode(t, mustEncode(t, c))
		if got, want := listing(t, again.StateDict()), listing(t, sd); got != want {
			t.Errorf("%s: got\n%swant\n%s", name, got, want)
		}
		tied := map[*model.Storage]*model.Storage{}
		for name, x := range sd.All() {
			y := again.StateDict().Get(name).Storage()
			if old := tied[x.Storage()]; old != nil && old != y {
				t.Errorf("%s: the tie is gone", name)
			}
			tied[x.Storage()] = y
		}
		roundTrip(t, c)
	}
}

// Two views of one storage as elements of different types cannot stay tied.
func TestNewTypes(t *testing.T) {
	data := model.BytesStorage([]byte{1, 2, 3, 4, 5, 6})
	x, err := model.NewTensor(model.Uint8, []int{6}, nil, 0, data)
	if err != nil {
		t.Fatal(err)
	}
	y, err := model.NewTensor(model.Int32, []int{1}, nil, 0, data)
	if err != nil {
		t.Fatal(err)
	}
	for _, entries := range [][]model.Entry{{{Name: "x", Tensor: x}, {Name: "y", Tensor: y}}, {{Name: "y", Tensor: y}, {Name: "x", Tensor: x}}} {
		sd, err := model.NewStateDict(entries...)
		if err != nil {
			t.Fatal(err)
		}
		c, err := New(sd)
		if err != nil {
			t.Fatal(err)
		}
		roundTrip(t, c)
	}
}

func TestBeside(t *testing.T) {
	for name, want := range map[string]string{
		"plain":       "[]",
		"script":      `["code"]`,
		"v26-export":  `["code"]`,
		"v215-export": `["code"]`,
		"wrapped":     `["epoch" "best" "args" "classes" "blob" "rng" (a tensor) "device" "counts" "dtype" "size" "accuracy" "loss" "path" "started" "hist" "optimizer" (18 tensors)]`,
	} {
		if got := fmt.Sprint(mustDecode(t, readTestdata(t, name+".pt")).Beside()); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// The same object by two versions of torch: each file becomes the other.
func TestProfiles(t *testing.T) {
	for _, name := range []string{"plain", "views"} {
		for _, way := range []struct {
			from, to string
			profile  Profile
		}{{"v26-", "v215-", Profile27}, {"v215-", "v26-", Profile21}} {
			var out bytes.Buffer
			if err := Encode(&out, mustDecode(t, readTestdata(t, way.from+name+".pt")), EncodeOptions{Profile: way.profile, Root: way.to + name}); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out.Bytes(), readTestdata(t, way.to+name+".pt")) {
				t.Errorf("%s%s in profile %s is not %s%s", way.from, name, way.profile, way.to, name)
			}
		}
	}
	if p, err := ParseProfile("2.7"); err != nil || p != Profile27 {
		t.Error(p, err)
	}
	if _, err := ParseProfile("2"); err == nil {
		t.Error("profile 2 exists")
	}
}

// A folder name that leads elsewhere, or that no archive can have.
func TestRoot(t *testing.T) {
	c := mustDecode(t, readTestdata(t, "one.pt"))
	for _, root := range []string{"a/b", `a\b`, "..", ".", "a\x00", strings.Repeat("x", 600), "\xff"} {
		if err := Encode(io.Discard, c, EncodeOptions{Root: root}); vectors.Outcome(err) != "unsupported" {
			t.Errorf("%.20q: %v", root, err)
		}
	}
}

// The models of the project, wherever they are among the fixtures.
func TestFixtures(t *testing.T) {
	files, err := filepath.Glob("../fixtures/*.pt")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("no checkpoints in ../fixtures")
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(mustEncode(t, mustDecode(t, b)), b) {
			t.Errorf("%s: encoding the unedited checkpoint changes its bytes", f)
		}
	}
}

// torch >= 2.1 ends a file with a hash of names and one of CRCs. An edit renews
// the second; the first stays even if another standard library made it.
func TestSerializationID(t *testing.T) {
	records := unpack(t, readTestdata(t, "one.pt"))
	const names = "12345678901234567890"
	c := mustDecode(t, pack(t, "one", append(slices.Clone(records), record{idRecord, []byte(names + strings.Repeat("0", 20))})...))
	sd := c.StateDict()
	for _, edited := range []*model.StateDict{sd, sd.With("w", flipped(t, sd.Get("w")))} {
		with := unpack(t, mustEncode(t, mustWith(t, c, edited)))
		var hash uint64
		for _, r := range with[:len(with)-1] {
			hash = combine(hash, uint64(crc32.ChecksumIEEE(r.data)))
		}
		if got, want := string(with[len(with)-1].data), fmt.Sprintf("%s%020d", names, hash); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestInspect(t *testing.T) {
	b := readTestdata(t, "wrapped.pt")
	info, err := Inspect(bytes.NewReader(b), int64(len(b)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if info.Root != "wrapped" || !slices.Equal(info.Path, []string{"state_dict"}) || info.Protocol != 2 || info.BigEndian {
		t.Errorf("%+v", info)
	}
	if e := info.Entries[0]; e.Name != "module.conv.weight" || e.DType != model.Float32 || e.Bytes != 72 || e.Location != "cpu" || e.Sharing != 1 {
		t.Errorf("%+v", e)
	}
	if m := info.Members[0]; m.Name != "wrapped/data.pkl" || m.Offset != 64 {
		t.Errorf("%+v", m)
	}
	b = readTestdata(t, "views.pt")
	if info, err = Inspect(bytes.NewReader(b), int64(len(b)), Options{}); err != nil || info.Entries[0].Sharing != 6 {
		t.Errorf("%+v, %v", info, err)
	}
}

// Inspect must not read tensor data, and Decode must not hold it.
func TestLaziness(t *testing.T) {
	b := readTestdata(t, "plain.pt")
	c := mustDecode(t, b)
	data := map[int64]bool{}
	for _, e := range c.entries {
		data[e.storage.member.data] = true
	}
	spy := readerFunc(func(p []byte, off int64) (int, error) {
		if data[off] {
			return 0, errors.New("tensor data is read")
		}
		return bytes.NewReader(b).ReadAt(p, off)
	})
	if _, err := Inspect(spy, int64(len(b)), Options{}); err != nil {
		t.Error(err)
	}
	if _, err := Decode(spy, int64(len(b)), Options{}); err == nil {
		t.Error("Decode did not check the CRC of tensor data")
	}
}

type readerFunc func(p []byte, off int64) (int, error)

func (f readerFunc) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }

func TestLimits(t *testing.T) {
	b := readTestdata(t, "wrapped.pt")
	for what, lim := range map[string]Limits{
		"memory for the members of the archive": {Memory: 1000},
		"memory for the pickle":                 {Memory: 16_000},
		"nesting of the pickle":                 {Depth: 2},
	} {
		_, err := Decode(bytes.NewReader(b), int64(len(b)), Options{Limits: lim})
		var l *model.LimitError
		if !errors.As(err, &l) || l.What != what {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

// A file that changes under a checkpoint must not be copied silently.
func TestChangedUnderneath(t *testing.T) {
	b := readTestdata(t, "one.pt")
	c := mustDecode(t, b)
	b[c.entries[0].storage.member.data] ^= 1
	if err := Encode(io.Discard, c, EncodeOptions{}); vectors.Outcome(err) != "malformed" {
		t.Errorf("got %v", err)
	}
}

func TestSniff(t *testing.T) {
	tar := append(append(make([]byte, 257), "ustar\x0000"...), make([]byte, 300)...)
	for _, c := range []struct{ file, expect, words string }{
		{"", "malformed", "empty"},
		{"PK\x05\x06" + strings.Repeat("\x00", 18), "malformed", "without members"},
		{"PK\x03\x04 and so on", "malformed", "cut short"},
		{"hello world\n", "malformed", "plain text"},
		{"\x00\x01\x02\x03", "malformed", "00 01 02 03"},
		{legacyStart + "...", "malformed", "version"},
		{"\x80\x04.", "unsupported", "bare pickle"},
		{string(tar), "malformed", "00 00 00 00"}, // its checksum is wrong
		{"GGUF\x03\x00\x00\x00", "unsupported", "GGUF"},
		{"\x93NUMPY\x01\x00v\x00{'descr': '<f4'", "unsupported", ".npy"},
		{"7z\xbc\xaf\x27\x1c\x00\x04", "unsupported", "7z"},
		{"\x89HDF\r\n\x1a\n", "unsupported", "HDF5"},
		{"\x00\x00\x00\x00PTMF", "unsupported", "PyTorch Mobile"},
		{"\x1c\x00\x00\x00TFL3", "unsupported", "TensorFlow Lite"},
		{"\x08\x08\x12\x07pytorch\x1a\x052.1.0", "unsupported", "ONNX"},
		{"\x08\x01\x12\x90\x20\x0a", "unsupported", "SavedModel"},
		{"(dp0\nS'a'\np1\nI1\ns.", "unsupported", "bare pickle"},
		{"PYTORCH1....", "unsupported", "PYTORCH1"},
		{"\x1f\x8b\x08", "unsupported", "gunzip"},
		{"version https://git-lfs.github.com/spec/v1\noid sha256:00", "unsupported", "git lfs pull"},
		{"\n<!DOCTYPE html><html>", "unsupported", "web page"},
		{"\x02\x00\x00\x00\x00\x00\x00\x00{}", "unsupported", "safetensors"},
	} {
		_, err := decode([]byte(c.file))
		if vectors.Outcome(err) != c.expect || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%.20q: got %v, want %s with %q", c.file, err, c.expect, c.words)
		}
	}
}

// python returns an interpreter that has torch. Without one the test is
// PyTorch loads what Encode wrote after an edit, and sees the same values.
func TestOracle(t *testing.T) {
	py := oracle.Python(t, "torch")
	dir := t.TempDir()
	args := []string{"testdata/oracle.py"}
	var want strings.Builder
	for _, c := range []struct{ file, key, mode string }{
		{"plain", "", "safe"}, {"dtypes", "", "safe"}, {"little", "", "safe"}, {"views", "", "safe"},
		{"many", "", "safe"}, {"one", "", "safe"},
		{"parameters", "", ""}, {"wrapped", "state_dict", ""}, // weights_only knows no attributes and no argparse
	} {
		cp := mustDecode(t, readTestdata(t, c.file+".pt"))
		sd := cp.StateDict()
		for _, e := range cp.entries {
			if e.DType() != model.Bool && e.Len() > 0 {
				sd = sd.With(e.name, flipped(t, e.Tensor))
			}
		}
		path := filepath.Join(dir, c.file+".pt")
		out := mustEncode(t, mustWith(t, cp, sd))
		if err := os.WriteFile(path, out, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path+":"+c.key+":"+c.mode)
		want.WriteString(listing(t, mustDecode(t, out).StateDict()) + "\n")
	}
	cmd := exec.Command(py, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	got, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	if string(got) != want.String() {
		t.Errorf("torch sees\n%swe see\n%s", got, &want)
	}
}
