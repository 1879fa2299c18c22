package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"

	"lethe/model"
)

// maxEncodedAll bounds the encoded pictures of Parquet files, which stay in memory.
const maxEncodedAll = 4 << 30

// findParquet returns the Parquet files of fsys by what they are for: 0 training, 2
// testing, 1 validation, as [sides] has it. Hugging Face writes train-00000-of-00002.parquet,
// perhaps in data/ or in a folder of the split.
func findParquet(fsys fs.FS) (by [3][]string, err error) {
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := path.Base(name); entry.IsDir() && name != "." && strings.HasPrefix(base, ".") {
			return fs.SkipDir
		}
		if entry.IsDir() || path.Ext(name) != ".parquet" {
			return nil
		}
		side := 0
		for _, part := range strings.Split(strings.ToLower(name), "/") {
			word := part[:len(part)-len(strings.TrimLeft(part, "abcdefghijklmnopqrstuvwxyz"))]
			if s, known := sides[word]; known {
				side = s
			}
		}
		by[side] = append(by[side], name)
		return nil
	})
	return by, err
}

// parquetSet is what the files of one side hold.
type parquetSet struct {
	names   []string // of the classes, if the metadata has them
	labels  []int
	texts   []string // labels that are texts
	encoded [][]byte
	paths   []string
	total   int64
}

// openParquet reads the Parquet files that Hugging Face's datasets writes of images:
// a column of structs of bytes and path, and one of labels, whose names are in
// the metadata. The pictures stay encoded in memory.
func (s Settings) openParquet(fsys fs.FS, by [3][]string) (*Data, error) {
	train, test := by[0], by[2]
	if test == nil {
		test = by[1]
	}
	var sets [2]parquetSet
	for i, files := range [][]string{train, test} {
		for _, name := range files {
			b, err := readAll(fsys, name, maxEncodedAll)
			if err != nil {
				return nil, err
			}
			if err := sets[i].read(name, b); err != nil {
				return nil, err
			}
		}
	}
	d := &Data{Preprocess: s.Preprocess, Names: sets[0].names}
	if texts := slices.Concat(sets[0].texts, sets[1].texts); texts != nil {
		at := map[string]int{}
		for _, text := range texts {
			at[text] = 0
		}
		d.Names = slices.Sorted(maps.Keys(at))
		for i, name := range d.Names {
			at[name] = i
		}
		for i := range sets {
			for _, text := range sets[i].texts {
				sets[i].labels = append(sets[i].labels, at[text])
			}
		}
	}
	return d, d.complete(s.Preprocess, sets[0].album(), sets[1].album())
}

// album returns the pictures one by one.
func (s *parquetSet) album() *album {
	return &album{
		labels: s.labels,
		name:   func(i int) string { return s.paths[i] },
		header: func(i int) (channels, rows, cols int, err error) {
			return picked(header(s.paths[i], bytes.NewReader(s.encoded[i]), int64(len(s.encoded[i]))))
		},
		picture: func(i int) (picture, error) { return decode(s.paths[i], s.encoded[i]) },
	}
}

// read adds the rows of a file.
func (s *parquetSet) read(name string, b []byte) (err error) {
	bad := func(format string, args ...any) error {
		return &model.FormatError{Format: "Parquet", Member: name, Offset: -1, Reason: fmt.Sprintf(format, args...)}
	}
	defer func() {
		if r := recover(); r != nil { // the library's, of a broken file
			err = bad("it is broken: %.200v", r)
		}
	}()
	f, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return bad("%.200v", err)
	}
	picture, label := -1, -1
	var column, labelColumn string
	for i, p := range f.Schema().Columns() {
		leaf, _ := f.Schema().Lookup(p...)
		switch kind := leaf.Node.Type().Kind(); {
		case len(p) == 2 && p[1] == "bytes" && kind == parquet.ByteArray && picture < 0:
			picture, column = i, p[0]
		case len(p) == 1 && (kind == parquet.Int64 || kind == parquet.Int32 || kind == parquet.ByteArray):
			// label goes before fine_label, and that before whatever else has labels.
			if rank := labelRank(p[0]); rank > labelRank(labelColumn) {
				label, labelColumn = i, p[0]
			}
		}
	}
	if picture < 0 || label < 0 {
		return bad("its columns are %v; want image with bytes, and label", f.Schema().Columns())
	}
	if names := classNames(f, labelColumn); names != nil {
		s.names = names
	}
	rows := int64(0)
	for _, group := range f.RowGroups() {
		r := group.Rows()
		buffer := make([]parquet.Row, 64)
		for {
			n, err := r.ReadRows(buffer)
			for _, row := range buffer[:n] {
				if err := s.row(row, picture, label, fmt.Sprintf("%s, row %d, %s", name, rows, column)); err != nil {
					r.Close()
					return err
				}
				rows++
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				r.Close()
				return bad("after row %d: %.200v", rows, err)
			}
		}
		r.Close()
	}
	return nil
}

func labelRank(column string) int {
	switch column {
	case "label":
		return 4
	case "labels":
		return 3
	case "fine_label":
		return 2
	}
	if strings.Contains(column, "label") || column == "class" || column == "target" {
		return 1
	}
	return 0
}

// row adds one picture.
func (s *parquetSet) row(row parquet.Row, picture, label int, name string) error {
	var encoded []byte
	var class parquet.Value
	for _, v := range row {
		switch v.Column() {
		case picture:
			encoded = v.ByteArray()
		case label:
			class = v
		}
	}
	if len(encoded) == 0 || class.IsNull() {
		return &model.FormatError{Format: "Parquet", Member: name, Offset: -1, Reason: "there are no bytes of a picture, or no label; a data set that names files elsewhere is not read"}
	}
	if s.total += int64(len(encoded)); s.total > maxEncodedAll {
		return &model.LimitError{What: "bytes of encoded pictures", Got: uint64(s.total), Limit: maxEncodedAll}
	}
	switch class.Kind() {
	case parquet.ByteArray:
		s.texts = append(s.texts, string(class.ByteArray()))
	case parquet.Int32:
		s.labels = append(s.labels, int(class.Int32()))
	default:
		s.labels = append(s.labels, int(min(max(class.Int64(), math.MinInt32), math.MaxInt32)))
	}
	s.encoded, s.paths = append(s.encoded, bytes.Clone(encoded)), append(s.paths, name)
	return nil
}

// classNames returns the names of the classes of a column that Hugging Face notes.
func classNames(f *parquet.File, column string) []string {
	text, ok := f.Lookup("huggingface")
	if !ok {
		return nil
	}
	var meta struct {
		Info struct {
			Features map[string]struct {
				Names []string `json:"names"`
			} `json:"features"`
		} `json:"info"`
	}
	if json.Unmarshal([]byte(text), &meta) != nil {
		return nil
	}
	return meta.Info.Features[column].Names
}
