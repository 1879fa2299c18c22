package pickle

import (
	"io"
	"slices"

	"lethe/model"
)

// swapUnit returns the bytes that change places in an element of the other
// byte order: a complex number is two real ones.
func swapUnit(d model.DType) int {
	if d == model.Complex32 || d == model.Complex64 || d == model.Complex128 {
		return d.Size() / 2
	}
	return d.Size()
}

// swap reverses every unit bytes of b.
func swap(b []byte, unit int) {
	for u := range slices.Chunk(b, unit) {
		slices.Reverse(u)
	}
}

// swapped reads a storage with every unit bytes reversed.
type swapped struct {
	r    io.ReaderAt
	size int64
	unit int
}

// ReadAt widens the range to whole units.
func (s *swapped) ReadAt(p []byte, off int64) (int, error) {
	if off >= s.size {
		return 0, io.EOF
	}
	unit := int64(s.unit)
	n := min(int64(len(p)), s.size-off)
	from := off - off%unit
	to := min((off+n+unit-1)/unit*unit, s.size)
	b := make([]byte, to-from)
	if got, err := s.r.ReadAt(b, from); got < len(b) {
		return 0, err
	}
	swap(b, s.unit)
	copy(p, b[off-from:off-from+n])
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}
