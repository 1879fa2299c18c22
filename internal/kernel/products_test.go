package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestTileMatchesTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for n := 0; n <= 18; n++ {
		for rows := 1; rows <= Rows; rows++ {
			for _, k := range []int{0, 1, 2, 25} {
				t.Run(fmt.Sprint(n, rows, k), func(t *testing.T) {
					list := make([]Tap, k)
					for i := range list {
						list[i] = Tap{int32(i * Rows), int32(r.IntN(4) * 8)}
					}
					ci, cj, bj := 16*18+3, 16, 32
					a, _ := guarded(t, r, k*Rows)
					b, _ := guarded(t, r, 24+17*bj+Lanes)
					bias, _ := guarded(t, r, Rows)
					c, intact := guarded(t, r, 5*ci+18*cj)
					want := clone(c)
					tileGo(want, a, b, bias, list, ci, cj, bj, rows, n)
					Tile(c, a, b, bias, NewTaps(list), ci, cj, bj, rows, n)
					sameBits(t, "c", c, want)
					intact()
				})
			}
		}
	}
}

func TestDotMatchesTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, ai := range []int{0, 16, 48} {
		for _, k := range []int{0, 1, 3, 64} {
			list := make([]Tap, k)
			for i := range list {
				list[i] = Tap{int32(r.IntN(9) * 16), int32(r.IntN(9) * 16)}
			}
			boff := [Cols]int32{0, 16, int32(r.IntN(3) * 16), 5}
			a, _ := guarded(t, r, 8*16+5*ai+16)
			b, _ := guarded(t, r, 8*16+48+16)
			for _, add := range []bool{true, false} {
				var got, want [Rows * Cols * Lanes]float32
				for i := range got {
					got[i] = sample(r)
				}
				want = got
				dotGo(&want, a, b, &boff, list, ai, add)
				Dot(&got, a, b, &boff, NewTaps(list), ai, add)
				sameBits(t, "acc", got[:], want[:])
			}
		}
	}
}

