package safetensors

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"lethe/model"
)

// headerMax is the longest header that the format allows.
const headerMax = 100_000_000

// maxBlock is how much of a tensor is copied at once: file systems take large
// blocks in half the time of small ones.
const maxBlock = 1 << 20

// Encode writes a file as the reference implementation does: the header without
// blanks, padded with spaces to a multiple of 8, then the data without holes. A
// decoded file that was written that way comes out byte for byte. Tensor data
// is copied as a stream.
func Encode(w io.Writer, f *File) error {
	header := f.header()
	if len(header) > headerMax {
		return &model.LimitError{What: "bytes of a safetensors header", Got: uint64(len(header)), Limit: headerMax}
	}
	out := bufio.NewWriterSize(w, 1<<16)
	var block []byte
	out.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(header))))
	out.Write(header)
	for _, name := range f.layout {
		t := f.state.Get(name)
		r, err := t.Reader()
		if err != nil {
			return err
		}
		size := t.Len() * t.DType().Size()
		if need := min(size, maxBlock); need > len(block) {
			block = make([]byte, need)
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{out}, r, block)
		if err == nil && n != int64(size) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("write %q: %w", name, err)
		}
	}
	return out.Flush() // reports the first error of any write
}

// header returns the JSON with its padding.
func (f *File) header() []byte {
	begin := map[string]int{}
	at := 0
	for _, name := range f.layout {
		begin[name] = at
		t := f.state.Get(name)
		at += t.Len() * t.DType().Size()
	}
	b := []byte{'{'}
	if len(f.metadata) > 0 {
		b = append(appendString(b, metadataKey), ":{"...)
		for i, p := range f.metadata {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, p.Key), ':')
			b = appendString(b, p.Value)
		}
		b = append(b, '}')
	}
	for name, t := range f.state.All() {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(appendString(b, name), `:{"dtype":"`...)
		b = append(b, dtypes[rank(t.DType())].name...)
		b = append(b, `","shape":[`...)
		for i, d := range t.Shape() {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(d), 10)
		}
		b = append(b, `],"data_offsets":[`...)
		b = strconv.AppendInt(b, int64(begin[name]), 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, int64(begin[name]+t.Len()*t.DType().Size()), 10)
		b = append(b, "]}"...)
	}
	b = append(b, '}')
	for len(b)%8 != 0 {
		b = append(b, ' ')
	}
	return b
}

// appendString writes a JSON string and escapes only what must be.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			b = append(b, '\\', byte(r))
		case '\b':
			b = append(b, `\b`...)
		case '\t':
			b = append(b, `\t`...)
		case '\n':
			b = append(b, `\n`...)
		case '\f':
			b = append(b, `\f`...)
		case '\r':
			b = append(b, `\r`...)
		default:
			if r < ' ' {
				b = fmt.Appendf(b, `\u%04x`, r)
			} else {
				b = utf8.AppendRune(b, r)
			}
		}
	}
	return append(b, '"')
}
