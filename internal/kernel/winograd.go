package kernel

import "fmt"

// The transforms of Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray, "Fast
// algorithms for convolutional neural networks", 2016): a patch d of 4 by 4 inputs
// and a kernel g of 3 by 3 give 2 by 2 outputs as At [(G g Gt) * (Bt d B)] A, with 16
// products instead of 36. The functions do a fourth of that, what belongs to one row
// of the transformed patch, so that what lies between them stays in a cache.

// Strip is a horizontal row of patches, each two columns behind the one before.
type Strip struct {
	// N is the number of patches that are whole.
	N int
	// Tail is 0 if these are all. One more follows whose last column is outside if it
	// is 1, and whose last two columns are if it is 2.
	Tail int
	// Edge reports whether the first column of the first patch is outside; rows then
	// begin with the second.
	Edge bool
}

// patches returns how many there are, and columns how many columns they read.
func (s Strip) patches() int { return s.N + min(s.Tail, 1) }

func (s Strip) columns() int {
	n := 2*s.N + 2
	if s.Tail == 1 {
		n++
	}
	if s.Edge {
		n--
	}
	return n
}

// WinogradIn makes one row of Bt d B for every channel and patch, of r = a + sign*b:
//
//	dst[0*dj + ...] = r0 - r2, dst[1*dj + ...] = r1 + r2,
//	dst[2*dj + ...] = r2 - r1, dst[3*dj + ...] = r1 - r3
//
// where r0 to r3 are the columns of a patch, 0 outside. Channels are ac, bc and dc
// elements apart; patches are adjacent vectors in dst.
func WinogradIn(dst, a, b []float32, dj, dc, ac, bc int, sign float32, channels int, s Strip) {
	if channels <= 0 {
		return
	}
	need("dst", dst, 3*dj+(channels-1)*dc+s.patches()*Lanes)
	need("a", a, (channels-1)*ac+s.columns()*Lanes)
	need("b", b, (channels-1)*bc+s.columns()*Lanes)
	winogradIn(dst, a, b, dj, dc, ac, bc, sign, channels, s)
}

// WinogradOut makes two outputs of each patch from one row m0 to m3 of products, mj
// elements apart, and puts m0+m1+m2 and m1-m2-m3 into y side by side, or times sign on
// top of what lies at the same place of from, within limits, if that is not nil. If
// odd is true, another patch follows with a first output only. Channels are yc and mc
// elements apart.
func WinogradOut(y, from, m []float32, yc, mj, mc int, sign float32, limits Limits, channels, n int, odd bool) {
	if channels <= 0 {
		return
	}
	more := 0
	if odd {
		more = 1
	}
	need("y", y, (channels-1)*yc+(2*n+more)*Lanes)
	if from != nil {
		need("from", from, (channels-1)*yc+(2*n+more)*Lanes)
	}
	need("m", m, 3*mj+(channels-1)*mc+(n+more)*Lanes)
	winogradOut(y, from, m, yc, mj, mc, sign, limits, channels, n, more)
}

func winogradInGo(dst, a, b []float32, dj, dc, ac, bc int, sign float32, channels int, s Strip) {
	for ch := range channels {
		for t := range s.patches() {
			for l := range Lanes {
				var r [4]float32
				for i := range r {
					column := 2*t + i
					if s.Edge {
						column--
					}
					if column >= 0 && column < s.columns() {
						r[i] = fma(sign, b[ch*bc+column*Lanes+l], a[ch*ac+column*Lanes+l])
					}
				}
				for j, v := range [4]float32{r[0] - r[2], r[1] + r[2], r[2] - r[1], r[1] - r[3]} {
					dst[j*dj+ch*dc+t*Lanes+l] = v
				}
			}
		}
	}
}

