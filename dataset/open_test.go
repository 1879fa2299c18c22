package dataset

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"lethe/fixtures"
	"lethe/internal/oracle"
	"lethe/model"
)

// folder makes a file system of the named files; ".gz" ones are compressed.
func folder(files map[string][]byte) fstest.MapFS {
	m := fstest.MapFS{}
	for name, b := range files {
		if strings.HasSuffix(name, ".gz") {
			b = gz(b)
		}
		m[name] = &fstest.MapFile{Data: b}
	}
	return m
}

// pairs returns good training and test files below dir.
func pairs(dir, suffix string) map[string][]byte {
	return map[string][]byte{
		dir + trainImages + suffix: goodImages,
		dir + trainLabels + suffix: goodLabels,
		dir + testImages + suffix:  idx([]byte{1, 2, 3, 4}, 1, 2, 2),
		dir + testLabels + suffix:  idx([]byte{1}, 1),
	}
}

// with returns files with one more, or without it if b is nil.
func with(files map[string][]byte, name string, b []byte) map[string][]byte {
	if files[name] = b; b == nil {
		delete(files, name)
	}
	return files
}

func TestOpenFS(t *testing.T) {
	three := []string{"class 0", "class 1", "class 2"}
	noTest := with(with(pairs("", ""), testImages, nil), testLabels, nil)
	for _, c := range []struct {
		name, path string
		files      map[string][]byte
		names      []string
		tests      int
	}{
		{"debian", "/usr/share/datasets/fashion-mnist", pairs("", ".gz"), fashionNames, 1},
		{"debian mnist", "/usr/share/datasets/mnist", pairs("", ".gz"), three, 1},
		{"torchvision root", "/data", pairs("FashionMNIST/raw/", ""), fashionNames, 1},
		{"torchvision mnist", "/data", pairs("MNIST/raw/", ""), three, 1},
		{"torchvision set", "/data/FashionMNIST", pairs("raw/", ""), fashionNames, 1},
		{"torchvision raw", "/data/FashionMNIST/raw", pairs("", ""), fashionNames, 1},
		{"no test", "/data", noTest, three, 0},
		{"labels.txt", "/fashion", with(pairs("", ""), labelsFile, []byte("a\r\n b \nc\nd\n\n")), []string{"a", "b", "c", "d"}, 1},
		{"plain before gz", "/data", with(pairs("", ""), trainImages+".gz", []byte("broken")), three, 1},
		{"root before raw", "/data", with(pairs("", ""), "raw/"+trainImages, []byte("broken")), three, 1},
		{"fashion with other classes", "/fashion", with(pairs("", ""), testLabels, idx([]byte{10}, 1)), numberedNames(11), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := OpenFS(folder(c.files), c.path)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(d.Names, c.names) || d.Train.Len() != 3 || d.Train.Classes != len(c.names) {
				t.Errorf("got names %q, %d images, %d classes; want %q, 3 images", d.Names, d.Train.Len(), d.Train.Classes, c.names)
			}
			if c.tests == 0 && d.Test != nil || c.tests > 0 && (d.Test.Len() != c.tests || d.Test.Classes != len(c.names)) {
				t.Errorf("got test %+v, want %d images", d.Test, c.tests)
			}
		})
	}
}

