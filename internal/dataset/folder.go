package dataset

import (
	"fmt"
	"image"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

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
// folder. The list is sorted.
func pictures(fsys fs.FS) ([]file, error) {
	var paths [][]string
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		base := path.Base(name)
		switch {
		case err != nil:
			return err
		case name != "." && (strings.HasPrefix(base, ".") || base == "__MACOSX"):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir() || !slices.Contains([]string{".png", ".jpg", ".jpeg", ".webp", ".bmp"}, strings.ToLower(path.Ext(name))):
			return nil
		}
		if paths = append(paths, strings.Split(name, "/")); len(paths) > maxFiles {
			return &model.LimitError{What: "number of images", Got: uint64(len(paths)), Limit: maxFiles}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(paths, slices.Compare)
	deep := 0 // folders that hold everything
	for len(paths) > 0 && len(paths[0]) > deep+1 {
		if _, side := sides[strings.ToLower(paths[0][deep])]; side || paths[0][deep] != paths[len(paths)-1][deep] || len(paths[0]) == deep+2 {
			break
		}
		deep++
	}
	var files []file
	for _, p := range paths {
		full, f := strings.Join(p, "/"), file{}
		f.path = full
		p = p[min(deep, len(p)-1):]
		if tests, side := sides[strings.ToLower(p[0])]; side && len(p) > 1 {
			f.tests, p = tests, p[1:]
		}
		if len(p) < 2 {
			return nil, &model.FormatError{Format: "folder of images", Member: full, Offset: -1,
				Reason: "it lies in no folder of a class; want train/CLASS/FILE and test/CLASS/FILE, or CLASS/FILE"}
		}
		f.class = p[0]
		files = append(files, f)
	}
	return files, nil
}

// openPictures reads a folder of pictures; see [OpenFS].
func openPictures(fsys fs.FS, files []file, name string) (*Data, error) {
	names, err := readNames(fsys, labelsFile)
	if err != nil {
		return nil, err
	}
	classes := map[string]int{}
	for _, f := range files {
		classes[f.class] = 0
	}
	if names == nil {
		for class := range classes {
			names = append(names, class)
		}
		sortClasses(names)
	}
	for i, class := range names {
		classes[class] = i
	}
	var sides [3][]file
	for _, f := range files {
		if !slices.Contains(names, f.class) {
			return nil, &model.FormatError{Format: "label names", Member: labelsFile, Offset: -1, Reason: fmt.Sprintf("it does not name the folder %q", f.class)}
		}
		sides[f.tests] = append(sides[f.tests], f)
	}
	d := &Data{Names: names}
	train, test := sides[0], sides[2]
	if test == nil {
		test = sides[1]
	}
	switch {
	case train == nil:
		return nil, fmt.Errorf("no images of a folder train in %s: %w", name, fs.ErrNotExist)
	case test == nil:
		train, test = held(train)
		d.Split = fmt.Sprintf("one of %d images of each class held out for testing, drawn with seed 0", heldShare)
	}
	l := &loader{fsys: fsys, classes: classes, names: names}
	if d.Train, err = l.load(train); err == nil && len(test) > 0 {
		d.Test, err = l.load(test)
	}
	return d, err
}

// sortClasses sorts names of folders: by value if all are integers, as
// torchvision sorts them otherwise.
func sortClasses(names []string) {
	slices.Sort(names)
	values := map[string]int{}
	for _, name := range names {
		v, err := strconv.Atoi(name)
		if err != nil {
			return
		}
		values[name] = v
	}
	slices.SortStableFunc(names, func(a, b string) int { return values[a] - values[b] })
}

// heldShare is one of how many images is held out where nobody made a split.
const heldShare = 6

// held splits the files of each class by lot.
func held(files []file) (train, test []file) {
	rng := rand.New(rand.NewPCG(0, 0))
	by := map[string][]int{}
	for i, f := range files {
		by[f.class] = append(by[f.class], i)
	}
	out := make([]bool, len(files))
	for _, f := range files {
		images := by[f.class]
		delete(by, f.class)
		rng.Shuffle(len(images), func(a, b int) { images[a], images[b] = images[b], images[a] })
		for _, i := range images[:len(images)/heldShare] {
			out[i] = true
		}
	}
	for i, f := range files {
		if out[i] {
			test = append(test, f)
		} else {
			train = append(train, f)
		}
	}
	return train, test
}

// loader reads the pictures of one data set, all of the same shape.
type loader struct {
	fsys    fs.FS
	classes map[string]int
	names   []string
	shape   []int  // of the first picture
	first   string // its path
}

func (l *loader) read(name string) ([]byte, error) {
	f, err := l.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxEncoded+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	if len(b) > maxEncoded {
		return nil, &model.LimitError{What: "size of " + name + " in bytes", Got: uint64(len(b)), Limit: maxEncoded}
	}
	return b, nil
}

// load decodes pictures on all processors.
func (l *loader) load(files []file) (*Set, error) {
	decoded := make([]image.Image, len(files))
	err := parallel(len(files), func(i int) (err error) {
		b, err := l.read(files[i].path)
		if err == nil {
			decoded[i], err = decode(files[i].path, b)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	channels := 1
	for _, m := range decoded {
		if !grey(m.ColorModel()) {
			channels = 3
		}
	}
	s := &Set{Classes: len(l.names)}
	for i, m := range decoded {
		shape := []int{channels, m.Bounds().Dy(), m.Bounds().Dx()}
		if l.shape == nil {
			l.shape, l.first = shape, files[i].path
		}
		if !slices.Equal(shape, l.shape) {
			return nil, &model.FormatError{Format: "image", Member: files[i].path, Offset: -1,
				Reason: fmt.Sprintf("it has %d channels of %d x %d pixels, %s has %d of %d x %d: all images must have one size", shape[0], shape[1], shape[2], l.first, l.shape[0], l.shape[1], l.shape[2])}
		}
		s.Labels = append(s.Labels, l.classes[files[i].class])
	}
	s.Shape = l.shape
	s.Pixels = make([]uint8, s.Len()*s.Size())
	err = parallel(len(decoded), func(i int) error {
		planes(s.Image(i), decoded[i], channels)
		return nil
	})
	return s, err
}

// parallel calls do for 0 to n-1 on all processors and returns the error of the
// lowest number that has one.
func parallel(n int, do func(i int) error) error {
	const block = 16
	var (
		mu     sync.Mutex
		next   int
		failed = n
		first  error
		wait   sync.WaitGroup
	)
	for range min(runtime.GOMAXPROCS(0), n) {
		wait.Go(func() {
			for {
				mu.Lock()
				from := next
				next += block
				to := min(next, failed)
				mu.Unlock()
				if from >= to {
					return
				}
				for i := from; i < to; i++ {
					if err := do(i); err != nil {
						mu.Lock()
						if i < failed {
							failed, first = i, err
						}
						mu.Unlock()
						break
					}
				}
			}
		})
	}
	wait.Wait()
	return first
}
