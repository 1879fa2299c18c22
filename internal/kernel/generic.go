package kernel

import "math"

// The functions below define the results: the assembly returns the same bits.
// Explicit conversions to float32 keep the compiler from fusing operations.

// fma returns a*b + c with one rounding.
//
// The product is exact in float64. The sum is rounded to float64 and again to
// float32, which is wrong only if the first rounding lands on a tie of the
// second: then rounding to odd repairs it (Boldo and Melquiond, "Emulation of
// FMA and correctly rounded sums: proved algorithms using rounding to odd",
// 2008).
func fma(a, b, c float32) float32 {
	p, z := float64(a)*float64(b), float64(c)
	s := p + z
	u := math.Float64bits(s)
	const tie, exponent = 1 << 28, 0x7ff << 52
	if u&(2*tie-1) != tie && u&exponent >= (1023-126)<<52 {
		return float32(s)
	}
	t := s - p
	if e := float64(p-float64(s-t)) + float64(z-t); e != 0 && u&1 == 0 {
		if (e > 0) == (s > 0) {
			u++
		} else {
			u--
		}
	}
	return float32(math.Float64frombits(u))
}

func tileGo(c, a, b, bias []float32, taps []Tap, ci, cj, bj, rows, n int) {
	for j := range n {
		for i := range rows {
			var acc [Lanes]float32
			for l := range acc {
				acc[l] = bias[i]
			}
			for _, t := range taps {
				w, v := a[int(t.A)+i], b[int(t.B)+j*bj:]
				for l, x := range v[:Lanes] {
					acc[l] = fma(w, x, acc[l])
				}
			}
			copy(c[i*ci+j*cj:], acc[:])
		}
	}
}

func dotGo(acc *[Rows * Cols * Lanes]float32, a, b []float32, boff *[Cols]int32, taps []Tap, ai int, add bool) {
	if !add {
		clear(acc[:])
	}
	for j := range Cols {
		for i := range Rows {
			s := acc[(j*Rows+i)*Lanes:][:Lanes]
			for _, t := range taps {
				x, y := a[int(t.A)+i*ai:], b[int(t.B+boff[j]):]
				for l := range s {
					s[l] = fma(x[l], y[l], s[l])
				}
			}
		}
	}
}

func outerGo(acc *[OuterRows * OuterCols * Lanes]float32, a, b []float32, boff *[OuterCols]int32, ai int, w *Walk, add bool) {
	for i := range OuterRows {
		for j, off := range boff {
			var s [Lanes]float32
			for r := range w.Rows {
				for p := range w.N {
					x, y := a[r*w.ARow+p*w.APos+i*ai:][:Lanes], b[int(off)+r*w.BRow+p*w.BPos:][:Lanes*Lanes]
					for l := range Lanes {
						for v, f := range y[l*Lanes:][:Lanes] {
							s[v] = fma(x[l], f, s[v])
						}
					}
				}
			}
			out := acc[(i*OuterCols+j)*Lanes:][:Lanes]
			if add {
				addToGo(s[:], out)
			}
			copy(out, s[:])
		}
	}
}

func transposeGo(dst, src []float32, step, n int) {
	for i := range n {
		for r, v := 0, dst[i*Lanes:][:Lanes]; r < Lanes; r++ {
			v[r] = src[r*step+i]
		}
	}
}

// interleaveGo writes eight samples at a time, so that half a cache line is
// written at once.
func interleaveGo(dst, src []float32, size int) {
	for h := 0; h < Lanes; h += 8 {
		row := func(l int) []float32 { return src[(h+l)*size:][:size] }
		a, b, c, d, e, f, g, k := row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7)
		for i := range size {
			v := (*[8]float32)(dst[i*Lanes+h:])
			v[0], v[1], v[2], v[3] = a[i], b[i], c[i], d[i]
			v[4], v[5], v[6], v[7] = e[i], f[i], g[i], k[i]
		}
	}
}

func sumLanesGo(dst, src []float32) {
	for i := range dst {
		var s [Lanes]float32
		copy(s[:], src[i*Lanes:(i+1)*Lanes])
		for w := Lanes / 2; w > 0; w /= 2 {
			for l := range w {
				s[l] += s[l+w]
			}
		}
		dst[i] = s[0]
	}
}

