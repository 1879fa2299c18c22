package pickle

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/internal/vectors"
	"lethe/model"
)

func openPart(dir string) Part {
	return func(name string) (io.ReaderAt, int64, error) {
		b, err := os.ReadFile(filepath.Join("testdata", dir, name))
		return bytes.NewReader(b), int64(len(b)), err
	}
}

// Folders of torch.distributed.checkpoint, by one process and in shards of two.
func TestDistributed(t *testing.T) {
	for dir, want := range map[string]map[string][]float64{
		"dcp":  {"w": {0, 1, 2, 3, 4, 5}, "b": {0, 1}},
		"dcp2": {"w": {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}, "c": {0, 1, 2, 3, 4, 5, 6, 7}, "b": {1, 1}},
	} {
		c, err := DecodeDistributed(openPart(dir), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if c.StateDict().Len() != len(want) || len(c.path) != 1 || c.path[0] != "model" || len(c.left) != 1 || c.left[0].Name != "epoch" {
			t.Errorf("%s: %v at %v, left %v", dir, c.StateDict().Names(), c.path, c.left)
		}
		for name, values := range want {
			x := c.StateDict().Get(name)
			b, err := x.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range values {
				if x.DType() == model.Int64 && le.Uint64(b[8*i:]) != uint64(v) {
					t.Errorf("%s: %s[%d] is %d, not %v", dir, name, i, le.Uint64(b[8*i:]), v)
				}
			}
			if x.DType() == model.Float32 {
				got, err := x.Float32s()
				if err != nil {
					t.Fatal(err)
				}
				for i, v := range values {
					if float64(got[i]) != v {
						t.Errorf("%s: %s is %v, not %v", dir, name, got, values)
						break
					}
				}
			}
		}
		// It becomes a checkpoint with the same tensors.
		again := mustDecode(t, mustEncode(t, c))
		for name, x := range c.StateDict().All() {
			if same, err := model.SameBits(x, again.StateDict().Get(name)); err != nil || !same {
				t.Errorf("%s: %s is other in a checkpoint (%v)", dir, name, err)
			}
		}
	}
}

// Whatever the bytes of the metadata, a typed error or the tensors.
func FuzzDistributed(f *testing.F) {
	for _, dir := range []string{"dcp", "dcp2"} {
		b, err := os.ReadFile(filepath.Join("testdata", dir, MetadataName))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	parts := openPart("dcp2")
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeDistributed(func(name string) (io.ReaderAt, int64, error) {
			if name == MetadataName {
				return bytes.NewReader(b), int64(len(b)), nil
			}
			if !strings.HasPrefix(name, "__") || strings.Contains(name, "/") {
				return nil, 0, broken(name, -1, "no such file")
			}
			r, size, err := parts(name)
			if err != nil {
				err = broken(name, -1, err.Error())
			}
			return r, size, err
		}, Options{Limits: fuzzLimits})
		if vectors.Outcome(err) == vectors.Untyped || strings.Contains(errorText(err), "gives up") {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		for _, x := range c.StateDict().All() {
			if _, err := x.Bytes(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatal(err)
			}
		}
	})
}

// FuzzTar: the format of PyTorch before 0.4.
func FuzzTar(f *testing.F) {
	f.Add(readTestdata(f, "tar.pt"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := openTar(bytes.NewReader(b), int64(len(b)), Options{Limits: fuzzLimits.orDefaults(), Inert: true})
		if vectors.Outcome(err) == vectors.Untyped || strings.Contains(errorText(err), "gives up") {
			t.Fatal(err)
		}
		if err == nil {
			roundTrip(t, c)
		}
	})
}
