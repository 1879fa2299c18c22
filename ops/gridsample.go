package ops

import (
	"math"
	"slices"
)

// gridsampleOp samples an image where a grid of positions between -1 and 1 says.
var gridsampleOp = &Operator{
	Name: "GridSample", Since: 16,
	inputs: []input{data("X", floats), data("grid", floats)},
	attrs: []attr{
		stringAttr("mode", "bilinear", "nearest", "bicubic").until(19), stringAttr("mode", "linear", "nearest", "cubic").from(20),
		stringAttr("padding_mode", "zeros", "border", "reflection"), intAttr("align_corners", 0),
	},
	infer: func(f *inference) {
		x, grid := f.input(0).shape, f.input(1).shape
		if len(x) < 3 || len(grid) != len(x) {
			f.set(0, f.input(0).dtype, nil)
			return
		}
		f.set(0, f.input(0).dtype, slices.Concat(x[:2], grid[1:len(grid)-1]))
	},
	eval: func(c *call) {
		x, grid := c.input(0), c.input(1)
		axes := len(x.shape) - 2
		if axes < 1 || len(grid.shape) != axes+2 || grid.shape[0] != x.shape[0] || grid.shape[axes+1] != axes || x.Len() == 0 {
			c.fail("the grid has shape %v, which does not fit an image of shape %v: it needs as many axes, and as many coordinates as the image has behind its channels", grid.shape, x.shape)
		}
		s := &sampler{image: x.shape[2:], mode: c.text("mode")[:1], padding: c.text("padding_mode"), corners: c.flag("align_corners")}
		if s.mode == "b" { // bilinear or bicubic
			s.mode = c.text("mode")[2:3]
		}
		out := product(grid.shape[1 : axes+1])
		v, at := c.floats(x), c.floats(grid)
		result := make([]float64, c.size([]int{x.shape[0], x.shape[1], out}))
		size := product(s.image)
		parallel(x.shape[0]*x.shape[1], func(plane int) {
			n := plane / x.shape[1]
			for i := range out {
				position := at[(n*out+i)*axes : (n*out+i+1)*axes]
				result[plane*out+i] = s.sample(v[plane*size:(plane+1)*size], position)
			}
		})
		c.set(0, c.from(x.dtype, slices.Concat(x.shape[:2], grid.shape[1:axes+1]), result))
	},
}

// sampler finds values between the elements of an image.
type sampler struct {
	image   []int
	mode    string // "n", "l" or "c"
	padding string
	corners bool // -1 and 1 are the centers of the outermost elements
}

// sample returns the value at a position, whose coordinates are in the opposite
// order of the axes.
func (s *sampler) sample(v []float64, position []float64) float64 {
	return s.along(v, position, 0, 0)
}

func (s *sampler) along(v, position []float64, axis, at int) float64 {
	if axis == len(s.image) {
		return v[at]
	}
	n := s.image[axis]
	x := position[len(position)-1-axis]
	if s.corners {
		x = (x + 1) / 2 * float64(n-1)
	} else {
		x = ((x+1)*float64(n) - 1) / 2
	}
	if x != x || math.Abs(x) > 1<<40 {
		x = -1 << 40
	}
	x = s.inside(x, n)
	sum := 0.0
	add := func(i int, by float64) {
		if i = int(s.inside(float64(i), n)); by != 0 && i >= 0 && i < n {
			sum += by * s.along(v, position, axis+1, at*n+i)
		}
	}
	first := math.Floor(x)
	switch d := x - first; s.mode {
	case "n":
		add(int(math.RoundToEven(x)), 1)
	case "l":
		add(int(first), 1-d)
		add(int(first)+1, d)
	default:
		for k := -1; k <= 2; k++ {
			add(int(first)+k, cubic(math.Abs(float64(k)-d), -0.75))
		}
	}
	return sum
}

// inside brings a coordinate to the image, as the padding says.
func (s *sampler) inside(x float64, n int) float64 {
	switch s.padding {
	case "border":
		return min(max(x, 0), float64(n-1))
	case "reflection":
		lo, hi := -0.5, float64(n)-0.5
		if s.corners {
			lo, hi = 0, float64(n-1)
		}
		if hi <= lo {
			return 0
		}
		x = math.Mod(math.Abs(x-lo), 2*(hi-lo))
		return lo + min(x, 2*(hi-lo)-x)
	}
	return x
}
