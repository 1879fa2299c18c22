package dataset

import (
	"archive/zip"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"lethe/model"
)

// Data is labelled images for training and for testing.
type Data struct {
	Train *Set
	Test  *Set // nil if there are none
	Names []string
	Notes []string // what a report must say of the data: how it was split, what its labels are

	Preprocess Preprocess // what was done to the images
}

// Open is [Settings.Open] of images that are left as they are.
func Open(name string) (*Data, error) { return Settings{Path: name}.Open() }

// OpenFS is [Settings.OpenFS] of images that are left as they are.
func OpenFS(fsys fs.FS, name string) (*Data, error) { return Settings{}.OpenFS(fsys, name) }

// Open reads the data at s.Path: a folder or a zip archive, see [Settings.OpenFS].
func (s Settings) Open() (*Data, error) {
	name := s.Path
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no data folder or file %s: %w", name, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return s.OpenFS(os.DirFS(abs), abs)
	}
	head, err := firstBytes(abs)
	if err == nil && string(head) == "PAR1" {
		d, err := s.openParquet(os.DirFS(filepath.Dir(abs)), [3][]string{{filepath.Base(abs)}})
		if err != nil {
			return nil, fmt.Errorf("data in %s: %w", name, err)
		}
		return d, nil
	}
	z, err := zip.OpenReader(abs)
	if errors.Is(err, zip.ErrFormat) {
		switch string(head) {
		case "PK\x03\x04":
			return nil, fmt.Errorf("data in %s: %w", name, &model.FormatError{Format: "zip", Offset: info.Size(), Reason: "the file is cut short: it begins as an archive and has not its end; download or copy it again"})
		case "\x93NUM":
			return nil, fmt.Errorf("%s is one numpy array; give a .npz with samples as x and labels as y (numpy.savez)", name)
		}
		return nil, fmt.Errorf("%s is a file and not a zip archive; give the folder that holds %s or folders of images, or a .zip, .npz or .parquet file", name, trainImages)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	if isNPZ(&z.Reader) {
		defer z.Close()
		d, err := s.openNPZ(&z.Reader)
		if err != nil {
			return nil, fmt.Errorf("data in %s: %w", name, err)
		}
		return d, nil
	}
	d, err := s.OpenFS(z, abs)
	if err != nil || !d.later() {
		z.Close() // otherwise it is open as long as the data lives
	}
	return d, err
}

// firstBytes returns the first four bytes of a file.
func firstBytes(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, 4)
	_, err = io.ReadFull(f, b)
	return b, err
}

// later reports whether images are still in the files.
func (d *Data) later() bool {
	return d.Train.later != nil || d.Test != nil && d.Test.later != nil
}

const (
	trainImages = "train-images-idx3-ubyte"
	trainLabels = "train-labels-idx1-ubyte"
	testImages  = "t10k-images-idx3-ubyte"
	testLabels  = "t10k-labels-idx1-ubyte"
	labelsFile  = "labels.txt"
)

