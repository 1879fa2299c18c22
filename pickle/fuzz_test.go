package pickle

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/internal/vectors"
	"lethe/model"
)

// fuzzLimits keep one input to some milliseconds.
var fuzzLimits = Limits{Memory: 1 << 21}

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

// seeds returns every checkpoint among the golden files and the vectors.
func seeds(f *testing.F) [][]byte {
	var all [][]byte
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
			all = append(all, b)
		}
	}
	return all
}

// frugal decodes b and checks that this allocates no more than the limit for
// the pickle and a fixed multiple of the file, whatever the file says.
func frugal(t *testing.T, b []byte, opts Options) (*Checkpoint, error) {
	t.Helper()
	before := vectors.Allocated()
	c, err := Decode(bytes.NewReader(b), int64(len(b)), opts)
	used, limit := vectors.Allocated()-before, uint64(opts.Limits.Memory+1<<20+16*len(b))
	if used > limit {
		t.Fatalf("decoding %d bytes allocates %d, the limit is %d (%v)", len(b), used, limit, err)
	}
	return c, err
}

// FuzzContainer: what the strict reader of containers accepts, an ordinary zip
// reader sees in the same way, member by member.
func FuzzContainer(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := vectors.Allocated()
		a, err := readArchive(bytes.NewReader(b), int64(len(b)), fuzzLimits.orDefaults())
		if used, limit := vectors.Allocated()-before, uint64(1<<20+16*len(b)); used > limit {
			t.Fatalf("the directory of %d bytes allocates %d, the limit is %d (%v)", len(b), used, limit, err)
		}
		if vectors.Outcome(err) == vectors.Untyped {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		other, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if len(other.File) != len(a.members) {
			t.Fatalf("%d members, archive/zip sees %d", len(a.members), len(other.File))
		}
		for i, m := range a.members {
			o := other.File[i]
			if at, err := o.DataOffset(); o.Name != m.name || at != m.data || int64(o.UncompressedSize64) != m.size || int64(o.CompressedSize64) != m.packed || err != nil {
				t.Fatalf("archive/zip sees %q of %d bytes at %d (%v), we %q of %d at %d", o.Name, o.UncompressedSize64, at, err, m.name, m.size, m.data)
			}
			if a.noCRC || m.method != 0 {
				continue
			}
			r, err := o.Open()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); (err == nil) != (a.verify(m) == nil) {
				t.Fatalf("%q: archive/zip says %v, we %v", m.name, err, a.verify(m))
			}
		}
	})
}

// FuzzDecode: any bytes give a typed error or a checkpoint that survives a
// round trip.
func FuzzDecode(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := frugal(t, b, Options{Limits: fuzzLimits})
		if got := vectors.Outcome(err); got == vectors.Untyped || strings.Contains(errorText(err), "gives up") {
			t.Fatal(err)
		}
		if err == nil {
			roundTrip(t, c)
		}
	})
}

// FuzzLegacy: the parts of a file in the format before torch 1.6.
func FuzzLegacy(f *testing.F) {
	for _, v := range legacyVectors() {
		f.Add(v.make(f)[len(legacyStart):])
	}
	f.Add(readTestdata(f, "legacy.pt")[len(legacyStart):])
	f.Fuzz(func(t *testing.T, rest []byte) {
		b := append([]byte(legacyStart), rest...)
		c, err := frugal(t, b, Options{Limits: fuzzLimits, Inert: true})
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
	for _, b := range seeds(f) {
		if a, err := readArchive(bytes.NewReader(b), int64(len(b)), fuzzLimits.orDefaults()); err == nil {
			if m := a.find("data.pkl"); m != nil {
				if code, err := a.read(m); err == nil {
					f.Add([]byte(code))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		if _, err := scan(string(code), "data.pkl", fuzzLimits.orDefaults(), true, storageID); err != nil {
			return
		}
		records := append([]record{{"data.pkl", code}}, records[1:]...)
		b := pack(t, "fuzz", records...)
		c, err := frugal(t, b, Options{Limits: fuzzLimits, Inert: true})
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
