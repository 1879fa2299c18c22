package dataset

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"lethe/model"
)

// The file is pyarrow's: testdata/parquet.py.
func TestParquet(t *testing.T) {
	const file = "testdata/train-00000-of-00001.parquet"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := Settings{Path: file, Preprocess: Preprocess{Resize: Size{4, 4}}}
	alone, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	folder, err := s.OpenFS(fstest.MapFS{"data/train-00000-of-00002.parquet": {Data: b}, "data/train-00001-of-00002.parquet": {Data: b}, "data/test-00000-of-00001.parquet": {Data: b}}, "/data")
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{1, 0, 2, 1}; !slices.Equal(alone.Train.Labels, want) || !slices.Equal(folder.Test.Labels, want) || !slices.Equal(folder.Train.Labels, slices.Concat(want, want)) || folder.Notes != nil {
		t.Errorf("got labels %v, %v and %v, notes %q", alone.Train.Labels, folder.Train.Labels, folder.Test.Labels, folder.Notes)
	}
	if !slices.Equal(alone.Names, []string{"ant", "bee", "cat"}) || !slices.Equal(alone.Train.Shape, []int{3, 4, 4}) {
		t.Errorf("got names %q, shape %v", alone.Names, alone.Train.Shape)
	}
	if p := alone.Train.Image(1); p[0] != p[16] || p[5] != p[37] {
		t.Errorf("a grey picture among others is not grey: %v", p)
	}
	for at := range b {
		changed := slices.Clone(b)
		changed[at] ^= 0x55
		if d, err := (Settings{}).OpenFS(fstest.MapFS{"a.parquet": {Data: changed}}, "/data"); err == nil {
			d.Train.ByClass() // panics if a label is out of range
		}
	}
	if _, err := (Settings{}).OpenFS(fstest.MapFS{"a.parquet": {Data: b[:len(b)-9]}}, "/data"); err == nil || !strings.Contains(err.Error(), `broken Parquet, member "a.parquet"`) {
		t.Errorf("a file that is cut: got %v", err)
	}
}

// What pandas and others write: pictures in a column of bytes, labels that are floats or texts.
func TestParquetLabels(t *testing.T) {
	files := map[string][]byte{}
	for _, name := range []string{"bare", "texts"} {
		b, err := os.ReadFile("testdata/" + name + ".parquet")
		if err != nil {
			t.Fatal(err)
		}
		files[name] = b
	}
	four := Settings{Preprocess: Preprocess{Resize: Size{4, 4}}}
	for name, names := range map[string][]string{"bare": {"3", "7"}, "texts": {"ant", "bee"}} {
		d, err := four.OpenFS(fstest.MapFS{"train.parquet": {Data: files[name]}, "test.parquet": {Data: files[name]}}, "/data")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want := []int{1, 0, 1, 1}; !slices.Equal(d.Train.Labels, want) || !slices.Equal(d.Test.Labels, want) || !slices.Equal(d.Names, names) {
			t.Errorf("%s: got labels %v and %v, names %q", name, d.Train.Labels, d.Test.Labels, d.Names)
		}
	}
	other, err := os.ReadFile("../internal/parquet/testdata/duckdb-V1.parquet")
	if err != nil {
		t.Fatal(err)
	}
	var unsupported *model.UnsupportedError
	if _, err := four.OpenFS(fstest.MapFS{"train.parquet": {Data: other}}, "/data"); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), `has the columns ["id"`) {
		t.Errorf("no label: got %v", err)
	}
	if _, err := four.OpenFS(fstest.MapFS{"train.parquet": {Data: files["bare"]}, "test.parquet": {Data: files["texts"]}}, "/data"); err == nil || !strings.Contains(err.Error(), "the labels of some files are texts") {
		t.Errorf("texts and numbers: got %v", err)
	}
}
