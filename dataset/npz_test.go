package dataset

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// npy writes an array as numpy.save does.
func npy(descr, shape string, data any) []byte {
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape)
	header += strings.Repeat(" ", 63-(len(header)+10)%64) + "\n"
	var b bytes.Buffer
	b.WriteString("\x93NUMPY\x01\x00")
	binary.Write(&b, binary.LittleEndian, uint16(len(header)))
	b.WriteString(header)
	binary.Write(&b, binary.LittleEndian, data)
	return b.Bytes()
}

// npzOf writes arrays as numpy.savez does.
func npzOf(arrays map[string][]byte) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, a := range arrays {
		w, _ := z.Create(name + ".npy")
		w.Write(a)
	}
	z.Close()
	return b.Bytes()
}

func openBytes(t testing.TB, name string, b []byte) (*Data, error) {
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return Open(path)
}

func TestNPZImages(t *testing.T) {
	hwc := []uint8{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30}
	chw := []uint8{1, 4, 7, 10, 13, 2, 5, 8, 11, 14, 3, 6, 9, 12, 15}
	labels := npy("<i8", "2, 1", []int64{1, 0})
	for _, c := range []struct {
		name   string
		arrays map[string][]byte
		shape  []int
		first  []uint8
		tests  bool
	}{
		{"MedMNIST, colour", map[string][]byte{"train_images": npy("|u1", "2, 5, 1, 3", hwc), "train_labels": labels, "val_images": npy("|u1", "2, 5, 1, 3", hwc), "val_labels": labels}, []int{3, 5, 1}, chw, true},
		{"channels first", map[string][]byte{"x": npy("|u1", "2, 3, 5, 1", hwc), "y": npy("|u1", "2,", []uint8{0, 1})}, []int{3, 5, 1}, hwc[:15], false},
		{"grey", map[string][]byte{"x_train": npy("|u1", "2, 3, 5", hwc), "y_train": npy(">i2", "2,", []uint8{0, 1, 0, 0}), "x_test": npy("|u1", "2, 3, 5", hwc), "y_test": labels}, []int{1, 3, 5}, hwc[:15], true},
		{"validation", map[string][]byte{"x_train": npy("|u1", "2, 3, 5", hwc), "y_train": labels, "x_val": npy("|u1", "2, 3, 5", hwc), "y_val": labels}, []int{1, 3, 5}, hwc[:15], true},
		{"x and tests", map[string][]byte{"x": npy("|u1", "2, 3, 5", hwc), "y": labels, "x_test": npy("|u1", "2, 3, 5", hwc), "y_test": labels}, []int{1, 3, 5}, hwc[:15], true},
		{"MedMNIST without tests", map[string][]byte{"train_images": npy("|u1", "2, 3, 5", hwc), "train_labels": labels, "val_images": npy("|u1", "2, 3, 5", hwc), "val_labels": labels}, []int{1, 3, 5}, hwc[:15], true},
		{"texts as labels", map[string][]byte{"x": npy("|u1", "2, 3, 5", hwc), "y": npy("<U3", "2,", []uint32{'c', 'a', 't', 'a', 0, 0})}, []int{1, 3, 5}, hwc[:15], false},
	} {
		d, err := openBytes(t, "data.npz", npzOf(c.arrays))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !slices.Equal(d.Train.Shape, c.shape) || !bytes.Equal(d.Train.Image(0), c.first) || (d.Test != nil) != c.tests || len(d.Names) != 2 {
			t.Errorf("%s: got shape %v, image %v, test %v, names %q", c.name, d.Train.Shape, d.Train.Image(0), d.Test != nil, d.Names)
		}
		if c.tests && (d.Train.Len() != 2 || d.Notes != nil) {
			t.Errorf("%s: got %d samples for training, notes %q", c.name, d.Train.Len(), d.Notes)
		}
		if c.name == "texts as labels" && (!slices.Equal(d.Names, []string{"a", "cat"}) || !slices.Equal(d.Train.Labels, []int{1, 0})) {
			t.Errorf("got names %q, labels %v", d.Names, d.Train.Labels)
		}
	}
}

