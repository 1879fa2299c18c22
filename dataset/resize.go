package dataset

import "math"

// filter is a kernel of interpolation, as in Pillow.
type filter struct {
	support float64 // half of its width, in pixels of the smaller picture
	at      func(x float64) float64
}

// filters are Pillow's by the names that --resize and timm know; the numbers of
// Pillow's Resampling, which Hugging Face writes, are in resamplings.
var filters = map[string]filter{
	"nearest":  {},
	"box":      {0.5, func(x float64) float64 { return inside(x > -0.5 && x <= 0.5) }},
	"bilinear": {1, func(x float64) float64 { return max(1-math.Abs(x), 0) }},
	"hamming":  {1, hamming},
	"bicubic":  {2, bicubic},
	"lanczos":  {3, lanczos},
}

var resamplings = []string{"nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"}

func inside(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// bicubic is Keys' cubic convolution with a = -0.5.
func bicubic(x float64) float64 {
	const a = -0.5
	switch x = math.Abs(x); {
	case x < 1:
		return float64(float64(float64((a+2)*x)-(a+3))*x*x) + 1
	case x < 2:
		return float64((float64((float64((x-5)*x)+8)*x) - 4) * a)
	}
	return 0
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	x *= math.Pi
	return math.Sin(x) / x
}

func lanczos(x float64) float64 {
	if x < -3 || x >= 3 {
		return 0
	}
	return float64(sinc(x) * sinc(x/3))
}

func hamming(x float64) float64 {
	if x = math.Abs(x); x >= 1 {
		return 0
	}
	return float64(sinc(x) * (0.54 + float64(0.46*math.Cos(math.Pi*x))))
}

// precision is the number of fractional bits of a weight: 32 bits less 8 of a pixel
// and 2 for sums that overshoot.
const precision = 32 - 8 - 2

// taps are the pixels that one pixel of the result is a weighted sum of.
type taps struct {
	first   int
	weights []int32 // in units of 2^-precision
}

// plan returns the taps of every pixel along a side that is scaled from so many
// pixels to so many: a kernel that grows with the step, so that nothing is passed
// over, as Pillow's Image.resize does it.
func (f filter) plan(from, to int) []taps {
	all := make([]taps, to)
	scale := float64(from) / float64(to)
	if f.at == nil {
		for i := range all {
			at := int(math.Floor((float64(i) + 0.5) * scale))
			all[i] = taps{min(at, from-1), []int32{1 << precision}}
		}
		return all
	}
	step := max(scale, 1)
	reach, inverse := float64(f.support*step), 1/step
	for i := range all {
		centre := float64((float64(i) + 0.5) * scale)
		first := max(int(centre-reach+0.5), 0)
		last := min(int(centre+reach+0.5), from)
		weights, sum := make([]float64, last-first), 0.0
		for j := range weights {
			weights[j] = f.at(float64((float64(first+j) - centre + 0.5) * inverse))
			sum += weights[j]
		}
		t := taps{first, make([]int32, len(weights))}
		for j, w := range weights {
			if sum != 0 {
				w /= sum
			}
			t.weights[j] = int32(math.Round(float64(w * (1 << precision))))
		}
		all[i] = t
	}
	return all
}

// resized returns a picture of another size.
func (p picture) resized(rows, cols int, f filter) picture {
	if cols != p.cols {
		across := f.plan(p.cols, cols)
		out := newPicture(p.channels, p.rows, cols)
		for y := range p.channels * p.rows {
			from, to := p.pix[y*p.cols:(y+1)*p.cols], out.pix[y*cols:(y+1)*cols]
			for x, t := range across {
				sum := int32(1) << (precision - 1)
				for j, v := range from[t.first : t.first+len(t.weights)] {
					sum += int32(v) * t.weights[j]
				}
				to[x] = clip(sum)
			}
		}
		p = out
	}
	if rows == p.rows {
		return p
	}
	down := f.plan(p.rows, rows)
	out := newPicture(p.channels, rows, cols)
	sums := make([]int32, cols)
	for c := range p.channels {
		from := p.pix[c*p.rows*cols:]
		for y, t := range down {
			for x := range sums {
				sums[x] = 1 << (precision - 1)
			}
			for j, w := range t.weights {
				row := from[(t.first+j)*cols:]
				for x, v := range row[:cols] {
					sums[x] += int32(v) * w
				}
			}
			to := out.pix[(c*rows+y)*cols:]
			for x, sum := range sums {
				to[x] = clip(sum)
			}
		}
	}
	return out
}

// clip rounds a weighted sum, to which a half was added, to a pixel.
func clip(sum int32) uint8 { return uint8(min(max(sum>>precision, 0), 255)) }

// cropped returns the middle of a picture, as torchvision's CenterCrop takes it:
// the margin above and to the left is rounded to even. What it lacks is black.
func (p picture) cropped(rows, cols int) picture {
	if rows == p.rows && cols == p.cols {
		return p
	}
	out := newPicture(p.channels, rows, cols)
	top, left := margin(p.rows, rows), margin(p.cols, cols)
	for c := range p.channels {
		for y := range rows {
			from := y + top
			if from < 0 || from >= p.rows {
				continue
			}
			row := p.pix[(c*p.rows+from)*p.cols : (c*p.rows+from+1)*p.cols]
			to := out.pix[(c*rows+y)*cols : (c*rows+y+1)*cols]
			if left >= 0 {
				copy(to, row[left:])
			} else {
				copy(to[-left:], row)
			}
		}
	}
	return out
}

// margin returns how many pixels of a side lie before its middle; below 0, how many
// are missing there.
func margin(side, middle int) int {
	if side < middle {
		return -((middle - side) / 2)
	}
	return int(math.RoundToEven(float64(side-middle) / 2))
}