func TestOpenFSErrors(t *testing.T) {
	both := pairs("FashionMNIST/raw/", "")
	for name, b := range pairs("MNIST/raw/", "") {
		both[name] = b
	}
	for _, c := range []struct {
		name   string
		files  map[string][]byte
		expect string // missing, malformed or other
		says   string
	}{
		{"empty folder", nil, "missing", "no data in /data: looked for train-images-idx3-ubyte and train-images-idx3-ubyte.gz there, in raw and in */raw"},
		{"two sets", both, "other", "/data holds several data sets: FashionMNIST/raw, MNIST/raw"},
		{"no training labels", with(pairs("", ""), trainLabels, nil), "missing", "no train-labels-idx1-ubyte or train-labels-idx1-ubyte.gz for the images"},
		{"no test labels", with(pairs("", ""), testLabels, nil), "missing", "no t10k-labels-idx1-ubyte"},
		{"no test images", with(pairs("", ""), testImages, nil), "missing", "no t10k-images-idx3-ubyte"},
		{"broken training images", with(pairs("raw/", ""), "raw/"+trainImages, []byte("text")), "malformed", `data in /data: broken idx, member "raw/train-images-idx3-ubyte", byte 0`},
		{"broken test labels", with(pairs("", ".gz"), testLabels+".gz", goodImages), "malformed", `member "t10k-labels-idx1-ubyte.gz"`},
		{"other test size", with(pairs("", ""), testImages, idx([]byte{1, 2}, 1, 1, 2)), "malformed", "test images of 1 x 2 pixels, training images of 2 x 2"},
		{"too few names", with(pairs("", ""), labelsFile, []byte("a\nb\n")), "malformed", "label 2, but there are 2 classes"},
		{"empty names", with(pairs("", ""), labelsFile, []byte("\n")), "malformed", "the file is empty"},
		{"gap in names", with(pairs("", ""), labelsFile, []byte("a\n\nb")), "malformed", "line 2 is empty"},
		{"name twice", with(pairs("", ""), labelsFile, []byte("bag\nshoe\nBag")), "malformed", `line 3 repeats "bag" of line 1`},
		{"too many names", with(pairs("", ""), labelsFile, []byte(strings.Join(numberedNames(65536), "\n"))), "malformed", "line 65536 is one more than the 65535"},
		{"names too long", with(pairs("", ""), labelsFile, make([]byte, 1<<23)), "other", "more than the limit of 4194304"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := OpenFS(folder(c.files), "/data")
			var format *model.FormatError
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want %q in it", err, c.says)
			}
			if (c.expect == "malformed") != errors.As(err, &format) || (c.expect == "missing") != errors.Is(err, fs.ErrNotExist) {
				t.Errorf("got %T, want %s", err, c.expect)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "no data folder") {
		t.Errorf("missing folder: got %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); err == nil || !strings.Contains(err.Error(), "is a file and not a zip archive; give the folder") {
		t.Errorf("file: got %v", err)
	}
	for head, says := range map[string]string{"PK\x03\x04": "byte 4: the file is cut short", "\x93NUMPY": "is one numpy array; give a .npz"} {
		if err := os.WriteFile(file, []byte(head), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(file); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want %q in it", head, err, says)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), dir) {
		t.Errorf("empty folder: got %v", err)
	}
	d, err := Open("../fixtures/fashion-mnist")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(d.Names, fashionNames) {
		t.Errorf("got names %q, want %q", d.Names, fashionNames)
	}
}

// The sample that the binaries carry.
func TestSample(t *testing.T) {
	d, err := OpenFS(fixtures.FashionMNIST(), "built-in sample")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct {
		*Set
		each int
	}{{d.Train, 600}, {d.Test, 100}} {
		if !slices.Equal(s.Shape, []int{1, 28, 28}) || s.Classes != 10 {
			t.Errorf("got shape %v, %d classes, want [1 28 28], 10", s.Shape, s.Classes)
		}
		for c, idx := range s.ByClass() {
			if len(idx) != s.each {
				t.Errorf("class %d has %d images, want %d", c, len(idx), s.each)
			}
		}
	}
	if !reflect.DeepEqual(d.Names, fashionNames) {
		t.Errorf("got names %q, want %q", d.Names, fashionNames)
	}
}

// The sample must be the stratified beginning of the full data set.
func TestFullDataSet(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the full data set")
	}
	const dir = "/usr/share/datasets/fashion-mnist"
	if _, err := os.Stat(dir); err != nil {
		oracle.Missing(t, "the full data set is not there: Debian's package dataset-fashion-mnist has it")
	}
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if d.Train.Len() != 60000 || d.Test.Len() != 10000 || !reflect.DeepEqual(d.Names, fashionNames) {
		t.Errorf("got %d and %d images, names %q", d.Train.Len(), d.Test.Len(), d.Names)
	}
	sample, err := OpenFS(fixtures.FashionMNIST(), "built-in sample")
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Train.Stratified(600, 0); !reflect.DeepEqual(got, sample.Train) {
		t.Error("the training sample is not the first 600 of each class")
	}
	if got := d.Test.Stratified(100, 0); !reflect.DeepEqual(got, sample.Test) {
		t.Error("the test sample is not the first 100 of each class")
	}
}

func BenchmarkOpenSample(b *testing.B) {
	for b.Loop() {
		if _, err := OpenFS(fixtures.FashionMNIST(), "built-in sample"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReader(b *testing.B) {
	d, err := OpenFS(fixtures.FashionMNIST(), "built-in sample")
	if err != nil {
		b.Fatal(err)
	}
	read, dst := d.Train.Reader(FashionNorm), make([]float32, 28*28)
	b.SetBytes(28 * 28)
	for b.Loop() {
		read(0, dst)
	}
}
