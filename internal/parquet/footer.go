// Package parquet reads columns of Apache Parquet files, row by row, page by page.
//
// It reads data pages of both versions, dictionary pages, and every encoding but the
// deprecated BIT_PACKED, of columns that are required or optional, also in groups, and
// do not repeat, but not of types INT96 and FIXED_LEN_BYTE_ARRAY; uncompressed, or compressed by Snappy,
// gzip, zstd or LZ4. Everything else is a [model.UnsupportedError]. The format is
// that of https://parquet.apache.org/docs/file-format/.
package parquet

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"lethe/model"
)

// What is wrong in a file, where nothing needs to be said beside it.
var (
	errEnds    = errors.New("it ends too early")
	errNumber  = errors.New("a number is out of range")
	errLong    = errors.New("a text is longer than 64 MiB")
	errDeep    = errors.New("its structures are nested deeper than 32 times")
	errKind    = errors.New("a field is of another type than the format has")
	errValues  = errors.New("it ends before its last value")
	errIndex   = errors.New("a value is not in its dictionary")
	errEmpty   = errors.New("an encoding says that it has no bits or values where some are needed")
	errEncoded = errors.New("compressed data is broken")
)

// Kind is the physical type of a column.
type Kind uint8

// The kinds have the numbers that the format gives them.
const (
	Boolean Kind = iota
	Int32
	Int64
	Int96
	Float
	Double
	Bytes
	FixedBytes
)

// Column is a column of values: a leaf of the schema.
type Column struct {
	Path []string // names of the groups that it is in, and its own
	Kind Kind
	Text bool // bytes that are said to be UTF-8

	definition int // the largest level: how many of Path are optional
	repeated   bool
}

// File is an opened Parquet file.
type File struct {
	Columns  []Column
	Metadata map[string]string
	Rows     int64 // of all row groups; no more than the file has bytes

	r      io.ReaderAt
	size   int64
	name   string
	groups []group
}

// group is a row group.
type group struct {
	rows   int64
	chunks []chunk // one for each column
}

// chunk is where the pages of one column in one row group are.
type chunk struct {
	kind       Kind
	codec      int64
	values     int64
	from, size int64
	elsewhere  bool // in another file, or encrypted
}

const (
	magic       = "PAR1"
	magicSealed = "PARE"
	mostColumns = 1 << 16
)

// Open reads the footer of a file of size bytes. Name stands for it in errors, which
// are [model.FormatError] where the file is broken.
func Open(r io.ReaderAt, size int64, name string) (*File, error) {
	f := &File{r: r, size: size, name: name, Metadata: map[string]string{}}
	var ends [12]byte
	if size < int64(len(ends)) {
		return nil, f.bad(-1, "it has %d bytes, which is too short", size)
	}
	if _, err := r.ReadAt(ends[:4], 0); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	if _, err := r.ReadAt(ends[4:], size-8); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	if string(ends[8:]) == magicSealed {
		return nil, f.unsupported("it is encrypted", "write it without encryption")
	}
	length := int64(binary.LittleEndian.Uint32(ends[4:]))
	if string(ends[:4]) != magic || string(ends[8:]) != magic || length > size-int64(len(ends)) {
		return nil, f.bad(size-8, "it begins with %q and ends with %q, before which its footer has %d bytes; want %s at both ends and no more than %d bytes", ends[:4], ends[8:], length, magic, size-int64(len(ends)))
	}
	from := size - 8 - length
	t := &thrift{r: bufio.NewReader(io.NewSectionReader(r, from, length))}
	if err := f.footer(t); err != nil {
		return nil, err
	}
	if t.err != nil {
		return nil, f.bad(from+t.read, "in its footer: %v", t.err)
	}
	return f, nil
}

