package nn

import (
	"slices"

	"lethe/internal/kernel"
)

// softmaxLayer is Softmax or LogSoftmax along one axis.
type softmaxLayer struct {
	stateless
	in, out   *value
	dx        *sink
	logarithm bool
	outer, n  int          // rows, and elements of a row
	inner     int          // distance of its neighbours, in vectors
	room      [][]float32  // of each worker: a row in lanes
	taps      *kernel.Taps // of a row
}

func softmaxAxis(n *site) (axis int, err error) {
	rank := len(n.in[0].dims)
	if n.opset >= 13 {
		return axisOf(n.Int("axis", -1), rank)
	}
	axis, err = axisOf(n.Int("axis", 1), rank)
	if err == nil && product(n.in[0].dims[axis:]) != n.in[0].dims[axis] {
		return 0, unsupported("%s of opset %d over axes %d and up is not supported", n.Op, n.opset, axis)
	}
	return axis, err
}

func inferSoftmax(n *site) ([]shape, error) {
	axis, err := softmaxAxis(n)
	if err == nil && axis == n.in[0].batch {
		err = unsupported("%s over the batch is not supported", n.Op)
	}
	if err != nil {
		return nil, err
	}
	return n.in[:1], only(n, "axis")
}

func buildSoftmax(b *builder) layer {
	axis, err := softmaxAxis(b.site())
	if err != nil {
		panic(err) // Bind has seen it
	}
	dims := b.in(0).dims
	l := &softmaxLayer{
		in: b.data(0), out: b.out[0], logarithm: b.node.Op == "LogSoftmax",
		outer: product(dims[:axis]), n: dims[axis], inner: product(dims[axis+1:]),
	}
	l.taps = stepTaps(l.n, 1, 1)
	l.dx = b.sink(l.in)
	b.keep(l.out)
	for range b.threads {
		l.room = append(l.room, make([]float32, l.n*Lanes))
	}
	return l
}

// rows calls f with where each row begins.
func (l *softmaxLayer) rows(groups int, f func(at int)) {
	for o := range groups * l.outer {
		for i := range l.inner {
			f((o*l.n*l.inner + i) * Lanes)
		}
	}
}

func (l *softmaxLayer) forward(p part) {
	x, y, room := l.in.data(p), l.out.data(p), l.room[p.worker]
	step, n := l.inner*Lanes, l.n*Lanes
	l.rows(p.hi-p.lo, func(at int) {
		row, e := x[at:], y[at:]
		if l.inner > 1 { // its elements are not side by side
			for i := 0; i < n; i += Lanes {
				copy(room[i:i+Lanes], row[i*l.inner:])
			}
			row, e = room, room
		}
		row, e = row[:n], e[:n]
		if l.logarithm {
			centred(e, row, l.taps)
			l.logs(y[at:], e, step)
			return
		}
		softmaxOf(e, row, l.taps)
		for i := 0; i < n && l.inner > 1; i += Lanes {
			copy(y[at+i*l.inner:][:Lanes], e[i:])
		}
	})
}

// centred sets e to a row less its largest element.
func centred(e, row []float32, taps *kernel.Taps) {
	var top, unused [Lanes]float32
	kernel.MaxTaps(top[:], row, taps, 0, 1)
	kernel.Centre(e, row, &top, &unused)
}

// softmaxOf sets e to the softmax of a row, which may be the same memory.
func softmaxOf(e, row []float32, taps *kernel.Taps) {
	var sum, scale [Lanes]float32
	centred(e, row, taps)
	kernel.Exp32(e, e)
	kernel.Sum(&sum, e)
	for lane, v := range sum {
		scale[lane] = 1 / v
	}
	kernel.ScaleEach(e, &scale, one[:], zero[:], len(e)/Lanes)
}

// softmaxGrad sets dx to y*(dy - sum of y*dy) for a row y that [softmaxOf] made; dx and dy
// may be the same memory.
func softmaxGrad(dx, y, dy []float32) {
	var sum, unused [Lanes]float32
	var room [blockLen]float32
	for at := 0; at < len(y); at += blockLen {
		part := room[:min(blockLen, len(y)-at)]
		kernel.Mul(part, y[at:], dy[at:])
		kernel.Sum(&sum, part)
	}
	kernel.Centre(dx, dy, &sum, &unused)
	kernel.Mul(dx, dx, y)
}

// one and zero are a scale and a shift that leave what they are applied to alone.
var one, zero = [1]float32{1}, [1]float32{}

// logs sets a row to z less the logarithm of the sum of its exponentials.
func (l *softmaxLayer) logs(y, z []float32, step int) {
	e := slices.Clone(z)
	kernel.Exp32(e, e)
	var sum [Lanes]float32
	kernel.Sum(&sum, e)
	for lane, v := range sum {
		sum[lane] = float32(kernel.Log(float64(v)))
	}
	for i := range l.n {
		for lane, s := range sum {
			y[i*step+lane] = z[i*Lanes+lane] - s
		}
	}
}

func (l *softmaxLayer) backward(p part) {
	if !l.dx.wanted() {
		return
	}
	y, dy, dx := l.out.data(p), l.out.gradient(p), l.dx.open(p)
	step := l.inner * Lanes
	if l.logarithm {
		l.backwardLog(p, y, dy, dx)
		l.dx.close(p)
		return
	}
	l.rows(p.hi-p.lo, func(at int) {
		if l.inner == 1 {
			n := l.n * Lanes
			softmaxGrad(dx[at:at+n], y[at:at+n], dy[at:at+n])
			return
		}
		var sum [Lanes]float32
		for i := range l.n {
			v, g := y[at+i*step:][:Lanes], dy[at+i*step:][:Lanes]
			for lane := range sum {
				sum[lane] += float32(v[lane] * g[lane])
			}
		}
		for i := range l.n {
			v, g, d := y[at+i*step:][:Lanes], dy[at+i*step:][:Lanes], dx[at+i*step:][:Lanes]
			for lane, s := range sum {
				d[lane] = v[lane] * (g[lane] - s)
			}
		}
	})
	l.dx.close(p)
}

func (l *softmaxLayer) backwardLog(p part, y, dy, dx []float32) {
	e, step := l.room[p.worker], l.inner*Lanes
	l.rows(p.hi-p.lo, func(at int) {
		var sum [Lanes]float32
		for i := range l.n {
			for lane, g := range dy[at+i*step:][:Lanes] {
				sum[lane] += g
				e[i*Lanes+lane] = y[at+i*step+lane]
			}
		}
		kernel.Exp32(e, e)
		for i := range l.n {
			for lane, s := range sum {
				dx[at+i*step+lane] = dy[at+i*step+lane] - float32(e[i*Lanes+lane]*s)
			}
		}
	})
}
