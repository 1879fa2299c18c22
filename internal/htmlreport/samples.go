package htmlreport

import (
	"bytes"
	"encoding/base64"
	"html/template"
	"image"
	"image/png"
)

// picture is a sample as a data URL.
type picture struct {
	URL           template.URL
	Label         string
	Before, After string
	Right         bool // still taken for what it is
}

func (v *view) samples(all []Sample) {
	for _, s := range all {
		v.Unseen = s.Unseen
		v.Samples = append(v.Samples, picture{
			URL: dataURL(s), Label: v.label(s.Label), Before: v.label(s.Before), After: v.label(s.After), Right: s.After == s.Label,
		})
	}
}

func dataURL(s Sample) template.URL {
	var b bytes.Buffer
	if err := png.Encode(&b, drawn(s)); err != nil {
		panic(err) // to memory, of an image that is not empty
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes()))
}

// drawn returns a sample as a picture: the ink of a grey one is black.
func drawn(s Sample) image.Image {
	rows, cols := s.Shape[1], s.Shape[2]
	frame, plane := image.Rect(0, 0, cols, rows), rows*cols
	if s.Shape[0] != 3 {
		ink := image.NewGray(frame)
		for i, p := range s.Pixels[:plane] {
			ink.Pix[i] = 255 - p
		}
		return ink
	}
	colours := image.NewRGBA(frame)
	for i := range plane {
		copy(colours.Pix[4*i:], []uint8{s.Pixels[i], s.Pixels[plane+i], s.Pixels[2*plane+i], 255})
	}
	return colours
}
