package nn

import "lethe/internal/kernel"

// matMulLayer multiplies matrices that both depend on the sample, pair by pair.
type matMulLayer struct {
	stateless
	a, b, out *value
	da, db    *sink
	m, k, n   int
	pairs     [][2]int // of matrices of a and b for each of out, in matrices

	ab, dab, dba *kernel.Taps // of the product and of its two gradients
}

func newMatMul(b *builder) layer {
	x, y := b.in(0), b.in(1)
	rx, ry := len(x.dims), len(y.dims)
	l := &matMulLayer{a: b.data(0), b: b.data(1), out: b.out[0], m: x.dims[rx-2], k: x.dims[rx-1], n: y.dims[ry-1]}
	l.da, l.db = b.sink(l.a), b.sink(l.b)
	if l.da.wanted() {
		b.keep(l.b)
	}
	if l.db.wanted() {
		b.keep(l.a)
	}
	lead := b.outs[0].dims[:len(b.outs[0].dims)-2]
	xs, ys := broadcastIndex(x.dims[:rx-2], lead), broadcastIndex(y.dims[:ry-2], lead)
	for i := range xs {
		l.pairs = append(l.pairs, [2]int{int(xs[i]), int(ys[i])})
	}
	l.ab = stepTaps(l.k, 1, l.n)
	l.dab = stepTaps(l.n, 1, 1)
	l.dba = stepTaps(l.m, l.k, l.n)
	return l
}

// stepTaps returns the taps of a sum over n vectors of two factors.
func stepTaps(n, a, b int) *kernel.Taps {
	taps := make([]kernel.Tap, n)
	for i := range taps {
		taps[i] = kernel.Tap{A: int32(i * a * Lanes), B: int32(i * b * Lanes)}
	}
	return kernel.NewTaps(taps)
}

// matrixProduct sets the rows x cols matrix dst to a product, or adds it: row i of a
// begins aRow vectors after the one before, column j of b bCol after the one
// before, and taps says what is summed.
func matrixProduct(dst, a, b []float32, taps *kernel.Taps, rows, cols, aRow, bCol int, add bool) {
	var acc [kernel.Rows * kernel.Cols * Lanes]float32
	var boff [kernel.Cols]int32
	for i := 0; i < rows; {
		start, step, done := dotRows(i, rows, aRow*Lanes)
		for j := 0; j < cols; j += kernel.Cols {
			for c := range boff {
				boff[c] = int32((min(j+c, cols-1) - j) * bCol * Lanes)
			}
			kernel.Dot(&acc, a[start*aRow*Lanes:], b[j*bCol*Lanes:], &boff, taps, step, false)
			for c := range min(kernel.Cols, cols-j) {
				for r := range done {
					from := acc[(c*kernel.Rows+i-start+r)*Lanes:][:Lanes]
					to := dst[((i+r)*cols+j+c)*Lanes:][:Lanes]
					if add {
						kernel.Add(to, from)
					} else {
						copy(to, from)
					}
				}
			}
		}
		i += done
	}
}

func (l *matMulLayer) forward(p part) {
	x, y, z := l.a.data(p), l.b.data(p), l.out.data(p)
	for g := range p.hi - p.lo {
		x, y, z := x[g*l.a.size:(g+1)*l.a.size], y[g*l.b.size:(g+1)*l.b.size], z[g*l.out.size:]
		for i, pair := range l.pairs {
			matrixProduct(z[i*l.m*l.n*Lanes:], x[pair[0]*l.m*l.k*Lanes:], y[pair[1]*l.k*l.n*Lanes:], l.ab, l.m, l.n, l.k, 1, false)
		}
	}
}

func (l *matMulLayer) backward(p part) {
	dz := l.out.gradient(p)
	if l.da.wanted() {
		l.eachPair(p, l.da, 0, l.m*l.k, func(da []float32, g, i, other int, add bool) {
			y := l.b.data(p)[g*l.b.size+other*l.k*l.n*Lanes:]
			matrixProduct(da, dz[g*l.out.size+i*l.m*l.n*Lanes:], y, l.dab, l.m, l.k, l.n, l.n, add)
		})
	}
	if l.db.wanted() {
		l.eachPair(p, l.db, 1, l.k*l.n, func(db []float32, g, i, other int, add bool) {
			x := l.a.data(p)[g*l.a.size+other*l.m*l.k*Lanes:]
			matrixProduct(db, x, dz[g*l.out.size+i*l.m*l.n*Lanes:], l.dba, l.k, l.n, 1, 1, add)
		})
	}
}

// eachPair calls f for every product with the gradient of one factor, which is to
// be added to if another product gave to it before.
func (l *matMulLayer) eachPair(p part, k *sink, side, size int, f func(grad []float32, g, i, other int, add bool)) {
	grad := k.open(p)
	for g := range p.hi - p.lo {
		seen := make([]bool, k.v.size/(size*Lanes))
		for i, pair := range l.pairs {
			own := pair[side]
			f(grad[g*k.v.size+own*size*Lanes:], g, i, pair[1-side], seen[own])
			seen[own] = true
		}
	}
	k.close(p)
}

// broadcastIndex returns, for every element of a shape out in C order, the index
// of the element of dims that meets it.
func broadcastIndex(dims, out []int) []int32 {
	strides := make([]int, len(out))
	step := 1
	for i := len(dims) - 1; i >= 0; i-- {
		if at := i + len(out) - len(dims); dims[i] > 1 {
			strides[at] = step
		}
		step *= dims[i]
	}
	return strided(out, strides, 0)
}

// strided returns base plus the sum of the coordinates times strides, for every
// element of a shape in C order.
func strided(dims, strides []int, base int) []int32 {
	all := make([]int32, 0, product(dims))
	var walk func(axis, at int)
	walk = func(axis, at int) {
		if axis == len(dims) {
			all = append(all, int32(at))
			return
		}
		for i := range dims[axis] {
			walk(axis+1, at+i*strides[axis])
		}
	}
	walk(0, base)
	return all
}
