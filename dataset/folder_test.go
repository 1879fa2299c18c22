package dataset

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/image/bmp"

	"lethe/model"
)

// colour returns a picture of one colour, coded as the name of a file asks.
func colour(name string, width, height int, c color.Color) []byte {
	var m image.Image
	if g, ok := c.(color.Gray); ok {
		grey := image.NewGray(image.Rect(0, 0, width, height))
		for i := range grey.Pix {
			grey.Pix[i] = g.Y
		}
		m = grey
	} else {
		rgba := image.NewNRGBA(image.Rect(0, 0, width, height))
		for i := range width * height {
			rgba.Set(i%width, i/width, c)
		}
		m = rgba
	}
	var b bytes.Buffer
	var err error
	switch filepath.Ext(name) {
	case ".png":
		err = png.Encode(&b, m)
	case ".bmp":
		err = bmp.Encode(&b, m)
	default:
		err = jpeg.Encode(&b, m, nil)
	}
	if err != nil {
		panic(err)
	}
	return b.Bytes()
}

var (
	red        = color.NRGBA{254, 0, 0, 255}
	seeThrough = color.NRGBA{10, 20, 30, 0}
)

// redPictures makes a file system of pictures of 3 x 2 pixels.
func redPictures(paths ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for _, p := range paths {
		m[p] = &fstest.MapFile{Data: colour(p, 3, 2, red)}
	}
	return m
}

func TestOpenPictures(t *testing.T) {
	var many []string
	for i := range 12 {
		many = append(many, fmt.Sprintf("%d/%d.png", i, i), fmt.Sprintf("%d/other.png", i))
	}
	for i := range 12 {
		many = append(many, fmt.Sprintf("7/more%d.png", i))
	}
	for _, c := range []struct {
		name        string
		files       fstest.MapFS
		names       []string
		train, test []int // labels
		split       bool
	}{
		{"train and test", redPictures("train/cat/1.png", "train/cat/2.jpg", "train/ant/x.bmp", "test/cat/1.JPEG"), []string{"ant", "cat"}, []int{0, 1, 1}, []int{1}, false},
		{"one more folder", redPictures("set/train/b/1.png", "set/train/a/1.png", "set/val/b/1.png", "set/readme.txt"), []string{"a", "b"}, []int{0, 1}, []int{1}, false},
		{"test before val", redPictures("Train/a/1.png", "Train/b/1.png", "val/a/1.png", "test/b/1.png"), []string{"a", "b"}, []int{0, 1}, []int{1}, false},
		{"hidden files", redPictures("train/a/1.png", "train/b/2.png", "test/a/1.png", "__MACOSX/train/c/1.png", "train/a/.x.png"), []string{"a", "b"}, []int{0, 1}, []int{0}, false},
		{"one class", redPictures("cats/cat/1.png", "cats/cat/2.png"), []string{"cat"}, []int{0, 0}, nil, true},
		{"numbers", redPictures(many...), numberedNames(12), nil, []int{7, 7}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := OpenFS(c.files, "/data")
			if err != nil {
				t.Fatal(err)
			}
			var test []int
			if d.Test != nil {
				test = d.Test.Labels
			}
			if !reflect.DeepEqual(d.Names, c.names) || c.train != nil && !slices.Equal(d.Train.Labels, c.train) || !slices.Equal(test, c.test) || (d.Notes != nil) != c.split {
				t.Errorf("got names %q, labels %v and %v, split %q; want %q, %v and %v", d.Names, d.Train.Labels, test, d.Notes, c.names, c.train, c.test)
			}
			if !slices.Equal(d.Train.Shape, []int{3, 2, 3}) || d.Train.Classes != len(c.names) {
				t.Errorf("got shape %v and %d classes", d.Train.Shape, d.Train.Classes)
			}
			if p := d.Train.Image(0); p[0] < 250 || p[6] > 4 || p[12] > 4 {
				t.Errorf("red is %v", p)
			}
		})
	}
}

func TestPictureChannels(t *testing.T) {
	files := redPictures("a/1.png")
	files["a/1.png"].Data = colour("1.png", 3, 2, color.Gray{77})
	files["b/1.png"] = &fstest.MapFile{Data: colour("1.png", 3, 2, color.Gray{78})}
	d, err := OpenFS(files, "/data")
	if err != nil {
		t.Fatal(err)
	}
	if want := []uint8{77, 77, 77, 77, 77, 77}; !slices.Equal(d.Train.Image(0), want) || !slices.Equal(d.Train.Shape, []int{1, 2, 3}) {
		t.Errorf("grey pictures: got %v of shape %v", d.Train.Image(0), d.Train.Shape)
	}
	// What is transparent has a colour all the same, as in PIL's convert("RGB").
	files["b/1.png"].Data = colour("1.png", 3, 2, seeThrough)
	if d, err = OpenFS(files, "/data"); err != nil {
		t.Fatal(err)
	}
	if got := d.Train.Image(1); got[0] != 10 || got[6] != 20 || got[12] != 30 {
		t.Errorf("a transparent picture: got %v", got)
	}
	if got := d.Train.Image(0); got[0] != 77 || got[17] != 77 {
		t.Errorf("a grey picture among others: got %v", got)
	}
}

