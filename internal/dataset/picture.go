package dataset

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // registers its decoder
	_ "image/png"

	_ "golang.org/x/image/bmp"
	_ "golang.org/x/image/webp"

	"lethe/model"
)

// Limits of one picture. Its dimensions are a claim of its header: a decoder
// makes room for them before it reads on.
const (
	mostPixels = 1 << 26 // of any picture
	freePixels = 1 << 22 // that a picture may have however short its file is
	mostPacked = 1 << 13 // pixels for each byte of a file beyond that: PNG's best, of one bit each
)

// header returns what the first bytes of a picture say, within the limits.
func header(name string, b []byte) (image.Config, error) {
	c, kind, err := image.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return c, broken(name, err)
	}
	if c.Width < 1 || c.Height < 1 {
		return c, &model.FormatError{Format: kind, Member: name, Offset: -1, Reason: fmt.Sprintf("it has %d x %d pixels", c.Height, c.Width)}
	}
	if pixels := uint64(c.Width) * uint64(c.Height); pixels > min(mostPixels, max(freePixels, mostPacked*uint64(len(b)))) {
		return c, &model.LimitError{What: fmt.Sprintf("number of pixels that %s declares in %d bytes", name, len(b)), Got: pixels, Limit: min(mostPixels, max(freePixels, mostPacked*uint64(len(b))))}
	}
	return c, nil
}

// decode returns the pixels of a picture.
func decode(name string, b []byte) (image.Image, error) {
	if _, err := header(name, b); err != nil {
		return nil, err
	}
	m, _, err := image.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, broken(name, err)
	}
	return m, nil
}

func broken(name string, err error) error {
	return &model.FormatError{Format: "image", Member: name, Offset: -1, Reason: fmt.Sprintf("it cannot be decoded as PNG, JPEG, WebP or BMP: %.200v", err)}
}

// grey reports whether a picture of this colour model has a single channel.
func grey(m color.Model) bool { return m == color.GrayModel || m == color.Gray16Model }

// planes writes the pixels of a picture to dst, channel by channel: one channel, the
// brightness, or three: red, green and blue. What is transparent has its colour.
func planes(dst []uint8, m image.Image, channels int) {
	bounds := m.Bounds()
	width, height := bounds.Dx(), bounds.Dy()
	plane := width * height
	if g, ok := m.(*image.Gray); ok {
		for y := range height {
			copy(dst[y*width:(y+1)*width], g.Pix[y*g.Stride:])
		}
		for c := 1; c < channels; c++ {
			copy(dst[c*plane:], dst[:plane])
		}
		return
	}
	var at func(x, y int) (r, g, b uint8)
	switch m := m.(type) {
	case *image.YCbCr:
		at = func(x, y int) (r, g, b uint8) {
			c := m.COffset(x, y)
			return color.YCbCrToRGB(m.Y[m.YOffset(x, y)], m.Cb[c], m.Cr[c])
		}
	case *image.RGBA: // of pictures that are opaque
		at = func(x, y int) (r, g, b uint8) {
			p := m.Pix[m.PixOffset(x, y):]
			return p[0], p[1], p[2]
		}
	case *image.NRGBA:
		at = func(x, y int) (r, g, b uint8) {
			p := m.Pix[m.PixOffset(x, y):]
			return p[0], p[1], p[2]
		}
	default:
		at = func(x, y int) (r, g, b uint8) {
			c := color.NRGBAModel.Convert(m.At(x, y)).(color.NRGBA)
			return c.R, c.G, c.B
		}
	}
	i := 0
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			r, g, b := at(x, y)
			if channels == 1 {
				dst[i] = uint8((19595*uint32(r) + 38470*uint32(g) + 7471*uint32(b) + 1<<15) >> 16) // ITU-R 601
			} else {
				dst[i], dst[plane+i], dst[2*plane+i] = r, g, b
			}
			i++
		}
	}
}
