package pickle

import (
	"bytes"
	"io"
	"testing"

	"lethe/model"
)

// Both byte orders hold the same values, and an edit keeps the order.
func TestByteOrder(t *testing.T) {
	little, big := mustDecode(t, readTestdata(t, "little.pt")), mustDecode(t, readTestdata(t, "big.pt"))
	var records [2][][]byte
	for i, c := range []*Checkpoint{little, big} {
		sd := c.StateDict()
		for _, e := range c.entries {
			sd = sd.With(e.name, flipped(t, e.Tensor))
		}
		with := mustDecode(t, mustEncode(t, mustWith(t, c, sd)))
		for _, e := range with.entries {
			if same, err := model.SameBits(e.Tensor, sd.Get(e.name)); err != nil || !same {
				t.Errorf("%s: wrong values (%v)", e.name, err)
			}
			raw, err := io.ReadAll(with.a.open(e.storage.member))
			if err != nil {
				t.Fatal(err)
			}
			records[i] = append(records[i], raw)
		}
	}
	for i, e := range little.entries {
		swap(records[1][i], swapUnit(e.DType()))
		if !bytes.Equal(records[0][i], records[1][i]) {
			t.Errorf("%s: % x and swapped % x", e.name, records[0][i], records[1][i])
		}
	}
}

// In a profile that has no byte order, elements become little-endian.
func TestByteOrderProfile(t *testing.T) {
	var out bytes.Buffer
	if err := Encode(&out, mustDecode(t, readTestdata(t, "big.pt")), EncodeOptions{Profile: Profile16, Root: "dtypes"}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), readTestdata(t, "dtypes.pt")) {
		t.Error("big.pt does not become dtypes.pt")
	}
}

func TestSwappedReader(t *testing.T) {
	raw := []byte{3, 2, 1, 0, 7, 6, 5, 4}
	s := &swapped{bytes.NewReader(raw), 8, 4}
	for off := range 8 {
		for n := range 10 {
			b := make([]byte, n)
			got, err := s.ReadAt(b, int64(off))
			if want := min(n, 8-off); got != want || (err == io.EOF) != (n > want) {
				t.Fatalf("%d bytes at %d: %d, %v", n, off, got, err)
			}
			for i := range got {
				if int(b[i]) != off+i {
					t.Fatalf("%d bytes at %d: % x", n, off, b)
				}
			}
		}
	}
	if _, err := s.ReadAt(make([]byte, 1), 8); err != io.EOF {
		t.Error(err)
	}
}