func (f *File) bad(offset int64, format string, args ...any) error {
	return &model.FormatError{Format: "Parquet", Member: f.name, Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

func (f *File) unsupported(what, advice string) error {
	return &model.UnsupportedError{What: fmt.Sprintf("Parquet file %q: %s", f.name, what), Advice: advice}
}

// node is an element of the schema.
type node struct {
	name       string
	kind       Kind
	repetition int64 // 0 required, 1 optional, 2 repeated
	children   int64
	text       bool
}

// footer reads FileMetaData and checks it.
func (f *File) footer(t *thrift) error {
	var nodes []node
	encrypted := false
	t.fields(func(id int16, kind byte) {
		switch {
		case id == 2 && t.expect(kind, tList):
			t.list(tStruct, func() {
				if nodes = append(nodes, schemaElement(t)); len(nodes) > mostColumns {
					t.fail(errNumber)
				}
			})
		case id == 4 && t.expect(kind, tList):
			t.list(tStruct, func() { f.groups = append(f.groups, rowGroup(t)) })
		case id == 5 && t.expect(kind, tList):
			t.list(tStruct, func() {
				var key, value string
				t.fields(func(id int16, kind byte) {
					switch id {
					case 1:
						key = t.s(kind)
					case 2:
						value = t.s(kind)
					default:
						t.skip(kind)
					}
				})
				f.Metadata[key] = value
			})
		default:
			encrypted = encrypted || id == 8
			t.skip(kind)
		}
	})
	if t.err != nil {
		return nil
	}
	if encrypted {
		return f.unsupported("its columns are encrypted", "write it without encryption")
	}
	if err := f.schema(nodes); err != nil {
		return err
	}
	for i, g := range f.groups {
		if len(g.chunks) != len(f.Columns) || g.rows < 0 {
			return f.bad(-1, "row group %d has %d rows and %d columns, the schema has %d", i, g.rows, len(g.chunks), len(f.Columns))
		}
		for c, chunk := range g.chunks {
			if chunk.kind != f.Columns[c].Kind || chunk.values < 0 || !f.Columns[c].repeated && chunk.values != g.rows ||
				chunk.from < 0 || chunk.size < 0 || chunk.from > f.size || chunk.size > f.size-chunk.from {
				return f.bad(-1, "row group %d of %d rows has column %s with %d values of type %d in %d bytes from byte %d on; the schema has type %d, and the file %d bytes", i, g.rows, strings.Join(f.Columns[c].Path, "."), chunk.values, chunk.kind, chunk.size, chunk.from, f.Columns[c].Kind, f.size)
			}
		}
		// So memory for each row is in proportion to the file.
		if g.rows > f.size-f.Rows {
			return f.bad(-1, "row groups up to %d have more rows than the file has bytes", i)
		}
		f.Rows += g.rows
	}
	return nil
}

func schemaElement(t *thrift) (n node) {
	n.kind = 0xff
	t.fields(func(id int16, kind byte) {
		switch id {
		case 1:
			if v := t.i(kind); v >= 0 && v <= int64(FixedBytes) {
				n.kind = Kind(v)
			} else {
				t.fail(errNumber)
			}
		case 3:
			n.repetition = t.i(kind)
		case 4:
			n.name = t.s(kind)
		case 5:
			n.children = t.i(kind)
		case 6:
			n.text = n.text || t.i(kind) == 0 // UTF8
		case 10:
			t.structure(kind, func(id int16, kind byte) {
				n.text = n.text || id == 1 // STRING
				t.skip(kind)
			})
		default:
			t.skip(kind)
		}
	})
	return n
}

// schema makes columns of the elements of a schema, each of which is followed by its
// children.
func (f *File) schema(nodes []node) error {
	type open struct {
		path       []string
		left       int64 // children that are to come
		definition int
		repeated   bool
	}
	if len(nodes) == 0 {
		return f.bad(-1, "it has no schema")
	}
	groups := []open{{left: nodes[0].children}}
	for i, n := range nodes[1:] {
		for len(groups) > 0 && groups[len(groups)-1].left == 0 {
			groups = groups[:len(groups)-1]
		}
		if len(groups) == 0 || n.children < 0 || n.repetition < 0 || n.repetition > 2 || n.children == 0 && n.kind > FixedBytes {
			return f.bad(-1, "element %d of its schema, %q, belongs to no element before it, or has neither a type nor children", i+1, n.name)
		}
		up := &groups[len(groups)-1]
		up.left--
		here := open{append(up.path[:len(up.path):len(up.path)], n.name), n.children, up.definition, up.repeated}
		if n.repetition > 0 {
			here.definition++
		}
		here.repeated = here.repeated || n.repetition == 2
		if len(here.path) > deepest {
			return f.bad(-1, "%v", errDeep)
		}
		if n.children > 0 {
			groups = append(groups, here)
			continue
		}
		f.Columns = append(f.Columns, Column{here.path, n.kind, n.text, here.definition, here.repeated})
	}
	for _, g := range groups {
		if g.left != 0 {
			return f.bad(-1, "its schema ends where %d more children of %q must come", g.left, strings.Join(g.path, "."))
		}
	}
	return nil
}

func rowGroup(t *thrift) (g group) {
	t.fields(func(id int16, kind byte) {
		switch {
		case id == 1 && t.expect(kind, tList):
			t.list(tStruct, func() { g.chunks = append(g.chunks, columnChunk(t)) })
		case id == 3:
			g.rows = t.i(kind)
		default:
			t.skip(kind)
		}
	})
	return g
}

func columnChunk(t *thrift) (c chunk) {
	data, dictionary := int64(-1), int64(-1)
	known := false
	t.fields(func(id int16, kind byte) {
		switch id {
		case 1:
			c.elsewhere = t.s(kind) != "" || c.elsewhere
		case 3:
			known = true
			t.structure(kind, func(id int16, kind byte) {
				switch id {
				case 1:
					c.kind = Kind(min(uint64(t.i(kind)), 0xff))
				case 4:
					c.codec = t.i(kind)
				case 5:
					c.values = t.i(kind)
				case 7:
					c.size = t.i(kind)
				case 9:
					data = t.i(kind)
				case 11:
					dictionary = t.i(kind)
				default:
					t.skip(kind)
				}
			})
		default:
			c.elsewhere = c.elsewhere || id == 8 // how it is encrypted
			t.skip(kind)
		}
	})
	if !known && !c.elsewhere { // without this a footer of zeros would grow in memory
		t.fail(errKind)
	}
	c.from = data
	if dictionary > 0 && dictionary < data { // some writers say 0 for none
		c.from = dictionary
	}
	return c
}
