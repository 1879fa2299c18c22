package edit

import (
	"math/rand/v2"

	"lethe/dataset"
)

// Kinds of variation that images of things may bear.
const (
	shift     = iota // up to 2 pixels each way
	affine           // rotation, shear and size, up to a sixth
	mirror           // left and right exchanged
	tone             // contrast and brightness
	occlusion        // a black rectangle, up to half as high and wide as the image
	colour           // contrast of each channel, if there are several
	kinds
)

var kindNames = [kinds]string{"shift", "affine", "mirror", "tone", "occlusion", "colour"}

// fixedOne is 1 in the fixed-point arithmetic of this file, which gives the same
// pixels on every machine.
const fixedOne = 256

// recipe holds how strong each kind of variation is, 0 to fixedOne.
type recipe [kinds]int

// only returns a recipe with nothing but these kinds of variation.
func (r recipe) only(kinds ...int) (o recipe) {
	for _, kind := range kinds {
		o[kind] = r[kind]
	}
	return o
}

// names returns the kinds of variation in a recipe.
func (r recipe) names() (names []string) {
	for kind, strength := range r {
		if strength > 0 {
			names = append(names, kindNames[kind])
		}
	}
	return names
}

// canvas makes variants of the images of a set, whose channels follow one another
// and are moved and covered alike.
type canvas struct {
	rng        *rand.Rand
	rows, cols int
	channels   int
}

// kinds returns how many of the kinds of variation these images may bear.
func (c *canvas) kinds() int {
	if c.channels > 1 {
		return kinds
	}
	return colour
}

// newCanvasOf returns a canvas for the images of a set, or nil if its samples are not
// images.
func newCanvasOf(rng *rand.Rand, set *dataset.Set) *canvas {
	if !set.Images() {
		return nil
	}
	return &canvas{rng, set.Shape[1], set.Shape[2], set.Shape[0]}
}

// jitter draws uniformly from -most to most.
func (c *canvas) jitter(most int) int { return c.rng.IntN(2*most+1) - most }

// vary draws into dst what src may also look like.
func (c *canvas) vary(dst, src []uint8, r recipe) {
	bend := r[affine] / 6
	m := warp{fixedOne + c.jitter(bend), c.jitter(bend), c.jitter(bend), fixedOne + c.jitter(bend), c.jitter(2 * r[shift]), c.jitter(2 * r[shift])}
	if r[mirror] > 0 && c.rng.IntN(2) == 0 {
		m.a, m.b = -m.a, -m.b
	}
	c.warp(dst, src, m)
	gain, curve := fixedOne+c.jitter(r[tone]/4), c.jitter(r[tone]/2)
	for i, p := range dst {
		v := int(p)
		v += curve * v * (255 - v) / (255 * fixedOne)
		dst[i] = uint8(min(v*gain/fixedOne, 255))
	}
	if r[colour] > 0 {
		plane := len(dst) / c.channels
		for from := 0; from < len(dst); from += plane {
			gain := fixedOne + c.jitter(r[colour]/4)
			for i, p := range dst[from : from+plane] {
				dst[from+i] = uint8(min(int(p)*gain/fixedOne, 255))
			}
		}
	}
	if r[occlusion] > 0 && c.rng.IntN(2) == 0 {
		c.occlude(dst, r[occlusion])
	}
}

// distort draws into dst what hardly anybody would still take for src: bent,
// moved by up to a third of the image, stretched to between half and one and a
// half of its size, with parts left out, and perhaps as a negative.
func (c *canvas) distort(dst, src []uint8) {
	const bend = fixedOne / 2
	third := c.rows * fixedOne / 3
	m := warp{fixedOne + c.jitter(bend), c.jitter(bend), c.jitter(bend), fixedOne + c.jitter(bend), c.jitter(third), c.jitter(third)}
	if c.rng.IntN(2) == 0 {
		m.a, m.b, m.c, m.d = m.c, m.d, m.a, m.b // height and width exchanged
	}
	c.warp(dst, src, m)
	if c.rng.IntN(8) == 0 {
		for i, p := range dst {
			dst[i] = 255 - p
		}
	}
	gain := fixedOne + c.jitter(fixedOne*3/4)
	for i, p := range dst {
		dst[i] = uint8(min(int(p)*gain/fixedOne, 255))
	}
	if c.rng.IntN(2) == 0 {
		c.occlude(dst, fixedOne)
	}
}

