package nn

import (
	"fmt"
	"math"
	"slices"

	"lethe/model"
)

// gridLayer samples images of one to three dimensions where a grid of positions says.
// Gradients flow to the image and to the positions.
type gridLayer struct {
	stateless
	x, grid, out     *value
	dx, dgrid        *sink
	image            []int
	channels, points int
	mode             string // "n", "l" or "c", as package ops calls them
	padding          string
	corners          bool // -1 and 1 are the centres of the outermost elements
}

func inferGridSample(n *site) ([]shape, error) {
	x := n.in[0]
	axes := len(x.dims) - 2
	if !n.has(1) || axes < 1 || len(n.in[1].dims) != len(x.dims) || n.in[1].dims[axes+1] != axes {
		return nil, misfit("GridSample has a grid that does not fit images of shape %v: it must have as many axes, and as many coordinates as there are axes behind the channels", x)
	}
	grid := n.in[1]
	if axes > 3 || x.batch != 0 || x.dims[0] != 1 || grid.batch > 0 || grid.dims[0] != 1 {
		return nil, unsupported("GridSample of shape %v at a grid of shape %v is not supported", x, grid)
	}
	out := x.as(slices.Concat(x.dims[:2], grid.dims[1:axes+1]))
	return []shape{out}, only(n, "mode", "padding_mode", "align_corners")
}

func buildGridSample(b *builder) layer {
	x := b.in(0).dims
	l := &gridLayer{
		x: b.data(0), grid: b.data(1), out: b.out[0], image: x[2:], channels: x[1], points: product(b.in(1).dims) / (len(x) - 2),
		padding: b.node.String("padding_mode", "zeros"), corners: b.node.Int("align_corners", 0) != 0,
	}
	switch b.node.String("mode", "linear") {
	case "nearest":
		l.mode = "n"
	case "cubic", "bicubic":
		l.mode = "c"
	default:
		l.mode = "l"
	}
	l.dx, l.dgrid = b.sink(l.x), b.sink(l.grid)
	if l.dgrid.wanted() {
		b.keep(l.x)
	}
	b.keep(l.grid)
	return l
}

// gridTaps are the elements of an image that make a sample: where they are, their weights,
// and how these change with each coordinate of the position.
type gridTaps struct {
	n     int
	at    [64]int32
	by    [64]float64
	slope [3][64]float64
}

// taps finds what makes the sample at point i in a lane. t must have no axis yet.
func (l *gridLayer) taps(t *gridTaps, grid []float32, i, lane int) {
	t.n, t.at[0], t.by[0] = 1, 0, 1
	axes := len(l.image)
	for a, n := range l.image {
		g := float64(grid[(i*axes+axes-1-a)*Lanes+lane])
		x, moves := float64(float64(float64(g+1)*float64(n))-1)/2, float64(n)/2
		if l.corners {
			x, moves = float64(g+1)/2*float64(n-1), float64(n-1)/2
		}
		if x != x || math.Abs(x) > 1<<40 {
			x, moves = -1<<40, 0
		}
		x, turns := l.inside(x, n)
		l.takeAxis(t, a, x, float64(moves*turns))
	}
}

// takeAxis multiplies the taps by those along one axis at coordinate x, which changes by
// moves with that of the grid.
func (l *gridLayer) takeAxis(t *gridTaps, axis int, x, moves float64) {
	var at [4]int
	var by, slope [4]float64
	first, count := math.Floor(x), 0
	add := func(i int, w, d float64) {
		n := l.image[axis]
		inside, _ := l.inside(float64(i), n)
		if i = int(inside); i >= 0 && i < n {
			at[count], by[count], slope[count] = i, w, float64(d*moves)
			count++
		}
	}
	switch d := x - first; l.mode {
	case "n":
		add(int(math.RoundToEven(x)), 1, 0)
	case "l":
		add(int(first), 1-d, -1)
		add(int(first)+1, d, 1)
	default:
		for k := -1; k <= 2; k++ {
			w, s := cubicWeight(float64(k) - d)
			add(int(first)+k, w, -s)
		}
	}
	old := *t
	t.n = 0
	for i := range old.n {
		for k := range count {
			t.at[t.n], t.by[t.n] = old.at[i]*int32(l.image[axis])+int32(at[k]), float64(old.by[i]*by[k])
			for a := range axis {
				t.slope[a][t.n] = float64(old.slope[a][i] * by[k])
			}
			t.slope[axis][t.n] = float64(old.by[i] * slope[k])
			t.n++
		}
	}
}

