package dataset

import (
	"fmt"
	"image"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"lethe/model"
)

const (
	maxFiles   = 1 << 22   // of a folder
	maxEncoded = 256 << 20 // bytes of one picture
)

// file is a picture of a folder.
type file struct {
	path  string
	class string
	tests int // 0: of the training images; otherwise how much the folder is one of tests
}

// sides are the folders beside which classes lie, the best for testing last.
var sides = map[string]int{"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "test": 2, "testing": 2}

// pictures lists the pictures of a file system: class/.../file, or
// train/class/.../file with test, val or valid beside it, all perhaps in one more
// folder. The list is sorted. note names the pictures of other formats, which are left
// out; it is "" if there are none.
func pictures(fsys fs.FS) (files []file, note string, err error) {
	var paths [][]string
	others := map[string]bool{}
	count := 0
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		base, ending := path.Base(name), strings.ToLower(path.Ext(name))
		switch {
		case err != nil:
			return err
		case name != "." && (strings.HasPrefix(base, ".") || base == "__MACOSX"):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return nil
		case slices.Contains([]string{".gif", ".tif", ".tiff", ".avif", ".heic", ".jp2", ".jxl", ".ppm", ".pgm"}, ending):
			others[ending] = true
			count++
			return nil
		case !slices.Contains([]string{".png", ".jpg", ".jpeg", ".webp", ".bmp"}, ending):
			return nil
		}
		if paths = append(paths, strings.Split(name, "/")); len(paths) > maxFiles {
			return &model.LimitError{What: "number of images", Got: uint64(len(paths)), Limit: maxFiles}
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	if count > 0 {
		note = fmt.Sprintf("%d pictures are left out, because they are %s; PNG, JPEG, WebP and BMP are read: convert the others", count, strings.Join(slices.Sorted(maps.Keys(others)), ", "))
	}
	slices.SortFunc(paths, slices.Compare)
	deep := 0 // folders that hold everything
	for len(paths) > 0 && len(paths[0]) > deep+1 {
		if _, side := sides[strings.ToLower(paths[0][deep])]; side || paths[0][deep] != paths[len(paths)-1][deep] || len(paths[0]) == deep+2 {
			break
		}
		deep++
	}
	for _, p := range paths {
		full, f := strings.Join(p, "/"), file{}
		f.path = full
		p = p[min(deep, len(p)-1):]
		if tests, side := sides[strings.ToLower(p[0])]; side && len(p) > 1 {
			f.tests, p = tests, p[1:]
		}
		if len(p) < 2 {
			return nil, "", &model.FormatError{Format: "folder of images", Member: full, Offset: -1,
				Reason: "it lies in no folder of a class; want train/CLASS/FILE and test/CLASS/FILE, or CLASS/FILE"}
		}
		f.class = p[0]
		files = append(files, f)
	}
	return files, note, nil
}

// openPictures reads a folder of pictures; see [Settings.OpenFS].
func (s Settings) openPictures(fsys fs.FS, files []file) (*Data, error) {
	names, err := readNames(fsys, labelsFile)
	if err != nil {
		return nil, err
	}
	classes := map[string]int{}
	for _, f := range files {
		classes[f.class] = 0
	}
	d := &Data{Names: names, Preprocess: s.Preprocess}
	switch {
	case names != nil:
		for i, class := range names {
			classes[class] = i
		}
	case !numbered(classes): // otherwise Data.complete indexes them
		d.Names = slices.Sorted(maps.Keys(classes))
		for i, class := range d.Names {
			classes[class] = i
		}
	}
	var by [3][]file
	for _, f := range files {
		if d.Names != nil && !slices.Contains(d.Names, f.class) {
			return nil, &model.FormatError{Format: "label names", Member: labelsFile, Offset: -1, Reason: fmt.Sprintf("it does not name the folder %q", f.class)}
		}
		by[f.tests] = append(by[f.tests], f)
	}
	train, test := by[0], by[2]
	if test == nil {
		test = by[1]
	}
	if train == nil {
		return nil, fmt.Errorf("no images in a folder train: %w", fs.ErrNotExist)
	}
	return d, d.complete(s.Preprocess, inFolder(fsys, train, classes), inFolder(fsys, test, classes))
}

// numbered gives classes whose names are all integers their numbers.
func numbered(classes map[string]int) bool {
	values := map[string]int{}
	for name := range classes {
		v, err := strconv.Atoi(name)
		if err != nil || strconv.Itoa(v) != name {
			return false
		}
		values[name] = v
	}
	maps.Copy(classes, values)
	return true
}

// inFolder returns the pictures of files.
func inFolder(fsys fs.FS, files []file, classes map[string]int) *album {
	a := &album{
		name: func(i int) string { return files[i].path },
		header: func(i int) (channels, rows, cols int, err error) {
			f, err := fsys.Open(files[i].path)
			if err != nil {
				return 0, 0, 0, err
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				return 0, 0, 0, fmt.Errorf("cannot read %s: %w", files[i].path, err)
			}
			return picked(header(files[i].path, f, info.Size()))
		},
		picture: func(i int) (picture, error) {
			b, err := readAll(fsys, files[i].path, maxEncoded)
			if err != nil {
				return picture{}, err
			}
			return decode(files[i].path, b)
		},
	}
	for _, f := range files {
		a.labels = append(a.labels, classes[f.class])
	}
	return a
}

// picked returns what an album wants to know of a header.
func picked(c image.Config, err error) (channels, rows, cols int, _ error) {
	channels = 3
	if err == nil && grey(c.ColorModel) {
		channels = 1
	}
	return channels, c.Height, c.Width, err
}
