package dataset

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lethe/model"
)

// Size is what pictures are scaled or cropped to.
type Size struct {
	Rows, Cols int // Cols 0: the shorter side becomes Rows. Both 0: as it is
}

// maxSide bounds the pixels along a side of what a picture is made to.
const maxSide = 1 << 13

// ParseSize reads what [Size.String] writes: N, or HxW.
func ParseSize(s string) (Size, error) {
	rows, cols, two := strings.Cut(strings.ToLower(strings.TrimSpace(s)), "x")
	var z Size
	var err error
	if z.Rows, err = strconv.Atoi(rows); err == nil && two {
		z.Cols, err = strconv.Atoi(cols)
	}
	if err != nil || z.check() != nil || z.Rows == 0 || two && z.Cols == 0 {
		return Size{}, fmt.Errorf("%q is not a size; want N or HEIGHTxWIDTH, each from 1 to %d pixels", s, maxSide)
	}
	return z, nil
}

// ParseResize reads a size and perhaps, after a colon, the name of a filter.
func ParseResize(s string) (Size, string, error) {
	size, filter, _ := strings.Cut(s, ":")
	z, err := ParseSize(size)
	if _, known := filters[filter]; err == nil && filter != "" && !known {
		err = fmt.Errorf("no interpolation %q; there are nearest, box, bilinear, hamming, bicubic and lanczos", filter)
	}
	if filter == "bilinear" {
		filter = ""
	}
	return z, filter, err
}

func (z Size) check() error {
	if z.Rows < 0 || z.Cols < 0 || z.Rows > maxSide || z.Cols > maxSide || z.Rows == 0 && z.Cols != 0 {
		return fmt.Errorf("a size of %d x %d pixels; each must be from 1 to %d", z.Rows, z.Cols, maxSide)
	}
	return nil
}

// String writes N or HxW, and "" for no size.
func (z Size) String() string {
	switch {
	case z == Size{}:
		return ""
	case z.Cols == 0:
		return strconv.Itoa(z.Rows)
	}
	return fmt.Sprintf("%dx%d", z.Rows, z.Cols)
}

// MarshalText writes [Size.String].
func (z Size) MarshalText() ([]byte, error) { return []byte(z.String()), nil }

// UnmarshalText reads what [ParseSize] does.
func (z *Size) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*z = Size{}
		return nil
	}
	*z, err = ParseSize(string(b))
	return err
}

// Preprocess is how a picture becomes what a network takes, except for the
// normalization: colours, then scaling, then the middle of the picture. The zero
// value leaves pictures as they are.
type Preprocess struct {
	Channels string `json:"channels,omitempty"` // grey, rgb or bgr; "": as the pictures are
	Resize   Size   `json:"resize,omitzero"`
	Filter   string `json:"filter,omitempty"` // of Resize: bilinear ("" too), bicubic, nearest, box, hamming, lanczos
	Crop     Size   `json:"crop,omitzero"`    // the middle; what a picture lacks is black
}

// Check refuses a filter or an order of channels that is not known, and sizes that no
// picture can have.
func (p Preprocess) Check() error {
	if _, known := filters[p.filter()]; !known {
		return fmt.Errorf("no interpolation %q; there are nearest, box, bilinear, hamming, bicubic and lanczos", p.Filter)
	}
	switch p.Channels {
	case "", Grey, RGB, BGR:
	default:
		return fmt.Errorf("no channels %q; there are %s, %s and %s", p.Channels, Grey, RGB, BGR)
	}
	if err := p.Resize.check(); err != nil {
		return err
	}
	return p.Crop.check()
}

// Words returns the settings as flags of a command line.
func (p Preprocess) Words() []string {
	var words []string
	if p.Channels != "" {
		words = append(words, "--channels", p.Channels)
	}
	if p.Resize != (Size{}) {
		size := p.Resize.String()
		if p.Filter != "" {
			size += ":" + p.Filter
		}
		words = append(words, "--resize", size)
	}
	if p.Crop != (Size{}) {
		words = append(words, "--crop", p.Crop.String())
	}
	return words
}

// The orders of channels.
const (
	Grey = "grey"
	RGB  = "rgb"
	BGR  = "bgr"
)

func (p Preprocess) filter() string {
	if p.Filter == "" {
		return "bilinear"
	}
	return p.Filter
}

// size returns the rows and columns of what a picture of so many becomes after
// scaling, and after cropping.
func (p Preprocess) size(rows, cols int) (scaled, cropped Size) {
	scaled = Size{rows, cols}
	switch {
	case p.Resize.Cols > 0:
		scaled = p.Resize
	case p.Resize.Rows > 0 && rows <= cols:
		scaled = Size{p.Resize.Rows, max(p.Resize.Rows*cols/rows, 1)}
	case p.Resize.Rows > 0:
		scaled = Size{max(p.Resize.Rows*rows/cols, 1), p.Resize.Rows}
	}
	switch cropped = scaled; {
	case p.Crop.Cols > 0:
		cropped = p.Crop
	case p.Crop.Rows > 0:
		cropped = Size{p.Crop.Rows, p.Crop.Rows}
	}
	return scaled, cropped
}

// channels returns how many channels a picture of so many gets.
func (p Preprocess) channels(of int) int {
	switch p.Channels {
	case Grey:
		return 1
	case RGB, BGR:
		return 3
	}
	return of
}

// apply returns what a picture becomes with so many channels.
func (p Preprocess) apply(name string, m picture, channels int) (picture, error) {
	scaled, cropped := p.size(m.rows, m.cols)
	if scaled.check() != nil {
		return m, &model.LimitError{What: fmt.Sprintf("longer side of %s, scaled to %v,", name, scaled), Got: uint64(max(scaled.Rows, scaled.Cols)), Limit: maxSide}
	}
	m = m.with(channels).resized(scaled.Rows, scaled.Cols, filters[p.filter()]).cropped(cropped.Rows, cropped.Cols)
	if p.Channels == BGR {
		plane := m.rows * m.cols
		m.pix = slices.Concat(m.pix[2*plane:], m.pix[plane:2*plane], m.pix[:plane])
	}
	return m, nil
}
