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
