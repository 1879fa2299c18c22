package dataset

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // registers its decoder
	_ "image/png"
	"io"

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

// header returns what the beginning of a picture of so many bytes says, within the
// limits.
func header(name string, r io.Reader, size int64) (image.Config, error) {
	c, kind, err := image.DecodeConfig(r)
	if err != nil {
		return c, broken(name, err)
	}
	if c.Width < 1 || c.Height < 1 {
		return c, &model.FormatError{Format: kind, Member: name, Offset: -1, Reason: fmt.Sprintf("it has %d x %d pixels", c.Height, c.Width)}
	}
	limit := min(mostPixels, max(freePixels, mostPacked*uint64(size)))
	if pixels := uint64(c.Width) * uint64(c.Height); pixels > limit {
		return c, &model.LimitError{What: fmt.Sprintf("number of pixels that %s declares in %d bytes", name, size), Got: pixels, Limit: limit}
	}
	return c, nil
}

// picture is a picture in memory.
type picture struct {
	channels, rows, cols int     // 1 channel, the brightness, or 3: red, green and blue
	pix                  []uint8 // channel by channel, row by row from the top
}

func newPicture(channels, rows, cols int) picture {
	return picture{channels, rows, cols, make([]uint8, channels*rows*cols)}
}

// decode returns the pixels of a file. What is transparent has its colour, as in
// PIL's convert("RGB"), and the orientation that a camera notes is not heeded, as
// torchvision does not.
func decode(name string, b []byte) (picture, error) {
	if _, err := header(name, bytes.NewReader(b), int64(len(b))); err != nil {
		return picture{}, err
	}
	m, kind, err := image.Decode(bytes.NewReader(b))
	if err != nil {
		return picture{}, broken(name, err)
	}
	return planes(m, kind == "webp"), nil
}

func broken(name string, err error) error {
	return &model.FormatError{Format: "image", Member: name, Offset: -1, Reason: fmt.Sprintf("it cannot be decoded as PNG, JPEG, WebP or BMP: %.200v", err)}
}

// grey reports whether a picture of this colour model has a single channel.
func grey(m color.Model) bool { return m == color.GrayModel || m == color.Gray16Model }

// planes returns the pixels of a decoded image.
func planes(m image.Image, webp bool) picture {
	bounds := m.Bounds()
	width, height := bounds.Dx(), bounds.Dy()
	if grey(m.ColorModel()) {
		p := newPicture(1, height, width)
		for y := range height {
			switch m := m.(type) {
			case *image.Gray:
				copy(p.pix[y*width:(y+1)*width], m.Pix[y*m.Stride:])
			case *image.Gray16:
				for x := range width {
					p.pix[y*width+x] = m.Pix[y*m.Stride+2*x] // the high byte
				}
			}
		}
		return p
	}
	p := newPicture(3, height, width)
	switch m := m.(type) {
	case *image.YCbCr:
		fromYCbCr(p, m, webp)
	case *image.RGBA: // of pictures that are opaque
		fromRGBA(p, m.Pix, m.Stride)
	case *image.NRGBA:
		fromRGBA(p, m.Pix, m.Stride)
	case *image.NYCbCrA:
		fromYCbCr(p, &m.YCbCr, webp)
	default:
		plane := width * height
		for i := range plane {
			c := color.NRGBAModel.Convert(m.At(bounds.Min.X+i%width, bounds.Min.Y+i/width)).(color.NRGBA)
			p.pix[i], p.pix[plane+i], p.pix[2*plane+i] = c.R, c.G, c.B
		}
	}
	return p
}

func fromRGBA(p picture, pix []uint8, stride int) {
	plane := p.rows * p.cols
	for y := range p.rows {
		row := pix[y*stride:]
		for x := range p.cols {
			at := y*p.cols + x
			p.pix[at], p.pix[plane+at], p.pix[2*plane+at] = row[4*x], row[4*x+1], row[4*x+2]
		}
	}
}

// with returns a picture with one channel, by the weights of ITU-R 601 as in PIL's
// convert("L"), or with three.
func (p picture) with(channels int) picture {
	if p.channels == channels {
		return p
	}
	plane := p.rows * p.cols
	out := newPicture(channels, p.rows, p.cols)
	if channels == 3 {
		for c := range 3 {
			copy(out.pix[c*plane:], p.pix)
		}
		return out
	}
	for i := range plane {
		out.pix[i] = uint8((19595*uint32(p.pix[i]) + 38470*uint32(p.pix[plane+i]) + 7471*uint32(p.pix[2*plane+i]) + 1<<15) >> 16)
	}
	return out
}