func (c *canvas) occlude(dst []uint8, strength int) {
	height := 1 + c.rng.IntN(max(c.rows*strength/(2*fixedOne), 1))
	width := 1 + c.rng.IntN(max(c.cols*strength/(2*fixedOne), 1))
	top, left := c.rng.IntN(c.rows-height+1), c.rng.IntN(c.cols-width+1)
	for ; len(dst) > 0; dst = dst[c.rows*c.cols:] {
		for y := top; y < top+height; y++ {
			clear(dst[y*c.cols+left : y*c.cols+left+width])
		}
	}
}

// warp says where the pixel at (x, y), measured from the centre of the image,
// comes from: (a x + b y + dx, c x + d y + dy), where fixedOne is 1.
type warp struct{ a, b, c, d, dx, dy int }

// warp interpolates bilinearly. What lies outside of src is black.
func (c *canvas) warp(dst, src []uint8, m warp) {
	for plane := c.rows * c.cols; len(src) > 0; dst, src = dst[plane:], src[plane:] {
		c.warpChannel(dst, src[:plane], m)
	}
}

func (c *canvas) warpChannel(dst, src []uint8, m warp) {
	rows, cols := c.rows, c.cols
	for y := range rows {
		// In half pixels: the centre of an even size is between two.
		v := 2*y - (rows - 1)
		fromX := m.b*v + (cols-1)*fixedOne - m.a*(cols-1)
		fromY := m.d*v + (rows-1)*fixedOne - m.c*(cols-1)
		row := dst[y*cols : (y+1)*cols]
		for x := range row {
			fx, fy := fromX/2+m.dx, fromY/2+m.dy
			fromX, fromY = fromX+2*m.a, fromY+2*m.c
			x0, y0, px, py := fx>>8, fy>>8, fx&(fixedOne-1), fy&(fixedOne-1)
			var p00, p01, p10, p11 int // the pixels around
			if uint(x0) < uint(cols-1) && uint(y0) < uint(rows-1) {
				upper := src[y0*cols+x0:]
				lower := upper[cols : cols+2]
				p00, p01, p10, p11 = int(upper[0]), int(upper[1]), int(lower[0]), int(lower[1])
			} else {
				p00, p01, p10, p11 = c.pixel(src, y0, x0), c.pixel(src, y0, x0+1), c.pixel(src, y0+1, x0), c.pixel(src, y0+1, x0+1)
			}
			top, bottom := fixedOne*p00+px*(p01-p00), fixedOne*p10+px*(p11-p10)
			row[x] = uint8(uint(fixedOne*top+py*(bottom-top)+fixedOne*fixedOne/2) / (fixedOne * fixedOne))
		}
	}
}

// pixel returns a pixel of one channel, 0 outside of it.
func (c *canvas) pixel(src []uint8, y, x int) int {
	if y < 0 || x < 0 || y >= c.rows || x >= c.cols {
		return 0
	}
	return int(src[y*c.cols+x])
}

// splice replaces what lies on one side of a line in dst by other.
func (c *canvas) splice(dst, other []uint8) {
	horizontal, beyond := c.rng.IntN(2) == 0, c.rng.IntN(2) == 0
	size := c.cols
	if horizontal {
		size = c.rows
	}
	line := size/4 + c.rng.IntN(size/2+1)
	for i := range dst {
		at := i % c.cols // the channels have whole rows
		if horizontal {
			at = i / c.cols % c.rows
		}
		if (at >= line) == beyond {
			dst[i] = other[i]
		}
	}
}

// blend mixes up to a half of other into dst.
func (c *canvas) blend(dst, other []uint8) {
	part := c.rng.IntN(fixedOne/2 + 1)
	for i, p := range dst {
		dst[i] = uint8(((fixedOne-part)*int(p) + part*int(other[i]) + fixedOne/2) / fixedOne)
	}
}
