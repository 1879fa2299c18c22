package model

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
)

// Storage is a run of bytes that tensors view. Two tensors are tied if they
// have the same *Storage. The bytes are little-endian elements and may stay in
// the file that they came from until someone reads them.
type Storage struct {
	r    io.ReaderAt
	size int64
}

// NewStorage returns a storage of size bytes that are read from r on demand.
func NewStorage(r io.ReaderAt, size int64) *Storage { return &Storage{r, size} }

// BytesStorage returns a storage over b, which must not be changed afterwards.
func BytesStorage(b []byte) *Storage { return NewStorage(bytes.NewReader(b), int64(len(b))) }

// Size returns the number of bytes.
func (s *Storage) Size() int64 { return s.size }

// Reader returns a reader over all bytes from the first.
func (s *Storage) Reader() *io.SectionReader { return io.NewSectionReader(s.r, 0, s.size) }

// Tensor is an immutable strided view of a [Storage]. An edit makes a new one.
type Tensor struct {
	dtype   DType
	shape   []int
	strides []int
	offset  int
	n       int
	storage *Storage
}

// NewTensor returns a view of storage. Offset and strides count elements, not
// bytes; nil strides mean C order. It is a [FormatError] if a number is
// negative, a product overflows, or the view leaves the storage.
func NewTensor(dtype DType, shape, strides []int, offset int, storage *Storage) (*Tensor, error) {
	bad := func(format string, args ...any) (*Tensor, error) {
		return nil, &FormatError{Format: "tensor", Offset: -1, Reason: fmt.Sprintf(format, args...)}
	}
	size := dtype.Size()
	if size == 0 {
		return bad("it has no element type")
	}
	n, ok := Elements(shape)
	if !ok {
		return bad("shape %v is negative or has more elements than an int can count", shape)
	}
	if strides == nil {
		strides = CStrides(shape)
	}
	if len(strides) != len(shape) {
		return bad("%d strides for %d dimensions", len(strides), len(shape))
	}
	if offset < 0 || uint64(offset) > math.MaxInt64/16 {
		return bad("offset %d is negative or overflows a count of bytes", offset)
	}
	last := uint64(offset)
	for i, st := range strides {
		if st < 0 {
			return bad("stride %d is negative", st)
		}
		if n == 0 {
			continue
		}
		hi, span := bits.Mul64(uint64(st), uint64(shape[i]-1))
		if last += span; hi != 0 || last < span || last > math.MaxInt64/16 {
			return bad("strides %v of shape %v overflow", strides, shape)
		}
	}
	if n > 0 && (last+1)*uint64(size) > uint64(storage.size) {
		return bad("shape %v, strides %v and offset %d need %d bytes of a storage of %d",
			shape, strides, offset, (last+1)*uint64(size), storage.size)
	}
	return &Tensor{dtype, slices.Clone(shape), slices.Clone(strides), offset, n, storage}, nil
}

// Float32Tensor returns a C-order float32 tensor that holds a copy of v. It
// panics if v has not exactly the elements of shape: both come from the caller.
func Float32Tensor(shape []int, v []float32) *Tensor {
	t, err := FromFloat32s(Float32, shape, v)
	if err != nil {
		panic(err)
	}
	return t
}

// Elements returns the product of a shape's dimensions; ok is false if one is
// negative or the product does not fit an int.
func Elements(shape []int) (n int, ok bool) {
	n, zero := 1, false
	for _, d := range shape {
		if d < 0 {
			return 0, false
		}
		if d == 0 {
			zero = true
			continue
		}
		if n > math.MaxInt/d {
			return 0, false
		}
		n *= d
	}
	if zero {
		return 0, true
	}
	return n, true
}

// CStrides returns the strides of a C-order tensor as PyTorch computes them:
// a dimension of size 0 counts as 1.
func CStrides(shape []int) []int {
	st := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		st[i] = n
		n *= max(shape[i], 1)
	}
	return st
}

// DType returns the element type.
func (t *Tensor) DType() DType { return t.dtype }

// Shape returns the dimensions; the caller must not change them.
func (t *Tensor) Shape() []int { return t.shape }

