package kernel

import (
	"math/rand/v2"
	"testing"
)

func TestRowsMatchTwins(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 42))
	for n := range 12 {
		src, _ := guarded(t, r, n*Lanes)
		dst, intact := guarded(t, r, n*Lanes)
		want := clone(dst)
		var mean, squares, twin [Lanes]float32
		for l := range mean {
			mean[l], squares[l] = sample(r), sample(r)
		}
		twin = squares
		centreGo(want, src, &mean, &twin)
		Centre(dst, src, &mean, &squares)
		sameBits(t, "centred", dst, want)
		sameBits(t, "squares", squares[:], twin[:])

		run := 1 + r.IntN(3)
		scale, _ := guarded(t, r, n/run)
		shift, _ := guarded(t, r, n/run)
		want = clone(dst)
		scaleEachGo(want, &mean, scale, shift, run)
		ScaleEach(dst, &mean, scale, shift, run)
		sameBits(t, "scaled", dst, want)
		intact()
	}
}
