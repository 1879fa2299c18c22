package nn

import (
	"math"
	"slices"

	"lethe/internal/kernel"
)

// normLayer normalizes rows of a sample to mean 0 and variance 1, and then
// scales and shifts: LayerNormalization, GroupNormalization and
// InstanceNormalization, and RMSNormalization without the mean.
type normLayer struct {
	in, out      *value
	dx           *sink
	scale, shift *param
	rows, n      int // of a sample, and elements of each
	// Element i of row r has the scale number r%period*perRow + i/run.
	period, perRow, run int
	eps                 float64
	centred             bool
	stats               *value // mean and 1/deviation of each row, in lanes
	sums                *sums  // of dy*xhat and of dy, for each scale
	scales, shifts      []float32
}

func inferLayerNorm(n *site) ([]shape, error) {
	in := n.in[0]
	axis, err := axisOf(n.Int("axis", -1), len(in.dims))
	if err != nil {
		return nil, err
	}
	if in.batch >= axis {
		return nil, unsupported("%s of shape %v along axis %d would mix samples", n.Op, in, axis)
	}
	size := product(in.dims[axis:])
	for i := range n.in[1:] {
		if n.has(1+i) && (!n.fixed(1+i) || product(n.in[1+i].dims) != size) {
			return nil, unsupported("%s of shape %v along axis %d with a weight of shape %v is not supported", n.Op, in, axis, n.in[1+i])
		}
	}
	if t := n.Int("stash_type", 1); t != 1 {
		return nil, unsupported("%s with stash_type %d is not supported", n.Op, t)
	}
	return []shape{in}, only(n, "axis", "epsilon", "stash_type")
}

func buildLayerNorm(b *builder) layer {
	dims := b.in(0).dims
	axis, _ := axisOf(b.node.Int("axis", -1), len(dims))
	l := &normLayer{n: product(dims[axis:]), run: 1, period: 1, centred: b.node.Op == "LayerNormalization"}
	l.rows, l.perRow = product(dims[:axis]), l.n
	return l.build(b)
}

func inferGroupNorm(n *site) ([]shape, error) {
	in := n.in[0]
	groups := n.Int("num_groups", 0)
	if n.Op == "InstanceNormalization" && len(in.dims) > 1 {
		groups = in.dims[1]
	}
	if len(in.dims) < 3 || in.batch != 0 || in.dims[0] != 1 || groups < 1 || in.dims[1]%groups != 0 {
		return nil, misfit("%s divides the channels of shape %v into %d groups, which cannot be of the same size", n.Op, in, groups)
	}
	if len(n.in) < 3 {
		return nil, misfit("%s needs scale and bias", n.Op)
	}
	for i := 1; i < 3; i++ {
		if !n.has(i) || !n.fixed(i) || product(n.in[i].dims) != in.dims[1] {
			return nil, unsupported("%s of %d channels with a weight of shape %v is not supported", n.Op, in.dims[1], n.in[i])
		}
	}
	return []shape{in}, only(n, "epsilon", "num_groups", "stash_type")
}

func buildGroupNorm(b *builder) layer {
	dims := b.in(0).dims
	groups := b.node.Int("num_groups", dims[1])
	l := &normLayer{rows: groups, n: product(dims[1:]) / groups, run: product(dims[2:]), period: groups, perRow: dims[1] / groups, centred: true}
	return l.build(b)
}

func (l *normLayer) build(b *builder) layer {
	l.in, l.out, l.scale, l.shift = b.data(0), b.out[0], b.weight(1), b.weight(2)
	l.eps = float64(b.node.Float("epsilon", 1e-5))
	l.dx = b.sink(l.in)
	b.keep(l.in)
	l.stats = b.temp(2 * l.rows)
	l.scales, l.shifts = slices.Repeat([]float32{1}, l.period*l.perRow), make([]float32, l.period*l.perRow)
	if l.scale != nil {
		l.scales = l.scale.w
	}
	if l.shift != nil {
		l.shifts = l.shift.w
	}
	if l.trains() {
		l.sums = b.newSums(2 * l.period * l.perRow)
	}
	return l
}

func (l *normLayer) trains() bool {
	return l.scale != nil && l.scale.trained || l.shift != nil && l.shift.trained
}

func (l *normLayer) refresh() {}

func (l *normLayer) forward(p part) {
	x, y, stats := l.in.data(p), l.out.data(p), l.stats.data(p)
	size := l.n * Lanes
	for r := range (p.hi - p.lo) * l.rows {
		x, y, s := x[r*size:(r+1)*size], y[r*size:(r+1)*size], (*[2 * Lanes]float32)(stats[r*2*Lanes:])
		var mean [Lanes]float32
		if l.centred {
			kernel.Sum(&mean, x)
			for lane := range mean {
				mean[lane] = float32(float64(mean[lane]) / float64(l.n))
			}
		}
		var squares [Lanes]float32
		kernel.Centre(y, x, &mean, &squares)
		for lane := range squares {
			s[lane] = mean[lane]
			s[Lanes+lane] = float32(1 / math.Sqrt(float64(squares[lane])/float64(l.n)+l.eps))
		}
		first := r % l.period * l.perRow
		kernel.ScaleEach(y, (*[Lanes]float32)(s[Lanes:]), l.scales[first:first+l.perRow], l.shifts[first:first+l.perRow], l.run)
	}
}

// backward computes, with g = dy*scale and xhat the normalized row of n elements,
//
//	dx = (g - mean(g) - xhat*mean(g*xhat)) / deviation
func (l *normLayer) backward(p part) {
	x, dy, stats := l.in.data(p), l.out.gradient(p), l.stats.data(p)
	var acc []float32
	if l.sums != nil {
		acc = l.sums.open(p)
	}
	var dx []float32
	if l.dx.wanted() {
		dx = l.dx.open(p)
	}
	size := l.n * Lanes
	for r := range (p.hi - p.lo) * l.rows {
		x, dy, s := x[r*size:(r+1)*size], dy[r*size:(r+1)*size], (*[2 * Lanes]float32)(stats[r*2*Lanes:])
		first := r % l.period * l.perRow
		scales := l.scales[first : first+l.perRow]
		var own []float32
		if acc != nil {
			own = acc[first*2*Lanes : (first+l.perRow)*2*Lanes]
		}
		var sums [2 * Lanes]float32
		kernel.NormSums(&sums, own, x, dy, s, scales, l.run)
		if dx == nil {
			continue
		}
		for lane := range sums {
			sums[lane] = float32(float64(sums[lane]) / float64(l.n))
			if lane < Lanes && !l.centred {
				sums[lane] = 0
			}
		}
		kernel.NormGrad(dx[r*size:(r+1)*size], x, dy, s, &sums, scales, l.run)
	}
	if l.sums != nil {
		l.sums.close(p)
	}
	if dx != nil {
		l.dx.close(p)
	}
}

func (l *normLayer) tasks() int {
	if l.sums == nil {
		return 0
	}
	return 1
}

func (l *normLayer) reduce(_, chunks, _ int) {
	total := l.sums.total(chunks)
	for i := range l.period * l.perRow {
		if l.scale != nil && l.scale.trained {
			l.scale.dw[i] = total[2*i]
		}
		if l.shift != nil && l.shift.trained {
			l.shift.dw[i] = total[2*i+1]
		}
	}
}