// Strides returns the step of each dimension in elements; the caller must not
// change them.
func (t *Tensor) Strides() []int { return t.strides }

// Offset returns the index of the first element in the storage.
func (t *Tensor) Offset() int { return t.offset }

// Storage returns what the tensor views.
func (t *Tensor) Storage() *Storage { return t.storage }

// Len returns the number of elements.
func (t *Tensor) Len() int { return t.n }

// Contiguous reports whether the elements lie in C order without holes. Strides
// of dimensions of size 1 do not matter.
func (t *Tensor) Contiguous() bool {
	for i, st := range CStrides(t.shape) {
		if t.shape[i] != 1 && t.strides[i] != st && t.n > 0 {
			return false
		}
	}
	return true
}

// Index calls f for every element in C order with its index in the storage.
func (t *Tensor) Index(f func(i, at int)) {
	if t.n == 0 {
		return
	}
	pos := make([]int, len(t.shape))
	at := t.offset
	for i := 0; ; i++ {
		f(i, at)
		d := len(pos) - 1
		for ; d >= 0; d-- {
			pos[d]++
			at += t.strides[d]
			if pos[d] < t.shape[d] {
				break
			}
			at -= t.strides[d] * t.shape[d]
			pos[d] = 0
		}
		if d < 0 {
			return
		}
	}
}

// Bytes returns the elements as little-endian bytes in C order. It fails only
// if the storage cannot be read.
func (t *Tensor) Bytes() ([]byte, error) {
	size := t.dtype.Size()
	if t.Contiguous() {
		b := make([]byte, t.n*size)
		err := t.storage.read(b, int64(t.offset)*int64(size))
		return b, err
	}
	last := t.offset
	for i, st := range t.strides {
		last += st * (t.shape[i] - 1)
	}
	all := make([]byte, (last-t.offset+1)*size)
	if err := t.storage.read(all, int64(t.offset)*int64(size)); err != nil {
		return nil, err
	}
	if t.n > math.MaxInt/size {
		return nil, &LimitError{What: "elements of an expanded tensor", Got: uint64(t.n), Limit: uint64(math.MaxInt / size)}
	}
	b := make([]byte, t.n*size)
	t.Index(func(i, at int) {
		from := (at - t.offset) * size
		copy(b[i*size:(i+1)*size], all[from:from+size])
	})
	return b, nil
}

// Reader returns a reader of what [Tensor.Bytes] returns. The elements stay in
// the storage until they are read, unless they do not lie there in C order:
// then they are gathered in memory first.
func (t *Tensor) Reader() (io.Reader, error) {
	if t.Contiguous() {
		size := int64(t.dtype.Size())
		return io.NewSectionReader(t.storage.r, int64(t.offset)*size, int64(t.n)*size), nil
	}
	b, err := t.Bytes()
	return bytes.NewReader(b), err
}

func (s *Storage) read(b []byte, at int64) error {
	if len(b) == 0 {
		return nil
	}
	if n, err := s.r.ReadAt(b, at); n < len(b) {
		return readError(err)
	}
	return nil
}

// readError is the error of elements that a storage does not give.
func readError(err error) error {
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read tensor data: %w", err)
}

// Float32s returns the elements in C order, converted to float32 (float64 is
// rounded, float16 and bfloat16 are exact). Other types are an
// [UnsupportedError].
func (t *Tensor) Float32s() ([]float32, error) {
	if !t.dtype.IsFloat() {
		return nil, &UnsupportedError{What: fmt.Sprintf("tensor of %v where real numbers are needed", t.dtype)}
	}
	r, err := t.Reader()
	if err != nil {
		return nil, err
	}
	v, size := make([]float32, t.n), t.dtype.Size()
	room := make([]byte, min(t.n*size, floatBlock))
	for rest := v; len(rest) > 0; { // block by block, so that the elements are in memory once
		b := room[:min(len(rest)*size, len(room))]
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, readError(err)
		}
		t.dtype.widen(rest[:len(b)/size], b)
		rest = rest[len(b)/size:]
	}
	return v, nil
}

