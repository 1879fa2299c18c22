package kernel

// Centre sets dst = src - mean and adds the squares of that to squares, lane by lane.
// The length is a multiple of [Lanes].
func Centre(dst, src []float32, mean, squares *[Lanes]float32) {
	need("src", src, len(dst))
	centre(dst, src, mean, squares)
}

// ScaleEach multiplies the vectors of dst by by, lane by lane, and then run vectors
// each by an element of scale, and adds one of shift.
func ScaleEach(dst []float32, by *[Lanes]float32, scale, shift []float32, run int) {
	need("dst", dst, len(scale)*run*Lanes)
	need("shift", shift, len(scale))
	if len(scale) > 0 && run > 0 {
		scaleEach(dst, by, scale, shift, run)
	}
}

// NormSums adds to the two halves of sums, lane by lane, the sums of g and of g*xhat
// over the vectors of a row: xhat = (x - mean) * by, where mean and by are the halves of
// stats, and g is the gradient dy times the element of scale that run vectors share. If
// acc is not nil, it has 2*[Lanes] elements for each scale, to which dy*xhat and dy are
// added.
func NormSums(sums *[2 * Lanes]float32, acc, x, dy []float32, stats *[2 * Lanes]float32, scale []float32, run int) {
	need("x", x, len(scale)*run*Lanes)
	need("dy", dy, len(scale)*run*Lanes)
	if acc != nil {
		need("acc", acc, len(scale)*2*Lanes)
	}
	if len(scale) > 0 && run > 0 {
		normSums(sums, acc, x, dy, stats, scale, run)
	}
}

// NormGrad sets dx = (g - sum - xhat*product) * by, with g, xhat, by and stats as in
// [NormSums]; sum and product are the halves of sums.
func NormGrad(dx, x, dy []float32, stats, sums *[2 * Lanes]float32, scale []float32, run int) {
	need("dx", dx, len(scale)*run*Lanes)
	need("x", x, len(scale)*run*Lanes)
	need("dy", dy, len(scale)*run*Lanes)
	if len(scale) > 0 && run > 0 {
		normGrad(dx, x, dy, stats, sums, scale, run)
	}
}

func centreGo(dst, src []float32, mean, squares *[Lanes]float32) {
	for i := 0; i < len(dst); i += Lanes {
		v, c := src[i:][:Lanes], dst[i:][:Lanes]
		for l, m := range mean {
			d := v[l] - m
			c[l] = d
			squares[l] += float32(d * d)
		}
	}
}

func scaleEachGo(dst []float32, by *[Lanes]float32, scale, shift []float32, run int) {
	for i, w := range scale {
		for r := range run {
			v := dst[(i*run+r)*Lanes:][:Lanes]
			for l, f := range by {
				v[l] = float32(float32(v[l]*f)*w) + shift[i]
			}
		}
	}
}

func normSumsGo(sums *[2 * Lanes]float32, acc, x, dy []float32, stats *[2 * Lanes]float32, scale []float32, run int) {
	for i, w := range scale {
		for r := range run {
			v, g := x[(i*run+r)*Lanes:][:Lanes], dy[(i*run+r)*Lanes:][:Lanes]
			for l := range Lanes {
				hat := float32((v[l] - stats[l]) * stats[Lanes+l])
				scaled := float32(g[l] * w)
				sums[l] += scaled
				sums[Lanes+l] += float32(scaled * hat)
				if acc != nil {
					acc[i*2*Lanes+l] += float32(g[l] * hat)
					acc[(i*2+1)*Lanes+l] += g[l]
				}
			}
		}
	}
}

func normGradGo(dx, x, dy []float32, stats, sums *[2 * Lanes]float32, scale []float32, run int) {
	for i, w := range scale {
		for r := range run {
			at := (i*run + r) * Lanes
			v, g, d := x[at:][:Lanes], dy[at:][:Lanes], dx[at:][:Lanes]
			for l := range Lanes {
				hat := float32((v[l] - stats[l]) * stats[Lanes+l])
				d[l] = (float32(g[l]*w) - sums[l] - float32(hat*sums[Lanes+l])) * stats[Lanes+l]
			}
		}
	}
}