func winogradOutGo(y, from, m []float32, yc, mj, mc int, sign float32, limits Limits, channels, n, odd int) {
	for ch := range channels {
		for t := range n + odd {
			for l := range Lanes {
				at := ch*mc + t*Lanes + l
				v := [2]float32{m[at] + m[mj+at] + m[2*mj+at], m[mj+at] - m[2*mj+at] - m[3*mj+at]}
				for c := range 2 {
					if to := ch*yc + (2*t+c)*Lanes + l; c == 0 || t < n {
						if from != nil {
							v[c] = limits.apply(fma(sign, v[c], from[to]))
						}
						y[to] = v[c]
					}
				}
			}
		}
	}
}

// WinogradKernels makes G g Gt, row by row, of each of n kernels g of 3 by 3 that lie one
// after the other in src, times scale, step elements apart in dst; of the kernels turned
// around if turned is true.
func WinogradKernels(dst, src []float32, step, n int, scale float32, turned bool) {
	if n <= 0 {
		return
	}
	need("dst", dst, (n-1)*step+16)
	need("src", src, 9*n)
	winogradKernels(dst, src, step, n, scale, turned)
}

func winogradKernelsGo(dst, src []float32, step, n int, scale float32, turned bool) {
	for i := range n {
		var g [9]float32
		for k, v := range src[9*i:][:9] {
			if turned {
				k = 8 - k
			}
			g[k] = float32(v * scale)
		}
		*(*[16]float32)(dst[i*step:]) = winogradKernel(&g)
	}
}

// winogradKernel is G g Gt.
func winogradKernel(g *[9]float32) (u [16]float32) {
	var rows [4][3]float32
	for x := range 3 {
		rows[0][x], rows[1][x], rows[2][x], rows[3][x] = winogradFilter(g[x], g[3+x], g[6+x])
	}
	for i, r := range rows {
		u[4*i], u[4*i+1], u[4*i+2], u[4*i+3] = winogradFilter(r[0], r[1], r[2])
	}
	return u
}

// winogradFilter is G of a column of three. In the other order they give the same
// bits, the first and the last in each other's place.
func winogradFilter(a, b, c float32) (float32, float32, float32, float32) {
	outer, inner := float32((a+c)*0.5), float32(b*0.5)
	return a, outer + inner, outer - inner, c
}

// BlockLen is the number of elements of one position of [Cols] vectors of [Lanes]
// features in as many lanes, as [WinogradTurned] and [OuterBlocks] take them.
const BlockLen = Cols * Lanes * Lanes

// WinogradTurned is [WinogradIn] of n patches of which each column is a block of
// [BlockLen] elements: of column k of patch t, r is a + sign*b of block 2*t + k, and
// block t of dst becomes
//
//	dst[0*dj + ...] = r0 - r2, dst[1*dj + ...] = r1 + r2,
//	dst[2*dj + ...] = r2 - r1, dst[3*dj + ...] = r1 - r3
func WinogradTurned(dst, a, b []float32, dj int, sign float32, n int) {
	if n <= 0 {
		return
	}
	need("dst", dst, 3*dj+n*BlockLen)
	need("a", a, (2*n+2)*BlockLen)
	need("b", b, (2*n+2)*BlockLen)
	winogradTurned(dst, a, b, dj, sign, n)
}

// WinogradGrad makes one row of A dy At for every channel and each of n patches of 2 by
// 2 outputs side by side, of r = a + sign*b, with the last column and row of A positive:
//
//	dst[0*dj + ...] = r0, dst[1*dj + ...] = r0 + r1,
//	dst[2*dj + ...] = r0 - r1, dst[3*dj + ...] = r1
//
// Channels are ac elements apart in a and b, and dc in dst; patches are adjacent vectors
// in dst.
func WinogradGrad(dst, a, b []float32, dj, dc, ac int, sign float32, channels, n int) {
	if n <= 0 || channels <= 0 {
		return
	}
	need("dst", dst, 3*dj+(channels-1)*dc+n*Lanes)
	need("a", a, (channels-1)*ac+2*n*Lanes)
	need("b", b, (channels-1)*ac+2*n*Lanes)
	winogradGrad(dst, a, b, dj, dc, ac, sign, channels, n)
}