// BenchmarkTile measures LeNet's shapes on one thread; the metric is
// multiply-adds counted as two operations.
func BenchmarkTile(b *testing.B) {
	for _, s := range []struct {
		name       string
		m, k, n, w int
	}{{"conv1", 6, 25, 576, 24}, {"conv2", 16, 150, 64, 8}, {"fc", 120, 256, 4, 4}} {
		b.Run(s.name, func(b *testing.B) {
			list := make([]Tap, s.k)
			for i := range list {
				list[i] = Tap{int32(i * Rows), int32(i * Lanes)}
			}
			taps := NewTaps(list)
			a := make([]float32, PackedLen(s.m, s.k))
			x := make([]float32, (s.k+s.n)*Lanes)
			c := make([]float32, s.m*s.n*Lanes)
			bias := make([]float32, Rows)
			for b.Loop() {
				for p := 0; p < s.m; p += Rows {
					for j := 0; j < s.n; j += s.w {
						Tile(c[(p*s.n+j)*Lanes:], a[p*s.k:], x[j*Lanes:], bias, taps, s.n*Lanes, Lanes, Lanes, min(Rows, s.m-p), s.w)
					}
				}
			}
			b.ReportMetric(2*float64(s.m*s.k*s.n*Lanes)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}

func TestOuterMatchesTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for range 300 {
		w := &Walk{Rows: 1 + r.IntN(3), N: 1 + r.IntN(5)}
		ai := r.IntN(3) * Lanes
		w.APos = []int{0, Lanes, 5 * Lanes}[r.IntN(3)]
		w.ARow = []int{0, w.N * w.APos, 7}[r.IntN(3)]
		w.BPos = []int{0, 256, 512, 40}[r.IntN(4)]
		w.BRow = []int{0, w.N * w.BPos, 300}[r.IntN(3)]
		boff := [OuterCols]int32{int32(r.IntN(300)), int32(r.IntN(300)), int32(r.IntN(300))}
		a, aDone := guarded(t, r, (w.Rows-1)*w.ARow+(w.N-1)*w.APos+(OuterRows-1)*ai+Lanes)
		b, bDone := guarded(t, r, (w.Rows-1)*w.BRow+(w.N-1)*w.BPos+int(max(boff[0], boff[1], boff[2]))+256)
		got, gotDone := guarded(t, r, OuterRows*OuterCols*Lanes)
		want := [OuterRows * OuterCols * Lanes]float32(got)
		add := r.IntN(2) == 0
		outerGo(&want, a, b, &boff, ai, w, add)
		Outer((*[OuterRows * OuterCols * Lanes]float32)(got), a, b, &boff, ai, w, add)
		sameBits(t, fmt.Sprintf("%+v", *w), got, want[:])
		aDone()
		bDone()
		gotDone()
	}
}

func BenchmarkOuter(b *testing.B) {
	w := &Walk{Rows: 4, N: 8, APos: Lanes, ARow: 8 * Lanes, BPos: 256, BRow: 10 * 256}
	x, y := make([]float32, 1<<16), make([]float32, 1<<16)
	var acc [OuterRows * OuterCols * Lanes]float32
	for b.Loop() {
		Outer(&acc, x, y, &[OuterCols]int32{0, 256, 512}, 4*8*Lanes, w, true)
	}
	b.ReportMetric(2*float64(4*8*Lanes*len(acc))*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}

func TestWinogradMatchesTwins(t *testing.T) {
	r := rand.New(rand.NewPCG(25, 26))
	for range 300 {
		s := Strip{N: r.IntN(4), Tail: r.IntN(3), Edge: r.IntN(2) == 0}
		channels, sign := 1+r.IntN(3), float32(2*r.IntN(2)-1)
		row, tiles := s.columns()*Lanes, s.patches()*Lanes
		ac, bc, dc := r.IntN(2)*row, row+16, tiles+16
		dj := channels*dc + 16
		a, aDone := guarded(t, r, (channels-1)*ac+row)
		b, bDone := guarded(t, r, (channels-1)*bc+row)
		got, done := guarded(t, r, 3*dj+(channels-1)*dc+tiles)
		want := clone(got)
		winogradInGo(want, a, b, dj, dc, ac, bc, sign, channels, s)
		if tiles > 0 {
			WinogradIn(got, a, b, dj, dc, ac, bc, sign, channels, s)
		}
		sameBits(t, fmt.Sprintf("in %+v", s), got, want)
		aDone()
		bDone()
		done()

		n, odd := r.IntN(4), r.IntN(2)
		if n+odd == 0 {
			continue
		}
		mc := (n + odd + 1) * Lanes
		mj := channels * mc
		m, mDone := guarded(t, r, 4*mj)
		yc := (2*n + odd) * Lanes
		y, yDone := guarded(t, r, channels*yc)
		from, fromDone := guarded(t, r, channels*yc)
		limits := []Limits{NoLimits, {0, 6}, {0, NoLimits.High}}[r.IntN(3)]
		switch r.IntN(3) {
		case 0:
			from = nil
		case 1:
			from = y
		}
		want = clone(y)
		wantFrom := from
		if len(from) > 0 && &from[0] == &y[0] {
			wantFrom = want
		}
		winogradOutGo(want, wantFrom, m, yc, mj, mc, sign, limits, channels, n, odd)
		WinogradOut(y, from, m, yc, mj, mc, sign, limits, channels, n, odd == 1)
		sameBits(t, fmt.Sprintf("out %d %d", n, odd), y, want)
		fromDone()
		mDone()
		yDone()
	}
}

func TestWinogradGradMatchesTwins(t *testing.T) {
	r := rand.New(rand.NewPCG(27, 28))
	for range 100 {
		n, channels, sign := 1+r.IntN(3), 1+r.IntN(3), float32(r.IntN(3)-1)
		dj := n*BlockLen + r.IntN(2)*8
		a, aDone := guarded(t, r, (2*n+2)*BlockLen)
		b, bDone := guarded(t, r, (2*n+2)*BlockLen)
		got, done := guarded(t, r, 3*dj+n*BlockLen)
		want := clone(got)
		winogradTurnedGo(want, a, b, dj, sign, n)
		WinogradTurned(got, a, b, dj, sign, n)
		sameBits(t, fmt.Sprintf("turned %d", n), got, want)
		aDone()
		bDone()
		done()

		ac, dc := 2*n*Lanes+r.IntN(2)*Lanes, n*Lanes+r.IntN(2)*8
		dj = channels*dc + 8
		a, aDone = guarded(t, r, (channels-1)*ac+2*n*Lanes)
		b, bDone = guarded(t, r, (channels-1)*ac+2*n*Lanes)
		got, done = guarded(t, r, 3*dj+(channels-1)*dc+n*Lanes)
		want = clone(got)
		winogradGradGo(want, a, b, dj, dc, ac, sign, channels, n)
		WinogradGrad(got, a, b, dj, dc, ac, sign, channels, n)
		sameBits(t, fmt.Sprintf("grad %d", n), got, want)
		aDone()
		bDone()
		done()

		ai := r.IntN(3) * 8
		a, aDone = guarded(t, r, (Rows-1)*ai+n*Lanes)
		b, bDone = guarded(t, r, n*BlockLen)
		got, done = guarded(t, r, Rows*Cols*Lanes)
		sums, add := [Rows * Cols * Lanes]float32(got), r.IntN(2) == 0
		outerBlocksGo(&sums, a, b, ai, n, add)
		OuterBlocks((*[Rows * Cols * Lanes]float32)(got), a, b, ai, n, add)
		sameBits(t, fmt.Sprintf("outer %d", n), got, sums[:])
		aDone()
		bDone()
		done()
	}
}

func TestWinogradKernelsMatchTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	for n := range 20 {
		for _, turned := range []bool{true, false} {
			step := 16 + n%3*4
			src, srcDone := guarded(t, r, 9*n)
			got, done := guarded(t, r, n*step)
			want, scale := clone(got), sample(r)
			winogradKernelsGo(want, src, step, n, scale, turned)
			WinogradKernels(got, src, step, n, scale, turned)
			sameBits(t, fmt.Sprint(n, turned), got, want)
			srcDone()
			done()
		}
	}
}

// The gradient of a kernel that Winograd's algorithm makes is that of the definition.
func TestWinogradGradKernel(t *testing.T) {
	r := rand.New(rand.NewPCG(29, 30))
	var x [16]float32 // a patch, and the gradient of its outputs
	var dy [4]float32
	for i := range x {
		x[i] = float32(r.IntN(9) - 4)
	}
	for i := range dy {
		dy[i] = float32(r.IntN(9) - 4)
	}
	blocks, planes := make([]float32, 4*4*BlockLen), make([]float32, 4*Lanes)
	for i, v := range x {
		blocks[i*BlockLen] = v // the first lane of the first feature
	}
	for i, v := range dy {
		planes[i*Lanes] = v
	}
	in := [4]struct {
		a, b int
		sign float32
	}{{0, 2, -1}, {1, 2, 1}, {2, 1, -1}, {1, 3, -1}}
	out := [4]struct {
		a, b int
		sign float32
	}{{0, 0, 0}, {0, 1, 1}, {0, 1, -1}, {1, 1, 0}}
	var u [16 * Lanes]float32
	for i := range 4 {
		d, g := make([]float32, 4*BlockLen), make([]float32, 4*Rows*Lanes)
		WinogradTurned(d, blocks[in[i].a*4*BlockLen:], blocks[in[i].b*4*BlockLen:], BlockLen, in[i].sign, 1)
		WinogradGrad(g, planes[out[i].a*2*Lanes:], planes[out[i].b*2*Lanes:], Rows*Lanes, Lanes, 0, out[i].sign, 1, 1)
		for j := range 4 {
			var acc [Rows * Cols * Lanes]float32
			OuterBlocks(&acc, g[j*Rows*Lanes:], d[j*BlockLen:], Lanes, 1, false)
			copy(u[(4*i+j)*Lanes:], acc[:Lanes])
		}
	}
	var dw [9 * Lanes]float32
	WinogradGradKernel(&dw, u[:], Lanes)
	for ky := range 3 {
		for kx := range 3 {
			want := float32(0)
			for oy := range 2 {
				for ox := range 2 {
					want += dy[2*oy+ox] * x[4*(oy+ky)+ox+kx]
				}
			}
			if got := dw[(3*ky+kx)*Lanes]; got != want {
				t.Errorf("element %d, %d is %v, want %v", ky, kx, got, want)
			}
		}
	}
}

func BenchmarkOuterBlocks(b *testing.B) {
	const n = 8
	x, y := make([]float32, Rows*n*Lanes), make([]float32, n*BlockLen)
	var acc [Rows * Cols * Lanes]float32
	for b.Loop() {
		OuterBlocks(&acc, x, y, n*Lanes, n, true)
	}
	b.ReportMetric(2*float64(n*Lanes*len(acc))*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
