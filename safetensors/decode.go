package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"lethe/model"
)

// Options say how to read a file. The zero value is right for a file from
// anywhere.
type Options struct {
	Limits Limits
}

// Limits bound what a header can make its reader hold in memory; tensor data
// stays in the file. A zero means the default, a negative number that there is
// none. What exceeds a limit is a [model.LimitError].
type Limits struct {
	Memory int // bytes that reading the header may take, some 16 for each of its own, beside what reading JSON throws away; default 512 MiB
}

// Info is what a file says about itself.
type Info struct {
	Metadata []Pair
	Entries  []Entry // in the order of the header
}

// Entry is one tensor of a file.
type Entry struct {
	Name   string
	DType  model.DType
	Shape  []int
	Offset int64 // of the first byte in the file
	Bytes  int64
}

// entry is one tensor of a header, before and after it is judged.
type entry struct {
	Entry
	dtype      *dtype
	begin, end uint64 // relative to the data
}

// Sniff reports whether a file starts as one in this format does: with a length
// that fits the file, and an opening brace.
func Sniff(r io.ReaderAt, size int64) bool {
	head := make([]byte, 9)
	if n, _ := r.ReadAt(head, 0); n < len(head) || head[8] != '{' {
		return false
	}
	n := binary.LittleEndian.Uint64(head)
	return n <= headerMax && n <= uint64(size-8)
}

// Decode reads the header; tensor data stays in r. Broken bytes are a
// [model.FormatError], element types of less than a byte a
// [model.UnsupportedError], excesses a [model.LimitError].
func Decode(r io.ReaderAt, size int64, opts Options) (*File, error) {
	entries, metadata, err := read(r, size, opts)
	if err != nil {
		return nil, err
	}
	f := &File{metadata: metadata}
	var named []model.Entry
	for _, e := range entries {
		t, err := model.NewTensor(e.DType, e.Shape, nil, 0, model.NewStorage(io.NewSectionReader(r, e.Offset, e.Bytes), e.Bytes))
		if err != nil {
			return nil, err
		}
		named = append(named, model.Entry{Name: e.Name, Tensor: t})
	}
	if f.state, err = model.NewStateDict(named...); err != nil {
		return nil, err
	}
	slices.SortStableFunc(entries, inLayout)
	for _, e := range entries {
		f.layout = append(f.layout, e.Name)
	}
	return f, nil
}

// Inspect reads the structure of a file: all that [Decode] reads.
func Inspect(r io.ReaderAt, size int64, opts Options) (*Info, error) {
	entries, metadata, err := read(r, size, opts)
	if err != nil {
		return nil, err
	}
	info := &Info{Metadata: metadata}
	for _, e := range entries {
		info.Entries = append(info.Entries, e.Entry)
	}
	return info, nil
}

func inLayout(a, b *entry) int {
	return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
}