// OuterBlocks makes 24 vectors of a product whose sum runs over n positions and lanes:
//
//	acc[(i*Cols+j)*Lanes + v] = sum over positions p and lanes l of
//	    a[i*ai + p*Lanes + l] * b[p*BlockLen + (j*Lanes+l)*Lanes + v]
//
// for [Rows] rows i, [Cols] columns j and all v; if add is true, what acc holds is added
// to the sum.
func OuterBlocks(acc *[Rows * Cols * Lanes]float32, a, b []float32, ai, n int, add bool) {
	if ai < 0 || n < 1 {
		panic(fmt.Sprintf("kernel: %d positions of rows %d apart", n, ai))
	}
	need("a", a, (Rows-1)*ai+n*Lanes)
	need("b", b, n*BlockLen)
	outerBlocks(acc, a, b, ai, n, add)
}

// WinogradGradKernel makes of the gradient u of a transformed kernel, made of what
// [WinogradGrad] makes, that of the kernel: Gt u G, for vectors of kernels. Elements of u
// are step apart, and those of dst adjacent vectors.
func WinogradGradKernel(dst *[9 * Lanes]float32, u []float32, step int) {
	need("u", u, 15*step+Lanes)
	var t [4][3][Lanes]float32
	for i := range 4 {
		r := [4]*[Lanes]float32{}
		for j := range r {
			r[j] = (*[Lanes]float32)(u[(4*i+j)*step:])
		}
		for l := range Lanes {
			t[i][0][l], t[i][1][l], t[i][2][l] = winogradGradFilter(r[0][l], r[1][l], r[2][l], r[3][l])
		}
	}
	for j := range 3 {
		for l := range Lanes {
			dst[j*Lanes+l], dst[(3+j)*Lanes+l], dst[(6+j)*Lanes+l] = winogradGradFilter(t[0][j][l], t[1][j][l], t[2][j][l], t[3][j][l])
		}
	}
}

func winogradGradFilter(a, b, c, d float32) (x, y, z float32) {
	half := float32(0.5 * (b + c))
	return a + half, float32(0.5 * (b - c)), half - d
}

func winogradTurnedGo(dst, a, b []float32, dj int, sign float32, n int) {
	for t := range n {
		for i := range BlockLen {
			var r [4]float32
			for k := range r {
				at := (2*t+k)*BlockLen + i
				r[k] = fma(sign, b[at], a[at])
			}
			for j, v := range [4]float32{r[0] - r[2], r[1] + r[2], r[2] - r[1], r[1] - r[3]} {
				dst[j*dj+t*BlockLen+i] = v
			}
		}
	}
}

func winogradGradGo(dst, a, b []float32, dj, dc, ac int, sign float32, channels, n int) {
	for ch := range channels {
		for i := range n * Lanes {
			from := ch*ac + i/Lanes*2*Lanes + i%Lanes
			r0, r1 := fma(sign, b[from], a[from]), fma(sign, b[from+Lanes], a[from+Lanes])
			for j, v := range [4]float32{r0, r0 + r1, r0 - r1, r1} {
				dst[j*dj+ch*dc+i] = v
			}
		}
	}
}

func outerBlocksGo(acc *[Rows * Cols * Lanes]float32, a, b []float32, ai, n int, add bool) {
	for i := range Rows {
		for j := range Cols {
			var s [Lanes]float32
			for p := range n {
				x, y := a[i*ai+p*Lanes:][:Lanes], b[p*BlockLen+j*Lanes*Lanes:][:Lanes*Lanes]
				for l := range Lanes {
					for v, f := range y[l*Lanes:][:Lanes] {
						s[v] = fma(x[l], f, s[v])
					}
				}
			}
			out := acc[(i*Cols+j)*Lanes:][:Lanes]
			if add {
				addToGo(s[:], out)
			}
			copy(out, s[:])
		}
	}
}
