package parquet

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/bits"
	"strings"
)

// Value is a value of a column in a row.
type Value struct {
	Null  bool
	Int   int64   // of booleans (0 and 1) and integers
	Float float64 // of floats and doubles
	Bytes []byte  // of bytes; read-only, and not changed by what is read later
}

// The encodings of the format, by its numbers.
const (
	plain = iota
	_
	plainDictionary
	runLength
	_
	deltaBinary
	deltaLength
	deltaByte
	runDictionary
	streamSplit
)

// Read calls row for each row of the file with the values of some columns, given by
// their places in Columns, until it returns an error. The slice is reused. A page of
// each column is in memory at a time, and whatever of Bytes row keeps.
func (f *File) Read(columns []int, row func(values []Value) error) error {
	values := make([]Value, len(columns))
	for _, g := range f.groups {
		cursors := make([]*cursor, len(columns))
		for i, c := range columns {
			var err error
			if cursors[i], err = f.open(&f.Columns[c], g.chunks[c]); err != nil {
				return err
			}
		}
		for range g.rows {
			for i, c := range cursors {
				var err error
				if values[i], err = c.next(); err != nil {
					return err
				}
			}
			if err := row(values); err != nil {
				return err
			}
		}
	}
	return nil
}

// cursor reads the values of a column in a row group.
type cursor struct {
	f      *File
	column *Column
	codec  *codec
	t      *thrift
	from   int64 // where the pages begin in the file
	size   int64
	at     int64 // of the page, in the file
	left   int64 // values in pages that are to come

	inPage     int64   // values of the page that are to come
	levels     *hybrid // nil if no value can be missing
	values     values
	dictionary dictionary
}

func (f *File) open(column *Column, c chunk) (*cursor, error) {
	name := strings.Join(column.Path, ".")
	switch {
	case column.repeated:
		return nil, f.unsupported("column "+name+" has lists", "write one value in each row")
	case column.Kind == Int96 || column.Kind == FixedBytes:
		return nil, f.unsupported("column "+name+" is of type "+[...]string{Int96: "INT96", FixedBytes: "FIXED_LEN_BYTE_ARRAY"}[column.Kind], "write it as integers or as bytes")
	case c.elsewhere:
		return nil, f.unsupported("column "+name+" is in another file, or encrypted", "write it into this one, without encryption")
	case c.codec < 0 || c.codec >= int64(len(codecs)):
		return nil, f.bad(-1, "column %s is compressed by codec %d; the format has 0 to %d", name, c.codec, len(codecs)-1)
	case codecs[c.codec].decode == nil:
		return nil, f.unsupported("column "+name+" is compressed by "+codecs[c.codec].name, "write it with zstd, Snappy, gzip or LZ4 (LZ4_RAW), or uncompressed")
	}
	section := io.NewSectionReader(f.r, c.from, c.size)
	return &cursor{f: f, column: column, codec: &codecs[c.codec], t: &thrift{r: bufio.NewReader(section)}, from: c.from, size: c.size, left: c.values}, nil
}

func (c *cursor) bad(format string, args ...any) error {
	return c.f.bad(c.at, "column %s: %s", strings.Join(c.column.Path, "."), fmt.Sprintf(format, args...))
}

// next returns the next value.
func (c *cursor) next() (Value, error) {
	for c.inPage == 0 {
		if err := c.page(); err != nil {
			return Value{}, err
		}
	}
	c.inPage--
	if c.levels != nil {
		level, err := c.levels.number()
		if err != nil {
			return Value{}, c.bad("definition levels: %v", err)
		}
		if level < uint64(c.column.definition) {
			return Value{Null: true}, nil
		}
	}
	r, err := c.values.next()
	if err != nil {
		return Value{}, c.bad("%v", err)
	}
	switch c.column.Kind {
	case Bytes:
		return Value{Bytes: r.bytes}, nil
	case Float:
		return Value{Float: float64(math.Float32frombits(uint32(r.bits)))}, nil
	case Double:
		return Value{Float: math.Float64frombits(r.bits)}, nil
	case Int32:
		return Value{Int: int64(int32(r.bits))}, nil
	}
	return Value{Int: int64(r.bits)}, nil
}

