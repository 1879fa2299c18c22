package dataset

import (
	"bytes"
	"io"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"lethe/model"
)

// record makes an image of CIFAR's binary files whose pixels count up from first.
func record(first int, labels ...byte) []byte {
	for i := range cifarBytes {
		labels = append(labels, byte(first+i))
	}
	return labels
}

func TestCIFARBinary(t *testing.T) {
	ten := fstest.MapFS{
		"c/data_batch_1.bin": {Data: slices.Concat(record(0, 1), record(7, 0))},
		"c/data_batch_3.bin": {Data: record(9, 2)},
		"c/test_batch.bin":   {Data: record(5, 2)},
		"c/batches.meta.txt": {Data: []byte("airplane\nbird\ncat\n\n")},
	}
	d, err := OpenFS(ten, "/data")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(d.Train.Labels, []int{1, 0, 2}) || !slices.Equal(d.Test.Labels, []int{2}) || !slices.Equal(d.Names, []string{"airplane", "bird", "cat"}) || d.Notes != nil {
		t.Errorf("got labels %v and %v, names %q, notes %q", d.Train.Labels, d.Test.Labels, d.Names, d.Notes)
	}
	if !slices.Equal(d.Train.Shape, []int{3, 32, 32}) || !bytes.Equal(d.Train.Image(1), record(7)) {
		t.Errorf("got shape %v, %v", d.Train.Shape, d.Train.Image(1)[:5])
	}
	hundred := fstest.MapFS{
		"train.bin": {Data: slices.Concat(record(0, 3, 99), record(7, 3, 0), record(7, 3, 0), record(7, 3, 0), record(7, 3, 0), record(7, 3, 0), record(7, 3, 0))},
	}
	if d, err = OpenFS(hundred, "/data"); err != nil {
		t.Fatal(err)
	}
	if d.Train.Len() != 6 || d.Test.Len() != 1 || d.Train.Labels[0] != 99 || len(d.Names) != 100 || len(d.Notes) != 1 {
		t.Errorf("got labels %v and %v, %d names, notes %q", d.Train.Labels, d.Test.Labels, len(d.Names), d.Notes)
	}
	hundred["train.bin"].Data = append(hundred["train.bin"].Data, 0)
	if _, err = OpenFS(hundred, "/data"); err == nil || !strings.Contains(err.Error(), `member "train.bin": it has 21519 bytes; want a multiple of 3074`) {
		t.Errorf("a byte too many: got %v", err)
	}
}

// Python gives a dictionary of a list and an array.
func TestCIFARPython(t *testing.T) {
	batch := func(labels ...any) map[string]any {
		var pixels []byte
		for i := range labels {
			pixels = append(pixels, record(i)...)
		}
		array, err := model.NewTensor(model.Uint8, []int{len(labels), cifarBytes}, nil, 0, model.BytesStorage(pixels))
		if err != nil {
			t.Fatal(err)
		}
		return map[string]any{"labels": labels, "data": array}
	}
	pickles := map[string]any{
		"1": batch(1, 0), "t": batch(1), "m": map[string]any{"label_names": []any{"a", "b"}},
		"fine": map[string]any{"fine_labels": []any{1, 0}, "coarse_labels": []any{5, 5}, "data": batch(0, 0)["data"]}, "n": map[string]any{"fine_label_names": []any{"a", "b"}},
		"short": map[string]any{"labels": []any{1}, "data": batch(0, 0)["data"]}, "wrong": batch("x"), "empty": map[string]any{}, "list": []any{},
	}
	open := func(files map[string]string) (*Data, error) {
		m := fstest.MapFS{}
		for name, content := range files {
			m[name] = &fstest.MapFile{Data: []byte(content)}
		}
		s := Settings{Unpickle: func(r io.ReaderAt, size int64) (any, error) {
			b := make([]byte, size)
			_, err := r.ReadAt(b, 0)
			return pickles[string(b)], err
		}}
		return s.OpenFS(m, "/data")
	}
	for _, files := range []map[string]string{
		{"data_batch_1": "1", "test_batch": "t", "batches.meta": "m"},
		{"cifar-100-python/train": "fine", "cifar-100-python/test": "t", "cifar-100-python/meta": "n"},
	} {
		d, err := open(files)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(d.Train.Labels, []int{1, 0}) || !slices.Equal(d.Test.Labels, []int{1}) || !reflect.DeepEqual(d.Names, []string{"a", "b"}) {
			t.Errorf("got labels %v and %v, names %q", d.Train.Labels, d.Test.Labels, d.Names)
		}
	}
	for says, files := range map[string]map[string]string{
		"1 labels (labels or fine_labels), 2 images": {"data_batch_1": "short"},
		"label 0 is x": {"data_batch_1": "wrong"},
		`member "data_batch_2": it is not a dictionary`:  {"data_batch_1": "1", "data_batch_2": "empty"},
		`member "batches.meta": it has no list of names`: {"data_batch_1": "1", "batches.meta": "list"},
		"no training images":                             {"test_batch": "t"},
	} {
		if _, err := open(files); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q in it", err, says)
		}
	}
	if _, err := OpenFS(fstest.MapFS{"data_batch_1": {Data: []byte("1")}}, "/data"); err == nil || !strings.Contains(err.Error(), "is a pickle, which is not read here") {
		t.Errorf("without a reader of pickles: got %v", err)
	}
}

func TestIndex(t *testing.T) {
	for _, c := range []struct {
		labels, want []int
		names        []string
		note         string
	}{
		{[]int{0, 2}, []int{0, 2}, numberedNames(3), ""},
		{[]int{3, 3}, []int{3, 3}, numberedNames(4), ""},
		{[]int{10, -5, 10}, []int{1, 0, 1}, []string{"-5", "10"}, "the labels -5, 10 are the classes 0 to 1, in this order"},
		{[]int{1, 2}, []int{0, 1}, []string{"1", "2"}, "the labels 1, 2 are the classes 0 to 1, in this order"},
	} {
		labels := slices.Clone(c.labels)
		names, note, err := index(nil, labels)
		if err != nil || !slices.Equal(labels, c.want) || !slices.Equal(names, c.names) || note != c.note {
			t.Errorf("%v: got %v, %q, %q, %v", c.labels, labels, names, note, err)
		}
	}
	if _, _, err := index([]string{"a"}, []int{1}); err == nil {
		t.Error("a label without a name is taken")
	}
}

func FuzzCIFAR(f *testing.F) {
	f.Add(slices.Concat(record(0, 1), record(7, 0)), []byte("a\nb"))
	f.Add([]byte{1}, []byte("a"))
	f.Fuzz(func(t *testing.T, batch, names []byte) {
		files := fstest.MapFS{"data_batch_1.bin": {Data: batch}, "batches.meta.txt": {Data: names}}
		d, err := OpenFS(fs.FS(files), "/data")
		if err != nil {
			return
		}
		d.Train.ByClass() // panics if a label is out of range
		if d.Train.Len()*cifarBytes > len(batch) {
			t.Fatalf("%d images of %d bytes", d.Train.Len(), len(batch))
		}
	})
}