func TestNPZValues(t *testing.T) {
	labels := npy("<i4", "2,", []int32{7, 9})
	for _, c := range []struct {
		name  string
		x     []byte
		shape []int
		want  []float32 // the second sample, normalized with mean 1 and std 2
	}{
		{"vectors", npy("<f8", "2, 3", []float64{0, 0, 0, 1, 2, 3}), []int{3}, []float32{0, 0.5, 1}},
		{"tokens", npy("<i8", "2, 2", []int64{5, 6, 7, -1}), []int{2}, []float32{3, -1}},
		{"half", npy("<f2", "2,", []uint16{0x3c00, 0x4200}), []int{1}, []float32{1}},
		{"images of floats", npy("<f4", "2, 5, 6, 1", make([]float32, 60)), []int{1, 5, 6}, slices.Repeat([]float32{-0.5}, 30)},
	} {
		d, err := openBytes(t, "data.npz", npzOf(map[string][]byte{"x": c.x, "y": labels}))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := make([]float32, len(c.want))
		d.Train.Reader(OneNorm(1, 2))(1, got)
		if !slices.Equal(d.Train.Shape, c.shape) || !slices.Equal(got, c.want) || d.Train.Images() {
			t.Errorf("%s: got shape %v, %v", c.name, d.Train.Shape, got)
		}
		if !slices.Equal(d.Train.Labels, []int{0, 1}) || len(d.Notes) != 2 || !strings.Contains(d.Notes[0], "the labels 7, 9 are the classes 0 to 1") {
			t.Errorf("%s: labels %v, notes %q", c.name, d.Train.Labels, d.Notes)
		}
		norm, err := (Settings{}).Complete(d)
		if err != nil || norm.Mean.String() != "0" || norm.Std.String() != "1" {
			t.Errorf("%s: normalized with %v, %v", c.name, norm, err)
		}
	}
}

func TestNPZErrors(t *testing.T) {
	x, y := npy("|u1", "2, 1, 1", []uint8{1, 2}), npy("|u1", "2,", []uint8{0, 1})
	for says, arrays := range map[string]map[string][]byte{
		`want x and y, or x_train`:                         {"images": x},
		`"y.npy": its shape is [3]`:                        {"x": x, "y": npy("|u1", "3,", []uint8{0, 1, 0})},
		`"x.npy": its shape is []`:                         {"x": npy("|u1", "", []uint8{1}), "y": y},
		`"x.npy": 2 bytes, or more, for an array of shape`: {"x": npy("|u1", "3, 1", []uint8{1, 2}), "y": y},
		`number of elements of x.npy`:                      {"x": npy("|u1", "99999999, 99999999", []uint8{1, 2}), "y": y},
		`does not begin as a numpy array`:                  {"x": []byte("text"), "y": y},
		`x.npy has elements of type "'descr': '|O'"`:       {"x": npy("|O", "2, 1", []uint8{1, 2}), "y": y},
		`its header is`:                                    {"x": npy("|u1", "2, x", []uint8{1, 2}), "y": y},
		`samples of shape [2], those for training`:         {"x_train": npy("<i2", "2,1", []int16{1, 2}), "y_train": y, "x_test": npy("<i2", "2,2", []int16{1, 2, 3, 4}), "y_test": y},
		`"y.npy": its elements are floats; want`:           {"x": x, "y": npy("<f4", "2,", []float32{0, 1})},
		`"x.npy": sample 1 has a value that is NaN`:        {"x": npy("<f2", "2, 2", []uint16{0, 0, 0, 0x7e00}), "y": y},
		`"x.npy": sample 0 has a value that is +Inf`:       {"x": npy("<f8", "2, 1", []float64{1e300, 0}), "y": y},
		`some are texts, some are numbers`:                 {"x_train": x, "y_train": y, "x_test": x, "y_test": npy("|S1", "2,", []uint8{'a', 'b'})},
	} {
		if _, err := openBytes(t, "data.npz", npzOf(arrays)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q in it", err, says)
		}
	}
}

func FuzzNPZ(f *testing.F) {
	y := npy("|u1", "2,", []uint8{0, 1})
	f.Add(npy("|u1", "2, 1, 2", []uint8{1, 2, 3, 4}), y)
	f.Add(npy("<f2", "2, 1", []uint16{1, 2}), npy("<U1", "2,", []uint32{'a', 'b'}))
	f.Add(npy(">f8", "2, 2, 1, 1", []float64{1, 2, 3, 4}), npy("<i8", "2, 1", []int64{-1, 7}))
	f.Fuzz(func(t *testing.T, x, y []byte) {
		b := npzOf(map[string][]byte{"x": x, "y": y})
		z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		d, err := (Settings{}).openNPZ(z)
		if err != nil {
			return
		}
		d.Train.ByClass() // panics if a label is out of range
		d.Train.Reader(OneNorm(0, 1))(d.Train.Len()-1, make([]float32, d.Train.Size()))
	})
}
