package parquet

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
)

// The types of Thrift's compact protocol, of fields of structs and elements of lists
// (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
const (
	tTrue   = 1
	tFalse  = 2
	tByte   = 3
	tI16    = 4
	tI32    = 5
	tI64    = 6
	tDouble = 7
	tBinary = 8
	tList   = 9
	tSet    = 10
	tMap    = 11
	tStruct = 12
	tUUID   = 13
)

const (
	deepest     = 32       // structs and lists in one another
	longestText = 64 << 20 // bytes of a text in the footer
)

// thrift reads Thrift's compact protocol. Its first error stays, and every method
// then returns zeros. Nothing is allocated for a length before its bytes are there.
type thrift struct {
	r     *bufio.Reader
	read  int64 // bytes
	depth int
	err   error
}

func (t *thrift) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// ReadByte makes a thrift an [io.ByteReader].
func (t *thrift) ReadByte() (byte, error) {
	if t.err != nil {
		return 0, t.err
	}
	b, err := t.r.ReadByte()
	if err == io.EOF {
		err = errEnds
	}
	if err != nil {
		t.err = err
		return 0, err
	}
	t.read++
	return b, nil
}

func (t *thrift) byte() byte {
	b, _ := t.ReadByte()
	return b
}

func (t *thrift) unsigned() uint64 {
	v, err := binary.ReadUvarint(t)
	if err != nil {
		t.fail(errNumber)
		return 0
	}
	return v
}

// number reads an integer of any width.
func (t *thrift) number() int64 {
	v := t.unsigned()
	return int64(v>>1) ^ -int64(v&1)
}

// text reads a binary or a string.
func (t *thrift) text() string {
	n := t.unsigned()
	if t.err != nil || n == 0 {
		return ""
	}
	if n > longestText {
		t.fail(errLong)
		return ""
	}
	var b bytes.Buffer
	m, err := io.CopyN(&b, t.r, int64(n))
	t.read += m
	if err == io.EOF {
		err = errEnds
	}
	if err != nil {
		t.fail(err)
		return ""
	}
	return b.String()
}

// fields calls field for each field of a struct. It reads the value or calls skip.
func (t *thrift) fields(field func(id int16, kind byte)) {
	if t.depth++; t.depth > deepest {
		t.fail(errDeep)
	}
	last := int64(0)
	for t.err == nil {
		head := t.byte()
		if head&15 == 0 {
			break
		}
		if delta := int64(head >> 4); delta != 0 {
			last += delta
		} else {
			last = t.number()
		}
		if last != int64(int16(last)) {
			t.fail(errNumber)
		}
		if t.err == nil {
			field(int16(last), head&15)
		}
	}
	t.depth--
}

// list calls element for each element of a list whose elements must be of a kind.
func (t *thrift) list(want byte, element func()) {
	kind, n := t.listHead()
	if n > 0 && kind != want {
		t.fail(errKind)
	}
	for i := uint64(0); i < n && t.err == nil; i++ {
		element()
	}
}

func (t *thrift) listHead() (kind byte, n uint64) {
	head := t.byte()
	if n = uint64(head >> 4); n == 15 {
		n = t.unsigned()
	}
	return head & 15, n
}

// expect reports whether a field is of the kind that the format says, and otherwise
// makes that an error.
func (t *thrift) expect(got, want byte) bool {
	if got != want {
		t.fail(errKind)
	}
	return got == want
}

// i reads a field that is an integer.
func (t *thrift) i(kind byte) int64 {
	switch kind {
	case tByte:
		return int64(int8(t.byte()))
	case tI16, tI32, tI64:
		return t.number()
	}
	t.fail(errKind)
	return 0
}

// s reads a field that is a text.
func (t *thrift) s(kind byte) string {
	if !t.expect(kind, tBinary) {
		return ""
	}
	return t.text()
}

// structure reads a field that is a struct.
func (t *thrift) structure(kind byte, field func(id int16, kind byte)) {
	if t.expect(kind, tStruct) {
		t.fields(field)
	}
}

// skip reads a value of a field and forgets it.
func (t *thrift) skip(kind byte) {
	if kind != tTrue && kind != tFalse { // which a field has in its kind
		t.skipElement(kind)
	}
}

func (t *thrift) skipElement(kind byte) {
	if t.err != nil {
		return
	}
	switch kind {
	case tTrue, tFalse, tByte:
		t.byte()
	case tI16, tI32, tI64:
		t.number()
	case tDouble:
		t.discard(8)
	case tBinary:
		t.discard(t.unsigned())
	case tUUID:
		t.discard(16)
	case tList, tSet:
		t.nested(func() {
			of, n := t.listHead()
			for i := uint64(0); i < n && t.err == nil; i++ {
				t.skipElement(of)
			}
		})
	case tMap:
		t.nested(func() {
			n := t.unsigned()
			if n == 0 {
				return
			}
			kinds := t.byte()
			for i := uint64(0); i < n && t.err == nil; i++ {
				t.skipElement(kinds >> 4)
				t.skipElement(kinds & 15)
			}
		})
	case tStruct:
		t.fields(func(_ int16, kind byte) { t.skip(kind) })
	default:
		t.fail(errKind)
	}
}

func (t *thrift) nested(read func()) {
	if t.depth++; t.depth > deepest {
		t.fail(errDeep)
	}
	read()
	t.depth--
}

func (t *thrift) discard(n uint64) {
	if t.err != nil {
		return
	}
	m, err := io.CopyN(io.Discard, t.r, int64(min(n, 1<<62)))
	t.read += m
	if err == io.EOF {
		err = errEnds
	}
	if err != nil {
		t.fail(err)
	}
}
