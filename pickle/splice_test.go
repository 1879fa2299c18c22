package pickle

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lethe/internal/oracle"
	"lethe/model"
)

// programs are archives with a program: TorchScript, and .pt2 with raw weights
// and with a checkpoint inside.
var programs = []string{"script.pt", "v215-export.pt", "v26-export.pt"}

// members reads an archive with another reader, which compares all CRCs, and
// the archives in it.
func members(t *testing.T, b []byte, prefix string, into map[string]string) {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.File {
		m, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(m)
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		if bytes.HasPrefix(content, []byte("PK\x03\x04")) {
			members(t, content, prefix+f.Name+"/", into)
		} else {
			into[prefix+f.Name] = string(content)
		}
	}
}

// otherBits returns a state dict in which those weights have other bits that
// change says; tied ones change together.
func otherBits(t *testing.T, sd *model.StateDict, change func(string) bool) *model.StateDict {
	t.Helper()
	chosen := map[*model.Storage]bool{}
	for name, x := range sd.All() {
		if change(name) {
			chosen[x.Storage()] = true
		}
	}
	for name, x := range sd.All() {
		b, err := x.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if !chosen[x.Storage()] || len(b) == 0 {
			continue
		}
		for i := range b {
			b[i] ^= 0x40
		}
		y, err := model.NewTensor(x.DType(), x.Shape(), nil, 0, model.BytesStorage(b))
		if err != nil {
			t.Fatal(err)
		}
		sd = sd.With(name, y)
	}
	return sd
}

// An edited program is the input but for the records of weights that changed and
// the CRCs over them.
func TestEncodeProgram(t *testing.T) {
	exported, err := filepath.Glob("../convert/exported/testdata/torch-*-*d*_dynamic.pt2") // of five versions of torch
	if err != nil || len(exported) < 5 {
		t.Fatal(exported, err)
	}
	for _, name := range slices.Concat(programs, exported) {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			if b, err = os.ReadFile(name); err != nil {
				t.Fatal(err)
			}
		}
		c := mustDecode(t, b)
		if got := mustEncode(t, c); !bytes.Equal(got, b) {
			t.Errorf("%s: an edit that changes nothing changes bytes", name)
		}
		before := map[string]string{}
		members(t, b, "", before)
		check := func(what string, change func(string) bool) {
			want := otherBits(t, c.StateDict(), change)
			edited, err := c.With(want)
			if err != nil {
				t.Fatal(err)
			}
			out := mustEncode(t, edited)
			if len(out) != len(b) {
				t.Fatalf("%s: %d bytes became %d", name, len(b), len(out))
			}
			got := mustDecode(t, out)
			for weight, x := range want.All() {
				if same, err := model.SameBits(got.StateDict().Get(weight), x); err != nil || !same {
					t.Errorf("%s, %s: %s differs (%v)", name, what, weight, err)
				}
			}
			after := map[string]string{}
			members(t, out, "", after)
			if !slices.Equal(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after))) {
				t.Errorf("%s: the members differ", name)
			}
			changed, bytesChanged := 0, 0
			for member, content := range before {
				if after[member] == content {
					continue
				}
				changed++
				for i := range content {
					if content[i] != after[member][i] {
						bytesChanged++
					}
				}
				if !strings.Contains(member, "/data/") && !strings.Contains(member, "/weights/") {
					t.Errorf("%s, %s: member %s changed", name, what, member)
				}
			}
			// CRCs: of each changed member at two or three places, and again of the
			// archive that is a member.
			if extra := differing(b, out) - bytesChanged; changed == 0 || extra < 0 || extra > 12*(changed+1) {
				t.Errorf("%s, %s: %d bytes outside of %d changed members differ", name, what, extra, changed)
			}
		}
		check("all", func(string) bool { return true })
		for _, only := range c.StateDict().Names() {
			if c.StateDict().Get(only).Len() > 0 {
				check(only, func(s string) bool { return s == only })
			}
		}
	}
}

func differing(a, b []byte) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// A program's weights can be written as a checkpoint too, and that has options.
func TestAsCheckpoint(t *testing.T) {
	for _, name := range programs {
		c := mustDecode(t, readTestdata(t, name))
		var out bytes.Buffer
		if err := Encode(&out, c, EncodeOptions{Root: "x"}); err == nil || out.Len() > 0 {
			t.Errorf("%s: a root for a program: %v", name, err)
		}
		if err := Encode(&out, c.AsCheckpoint(), EncodeOptions{Root: "x"}); err != nil {
			t.Fatal(err)
		}
		again := mustDecode(t, out.Bytes())
		if !again.Whole() || fmt.Sprint(again.StateDict().Names()) != fmt.Sprint(c.StateDict().Names()) {
			t.Errorf("%s: not a checkpoint of the same names", name)
		}
	}
	if c := mustDecode(t, readTestdata(t, "plain.pt")); c.AsCheckpoint() != c {
		t.Error("a checkpoint became another")
	}
}

// torch.jit.load takes an edited archive and computes with the new weights.
func TestOracleScript(t *testing.T) {
	py := oracle.Python(t, "torch")
	dir := t.TempDir()
	in := filepath.Join(dir, "in.pt")
	oracle.Run(t, py, "testdata/script.py", "make", in)
	b, err := os.ReadFile(in)
	if err != nil {
		t.Fatal(err)
	}
	c := mustDecode(t, b)
	sd := c.StateDict()
	for name, x := range sd.All() {
		if !x.DType().IsFloat() {
			continue
		}
		v, err := x.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for i := range v {
			v[i] = v[i]*0.5 + 1
		}
		sd = sd.With(name, model.Float32Tensor(x.Shape(), v))
	}
	edited, err := c.With(sd)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out.pt")
	if err := os.WriteFile(out, mustEncode(t, edited), 0o600); err != nil {
		t.Fatal(err)
	}
	oracle.Run(t, py, "testdata/script.py", "check", in, out)
}