// OpenFS reads IDX files or, where there are none, the batches of CIFAR-10 or
// CIFAR-100, Parquet files or pictures, the first of these that fsys has. What breaks a
// format is a [model.FormatError], too much of it a [model.LimitError].
//
// Pictures are PNG, JPEG, WebP or BMP files of one size in folders that name their
// class: train/CLASS/FILE, and test/CLASS/FILE or val or valid beside it. Without
// these, or as CLASS/FILE, a sixth of the images of each class, drawn with a fixed
// seed, is for testing. The classes are in the order of labels.txt, or else of the
// names. The images have one channel if all are grey, and three otherwise.
//
// The IDX files are train-images-idx3-ubyte, train-labels-idx1-ubyte
// and, if they are there, the t10k- pair, each plain or with .gz at the end.
// They lie in the root of fsys (as Debian's packages put them), in raw/ or in
// a folder's raw/ (as torchvision does).
//
// The labels' names are the lines of labels.txt beside the files. Without it
// they are Fashion-MNIST's if the path in name says "fashion", in any case,
// and there are no more than ten classes, and "class 0", "class 1", ...
// otherwise. Name also stands for fsys in errors.
func (s Settings) OpenFS(fsys fs.FS, name string) (*Data, error) {
	dir, err := findFolder(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		switch d, failed := s.openOther(fsys); {
		case failed != nil:
			return nil, fmt.Errorf("data in %s: %w", name, failed)
		case d != nil:
			return d, nil
		}
	}
	if err != nil {
		return nil, err
	}
	names, err := readNames(fsys, path.Join(dir, labelsFile))
	if err != nil {
		return nil, err
	}
	var (
		test    *Set
		testErr error
		done    = make(chan struct{})
		d       = &Data{Names: names, Preprocess: s.Preprocess}
		limits  = Limits{Classes: len(names)}
	)
	go func() {
		defer close(done)
		test, testErr = openPair(fsys, dir, testImages, testLabels, limits)
	}()
	d.Train, err = openPair(fsys, dir, trainImages, trainLabels, limits)
	<-done
	if err != nil {
		return nil, fmt.Errorf("data in %s: %w", name, err)
	}
	if testErr != nil {
		return nil, fmt.Errorf("data in %s: %w", name, testErr)
	}
	d.Test = test
	classes := d.Train.Classes
	if d.Test != nil {
		if !slices.Equal(d.Test.Shape, d.Train.Shape) {
			return nil, fmt.Errorf("data in %s: %w", name, &model.FormatError{Format: "idx", Member: path.Join(dir, testImages), Offset: 8,
				Reason: fmt.Sprintf("test images of %d x %d pixels, training images of %d x %d", d.Test.Shape[1], d.Test.Shape[2], d.Train.Shape[1], d.Train.Shape[2])})
		}
		classes = max(classes, d.Test.Classes)
	}
	if d.Names == nil {
		where := strings.ToLower(path.Join(filepath.ToSlash(name), dir))
		if classes <= len(fashionNames) && strings.Contains(where, "fashion") {
			d.Names = slices.Clone(fashionNames)
		} else {
			d.Names = numberedNames(classes)
		}
	}
	d.Train.Classes = len(d.Names)
	if d.Test != nil {
		d.Test.Classes = len(d.Names)
	}
	return d, s.again(d, dir)
}

// openOther reads what is not IDX: batches of CIFAR, Parquet files or pictures, nil if
// there are none.
func (s Settings) openOther(fsys fs.FS) (*Data, error) {
	if c, dir := findCIFAR(fsys); c != nil {
		return s.openCIFAR(fsys, c, dir)
	}
	if by, err := findParquet(fsys); err == nil && (by[0] != nil || by[1] != nil || by[2] != nil) {
		return s.openParquet(fsys, by)
	}
	files, note, err := pictures(fsys)
	switch {
	case err != nil:
		return nil, err
	case len(files) == 0 && note != "":
		return nil, errors.New(note)
	case len(files) == 0:
		return nil, nil
	}
	d, err := s.openPictures(fsys, files)
	if err == nil && note != "" {
		d.Notes = append(d.Notes, note)
	}
	return d, err
}

// again makes sets anew of images that are in memory, as pre wants them.
func (pre Preprocess) again(d *Data, name string) (err error) {
	if pre == (Preprocess{}) {
		return nil
	}
	d.Train, d.Test, err = pre.load(d.Train.album(name), d.Test.album(name), len(d.Names))
	return err
}

// album returns the images of a set, or nothing for nil.
func (s *Set) album(name string) *album {
	if s == nil {
		return &album{}
	}
	return &album{
		labels:  s.Labels,
		name:    func(i int) string { return fmt.Sprintf("image %d of %s", i, name) },
		header:  func(int) (channels, rows, cols int, err error) { return s.Shape[0], s.Shape[1], s.Shape[2], nil },
		picture: func(i int) (picture, error) { return picture{s.Shape[0], s.Shape[1], s.Shape[2], s.Image(i)}, nil },
	}
}

