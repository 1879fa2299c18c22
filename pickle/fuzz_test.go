package pickle

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/internal/vectors"
	"lethe/model"
)

// fuzzLimits keep one input to some milliseconds.
var fuzzLimits = Limits{Members: 100, Memory: 1 << 21, Elements: 1 << 12}

// roundTrip checks that a checkpoint survives encoding.
func roundTrip(t testing.TB, c *Checkpoint) {
	t.Helper()
	out := mustEncode(t, c)
	again := mustDecode(t, out)
	if got, want := strings.Join(again.StateDict().Names(), "\n"), strings.Join(c.StateDict().Names(), "\n"); got != want {
		t.Fatalf("names %q, want %q", got, want)
	}
	for name, x := range c.StateDict().All() {
		if same, err := model.SameBits(x, again.StateDict().Get(name)); err != nil || !same {
			t.Fatalf("%q has other values (%v)", name, err)
		}
	}
	if !bytes.Equal(mustEncode(t, again), out) {
		t.Fatal("a second encoding differs from the first")
	}
}

// FuzzDecode: any bytes give a typed error or a checkpoint that survives a
// round trip.
func FuzzDecode(f *testing.F) {
	for _, pattern := range []string{"testdata/*.pt", vectorDir + "/*.pt"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal("no seeds in", pattern, err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Decode(bytes.NewReader(b), int64(len(b)), Options{Limits: fuzzLimits})
		if got := vectors.Outcome(err); got == vectors.Untyped || strings.Contains(errorText(err), "gives up") {
			t.Fatal(err)
		}
		if err == nil {
			roundTrip(t, c)
		}
		found, scanned := Scan(bytes.NewReader(b), int64(len(b)), Options{Limits: fuzzLimits})
		if vectors.Outcome(scanned) == vectors.Untyped {
			t.Fatal(scanned)
		}
		for _, f := range found {
			if err == nil && f.Kind == "runs code" {
				t.Fatalf("Decode accepts %+v", f)
			}
		}
	})
}

// FuzzLegacy: the parts of a file in the format before torch 1.6.
func FuzzLegacy(f *testing.F) {
	for _, v := range legacyVectors() {
		f.Add(v.make(f)[len(legacyMagic):])
	}
	f.Add(readTestdata(f, "legacy.pt")[len(legacyMagic):])
	f.Fuzz(func(t *testing.T, rest []byte) {
		b := append([]byte(legacyMagic), rest...)
		c, err := Decode(bytes.NewReader(b), int64(len(b)), Options{Limits: fuzzLimits, Inert: true})
		if got := vectors.Outcome(err); got == vectors.Untyped || strings.Contains(errorText(err), "gives up") {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		out := mustEncode(t, c)
		again, err := Decode(bytes.NewReader(out), int64(len(out)), Options{Inert: true})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(mustEncode(t, again), out) {
			t.Fatal("a second encoding differs from the first")
		}
	})
}

// FuzzScan: a pickle that the scan accepts runs without a panic in the virtual
// machine, unknown classes or not, and its state dict survives an edit of everything in it.
func FuzzScan(f *testing.F) {
	// Storage 0 is that of the vectors, the others have one dtype each.
	records := unpack(f, readTestdata(f, "dtypes.pt"))
	records[1] = unpack(f, readTestdata(f, "one.pt"))[1]
	for _, pattern := range []string{"testdata/*.pt", vectorDir + "/*.pt"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal("no seeds in", pattern, err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			if a, err := readArchive(bytes.NewReader(b), int64(len(b)), fuzzLimits.orDefaults()); err == nil {
				if m := a.find("data.pkl"); m != nil {
					if code, err := a.read(m); err == nil {
						f.Add([]byte(code))
					}
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		if _, err := scan(string(code), "data.pkl", fuzzLimits.orDefaults(), true); err != nil {
			return
		}
		records := append([]record{{"data.pkl", code}}, records[1:]...)
		b := pack(t, "fuzz", records...)
		c, err := Decode(bytes.NewReader(b), int64(len(b)), Options{Limits: fuzzLimits, Inert: true})
		if got := vectors.Outcome(err); got == vectors.Untyped || strings.Contains(errorText(err), "gives up") {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		sd := c.StateDict()
		for name, x := range sd.All() {
			sd = sd.With(name, flipped(t, x))
		}
		with, err := c.With(sd)
		if err != nil {
			if vectors.Outcome(err) == vectors.Untyped {
				t.Fatal(err)
			}
			return
		}
		out := mustEncode(t, with)
		again, err := Decode(bytes.NewReader(out), int64(len(out)), Options{Inert: true})
		if err != nil {
			t.Fatal(err)
		}
		for name, x := range sd.All() {
			if same, err := model.SameBits(x, again.StateDict().Get(name)); err != nil || !same {
				t.Fatalf("%q has other values (%v)", name, err)
			}
		}
	})
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
