package dataset

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"path"
	"slices"
	"strings"

	"lethe/internal/parquet"
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
	files   []parquetPart
	total   int64
}

// parquetPart is the rows of a set that are from one file, up to the next part.
type parquetPart struct {
	first        int
	name, column string
}

// openParquet reads the Parquet files that Hugging Face's datasets writes of images:
// a column of structs of bytes and path, and one of labels, whose names are in
// the metadata; or pictures in a column of bytes. They stay encoded in memory.
func (s Settings) openParquet(fsys fs.FS, by [3][]string) (*Data, error) {
	train, test := by[0], by[2]
	if test == nil {
		test = by[1]
	}
	var sets [2]parquetSet
	for i, files := range [][]string{train, test} {
		for _, name := range files {
			if err := sets[i].open(fsys, name); err != nil {
				return nil, err
			}
		}
	}
	d := &Data{Preprocess: s.Preprocess, Names: sets[0].names}
	if texts := slices.Concat(sets[0].texts, sets[1].texts); texts != nil {
		if len(sets[0].labels)+len(sets[1].labels) > 0 {
			return nil, parquetError("", "the labels of some files are texts, those of others are numbers")
		}
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
		name:   s.name,
		header: func(i int) (channels, rows, cols int, err error) {
			return picked(header(s.name(i), bytes.NewReader(s.encoded[i]), int64(len(s.encoded[i]))))
		},
		picture: func(i int) (picture, error) { return decode(s.name(i), s.encoded[i]) },
	}
}

// name returns where picture i is, for errors.
func (s *parquetSet) name(i int) string {
	at, exact := slices.BinarySearchFunc(s.files, i, func(p parquetPart, i int) int { return p.first - i })
	if !exact {
		at--
	}
	p := s.files[at]
	return fmt.Sprintf("%s, row %d, %s", p.name, i-p.first, p.column)
}

// open adds the rows of a file.
func (s *parquetSet) open(fsys fs.FS, name string) error {
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if r, ok := f.(io.ReaderAt); ok {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		return s.read(r, info.Size(), name)
	}
	b, err := readAll(fsys, name, maxEncodedAll) // a member of a zip
	if err != nil {
		return err
	}
	return s.read(bytes.NewReader(b), int64(len(b)), name)
}

// read adds the rows of a file.
func (s *parquetSet) read(r io.ReaderAt, size int64, name string) error {
	f, err := parquet.Open(r, size, name)
	if err != nil {
		return err
	}
	picture, label := -1, -1
	var column, labelColumn string
	inStruct := false // a picture goes before one in a column of its own
	columns := make([]string, len(f.Columns))
	for i, c := range f.Columns {
		columns[i] = strings.Join(c.Path, ".")
		structure := len(c.Path) == 2 && c.Path[1] == "bytes"
		bare := len(c.Path) == 1 && !c.Text && slices.Contains(pictureColumns, c.Path[0])
		if c.Kind == parquet.Bytes && (structure && !inStruct || bare && picture < 0) {
			picture, column, inStruct = i, c.Path[0], structure
		}
		// label goes before fine_label, and that before whatever else has labels.
		if rank := labelRank(c.Path[0]); len(c.Path) == 1 && c.Kind != parquet.Int96 && c.Kind != parquet.FixedBytes && i != picture && rank > labelRank(labelColumn) {
			label, labelColumn = i, c.Path[0]
		}
	}
	if picture < 0 || label < 0 {
		return &model.UnsupportedError{What: fmt.Sprintf("Parquet file %q has the columns %q", name, columns), Advice: "want image with bytes, or as bytes, and label, with one value in each row"}
	}
	if names := classNames(f, labelColumn); names != nil {
		s.names = names
	}
	if f.Rows == 0 {
		return nil
	}
	s.files = append(s.files, parquetPart{len(s.encoded), name, column})
	texts := map[string]string{}
	return f.Read([]int{picture, label}, func(values []parquet.Value) error {
		return s.row(values[0], values[1], f.Columns[label].Kind, texts)
	})
}

func parquetError(name, format string, args ...any) error {
	return &model.FormatError{Format: "Parquet", Member: name, Offset: -1, Reason: fmt.Sprintf(format, args...)}
}

// pictureColumns are the names of columns whose bytes are pictures.
var pictureColumns = []string{"image", "img", "picture", "bytes", "image_bytes", "png", "jpg", "jpeg"}

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

// maxLabelText bounds a label that is a text, in bytes.
const maxLabelText = 4096

// row adds one picture. Texts are those of the labels so far.
func (s *parquetSet) row(picture, label parquet.Value, kind parquet.Kind, texts map[string]string) error {
	name := func() string { return s.name(len(s.encoded)) }
	if len(picture.Bytes) == 0 || label.Null {
		return parquetError(name(), "there are no bytes of a picture, or no label; a data set that names files elsewhere is not read")
	}
	if s.total += int64(len(picture.Bytes)); s.total > maxEncodedAll {
		return &model.LimitError{What: "bytes of encoded pictures", Got: uint64(s.total), Limit: maxEncodedAll}
	}
	switch kind {
	case parquet.Bytes:
		if len(label.Bytes) > maxLabelText {
			return parquetError(name(), "its label is a text of %d bytes; want at most %d", len(label.Bytes), maxLabelText)
		}
		text, ok := texts[string(label.Bytes)]
		if !ok {
			text = string(label.Bytes)
			texts[text] = text
		}
		s.texts = append(s.texts, text)
	case parquet.Float, parquet.Double: // as pandas makes them of integers
		l := int(min(max(label.Float, math.MinInt32), math.MaxInt32))
		if float64(l) != label.Float {
			return parquetError(name(), "its label is %v; want an integer or a text", label.Float)
		}
		s.labels = append(s.labels, l)
	default:
		s.labels = append(s.labels, int(min(max(label.Int, math.MinInt32), math.MaxInt32)))
	}
	s.encoded = append(s.encoded, picture.Bytes)
	return nil
}

// classNames returns the names of the classes of a column that Hugging Face notes.
func classNames(f *parquet.File, column string) []string {
	text, ok := f.Metadata["huggingface"]
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