// findFolder returns the one folder of fsys that holds training images.
func findFolder(fsys fs.FS, name string) (string, error) {
	if has(fsys, trainImages) {
		return ".", nil
	}
	found := []string{}
	nested, err := fs.Glob(fsys, "*/raw")
	if err != nil {
		return "", err
	}
	for _, dir := range append([]string{"raw"}, nested...) {
		if has(fsys, path.Join(dir, trainImages)) {
			found = append(found, dir)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no data in %s: looked for %s and %s.gz there, in raw and in */raw, and for images in folders of their class: %w", name, trainImages, trainImages, fs.ErrNotExist)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%s holds several data sets: %s; give the folder of one", name, strings.Join(found, ", "))
}

func has(fsys fs.FS, file string) bool {
	f, _, err := openEither(fsys, file)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// openEither opens a file, or else its compressed form, and returns its name.
func openEither(fsys fs.FS, file string) (fs.File, string, error) {
	f, err := fsys.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		if z, zerr := fsys.Open(file + ".gz"); !errors.Is(zerr, fs.ErrNotExist) {
			return z, file + ".gz", zerr
		}
	}
	return f, file, err
}

// openPair reads a pair of files. Neither of the test pair is no error but
// nil; a half of a pair always is one.
func openPair(fsys fs.FS, dir, imagesFile, labelsFile string, limits Limits) (*Set, error) {
	images, imagesName, err := openEither(fsys, path.Join(dir, imagesFile))
	none := errors.Is(err, fs.ErrNotExist)
	if err != nil && !none {
		return nil, err
	}
	if !none {
		defer images.Close()
	}
	labels, labelsName, err := openEither(fsys, path.Join(dir, labelsFile))
	switch {
	case err == nil:
		defer labels.Close()
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case none && imagesFile == testImages:
		return nil, nil
	default:
		return nil, fmt.Errorf("no %s or %s.gz for the images: %w", labelsName, labelsName, err)
	}
	if none {
		return nil, fmt.Errorf("no %s or %s.gz for the labels: %w", imagesName, imagesName, fs.ErrNotExist)
	}
	return readPair(images, labels, imagesName, labelsName, limits)
}

// readNames returns the lines of a file of label names, or nil without it.
func readNames(fsys fs.FS, file string) ([]string, error) {
	f, err := fsys.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// names of a generous length
	const most = 1 << 22
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", file, err)
	}
	if len(text) > most {
		return nil, &model.LimitError{What: "size of " + file + " in bytes", Got: uint64(len(text)), Limit: most}
	}
	var names []string
	lines := map[string]int{}
	scanner := bufio.NewScanner(bytes.NewReader(bytes.TrimSpace(text)))
	for scanner.Scan() {
		name := strings.TrimSpace(scanner.Text())
		broken := func(reason string) error {
			return &model.FormatError{Format: "label names", Member: file, Offset: -1,
				Reason: fmt.Sprintf("line %d %s; want one name a line, in the order of the classes", len(names)+1, reason)}
		}
		if name == "" {
			return nil, broken("is empty")
		}
		if c, known := lines[strings.ToLower(name)]; known {
			return nil, broken(fmt.Sprintf("repeats %q of line %d", names[c], c+1))
		}
		lines[strings.ToLower(name)] = len(names)
		if len(names) == math.MaxUint16 {
			return nil, broken(fmt.Sprintf("is one more than the %d classes that there may be", math.MaxUint16))
		}
		names = append(names, name)
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", file, err)
	}
	if len(names) == 0 {
		return nil, &model.FormatError{Format: "label names", Member: file, Offset: -1, Reason: "the file is empty; want one name a line"}
	}
	return names, nil
}