// The types of pages.
const (
	dataPage       = 0
	dictionaryPage = 2
	dataPageV2     = 3
)

// pageHeader is a PageHeader with whichever header of a type is in it.
type pageHeader struct {
	kind, size, compressed int64
	sum                    int64 // CRC-32 of the page, or -1
	values, encoding       int64
	levelEncoding          int64 // of data pages of version 1
	definition, repetition int64 // bytes of levels of data pages of version 2
	stored                 bool  // not compressed, in version 2
	has                    bool  // the header of its type
}

func (c *cursor) header() (h pageHeader) {
	h.sum = -1
	t := c.t
	t.fields(func(id int16, kind byte) {
		switch id {
		case 1:
			h.kind = t.i(kind)
		case 2:
			h.size = t.i(kind)
		case 3:
			h.compressed = t.i(kind)
		case 4:
			h.sum = int64(uint32(t.i(kind)))
		case 5, 7, 8:
			h.has = h.has || h.kind == int64(id)-5
			t.structure(kind, func(field int16, kind byte) { h.typed(t, id, field, kind) })
		default:
			t.skip(kind)
		}
	})
	return h
}

// typed reads a field of the header of one type of page, by its field in PageHeader.
func (h *pageHeader) typed(t *thrift, header, field int16, kind byte) {
	v2 := header == 8
	switch {
	case field == 1:
		h.values = t.i(kind)
	case field == 2 && !v2, field == 4 && v2:
		h.encoding = t.i(kind)
	case field == 3 && header == 5:
		h.levelEncoding = t.i(kind)
	case field == 5 && v2:
		h.definition = t.i(kind)
	case field == 6 && v2:
		h.repetition = t.i(kind)
	case field == 7 && v2:
		if h.stored = kind == tFalse; kind != tTrue && kind != tFalse {
			t.fail(errKind)
		}
	default:
		t.skip(kind)
	}
}

// page reads the next page that has values, and a dictionary before it.
func (c *cursor) page() error {
	c.at = c.from + c.t.read
	if c.left == 0 || c.t.read >= c.size {
		return c.bad("its pages end before %d values of a row group", c.left)
	}
	h := c.header()
	if c.t.err != nil {
		return c.bad("in the header of a page: %v", c.t.err)
	}
	if h.size < 0 || h.compressed < 0 || h.compressed > c.size-c.t.read || h.values < 0 {
		return c.bad("a page has %d values in %d bytes, of %d that are left of the column, and says that they become %d bytes", h.values, h.compressed, c.size-c.t.read, h.size)
	}
	if h.size > largestPage {
		return c.f.unsupported(fmt.Sprintf("column %s has a page of %d bytes", strings.Join(c.column.Path, "."), h.size), fmt.Sprintf("write pages of at most %d bytes, with smaller row groups", largestPage))
	}
	known := h.kind == dataPage || h.kind == dataPageV2 || h.kind == dictionaryPage
	if !known { // such as the index pages that nobody writes
		c.t.discard(uint64(h.compressed))
		return c.read()
	}
	if !h.has {
		return c.bad("a page of type %d has no header of that type", h.kind)
	}
	data := make([]byte, h.compressed)
	n, err := io.ReadFull(c.t.r, data)
	c.t.read += int64(n)
	if err != nil {
		return c.bad("cannot read a page: %v", err)
	}
	if h.sum >= 0 && h.sum != int64(crc32.ChecksumIEEE(data)) {
		return c.bad("the bytes of a page do not have the checksum %08x that it gives", h.sum)
	}
	if h.kind == dictionaryPage {
		return c.readDictionary(h, data)
	}
	if h.values > c.left {
		return c.bad("a page has %d values, only %d are left of the row group", h.values, c.left)
	}
	c.left -= h.values
	c.inPage = h.values
	if h.kind == dataPageV2 {
		return c.dataV2(h, data)
	}
	return c.data(h, data)
}

// read returns the error of reading the file, if there was one.
func (c *cursor) read() error {
	if c.t.err != nil {
		return c.bad("%v", c.t.err)
	}
	return nil
}

