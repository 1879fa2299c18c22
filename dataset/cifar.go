package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"

	"lethe/model"
)

// cifarSide is the height and the width of an image of CIFAR; it has three channels.
const (
	cifarSide  = 32
	cifarBytes = 3 * cifarSide * cifarSide
)

// maxRaw bounds the bytes of arrays of images, which are in memory as they are.
const maxRaw = 4 << 30

// cifar is a layout of the files of CIFAR-10 or CIFAR-100, as their author's page
// has them: https://www.cs.toronto.edu/~kriz/cifar.html.
type cifar struct {
	train  []string
	test   string
	names  string // file with the names of the classes
	binary bool
	labels int // bytes before the pixels of an image in a binary file; the last is the label
}

var cifars = []cifar{
	{[]string{"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"}, "test_batch", "batches.meta", false, 0},
	{[]string{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"}, "test_batch.bin", "batches.meta.txt", true, 1},
	{[]string{"train"}, "test", "meta", false, 0},
	{[]string{"train.bin"}, "test.bin", "fine_label_names.txt", true, 2},
}

// findCIFAR returns the layout of the files in fsys or in a folder there, and that
// folder; nil if there is none.
func findCIFAR(fsys fs.FS) (*cifar, string) {
	folders := []string{"."}
	entries, _ := fs.ReadDir(fsys, ".")
	for _, e := range entries {
		if e.IsDir() {
			folders = append(folders, e.Name())
		}
	}
	for _, dir := range folders {
		for i := range cifars {
			c := &cifars[i]
			found := regular(fsys, path.Join(dir, c.train[0])) || regular(fsys, path.Join(dir, c.test))
			if found && (c.binary || len(c.train) > 1 || regular(fsys, path.Join(dir, c.names))) {
				return c, dir
			}
		}
	}
	return nil, ""
}

func regular(fsys fs.FS, name string) bool {
	info, err := fs.Stat(fsys, name)
	return err == nil && !info.IsDir()
}

// openCIFAR reads the files of a layout. Training batches may be missing, as long as
// there is one.
func (s Settings) openCIFAR(fsys fs.FS, c *cifar, dir string) (*Data, error) {
	names, err := s.cifarNames(fsys, c, path.Join(dir, c.names))
	if err != nil {
		return nil, err
	}
	var train, test images
	for _, file := range append(slices.Clone(c.train), c.test) {
		to := &train
		if file == c.test {
			to = &test
		}
		full := path.Join(dir, file)
		b, err := readAll(fsys, full, maxRaw)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && c.binary {
			err = to.cifarRecords(full, b, c.labels)
		} else if err == nil {
			err = s.cifarBatch(to, full, b)
		}
		if err != nil {
			return nil, err
		}
	}
	d := &Data{Names: names, Preprocess: s.Preprocess}
	return d, d.fill(s.Preprocess, &train, &test)
}

// images are labelled images in one array.
type images struct {
	name                 string
	labels               []int
	pixels               []uint8
	channels, rows, cols int
	last                 bool // the channels of a pixel follow one another
}

// album returns the images one by one.
func (a *images) album(labels []int) *album {
	size := a.channels * a.rows * a.cols
	return &album{
		labels: labels,
		name:   func(i int) string { return fmt.Sprintf("image %d of %s", i, a.name) },
		header: func(int) (channels, rows, cols int, err error) { return a.channels, a.rows, a.cols, nil },
		picture: func(i int) (picture, error) {
			pix := a.pixels[i*size : (i+1)*size]
			if a.last && a.channels > 1 {
				p := newPicture(a.channels, a.rows, a.cols)
				plane := a.rows * a.cols
				for j, v := range pix {
					p.pix[j%a.channels*plane+j/a.channels] = v
				}
				return p, nil
			}
			return picture{a.channels, a.rows, a.cols, pix}, nil
		},
	}
}

// cifarRecords takes the images of a binary file: labels and pixels of each in turn.
func (a *images) cifarRecords(name string, b []byte, labels int) error {
	record := labels + cifarBytes
	if len(b) == 0 || len(b)%record != 0 {
		return &model.FormatError{Format: "CIFAR", Member: name, Offset: -1, Reason: fmt.Sprintf("it has %d bytes; want a multiple of %d, the bytes of an image and its label", len(b), record)}
	}
	a.name, a.channels, a.rows, a.cols = name, 3, cifarSide, cifarSide
	for ; len(b) > 0; b = b[record:] {
		a.labels = append(a.labels, int(b[labels-1]))
		a.pixels = append(a.pixels, b[labels:record]...)
	}
	return nil
}

// cifarBatch takes the images of a batch that Python pickled.
func (s Settings) cifarBatch(a *images, name string, b []byte) error {
	bad := func(format string, args ...any) error {
		return &model.FormatError{Format: "CIFAR", Member: name, Offset: -1, Reason: fmt.Sprintf(format, args...)}
	}
	object, err := s.unpickle(name, b)
	if err != nil {
		return err
	}
	batch, _ := object.(map[string]any)
	array, _ := batch["data"].(*model.Tensor)
	if array == nil || array.DType() != model.Uint8 || len(array.Shape()) != 2 || array.Shape()[1] != cifarBytes {
		return bad("it is not a dictionary with an array of bytes, n x %d, as data", cifarBytes)
	}
	pixels, err := array.Bytes()
	if err != nil {
		return err
	}
	list, ok := batch["fine_labels"].([]any)
	if !ok {
		list, _ = batch["labels"].([]any)
	}
	if len(list) != array.Shape()[0] || len(list) == 0 {
		return bad("%d labels (labels or fine_labels), %d images", len(list), array.Shape()[0])
	}
	for i, v := range list {
		label, ok := v.(int)
		if !ok || label < 0 || label > math.MaxUint16 {
			return bad("label %d is %.40v", i, v)
		}
		a.labels = append(a.labels, label)
	}
	a.name, a.channels, a.rows, a.cols = name, 3, cifarSide, cifarSide
	a.pixels = append(a.pixels, pixels...)
	return nil
}

func (s Settings) unpickle(name string, b []byte) (any, error) {
	if s.Unpickle == nil {
		return nil, &model.UnsupportedError{What: name + " is a pickle, which is not read here"}
	}
	object, err := s.Unpickle(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return object, nil
}

// cifarNames reads the names of the classes, or returns nil without a file of them.
func (s Settings) cifarNames(fsys fs.FS, c *cifar, file string) ([]string, error) {
	if c.binary {
		names, err := readNames(fsys, file)
		return names, err
	}
	b, err := readAll(fsys, file, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	object, err := s.unpickle(file, b)
	if err != nil {
		return nil, err
	}
	meta, _ := object.(map[string]any)
	list, ok := meta["fine_label_names"].([]any)
	if !ok {
		list, _ = meta["label_names"].([]any)
	}
	var names []string
	for _, v := range list {
		name, _ := v.(string)
		names = append(names, strings.TrimSpace(name))
	}
	if len(names) == 0 || slices.Contains(names, "") {
		return nil, &model.FormatError{Format: "CIFAR", Member: file, Offset: -1, Reason: "it has no list of names as label_names or fine_label_names"}
	}
	return names, nil
}