// broken returns the error for a file that breaks a rule. The offset counts
// from the start of the file.
func broken(offset int64, format string, args ...any) error {
	return &model.FormatError{Format: "safetensors", Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// read reads and judges the header.
func read(r io.ReaderAt, size int64, opts Options) ([]*entry, []Pair, error) {
	// An entry of the least bytes takes some 16 times as many in memory.
	const forByte = 16
	limit := cmp.Or(opts.Limits.Memory, 512<<20)
	if size < 8 {
		return nil, nil, broken(0, "%d bytes, the length of the header alone has 8", size)
	}
	head := make([]byte, 8)
	if err := readFull(r, head, 0); err != nil {
		return nil, nil, err
	}
	n := binary.LittleEndian.Uint64(head)
	switch {
	case n > headerMax:
		return nil, nil, broken(0, "a header of %d bytes, the format allows %d", n, headerMax)
	case n > uint64(size-8):
		return nil, nil, broken(0, "a header of %d bytes in a file of %d; download or copy it again", n, size)
	case limit >= 0 && forByte*n > uint64(limit):
		return nil, nil, &model.LimitError{What: "memory for the header", Unit: "bytes", Flag: "max-memory", Got: forByte * n, Limit: uint64(limit)}
	}
	header := make([]byte, n)
	if err := readFull(r, header, 8); err != nil {
		return nil, nil, err
	}
	p, err := parse(header)
	if err != nil {
		return nil, nil, err
	}
	return p.entries, p.metadata, p.place(size - 8 - int64(n))
}

func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	switch {
	case n == len(b):
		return nil
	case err == nil || err == io.EOF:
		return broken(at+int64(n), "the file ends within %d bytes that start at byte %d", len(b), at)
	}
	return fmt.Errorf("read safetensors: %w", err)
}

// parser reads a header: an object of objects with fixed keys, which leaves
// little of JSON.
type parser struct {
	d        *json.Decoder
	header   int64 // bytes
	entries  []*entry
	metadata []Pair
}

func parse(header []byte) (*parser, error) {
	if len(header) == 0 || header[0] != '{' {
		return nil, broken(8, "the header does not start with an opening brace")
	}
	if !utf8.Valid(header) {
		return nil, broken(8, "the header is not UTF-8")
	}
	p := &parser{d: json.NewDecoder(bytes.NewReader(header)), header: int64(len(header))}
	p.d.UseNumber()
	seen := map[string]bool{}
	err := p.object(func(key string) error {
		if seen[key] {
			return p.bad("%q occurs twice", key)
		}
		seen[key] = true
		if key == metadataKey {
			return p.readMetadata()
		}
		e, err := p.readEntry(key)
		p.entries = append(p.entries, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	if rest := header[p.d.InputOffset():]; len(bytes.TrimLeft(rest, " ")) > 0 {
		return nil, p.bad("other bytes than spaces follow the header's object")
	}
	return p, nil
}

func (p *parser) bad(format string, args ...any) error {
	return broken(8+p.d.InputOffset(), format, args...)
}

func (p *parser) token() (json.Token, error) {
	t, err := p.d.Token()
	if err == io.EOF {
		return nil, p.bad("the header ends too early")
	}
	if err != nil {
		return nil, p.bad("the header is not JSON: %v", err)
	}
	return t, nil
}

func (p *parser) delim(want json.Delim) error {
	t, err := p.token()
	if err == nil && t != want {
		err = p.bad("%.40q where %q must be", fmt.Sprint(t), want.String())
	}
	return err
}

// text reads a string. The decoder has put U+FFFD in place of half a surrogate
// pair, which is not a character.
func (p *parser) text() (string, error) {
	t, err := p.token()
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok || strings.ContainsRune(s, utf8.RuneError) {
		return "", p.bad("%.40q where a string of whole characters must be", fmt.Sprint(t))
	}
	return s, nil
}

// object reads an object and calls f for every key, before its value.
func (p *parser) object(f func(key string) error) error {
	if err := p.delim('{'); err != nil {
		return err
	}
	for p.d.More() {
		key, err := p.text()
		if err != nil {
			return err
		}
		if err := f(key); err != nil {
			return err
		}
	}
	return p.delim('}')
}

// numbers reads a list of at most limit whole numbers.
func (p *parser) numbers(limit int) ([]uint64, error) {
	if err := p.delim('['); err != nil {
		return nil, err
	}
	list := []uint64{}
	for p.d.More() {
		t, err := p.token()
		if err != nil {
			return nil, err
		}
		n, _ := t.(json.Number)
		v, err := strconv.ParseUint(n.String(), 10, 64)
		if err != nil || len(list) == limit {
			return nil, p.bad("%.40q where at most %d numbers from 0 to 2^64-1 must be", fmt.Sprint(t), limit)
		}
		list = append(list, v)
	}
	return list, p.delim(']')
}

func (p *parser) readMetadata() error {
	seen := map[string]bool{}
	return p.object(func(key string) error {
		if seen[key] {
			return p.bad("%q occurs twice in %s", key, metadataKey)
		}
		seen[key] = true
		value, err := p.text()
		p.metadata = append(p.metadata, Pair{key, value})
		return err
	})
}

// dimsMax is the most dimensions that PyTorch gives a tensor.
const dimsMax = 64

func (p *parser) readEntry(name string) (*entry, error) {
	e := &entry{Entry: Entry{Name: name}}
	var shape, offsets []uint64
	err := p.object(func(key string) (err error) {
		switch {
		case key == "dtype" && e.dtype == nil:
			var s string
			if s, err = p.text(); err != nil {
				return err
			}
			i := slices.IndexFunc(dtypes, func(d dtype) bool { return d.name == s })
			if i < 0 {
				return p.bad("%q is of type %q, which the format does not have", name, s)
			}
			e.dtype = &dtypes[i]
		case key == "shape" && shape == nil:
			shape, err = p.numbers(dimsMax)
		case key == "data_offsets" && offsets == nil:
			offsets, err = p.numbers(2)
		default:
			err = p.bad("%q has %q, or has it twice; allowed are dtype, shape and data_offsets", name, key)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if e.dtype == nil || shape == nil || len(offsets) != 2 {
		return nil, p.bad("%q lacks its dtype, its shape or two data_offsets", name)
	}
	e.begin, e.end = offsets[0], offsets[1]
	total, zero := e.dtype.bits, false
	for _, d := range shape {
		if d > math.MaxInt {
			return nil, p.bad("%q has a dimension of %d", name, d)
		}
		e.Shape = append(e.Shape, int(d))
		hi, lo := bits.Mul64(total, d)
		if d == 0 {
			zero = true
		} else if total = lo; hi != 0 {
			return nil, p.bad("%q has a shape %v whose bits no number of 64 bits counts", name, shape)
		}
	}
	if zero {
		total = 0
	}
	if e.end < e.begin || total%8 != 0 || e.end-e.begin != total/8 {
		return nil, p.bad("%q of type %s and shape %v has %d bits, its data_offsets are %d and %d", name, e.dtype.name, shape, total, e.begin, e.end)
	}
	if e.dtype.model == model.Invalid {
		return nil, &model.UnsupportedError{What: fmt.Sprintf("%q is of type %s, with elements of less than a byte", name, e.dtype.name), Advice: "unpack them first"}
	}
	e.DType, e.Bytes = e.dtype.model, int64(total/8)
	return e, nil
}

// place checks that the tensors cover all bytes of the data without hole or
// overlap, and tells where in the file they are.
func (p *parser) place(data int64) error {
	at := uint64(0)
	for _, e := range slices.SortedStableFunc(slices.Values(p.entries), inLayout) {
		if e.begin != at {
			return broken(-1, "the data of %q starts at %d, that of the tensor before it ends at %d", e.Name, e.begin, at)
		}
		at = e.end
		if at > uint64(data) {
			return broken(-1, "the data of %q ends at %d, the file has %d bytes of data", e.Name, at, data)
		}
		e.Offset = 8 + p.header + int64(e.begin)
	}
	if at != uint64(data) {
		return broken(-1, "the tensors end at %d, the file has %d bytes of data", at, data)
	}
	return nil
}
