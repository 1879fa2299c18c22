package onnxio

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"lethe/model"
)

// elementType says how ONNX holds one of its element types (TensorProto.DataType).
type elementType struct {
	name   string // in ONNX
	dtype  model.DType
	bits   int  // of an element in raw_data
	list   int  // number of the field with typed data
	signed bool // a number in a list of varints repeats the sign
}

// Numbers of fields of a TensorProto.
const (
	tensorDims       = 1
	tensorType       = 2
	tensorSegment    = 3
	tensorFloats     = 4
	tensorInt32s     = 5
	tensorStrings    = 6
	tensorInt64s     = 7
	tensorName       = 8
	tensorRaw        = 9
	tensorDoubles    = 10
	tensorUint64s    = 11
	tensorExternal   = 13
	tensorLocation   = 14
	locationExternal = 1
	typeString       = 8
)

// listWires are the wire types of the numbers in the fields with typed data.
var listWires = map[int]int{tensorFloats: wireFixed4, tensorInt32s: wireVarint, tensorInt64s: wireVarint, tensorDoubles: wireFixed8, tensorUint64s: wireVarint}

// elementTypes lists all types of the standard up to version 1.23 by number.
var elementTypes = [...]elementType{
	1:  {"FLOAT", model.Float32, 32, tensorFloats, false},
	2:  {"UINT8", model.Uint8, 8, tensorInt32s, false},
	3:  {"INT8", model.Int8, 8, tensorInt32s, true},
	4:  {"UINT16", model.Uint16, 16, tensorInt32s, false},
	5:  {"INT16", model.Int16, 16, tensorInt32s, true},
	6:  {"INT32", model.Int32, 32, tensorInt32s, true},
	7:  {"INT64", model.Int64, 64, tensorInt64s, true},
	8:  {"STRING", model.String, 0, tensorStrings, false},
	9:  {"BOOL", model.Bool, 8, tensorInt32s, false},
	10: {"FLOAT16", model.Float16, 16, tensorInt32s, false},
	11: {"DOUBLE", model.Float64, 64, tensorDoubles, false},
	12: {"UINT32", model.Uint32, 32, tensorUint64s, false},
	13: {"UINT64", model.Uint64, 64, tensorUint64s, false},
	14: {"COMPLEX64", model.Complex64, 64, tensorFloats, false},
	15: {"COMPLEX128", model.Complex128, 128, tensorDoubles, false},
	16: {"BFLOAT16", model.BFloat16, 16, tensorInt32s, false},
	17: {"FLOAT8E4M3FN", model.Float8E4M3FN, 8, tensorInt32s, false},
	18: {"FLOAT8E4M3FNUZ", model.Float8E4M3FNUZ, 8, tensorInt32s, false},
	19: {"FLOAT8E5M2", model.Float8E5M2, 8, tensorInt32s, false},
	20: {"FLOAT8E5M2FNUZ", model.Float8E5M2FNUZ, 8, tensorInt32s, false},
	21: {"UINT4", model.Uint4, 4, tensorInt32s, false},
	22: {"INT4", model.Int4, 4, tensorInt32s, true},
	23: {"FLOAT4E2M1", model.Float4E2M1FN, 4, tensorInt32s, false},
	24: {"FLOAT8E8M0", model.Float8E8M0FNU, 8, tensorInt32s, false},
	25: {"UINT2", model.Uint2, 2, tensorInt32s, false},
	26: {"INT2", model.Int2, 2, tensorInt32s, true},
	27: {"FLOAT6E2M3", model.Float6E2M3FN, 6, tensorInt32s, false},
	28: {"FLOAT6E3M2", model.Float6E3M2FN, 6, tensorInt32s, false},
}

// typeOf returns the element type of a number.
func typeOf(number uint64, member string) (*elementType, error) {
	switch {
	case number == 0:
		return nil, broken(member, "it has no element type")
	case number >= uint64(len(elementTypes)):
		return nil, &model.UnsupportedError{What: fmt.Sprintf("%q of onnx element type %d", member, int64(number)), Advice: "the types of ONNX 1.23 are supported"}
	}
	return &elementTypes[number], nil
}

// rawBytes returns how many bytes of raw_data n elements take.
func (e *elementType) rawBytes(n int) int64 {
	if e.bits >= 8 {
		return int64(n) * int64(e.bits/8)
	}
	return int64(n/8)*int64(e.bits) + int64(n%8*e.bits+7)/8
}