func affineGo(dst, src []float32, scale, shift float32) {
	for i := range dst {
		dst[i] = fma(scale, src[i], shift)
	}
}

func affineGradGo(dx, x, dy []float32, scale, mean float32, sums *[2 * Lanes]float32) {
	for i := range dx {
		l := i % Lanes
		g := dy[i]
		sums[l] += g
		sums[Lanes+l] = fma(g, x[i]-mean, sums[Lanes+l])
		dx[i] = scale * g
	}
}

func reluGo(dst, src []float32) {
	for i, v := range src[:len(dst)] {
		if v < 0 {
			v = 0
		}
		dst[i] = v
	}
}

func reluGradGo(dx, y, dy []float32) {
	for i := range dx {
		if y[i] > 0 {
			dx[i] = dy[i]
		} else {
			dx[i] = 0
		}
	}
}

func clipGo(dst, src []float32, low, high float32) {
	for i, v := range src[:len(dst)] {
		if low > v {
			v = low
		}
		if high < v {
			v = high
		}
		dst[i] = v
	}
}

func clipGradGo(dx, x, dy []float32, low, high float32) {
	for i := range dx {
		if low <= x[i] && x[i] <= high {
			dx[i] = dy[i]
		} else {
			dx[i] = 0
		}
	}
}

func mulGo(dst, a, b []float32) {
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
}

func maxTapsGo(dst, src []float32, taps []Tap, step, n int) {
	for j := range n {
		for l := range Lanes {
			at := j*step + l
			m := src[at+int(taps[0].B)]
			for _, t := range taps[1:] {
				if v := src[at+int(t.B)]; !(m > v) {
					m = v
				}
			}
			dst[j*Lanes+l] = m
		}
	}
}

func maxTapsGradGo(dx, x, y, dy []float32, taps []Tap, step, n int) {
	for j := range n {
		for l := range Lanes {
			at, out := j*step+l, j*Lanes+l
			left := dy[out]
			for _, t := range taps {
				var hit float32
				if x[at+int(t.A)] == y[out] {
					hit, left = left, 0
				}
				dx[at+int(t.B)] += hit
			}
		}
	}
}

func poolAffineGo(dst, src []float32, scale, shift float32, taps []Tap, step, n int) {
	for j := range n {
		for l := range Lanes {
			at := j*step + l
			m := fma(scale, src[at+int(taps[0].B)], shift)
			for _, t := range taps[1:] {
				if v := fma(scale, src[at+int(t.B)], shift); !(m > v) {
					m = v
				}
			}
			if m < 0 {
				m = 0
			}
			dst[j*Lanes+l] = m
		}
	}
}

func poolAffineGradGo(dx, x, y, dy []float32, scale, shift, mean float32, sums *[2 * Lanes]float32, taps []Tap, step, n int) {
	for j := range n {
		for l := range Lanes {
			at, out := j*step+l, j*Lanes+l
			var g, hit float32
			left := y[out] > 0
			if left {
				g = dy[out]
			}
			for _, t := range taps {
				v := x[at+int(t.A)]
				dx[at+int(t.B)] = 0
				if left && fma(scale, v, shift) == y[out] {
					dx[at+int(t.B)], hit, left = float32(scale*g), v, false
				}
			}
			sums[l] += g
			sums[Lanes+l] = fma(g, hit-mean, sums[Lanes+l])
		}
	}
}

func addToGo(dst, src []float32) {
	for i := range dst {
		dst[i] += src[i]
	}
}

func adamGo(theta, m, v, g []float32, r AdamRates) {
	for i := range theta {
		d := g[i]
		m[i] = fma(r.Beta1, m[i]-d, d)
		d = float32(d * d)
		v[i] = fma(r.Beta2, v[i]-d, d)
		root := fma(r.Root, float32(math.Sqrt(float64(v[i]))), r.Eps)
		theta[i] = fma(-r.Rate, m[i]/root, theta[i])
	}
}

func pullGo(grad, theta, origin []float32, weight float32) {
	for i := range grad {
		grad[i] = fma(weight, theta[i]-origin[i], grad[i])
	}
}

func distanceGo(acc *[Lanes]float64, a, b []float32) {
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		acc[i%Lanes] = math.FMA(d, d, acc[i%Lanes])
	}
}

func sumGo(acc *[Lanes]float32, src []float32) {
	for i, v := range src {
		acc[i%Lanes] += v
	}
}
