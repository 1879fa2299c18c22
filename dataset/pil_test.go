package dataset

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// What PIL and torchvision make of the same files: testdata/make.py.
func TestPIL(t *testing.T) {
	b, err := os.ReadFile("testdata/pil.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		File   string
		Resize Size
		Filter string
		Crop   Size

		Channels string
		Shape    []int
		Pixels   []uint8
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		file, err := os.ReadFile(filepath.Join("testdata", c.File))
		if err != nil {
			t.Fatal(err)
		}
		p := Preprocess{Resize: c.Resize, Filter: c.Filter, Crop: c.Crop, Channels: c.Channels}
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		m, err := decode(c.File, file)
		if err == nil {
			m, err = p.apply(c.File, m, c.Shape[0])
		}
		if err != nil {
			t.Errorf("%+v: %v", p, err)
			continue
		}
		if m.rows != c.Shape[1] || m.cols != c.Shape[2] || len(m.pix) != len(c.Pixels) {
			t.Errorf("%s %+v: got %d x %d x %d, want %v", c.File, p, m.channels, m.rows, m.cols, c.Shape)
			continue
		}
		// Scaling is Pillow's arithmetic to the bit; decoders of JPEG may round otherwise.
		largest, apart := 0, 0
		for i, want := range c.Pixels {
			d := int(m.pix[i]) - int(want)
			largest = max(largest, d, -d)
			if d != 0 {
				apart++
			}
		}
		if limit := map[bool]int{true: 0, false: 2}[filepath.Ext(c.File) == ".png" || c.File == "lossless.webp"]; largest > limit {
			t.Errorf("%s %+v: pixels are up to %d away, %d of %d", c.File, p, largest, apart, len(c.Pixels))
		}
	}
}
