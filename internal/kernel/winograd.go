package kernel

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

// WinogradKernel is G g Gt of a kernel g of 3 by 3, row by row.
func WinogradKernel(g *[9]float32) (u [16]float32) {
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
