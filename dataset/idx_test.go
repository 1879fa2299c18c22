package dataset

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"lethe/internal/vectors"
	"lethe/model"
)

// idx writes an IDX file of bytes.
func idx(data []byte, dims ...uint32) []byte {
	b := []byte{0, 0, 8, byte(len(dims))}
	for _, d := range dims {
		b = binary.BigEndian.AppendUint32(b, d)
	}
	return append(b, data...)
}

func gz(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

// ints widens labels.
func ints(b []byte) []int {
	labels := make([]int, len(b))
	for i, l := range b {
		labels[i] = int(l)
	}
	return labels
}

// raw narrows labels.
func raw(labels []int) []byte {
	b := make([]byte, len(labels))
	for i, l := range labels {
		b[i] = byte(l)
	}
	return b
}

// patch returns a copy of b with b[at] = v.
func patch(b []byte, at int, v byte) []byte {
	b = bytes.Clone(b)
	b[at] = v
	return b
}

var (
	goodImages = idx([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 3, 2, 2)
	goodLabels = idx([]byte{0, 2, 1}, 3)
)

func TestReadIDX(t *testing.T) {
	for name, images := range map[string][]byte{"plain": goodImages, "gzip": gz(goodImages)} {
		// One byte at a time: nothing may depend on how reads are cut.
		s, err := ReadIDX(iotest.OneByteReader(bytes.NewReader(images)), bytes.NewReader(gz(goodLabels)), Limits{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(s.Pixels, goodImages[16:]) || !slices.Equal(s.Labels, ints(goodLabels[8:])) || !slices.Equal(s.Shape, []int{1, 2, 2}) || s.Classes != 3 {
			t.Errorf("%s: got %+v", name, s)
		}
	}
	s, err := ReadIDX(bytes.NewReader(goodImages), bytes.NewReader(goodLabels), Limits{Classes: 10, Bytes: 12})
	if err != nil || s.Classes != 10 {
		t.Errorf("10 classes: got %+v, %v", s, err)
	}
}

// hostile lists broken pairs: what each patch breaks, and what must be said.
var hostile = []struct {
	name           string
	images, labels []byte
	limits         Limits
	expect         string // malformed or limit
	says           string
}{
	{"empty images", nil, goodLabels, Limits{}, "malformed", `member "images", byte 0: the file ends too early`},
	{"empty labels", goodImages, nil, Limits{}, "malformed", `member "labels", byte 0`},
	{"one byte", goodImages[:1], goodLabels, Limits{}, "malformed", "byte 1: the file ends too early"},
	{"header cut", goodImages[:9], goodLabels, Limits{}, "malformed", "byte 9: the file ends too early"},
	{"text", []byte("hello, world, this is text"), goodLabels, Limits{}, "malformed", "magic number is 0x68656c6c, want 0x00000803"},
	{"element type int8", patch(goodImages, 2, 9), goodLabels, Limits{}, "malformed", "magic number is 0x00000903"},
	{"swapped", goodLabels, goodImages, Limits{}, "malformed", "these are labels, not images"},
	{"labels are images", goodImages, goodImages, Limits{}, "malformed", "these are images, not labels"},
	{"no image", patch(goodImages, 7, 0), goodLabels, Limits{}, "malformed", "byte 4: dimension 0 of 3 is 0"},
	{"no column", patch(goodImages, 15, 0), goodLabels, Limits{}, "malformed", "byte 12: dimension 2 of 3 is 0"},
	{"pixel missing", goodImages[:27], goodLabels, Limits{}, "malformed", "declares 3 x 2 x 2 = 12 bytes and 11 are there"},
	{"all pixels missing", goodImages[:16], goodLabels, Limits{}, "malformed", "12 bytes and 0 are there"},
	{"pixel too many", append(bytes.Clone(goodImages), 0), goodLabels, Limits{}, "malformed", "byte 28: more bytes follow the 3 x 2 x 2 = 12"},
	{"label missing", goodImages, goodLabels[:10], Limits{}, "malformed", "declares 3 = 3 bytes and 2 are there"},
	{"label too many", goodImages, append(bytes.Clone(goodLabels), 0), Limits{}, "malformed", "more bytes follow"},
	{"counts differ", goodImages, idx([]byte{1, 2}, 2), Limits{}, "malformed", "2 labels, but images has 3 images"},
	{"label out of range", goodImages, goodLabels, Limits{Classes: 2}, "malformed", `member "labels", byte 9: label 2, but there are 2 classes`},
	// 60 million images in a file of 28 bytes: declared, never allocated.
	{"huge count", patch(goodImages, 4, 3), goodLabels, Limits{}, "malformed", "12 are there"},
	{"product over the limit", patch(goodImages, 4, 255), goodLabels, Limits{}, "limit", "more than the limit of 1073741824"},
	// 2^31 * 2^31 is allowed here; times 2^31 it wraps around 64 bits to 0.
	{"product overflows", idx(nil, 1<<31, 1<<31, 1<<31), goodLabels, Limits{Bytes: 1 << 62}, "limit", "images declares is 18446744073709551615, more"},
	{"own limit", goodImages, goodLabels, Limits{Bytes: 11}, "limit", "number of bytes that images declares is 12, more than the limit of 11"},
	{"labels over the limit", goodImages, idx(nil, 13), Limits{Bytes: 12}, "limit", "labels declares is 13"},
	{"gzip header cut", gz(goodImages)[:5], goodLabels, Limits{}, "malformed", "ends too early"},
	{"gzip method", patch(gz(goodImages), 2, 7), goodLabels, Limits{}, "malformed", "gzip header"},
	{"gzip cut", gz(goodImages)[:30], goodLabels, Limits{}, "malformed", ""},
	{"gzip trailer cut", gz(goodImages)[:len(gz(goodImages))-1], goodLabels, Limits{}, "malformed", "gzip stream is cut"},
	{"gzip checksum", patch(gz(goodImages), len(gz(goodImages))-8, 0), goodLabels, Limits{}, "malformed", "checksum"},
	{"gzip damaged", patch(gz(goodImages), 10, 0xff), goodLabels, Limits{}, "malformed", "damaged"},
	{"garbage after gzip", append(gz(goodImages), "garbage"...), goodLabels, Limits{}, "malformed", "other bytes follow"},
	{"long garbage after gzip", append(gz(goodImages), "long enough for a header"...), goodLabels, Limits{}, "malformed", "gzip header"},
	{"second gzip member", append(gz(goodImages), gz([]byte{1})...), goodLabels, Limits{}, "malformed", "more bytes follow"},
}

func TestReadIDXHostile(t *testing.T) {
	for _, c := range hostile {
		t.Run(c.name, func(t *testing.T) {
			s, err := ReadIDX(bytes.NewReader(c.images), bytes.NewReader(c.labels), c.limits)
			var format *model.FormatError
			var limit *model.LimitError
			switch {
			case err == nil:
				t.Fatalf("no error, got %+v", s)
			case c.expect == "malformed" && !errors.As(err, &format), c.expect == "limit" && !errors.As(err, &limit):
				t.Fatalf("got %T %v, want %s", err, err, c.expect)
			case !strings.Contains(err.Error(), c.says):
				t.Errorf("got %q, want %q in it", err, c.says)
			}
		})
	}
}

// A device that fails is not a broken file.
func TestReadIDXDeviceError(t *testing.T) {
	bad := errors.New("device on fire")
	for at := range len(goodImages) {
		images := io.MultiReader(bytes.NewReader(goodImages[:at]), iotest.ErrReader(bad))
		_, err := ReadIDX(images, bytes.NewReader(goodLabels), Limits{})
		var format *model.FormatError
		if !errors.Is(err, bad) || errors.As(err, &format) {
			t.Errorf("failing at %d: got %v, want the device's error", at, err)
		}
	}
}

// What a header declares must not be allocated before it arrives.
func TestReadIDXMemory(t *testing.T) {
	images := idx(make([]byte, 100), 1<<29, 1, 1)
	before := vectors.Allocated()
	if _, err := ReadIDX(bytes.NewReader(images), bytes.NewReader(goodLabels), Limits{}); err == nil {
		t.Fatal("no error")
	}
	if got := vectors.Allocated() - before; got > 8<<20 {
		t.Errorf("allocated %d bytes for a file of %d that declares %d", got, len(images), 1<<29)
	}
}

func FuzzReadIDX(f *testing.F) {
	f.Add(goodImages, goodLabels)
	f.Add(gz(goodImages), gz(goodLabels))
	for _, c := range hostile {
		f.Add(c.images, c.labels)
	}
	f.Fuzz(func(t *testing.T, images, labels []byte) {
		s, err := ReadIDX(bytes.NewReader(images), bytes.NewReader(labels), Limits{Bytes: 1 << 22})
		if err != nil {
			var format *model.FormatError
			var limit *model.LimitError
			if s != nil || !errors.As(err, &format) && !errors.As(err, &limit) {
				t.Fatalf("got %v and %T %v, want a typed error alone", s, err, err)
			}
			return
		}
		n := s.Len()
		if n == 0 || len(s.Pixels) != n*s.Size() {
			t.Fatalf("%d pixels for %d images of shape %v", len(s.Pixels), n, s.Shape)
		}
		total := 0
		for _, of := range s.ByClass() { // panics if a label is out of range
			total += len(of)
		}
		if total != n {
			t.Fatalf("%d images in classes, want %d", total, n)
		}
		// What was read, written again, reads the same.
		again, err := ReadIDX(
			bytes.NewReader(idx(s.Pixels, uint32(n), uint32(s.Shape[1]), uint32(s.Shape[2]))),
			bytes.NewReader(idx(raw(s.Labels), uint32(n))), Limits{})
		if err != nil || !bytes.Equal(again.Pixels, s.Pixels) || !slices.Equal(again.Labels, s.Labels) || again.Classes != s.Classes {
			t.Fatalf("round trip: %v", err)
		}
	})
}

func ExampleReadIDX() {
	dir := "../fixtures/fashion-mnist"
	images, err := os.Open(filepath.Join(dir, "t10k-images-idx3-ubyte.gz"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer images.Close()
	labels, err := os.Open(filepath.Join(dir, "t10k-labels-idx1-ubyte.gz"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer labels.Close()
	s, err := ReadIDX(images, labels, Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Len(), "images of", s.Shape[1], "x", s.Shape[2], "in", s.Classes, "classes")
	// Output: 1000 images of 28 x 28 in 10 classes
}
