package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func someLimits(r *rand.Rand) Limits {
	return []Limits{NoLimits, {0, 6}, {0, NoLimits.High}, {-0.5, 0.75}}[r.IntN(4)]
}

func TestTileFinishMatchesTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	for range 600 {
		n, rows, k := r.IntN(11), 1+r.IntN(Rows), r.IntN(5)
		list := make([]Tap, k)
		for i := range list {
			list[i] = Tap{int32(i * Rows), int32(r.IntN(4) * 8)}
		}
		cj := []int{16, 32}[r.IntN(2)]
		ci, bj := cj*11+3, 32
		a, _ := guarded(t, r, k*Rows)
		b, _ := guarded(t, r, 24+10*bj+Lanes)
		bias, _ := guarded(t, r, Rows)
		c, intact := guarded(t, r, 5*ci+11*cj)
		f := &Finish{Limits: someLimits(r)}
		switch r.IntN(3) {
		case 0:
			f.Add, _ = guarded(t, r, len(c))
		case 1:
			f.Add = c
		}
		want := clone(c)
		tileGo(want, a, b, bias, list, ci, cj, bj, rows, n)
		for i := range rows {
			for j := range n {
				for at := i*ci + j*cj; at < i*ci+j*cj+Lanes; at++ {
					if f.Add != nil {
						want[at] += f.Add[at] // of c, what was there before
					}
					want[at] = f.Limits.apply(want[at])
				}
			}
		}
		TileFinish(c, a, b, bias, NewTaps(list), ci, cj, bj, rows, n, f)
		sameBits(t, fmt.Sprint(n, rows, k, cj, f.Limits), c, want)
		intact()
	}
}

func TestDepth3MatchesTwins(t *testing.T) {
	r := rand.New(rand.NewPCG(33, 34))
	for range 300 {
		g := &Grid{Rows: 1 + r.IntN(3), N: 1 + r.IntN(5)}
		g.DstPos, g.SrcPos = Lanes*(1+r.IntN(2)), Lanes*(1+r.IntN(2))
		g.DstRow, g.SrcRow, g.Pitch = g.N*g.DstPos+16*r.IntN(2), 48*r.IntN(3), 16*r.IntN(9)
		src, intactSrc := guarded(t, r, (g.Rows-1)*g.SrcRow+(g.N-1)*g.SrcPos+2*g.Pitch+3*Lanes)
		dst, intact := guarded(t, r, (g.Rows-1)*g.DstRow+(g.N-1)*g.DstPos+Lanes)
		var w [9]float32
		for k := range w {
			w[k] = sample(r)
		}
		var acc, accTwin [9 * Lanes]float32
		acc[0] = 5
		Depth3Grad(&acc, dst, src, g)
		depth3GradGo(&accTwin, dst, src, g)
		sameBits(t, fmt.Sprintf("gradient %+v", *g), acc[:], accTwin[:])

		want, bias, limits := clone(dst), sample(r), someLimits(r)
		depth3Go(want, src, &w, bias, limits, g)
		Depth3(dst, src, &w, bias, limits, g)
		sameBits(t, fmt.Sprintf("%+v", *g), dst, want)
		intact()
		intactSrc()
	}
}

func TestGateMatchesTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(35, 36))
	for range 300 {
		g := &Grid{Rows: 1 + r.IntN(3), N: 1 + r.IntN(5), DstPos: Lanes * (1 + r.IntN(2))}
		g.DstRow = g.N*g.DstPos + 16*r.IntN(2)
		y, _ := guarded(t, r, g.Rows*g.N*Lanes)
		dy, intact := guarded(t, r, g.Rows*g.N*Lanes)
		limits := someLimits(r)
		y[0], y[1] = limits.Low, limits.High
		dx, intactDX := guarded(t, r, (g.Rows-1)*g.DstRow+(g.N-1)*g.DstPos+Lanes)
		want := clone(dx)
		if g.DstPos == Lanes && g.DstRow == g.N*Lanes && r.IntN(2) == 0 {
			dx, want = dy, clone(dy)
		}
		var sums, twin [Lanes]float32
		sums[3], twin[3] = 2, 2
		gateGo(want, y, clone(dy), limits, &twin, g)
		Gate(dx, y, dy, limits, &sums, g)
		sameBits(t, fmt.Sprintf("%+v", *g), dx, want)
		sameBits(t, "sums", sums[:], twin[:])
		intact()
		intactDX()
	}
}