// cubicWeight is the weight of an element at a distance, and how it changes with that:
// Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -0.75.
func cubicWeight(distance float64) (w, slope float64) {
	const a = -0.75
	d, sign := math.Abs(distance), signOf(distance)
	switch {
	case d <= 1:
		return float64(float64(float64((a+2)*d)-(a+3))*float64(d*d)) + 1, float64(sign * float64(d*float64(float64(3*(a+2)*d)-2*(a+3))))
	case d < 2:
		cube := float64(float64(float64(float64(a*d)-5*a)*d) + 8*a)
		return float64(cube*d) - 4*a, float64(sign * float64(float64(float64(float64(3*a*d)-10*a)*d)+8*a))
	}
	return 0, 0
}

// inside brings a coordinate to the image, as the padding says; turns is how it then
// changes with the coordinate.
func (l *gridLayer) inside(x float64, n int) (at, turns float64) {
	switch l.padding {
	case "border":
		if at = min(max(x, 0), float64(n-1)); at != x {
			return at, 0
		}
		return x, 1
	case "reflection":
		lo, hi := -0.5, float64(n)-0.5
		if l.corners {
			lo, hi = 0, float64(n-1)
		}
		if hi <= lo {
			return 0, 0
		}
		turns = signOf(x - lo)
		x = math.Mod(math.Abs(x-lo), 2*(hi-lo))
		if back := 2*(hi-lo) - x; back < x {
			x, turns = back, -turns
		}
		return lo + x, turns
	}
	return x, 1
}

func (l *gridLayer) forward(p part) {
	var t gridTaps
	size := product(l.image)
	for g := range p.hi - p.lo {
		x, grid, y := l.x.data(p)[g*l.x.size:], l.grid.data(p)[g*l.grid.size:], l.out.data(p)[g*l.out.size:]
		for i := range l.points {
			for lane := range Lanes {
				l.taps(&t, grid, i, lane)
				for c := range l.channels {
					sum := 0.0
					for k := range t.n {
						sum += float64(t.by[k] * float64(x[(c*size+int(t.at[k]))*Lanes+lane]))
					}
					y[(c*l.points+i)*Lanes+lane] = float32(sum)
				}
			}
		}
	}
}

func (l *gridLayer) backward(p part) {
	var dx, dgrid []float32
	if l.dx.wanted() {
		dx = l.dx.open(p)
		clear(dx)
	}
	if l.dgrid.wanted() {
		dgrid = l.dgrid.open(p)
	}
	var t gridTaps
	axes, size := len(l.image), product(l.image)
	for g := range p.hi - p.lo {
		grid, dy := l.grid.data(p)[g*l.grid.size:], l.out.gradient(p)[g*l.out.size:]
		for i := range l.points {
			for lane := range Lanes {
				l.taps(&t, grid, i, lane)
				var slope [3]float64
				for c := range l.channels {
					d := float64(dy[(c*l.points+i)*Lanes+lane])
					for k := range t.n {
						at := g*l.x.size + (c*size+int(t.at[k]))*Lanes + lane
						if dx != nil {
							dx[at] += float32(t.by[k] * d)
						}
						for a := 0; dgrid != nil && a < axes; a++ {
							slope[a] += float64(float64(t.slope[a][k]*d) * float64(l.x.data(p)[at]))
						}
					}
				}
				for a := 0; dgrid != nil && a < axes; a++ {
					dgrid[g*l.grid.size+(i*axes+axes-1-a)*Lanes+lane] = float32(slope[a])
				}
			}
		}
	}
	for _, k := range [...]*sink{l.dx, l.dgrid} {
		if k.wanted() {
			k.close(p)
		}
	}
}

// expandAffineGrid is the product of positions, which are constants, with the matrix of
// each sample.
func expandAffineGrid(e *expansion) (string, error) {
	theta := e.in[0]
	if len(theta.dims) != 3 || theta.dims[0] != 1 || theta.batch != 0 || theta.dims[2] != theta.dims[1]+1 || e.stated == nil || len(e.stated.dims) != theta.dims[1]+2 || tooMany(e.stated.dims...) {
		return "", unsupported("AffineGrid by matrices of shape %v to a size that is computed is not supported", theta)
	}
	axes, image := theta.dims[1], e.stated.dims[1:theta.dims[1]+1]
	count := product(image)
	at := make([]float32, 0, count*(axes+1))
	for i := range count {
		for column := range axes { // x is along the last axis
			a := axes - 1 - column
			pos, n := i/product(image[a+1:])%image[a], image[a]
			v := float64(2*pos+1)/float64(n) - 1
			if e.Int("align_corners", 0) != 0 {
				if v = 0; n > 1 {
					v = float64(2*pos)/float64(n-1) - 1
				}
			}
			at = append(at, float32(v))
		}
		at = append(at, 1)
	}
	name := fmt.Sprintf("\xffpositions%v %v", image, e.Int("align_corners", 0))
	e.net.constants[name] = model.Float32Tensor([]int{1, count, axes + 1}, at)
	y := e.op("MatMul", nil, name, e.transpose(e.input(0), 0, 2, 1))
	return e.view(y, 0, slices.Concat([]int{1}, image, []int{axes})...), nil
}