func (c *cursor) data(h pageHeader, data []byte) error {
	data, err := decompress(c.codec, data, h.size)
	if err != nil {
		return c.bad("%s: %.200v", c.codec.name, err)
	}
	c.levels = nil
	if c.column.definition > 0 {
		if h.levelEncoding != runLength {
			return c.f.unsupported("column "+strings.Join(c.column.Path, ".")+" has levels in the deprecated encoding BIT_PACKED", "write the file again with a writer of these days, such as pyarrow")
		}
		if len(data) < 4 {
			return c.bad("definition levels: %v", errValues)
		}
		n := int64(binary.LittleEndian.Uint32(data))
		if n > int64(len(data)-4) {
			return c.bad("definition levels: %v", errValues)
		}
		c.levels = &hybrid{data: data[4 : 4+n], width: bits.Len(uint(c.column.definition))}
		data = data[4+n:]
	}
	return c.decode(h.encoding, data)
}

func (c *cursor) dataV2(h pageHeader, data []byte) error {
	levels := h.definition + h.repetition
	if h.definition < 0 || h.repetition < 0 || h.definition > math.MaxInt32 || h.repetition > math.MaxInt32 || levels > int64(len(data)) || levels > h.size {
		return c.bad("a page of %d bytes has %d bytes of definition levels and %d of repetition levels, which do not fit into it", len(data), h.definition, h.repetition)
	}
	c.levels = nil
	if c.column.definition > 0 {
		c.levels = &hybrid{data: data[h.repetition:levels], width: bits.Len(uint(c.column.definition))}
	}
	how := c.codec
	if h.stored {
		how = &codecs[0]
	}
	data, err := decompress(how, data[levels:], h.size-levels)
	if err != nil {
		return c.bad("%s: %.200v", how.name, err)
	}
	return c.decode(h.encoding, data)
}

// decode makes the decoder of the values of a page.
func (c *cursor) decode(encoding int64, data []byte) (err error) {
	kind := c.column.Kind
	switch {
	case encoding == plain:
		c.values = decodePlain(kind, data)
	case encoding == plainDictionary || encoding == runDictionary:
		c.values, err = newIndexed(data, c.dictionary)
	case encoding == runLength && kind == Boolean:
		c.values = &hybrid{data: data[min(4, len(data)):], width: 1} // behind their length
	case encoding == deltaBinary && (kind == Int32 || kind == Int64):
		c.values, err = newDeltas(data)
	case encoding == deltaLength && kind == Bytes:
		c.values, err = newDeltaLengths(data)
	case encoding == deltaByte && kind == Bytes:
		c.values, err = newDeltaBytes(data)
	case encoding == streamSplit && kind != Boolean && kind != Bytes:
		c.values = newSplit(data, kind)
	default:
		return c.bad("a page has encoding %d, which the format does not have for values of type %d", encoding, kind)
	}
	if err != nil {
		c.values = failed{err} // it does not matter where all values are missing
	}
	return nil
}

func decodePlain(kind Kind, data []byte) values {
	switch kind {
	case Boolean:
		return &plainBools{data: data}
	case Bytes:
		return &plainBytes{data}
	}
	return &plainFixed{data, width(kind)}
}

// width returns how many bytes a number has.
func width(kind Kind) int {
	if kind == Int32 || kind == Float {
		return 4
	}
	return 8
}

func (c *cursor) readDictionary(h pageHeader, data []byte) error {
	if c.dictionary != nil || h.encoding != plain && h.encoding != plainDictionary || c.column.Kind == Boolean {
		return c.bad("a second dictionary, or one in encoding %d for values of type %d, which the format does not have", h.encoding, c.column.Kind)
	}
	data, err := decompress(c.codec, data, h.size)
	if err != nil {
		return c.bad("%s: %.200v", c.codec.name, err)
	}
	all := decodePlain(c.column.Kind, data)
	c.dictionary = dictionary{}
	for range h.values {
		v, err := all.next()
		if err != nil {
			return c.bad("its dictionary: %v", err)
		}
		c.dictionary = append(c.dictionary, v)
	}
	return nil
}