// floatBlock is how many bytes of elements are read at once to be converted.
const floatBlock = 32 << 10

// widen sets v to the elements of a floating-point type in b.
func (d DType) widen(v []float32, b []byte) {
	le := binary.LittleEndian
	switch d {
	case Float32:
		for i := range v {
			v[i] = math.Float32frombits(le.Uint32(b[4*i:]))
		}
	case Float64:
		for i := range v {
			v[i] = float32(math.Float64frombits(le.Uint64(b[8*i:])))
		}
	case BFloat16:
		for i := range v {
			v[i] = math.Float32frombits(uint32(le.Uint16(b[2*i:])) << 16)
		}
	case Float16:
		for i := range v {
			v[i] = half(le.Uint16(b[2*i:]))
		}
	}
}

// half widens an IEEE 754 binary16.
func half(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&0x3ff
	switch exp {
	case 31:
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	case 0:
		v := float32(frac) * 0x1p-24
		return math.Float32frombits(math.Float32bits(v) | sign)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}

// SameBits reports whether two tensors have the same type, shape and element
// bits, whatever their strides and storages.
func SameBits(a, b *Tensor) (bool, error) {
	if a == b {
		return true, nil
	}
	if a.dtype != b.dtype || !slices.Equal(a.shape, b.shape) {
		return false, nil
	}
	x, err := a.Reader()
	if err != nil {
		return false, err
	}
	y, err := b.Reader()
	if err != nil {
		return false, err
	}
	const block = 1 << 16
	p, q := make([]byte, block), make([]byte, block)
	for rest := a.n * a.dtype.Size(); rest > 0; rest -= block {
		p, q := p[:min(rest, block)], q[:min(rest, block)]
		if _, err := io.ReadFull(x, p); err != nil {
			return false, fmt.Errorf("read tensor data: %w", err)
		}
		if _, err := io.ReadFull(y, q); err != nil {
			return false, fmt.Errorf("read tensor data: %w", err)
		}
		if !bytes.Equal(p, q) {
			return false, nil
		}
	}
	return true, nil
}

// FromFloat32s returns a C-order tensor of a floating-point type that holds v,
// rounded to nearest, ties to even. Other types are an [UnsupportedError]. It
// panics if v has not exactly the elements of shape.
func FromFloat32s(dtype DType, shape []int, v []float32) (*Tensor, error) {
	if n, ok := Elements(shape); !ok || n != len(v) {
		panic(fmt.Sprintf("model: %d values for shape %v", len(v), shape))
	}
	le := binary.LittleEndian
	b := make([]byte, 0, len(v)*dtype.Size())
	for _, x := range v {
		switch dtype {
		case Float32:
			b = le.AppendUint32(b, math.Float32bits(x))
		case Float64:
			b = le.AppendUint64(b, math.Float64bits(float64(x)))
		case BFloat16:
			b = le.AppendUint16(b, bfloat(x))
		case Float16:
			b = le.AppendUint16(b, toHalf(x))
		default:
			return nil, &UnsupportedError{What: fmt.Sprintf("real numbers cannot become a tensor of %v", dtype)}
		}
	}
	return NewTensor(dtype, shape, nil, 0, BytesStorage(b))
}

// bfloat rounds to bfloat16; NaN keeps its upper bits and stays NaN.
func bfloat(x float32) uint16 {
	u := math.Float32bits(x)
	if x != x {
		return uint16(u>>16) | 0x40
	}
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}

// toHalf rounds to IEEE 754 binary16.
func toHalf(x float32) uint16 {
	u := math.Float32bits(x)
	sign, u := uint16(u>>16&0x8000), u&0x7fffffff
	switch {
	case u > 0x7f800000: // NaN
		return sign | 0x7e00 | uint16(u>>13&0x3ff)
	case u >= 0x477ff000: // rounds to 2^16 or more
		return sign | 0x7c00
	case u < 0x38800000: // below 2^-14: a multiple of 2^-24
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(u))*0x1p24))
	}
	u += 0xfff + u>>13&1
	return sign | uint16((u-0x38000000)>>13)
}