// Pictures of formats that are not read are counted, and not passed over in silence.
func TestPicturesLeftOut(t *testing.T) {
	files := redPictures("train/a/1.png", "train/b/1.png", "test/a/1.png")
	files["train/a/2.gif"], files["train/b/2.TIFF"], files["train/b/notes.txt"] = &fstest.MapFile{}, &fstest.MapFile{}, &fstest.MapFile{}
	d, err := OpenFS(files, "/data")
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Notes) != 1 || !strings.HasPrefix(d.Notes[0], "2 pictures are left out, because they are .gif, .tiff;") || d.Train.Len() != 2 {
		t.Errorf("got notes %q and %d images", d.Notes, d.Train.Len())
	}
	_, err = OpenFS(fstest.MapFS{"a/1.gif": &fstest.MapFile{}, "b/1.gif": &fstest.MapFile{}}, "/data")
	if err == nil || !strings.Contains(err.Error(), "data in /data: 2 pictures are left out, because they are .gif;") {
		t.Errorf("only .gif: got %v", err)
	}
}

func TestOpenPicturesErrors(t *testing.T) {
	with := func(name string, b []byte) fstest.MapFS {
		m := redPictures("train/a/1.png", "train/b/1.png")
		m[name] = &fstest.MapFile{Data: b}
		return m
	}
	huge := colour("1.png", 3, 2, red)
	copy(huge[16:], []byte{0, 0, 255, 255, 0, 0, 255, 255}) // whose checksum no longer holds
	for _, c := range []struct {
		name  string
		files fstest.MapFS
		says  string
	}{
		{"no class", with("train/1.png", colour("1.png", 3, 2, red)), `member "train/1.png": it lies in no folder of a class`},
		{"text", with("train/b/2.jpg", []byte("text")), `member "train/b/2.jpg": it cannot be decoded as PNG, JPEG, WebP or BMP`},
		{"cut", with("train/b/2.jpg", colour("1.jpg", 30, 20, red)[:600]), `member "train/b/2.jpg"`},
		{"claims too much", with("train/b/2.png", huge), "train/b/2.png"},
		{"two sizes", with("train/b/2.png", colour("1.png", 2, 3, red)), "train/b/2.png"},
		{"unknown class", with("labels.txt", []byte("a\nc")), `it does not name the folder "b"`},
		{"only tests", redPictures("test/a/1.png", "test/b/1.png"), "no images in a folder train"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := OpenFS(c.files, "/data"); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q in it", err, c.says)
			}
		})
	}
}

// A header that claims many pixels is refused before a decoder makes room for them.
func TestPictureBomb(t *testing.T) {
	b := colour("1.jpg", 3, 2, red)
	at := bytes.Index(b, []byte{0xff, 0xc0}) + 5
	copy(b[at:], []byte{255, 255, 255, 255})
	var limit *model.LimitError
	if _, err := decode("bomb.jpg", b); !errors.As(err, &limit) || !strings.Contains(err.Error(), "number of pixels that bomb.jpg declares") {
		t.Errorf("got %v, want a limit", err)
	}
}

func TestOpenZip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data.zip")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	for name, file := range redPictures("train/a/1.png", "train/b/1.png", "test/b/2.png") {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(file.Data)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if d.Train.Len() != 2 || d.Test.Len() != 1 {
		t.Errorf("got %d and %d images, want 2 and 1", d.Train.Len(), d.Test.Len())
	}
}

// 20,000 pictures of the size of CIFAR's: reading headers, decoding, colours.
func BenchmarkDecodeCIFAR(b *testing.B) {
	m := image.NewRGBA(image.Rect(0, 0, 32, 32))
	for i := range m.Pix {
		m.Pix[i] = uint8(i * i >> 5)
	}
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, m, nil); err != nil {
		b.Fatal(err)
	}
	files := fstest.MapFS{}
	for i := range 20000 {
		files[fmt.Sprintf("train/%d/%d.jpg", i%10, i)] = &fstest.MapFile{Data: encoded.Bytes()}
	}
	list, _, err := pictures(files)
	if err != nil {
		b.Fatal(err)
	}
	a := inFolder(files, list, map[string]int{})
	for b.Loop() {
		if _, _, err := (Preprocess{}).load(a, &album{}, 10); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzPictures(f *testing.F) {
	f.Add("set/train/cat/1.png\nset/train/ant/2.jpg\nset/test/cat/3.png")
	f.Add("10/a.png\n9/b.png\nx/.hidden/c.png")
	f.Fuzz(func(t *testing.T, paths string) {
		files := fstest.MapFS{}
		for _, p := range strings.Split(paths, "\n") {
			if fs.ValidPath(p) && p != "." {
				files[p] = &fstest.MapFile{}
			}
		}
		list, _, err := pictures(files)
		if err != nil {
			return
		}
		for _, p := range list {
			if p.class == "" || files[p.path] == nil {
				t.Fatalf("%q: class %q", p.path, p.class)
			}
		}
	})
}
