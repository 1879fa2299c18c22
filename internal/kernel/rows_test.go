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

		x, _ := guarded(t, r, n*Lanes)
		acc, whole := guarded(t, r, n/run*2*Lanes)
		var stats, sums, twinSums [2 * Lanes]float32
		for l := range stats {
			stats[l], sums[l] = sample(r), sample(r)
		}
		twinSums = sums
		wantAcc := clone(acc)
		for _, some := range [][]float32{acc, nil} {
			twinAcc := wantAcc
			if some == nil {
				twinAcc = nil
			}
			normSumsGo(&twinSums, twinAcc, x, src, &stats, scale, run)
			NormSums(&sums, some, x, src, &stats, scale, run)
			sameBits(t, "sums", sums[:], twinSums[:])
			sameBits(t, "sums of scales", acc, wantAcc)
		}
		want = clone(dst)
		normGradGo(want, x, src, &stats, &sums, scale, run)
		NormGrad(dst, x, src, &stats, &sums, scale, run)
		sameBits(t, "gradient of a normalization", dst, want)
		intact()
		whole()
	}
}
