package onnxio

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"lethe/model"
)

// span is a range of bytes of a file.
type span struct{ start, end int64 }

func (s span) len() int64 { return s.end - s.start }

// Wire types of protobuf. Groups have been out of use since before ONNX, but a
// reader must skip those that it does not know.
const (
	wireVarint = 0
	wireFixed8 = 1 // of 8 bytes
	wireBytes  = 2
	wireGroup  = 3
	wireEnd    = 4 // of a group
	wireFixed4 = 5 // of 4 bytes
)

// field is one field of a message on the wire.
type field struct {
	number int
	wire   int
	at     int64  // of its tag
	length span   // of the length that precedes its bytes; empty but for wireBytes
	value  span   // its bytes
	bits   uint64 // its value, unless it is wireBytes or a group
}

// wire reads protobuf fields of a file through a small window, so that what
// nobody looks at, such as the bytes of weights, is never read. It is not safe
// for several goroutines.
type wire struct {
	r      io.ReaderAt
	size   int64
	fields int // seen so far
	limit  int // of fields; 0 for none

	window []byte
	at     int64 // of the window in the file
}

// windowSize is how much is read at once: many fields, but little beside the
// weights that are skipped.
const windowSize = 1 << 14

// fieldMemory is how many bytes a field may take in memory, whatever it is.
const fieldMemory = 256

// maxGroups is how deep groups may nest: as deep as protobuf's own libraries go.
const maxGroups = 10000