// listed returns how many numbers of a typed list n elements take, and how many
// bytes of raw_data each stands for. Types of 4 and 2 bits are packed into
// bytes there too, those of 6 bits are not.
func (e *elementType) listed(n int) (count int64, width int) {
	switch e.list {
	case tensorFloats:
		return int64(n) * int64(e.bits/32), 4
	case tensorDoubles:
		return int64(n) * int64(e.bits/64), 8
	}
	if e.bits == 2 || e.bits == 4 {
		return e.rawBytes(n), 1
	}
	return int64(n), e.dtype.Size()
}

// listData reads typed data as the little-endian bytes that raw_data would
// have. It holds one place in the list, so that reading from front to back
// takes one pass and no memory.
type listData struct {
	file   io.ReaderAt
	size   int64
	tensor span // the TensorProto
	list   int  // number of the field
	width  int  // bytes of an element

	mu    sync.Mutex
	pass  numbers
	index int64 // of the next number of the pass
}

func (l *listData) ReadAt(b []byte, at int64) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := at / int64(l.width)
	if first < l.index || l.pass.w == nil {
		l.pass = numbers{w: &wire{r: l.file, size: l.size}, number: l.list, wire: listWires[l.list], at: l.tensor.start, end: l.tensor.end}
		l.index = 0
	}
	skip := int(at % int64(l.width))
	for n := 0; n < len(b); {
		v, ok, err := l.pass.next()
		if err != nil {
			return n, err
		}
		if !ok {
			return n, io.EOF
		}
		if l.index++; l.index <= first {
			continue
		}
		var element [8]byte
		binary.LittleEndian.PutUint64(element[:], v.bits)
		n += copy(b[n:], element[skip:l.width])
		skip = 0
	}
	return len(b), nil
}

// unpacked reads elements of less than a byte, each as a byte of its own.
type unpacked struct {
	packed io.ReaderAt
	t      *elementType
}

func (u unpacked) ReadAt(b []byte, at int64) (int, error) {
	width := u.t.bits
	for n := 0; n < len(b); {
		count := min(len(b)-n, 1<<15)
		firstBit := (at + int64(n)) * int64(width)
		from, to := firstBit/8, (firstBit+int64(count*width)+7)/8
		block := make([]byte, to-from)
		if got, err := u.packed.ReadAt(block, from); got < len(block) {
			if err == nil {
				err = io.ErrUnexpectedEOF
			}
			return n, err
		}
		for i := range count {
			bit := int(firstBit%8) + i*width
			x := uint(block[bit/8])
			if bit/8+1 < len(block) {
				x |= uint(block[bit/8+1]) << 8
			}
			x = x >> (bit % 8) & (1<<width - 1)
			if u.t.signed && x>>(width-1) == 1 {
				x |= 0xff << width
			}
			b[n+i] = byte(x)
		}
		n += count
	}
	return len(b), nil
}

// packer reads what [unpacked] reads and packs it again.
type packer struct {
	r     io.Reader // of elements
	width int       // in bits
	out   []byte    // packed, not yet read
	err   error
}

func (p *packer) Read(b []byte) (int, error) {
	if len(p.out) == 0 && p.err == nil {
		in := make([]byte, 1<<15) // a multiple of 8: blocks end where bytes do
		n, err := io.ReadFull(p.r, in)
		if err == io.ErrUnexpectedEOF {
			err = io.EOF
		}
		p.err = err
		p.out = make([]byte, (n*p.width+7)/8)
		for i, x := range in[:n] {
			bit := i * p.width
			v := uint(x) & (1<<p.width - 1) << (bit % 8)
			p.out[bit/8] |= byte(v)
			if v>>8 != 0 {
				p.out[bit/8+1] |= byte(v >> 8)
			}
		}
	}
	if len(p.out) == 0 {
		return 0, p.err
	}
	n := copy(b, p.out)
	p.out = p.out[n:]
	return n, nil
}

// rawReader returns a reader of what raw_data must hold for a tensor.
func (e *elementType) rawReader(t *model.Tensor) (io.Reader, error) {
	r, err := t.Reader()
	if err != nil || e.bits >= 8 {
		return r, err
	}
	return &packer{r: r, width: e.bits}, nil
}
