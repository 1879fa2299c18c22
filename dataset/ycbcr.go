package dataset

import "image"

// How far a unit of colour difference moves red, green and blue, in units of 2^-16,
// rounded as in libjpeg, whose decoded pixels PIL and torchvision see.
var toRed, toBlue, greenByBlue, greenByRed = differences()

func differences() (toRed, toBlue, greenByBlue, greenByRed [256]int32) {
	for i := range int32(256) {
		x := i - 128
		toRed[i] = (91881*x + 1<<15) >> 16
		toBlue[i] = (116130*x + 1<<15) >> 16
		greenByBlue[i] = -22554*x + 1<<15
		greenByRed[i] = -46802 * x
	}
	return
}

// fromYCbCr writes the pixels of a decoded JPEG, or of a WebP, whose brightness is
// from 16 to 235.
func fromYCbCr(p picture, m *image.YCbCr, webp bool) {
	plane := p.rows * p.cols
	blue, red := make([]uint8, p.cols), make([]uint8, p.cols)
	var sums []int32
	for y := range p.rows {
		sums = upsample(blue, m, m.Cb, y, sums)
		sums = upsample(red, m, m.Cr, y, sums)
		luma := m.Y[m.YOffset(m.Rect.Min.X, m.Rect.Min.Y+y):]
		at := y * p.cols
		r, g, b := p.pix[at:at+p.cols], p.pix[plane+at:plane+at+p.cols], p.pix[2*plane+at:2*plane+at+p.cols]
		if webp {
			for x, v := range luma[:p.cols] {
				v, cb, cr := int32(v)*19077>>8, int32(blue[x]), int32(red[x])
				r[x] = limited(v + cr*26149>>8 - 14234)
				g[x] = limited(v - cb*6419>>8 - cr*13320>>8 + 8708)
				b[x] = limited(v + cb*33050>>8 - 17685)
			}
			continue
		}
		for x, v := range luma[:p.cols] {
			v, cb, cr := int32(v), blue[x], red[x]
			r[x] = uint8(min(max(v+toRed[cr], 0), 255))
			g[x] = uint8(min(max(v+(greenByBlue[cb]+greenByRed[cr])>>16, 0), 255))
			b[x] = uint8(min(max(v+toBlue[cb], 0), 255))
		}
	}
}

// limited rounds what libwebp computes in units of 1/64.
func limited(v int32) uint8 { return uint8(min(max(v>>6, 0), 255)) }

// upsample writes row y of a colour difference at full width: where it has half
// the rows or columns, three quarters of the nearest sample and one of the next, as
// libjpeg does it by default ("fancy upsampling"). Sums is room that it uses and returns.
func upsample(dst []uint8, m *image.YCbCr, samples []uint8, y int, sums []int32) []int32 {
	rows, width := m.Rect.Dy(), m.Rect.Dx()
	var across, down int
	switch m.SubsampleRatio {
	case image.YCbCrSubsampleRatio444:
		across, down = 1, 1
	case image.YCbCrSubsampleRatio422:
		across, down = 2, 1
	case image.YCbCrSubsampleRatio420:
		across, down = 2, 2
	case image.YCbCrSubsampleRatio440:
		across, down = 1, 2
	}
	cols := (width + across - 1) / max(across, 1)
	if across == 0 || across == 2 && cols <= 2 || m.Rect.Min != (image.Point{}) {
		for x := range dst { // each sample for all that it stands for
			dst[x] = samples[m.COffset(m.Rect.Min.X+x, m.Rect.Min.Y+y)]
		}
		return sums
	}
	if sums == nil {
		sums = make([]int32, width)
	}
	at := y / down
	near, far := samples[at*m.CStride:], samples[at*m.CStride:]
	if down == 2 {
		other := min(max(at-1+2*(y%2), 0), (rows+1)/2-1)
		far = samples[other*m.CStride:]
	}
	switch {
	case across == 1 && down == 1:
		copy(dst, near)
	case across == 1:
		round := int32(1 + y%2)
		for x := range dst {
			dst[x] = uint8((3*int32(near[x]) + int32(far[x]) + round) >> 2)
		}
	case down == 1:
		for x := range cols {
			v := 3 * int32(near[x])
			put(dst, 2*x, (v+int32(near[max(x-1, 0)])+1)>>2)
			put(dst, 2*x+1, (v+int32(near[min(x+1, cols-1)])+2)>>2)
		}
	default:
		for x := range cols {
			sums[x] = 3*int32(near[x]) + int32(far[x])
		}
		for x, v := range sums[:cols] {
			put(dst, 2*x, (3*v+sums[max(x-1, 0)]+8)>>4)
			put(dst, 2*x+1, (3*v+sums[min(x+1, cols-1)]+7)>>4)
		}
	}
	return sums
}

// put writes a sample, unless an odd width has no place for it.
func put(dst []uint8, x int, v int32) {
	if x < len(dst) {
		dst[x] = uint8(v)
	}
}