func brokenAt(offset int64, format string, args ...any) error {
	return &model.FormatError{Format: "onnx", Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// peek returns up to n bytes from at on, fewer only at the end of the range.
// They are valid until the next call. n is at most [windowSize].
func (w *wire) peek(at, end int64, n int) ([]byte, error) {
	n = int(min(int64(n), end-at))
	if at >= w.at && at+int64(n) <= w.at+int64(len(w.window)) {
		return w.window[at-w.at:][:n], nil
	}
	if w.window == nil {
		w.window = make([]byte, 0, windowSize)
	}
	b := w.window[:min(windowSize, w.size-at)]
	w.window, w.at = b[:0], at
	got, err := w.r.ReadAt(b, at)
	w.window = b[:got]
	switch {
	case got >= n:
		return w.window[:n], nil
	case err == nil || err == io.EOF:
		return nil, brokenAt(at+int64(got), "the file ends, of %d bytes", w.size)
	}
	return nil, fmt.Errorf("read onnx: %w", err)
}

// varint reads a number of up to ten bytes and returns where it ends.
func (w *wire) varint(at, end int64) (v uint64, next int64, err error) {
	b, err := w.peek(at, end, binary.MaxVarintLen64)
	if err != nil {
		return 0, 0, err
	}
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, 0, brokenAt(at, "no whole number of protobuf begins here")
	}
	return v, at + int64(n), nil
}

// next reads the field that starts at a byte of a message that ends at end.
func (w *wire) next(at, end int64) (field, error) {
	f, err := w.head(at, end)
	if err != nil || f.wire != wireGroup {
		if err == nil && f.wire == wireEnd {
			err = brokenAt(at, "a group ends that did not begin")
		}
		return f, err
	}
	open := []int{f.number}
	for pos := f.value.start; ; {
		inner, err := w.head(pos, end)
		if err != nil {
			return f, err
		}
		pos = inner.value.end
		switch inner.wire {
		case wireGroup:
			if open = append(open, inner.number); len(open) > maxGroups {
				return f, brokenAt(inner.at, "groups of protobuf nest deeper than %d", maxGroups)
			}
		case wireEnd:
			if inner.number != open[len(open)-1] {
				return f, brokenAt(inner.at, "group %d ends where group %d is open", inner.number, open[len(open)-1])
			}
			if open = open[:len(open)-1]; len(open) == 0 {
				f.value.end = pos
				return f, nil
			}
		}
	}
}

// head reads a field, of a group only its beginning or its end.
func (w *wire) head(at, end int64) (field, error) {
	if w.fields++; w.limit > 0 && w.fields > w.limit {
		return field{}, &model.LimitError{What: "memory for the structure of the onnx file", Unit: "bytes", Flag: "max-memory",
			Got: fieldMemory * uint64(w.fields), Limit: fieldMemory * uint64(w.limit)}
	}
	tag, pos, err := w.varint(at, end)
	if err != nil {
		return field{}, err
	}
	number := tag >> 3
	if number == 0 || number > 1<<29-1 {
		return field{}, brokenAt(at, "no protobuf field begins here: its number would be %d", number)
	}
	f := field{number: int(number), wire: int(tag & 7), at: at, value: span{pos, pos}}
	switch f.wire {
	case wireVarint:
		f.bits, f.value.end, err = w.varint(pos, end)
	case wireFixed4, wireFixed8:
		n := 4
		if f.wire == wireFixed8 {
			n = 8
		}
		var b []byte
		if b, err = w.peek(pos, end, n); err == nil && len(b) < n {
			err = brokenAt(at, "the message ends within a number of %d bytes", n)
		}
		if err == nil {
			f.bits, f.value.end = fixed(b), pos+int64(n)
		}
	case wireBytes:
		var n uint64
		n, f.value.start, err = w.varint(pos, end)
		f.length = span{pos, f.value.start}
		if err == nil && n > uint64(end-f.value.start) {
			err = brokenAt(at, "a field of %d bytes in a message that has %d more; download or copy the file again", n, end-f.value.start)
		}
		f.value.end = f.value.start + int64(n)
	case wireGroup, wireEnd:
	default:
		err = brokenAt(at, "no protobuf field begins here: wire type %d", f.wire)
	}
	return f, err
}

// fixed returns a little-endian number of 4 or 8 bytes.
func fixed(b []byte) uint64 {
	if len(b) == 4 {
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}

// each calls f for every field of a message.
func (w *wire) each(message span, f func(field) error) error {
	for at := message.start; at < message.end; {
		next, err := w.next(at, message.end)
		if err != nil {
			return err
		}
		if err := f(next); err != nil {
			return err
		}
		at = next.value.end
	}
	return nil
}

// bytes returns the bytes of a range; they are the caller's. The range lies in
// the file, so this takes memory in proportion to what is there.
func (w *wire) bytes(s span) ([]byte, error) {
	if s.len() <= windowSize {
		b, err := w.peek(s.start, s.end, int(s.len()))
		return append([]byte(nil), b...), err
	}
	b := make([]byte, s.len())
	if n, err := w.r.ReadAt(b, s.start); n < len(b) {
		if err == nil || err == io.EOF {
			return nil, brokenAt(s.start+int64(n), "the file ends, of %d bytes", w.size)
		}
		return nil, fmt.Errorf("read onnx: %w", err)
	}
	return b, nil
}

// count returns how many numbers a packed list of a wire type holds.
func (w *wire) count(list span, wire int) (n int64, err error) {
	switch wire {
	case wireFixed4, wireFixed8:
		size := int64(4)
		if wire == wireFixed8 {
			size = 8
		}
		if list.len()%size != 0 {
			return 0, brokenAt(list.start, "a list of numbers of %d bytes has %d bytes", size, list.len())
		}
		return list.len() / size, nil
	}
	run := 0 // bytes of the number that has not ended
	for at := list.start; at < list.end; {
		b, err := w.peek(at, list.end, windowSize)
		if err != nil {
			return 0, err
		}
		for i, x := range b {
			if run++; x < 0x80 {
				n, run = n+1, 0
			} else if run == binary.MaxVarintLen64 {
				return 0, brokenAt(at+int64(i), "a number of more than %d bytes", binary.MaxVarintLen64)
			}
		}
		at += int64(len(b))
	}
	if run > 0 {
		return 0, brokenAt(list.end, "a list ends within a number")
	}
	return n, nil
}

// numbers walks over the numbers of one list of a message in their order,
// whether they are packed or not, and holds none of them.
type numbers struct {
	w      *wire
	number int // of the field
	wire   int // of a number
	at     int64
	end    int64
	packed span // what is left of the packed list that is being read
}

// numberAt is one number and where its bytes are.
type numberAt struct {
	bits   uint64
	value  span
	packed bool
}

// next returns the next number; ok is false if there is none.
func (n *numbers) next() (v numberAt, ok bool, err error) {
	for n.packed.len() == 0 {
		if n.at >= n.end {
			return v, false, nil
		}
		f, err := n.w.next(n.at, n.end)
		if err != nil {
			return v, false, err
		}
		n.at = f.value.end
		switch {
		case f.number != n.number:
		case f.wire == n.wire:
			return numberAt{bits: f.bits, value: f.value}, true, nil
		case f.wire == wireBytes:
			n.packed = f.value
		}
	}
	v.packed, v.value = true, span{n.packed.start, n.packed.start}
	switch n.wire {
	case wireVarint:
		v.bits, v.value.end, err = n.w.varint(n.packed.start, n.packed.end)
	case wireFixed4, wireFixed8:
		size := 4
		if n.wire == wireFixed8 {
			size = 8
		}
		var b []byte
		if b, err = n.w.peek(n.packed.start, n.packed.end, size); err == nil && len(b) == size {
			v.bits, v.value.end = fixed(b), v.value.start+int64(size)
		} else if err == nil {
			err = brokenAt(n.packed.start, "a list ends within a number")
		}
	}
	n.packed.start = v.value.end
	return v, err == nil, err
}

// toInt returns a dimension, which must fit an int.
func toInt(bits uint64) (int, bool) {
	v := int64(bits)
	return int(v), v >= 0 && v <= math.MaxInt
}
