package model

import (
	"errors"
	"math"
	"testing"
)

// A scalar has no strides whose check would also bound its offset; times eight
// this one wraps around to 0 bytes.
func TestNewTensorScalarOffset(t *testing.T) {
	for _, offset := range []int{-1, 1<<61 - 1, math.MaxInt} {
		_, err := NewTensor(Float64, nil, nil, offset, BytesStorage(nil))
		var format *FormatError
		if !errors.As(err, &format) {
			t.Errorf("offset %d: error %v, want a FormatError", offset, err)
		}
	}
}
