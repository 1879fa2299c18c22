package kernel

import (
	"math"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/cpu"
)

type level int

const (
	portable level = iota
	avx2
	avx512
)

var levelNames = [...]string{portable: "portable", avx2: "avx2", avx512: "avx512"}

// use is the best level that the processor has, or a lower one that the
// environment variable LETHE_CPU names. It is set once at start (and by tests):
// the results do not depend on it.
var use = detect(os.Getenv("LETHE_CPU"))

func detect(wanted string) level {
	best := portable
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		best = avx2
		if cpu.X86.HasAVX512F {
			best = avx512
		}
	}
	for l, name := range levelNames {
		if strings.EqualFold(wanted, name) {
			return min(best, level(l))
		}
	}
	return best
}

// CPU names the instruction set in use: "avx512", "avx2" or "portable".
func CPU() string { return levelNames[use] }

func tile(c, a, b, bias []float32, taps []Tap, ci, cj, bj, rows, n int) {
	if use == portable || len(taps) == 0 {
		tileGo(c, a, b, bias, taps, ci, cj, bj, rows, n)
		return
	}
	switch {
	case use != avx512:
		tile256(&c[0], &a[0], &b[0], &bias[0], &taps[0].A, len(taps), ci, cj, bj, rows, n)
	case rows == 1:
		tileRow512(&c[0], &a[0], &b[0], &bias[0], &taps[0].A, len(taps), cj, bj, n)
	default:
		tile512(&c[0], &a[0], &b[0], &bias[0], &taps[0].A, len(taps), ci, cj, bj, rows, n, nil, 0, 0, false)
	}
}

func tileFinish(c, a, b, bias []float32, taps []Tap, ci, cj, bj, rows, n int, f *Finish) {
	if use != avx512 || rows == 1 || len(taps) == 0 {
		finishTile(c, a, b, bias, taps, ci, cj, bj, rows, n, f)
		return
	}
	tile512(&c[0], &a[0], &b[0], &bias[0], &taps[0].A, len(taps), ci, cj, bj, rows, n, unsafe.SliceData(f.Add), f.Limits.Low, f.Limits.High, true)
}

// Direct calls, unlike those of a variable, leave small factors of a caller on its stack.
func depth3(dst, src []float32, w *[9]float32, bias float32, limits Limits, g *Grid) {
	switch use {
	case avx512:
		depth3x512(&dst[0], &src[0], &w[0], bias, limits.Low, limits.High, g.Rows, g.N, 4*g.DstRow, 4*g.DstPos, 4*g.SrcRow, 4*g.SrcPos, 4*g.Pitch)
	case avx2:
		depth3x256(&dst[0], &src[0], &w[0], bias, limits.Low, limits.High, g.Rows, g.N, 4*g.DstRow, 4*g.DstPos, 4*g.SrcRow, 4*g.SrcPos, 4*g.Pitch)
	default:
		depth3Go(dst, src, w, bias, limits, g)
	}
}

func depth3Grad(acc *[9 * Lanes]float32, dst, src []float32, g *Grid) {
	switch use {
	case avx512:
		depth3Grad512(&acc[0], &dst[0], &src[0], g.Rows, g.N, 4*g.DstRow, 4*g.DstPos, 4*g.SrcRow, 4*g.SrcPos, 4*g.Pitch)
	case avx2:
		depth3Grad256(&acc[0], &dst[0], &src[0], g.Rows, g.N, 4*g.DstRow, 4*g.DstPos, 4*g.SrcRow, 4*g.SrcPos, 4*g.Pitch)
	default:
		depth3GradGo(acc, dst, src, g)
	}
}

func gate(dx, y, dy []float32, limits Limits, sums *[Lanes]float32, g *Grid) {
	if use == portable {
		gateGo(dx, y, dy, limits, sums, g)
		return
	}
	gate256(&dx[0], &y[0], &dy[0], limits.Low, limits.High, &sums[0], g.Rows, g.N, 4*g.DstRow, 4*g.DstPos, 4*g.N*Lanes)
}

func dot(acc *[Rows * Cols * Lanes]float32, a, b []float32, boff *[Cols]int32, taps []Tap, ai int, add bool) {
	switch use {
	case avx512:
		if ai == 0 && !add { // one row, six times
			dotRow512(&acc[0], &a[0], &b[0], boff, &taps[0].A, len(taps))
			for j := range Cols {
				column := acc[j*Rows*Lanes:][:Rows*Lanes]
				for i := 1; i < Rows; i++ {
					copy(column[i*Lanes:], column[:Lanes])
				}
			}
			return
		}
		dot512(&acc[0], &a[0], &b[0], boff, &taps[0].A, len(taps), ai, add)
	case avx2:
		dot256(&acc[0], &a[0], &b[0], boff, &taps[0].A, len(taps), ai, add)
	default:
		dotGo(acc, a, b, boff, taps, ai, add)
	}
}

func outer(acc *[OuterRows * OuterCols * Lanes]float32, a, b []float32, boff *[OuterCols]int32, ai int, w *Walk, add bool) {
	if use == portable {
		outerGo(acc, a, b, boff, ai, w, add)
		return
	}
	f := outer256
	if use == avx512 {
		f = outer512
	}
	s := w.bytes()
	f(&acc[0], &a[0], &b[boff[0]], 4*int(boff[1]-boff[0]), 4*int(boff[2]-boff[0]), w.Rows, w.N, 4*ai, s.APos, s.ARow, s.BPos, s.BRow, add)
}

func winogradIn(dst, a, b []float32, dj, dc, ac, bc int, sign float32, channels int, s Strip) {
	if use == portable {
		winogradInGo(dst, a, b, dj, dc, ac, bc, sign, channels, s)
		return
	}
	f, edge := winogradIn256, 0
	if use == avx512 {
		f = winogradIn512
	}
	if s.Edge {
		edge = 1
	}
	f(&dst[0], &a[0], &b[0], 4*dj, 4*dc, 4*ac, 4*bc, sign, channels, edge, s.N, s.Tail)
}

func winogradOut(y, from, m []float32, yc, mj, mc int, sign float32, limits Limits, channels, n, odd int) {
	if use == portable {
		winogradOutGo(y, from, m, yc, mj, mc, sign, limits, channels, n, odd)
		return
	}
	f := winogradOut256
	if use == avx512 {
		f = winogradOut512
	}
	f(&y[0], unsafe.SliceData(from), &m[0], 4*yc, 4*mj, 4*mc, sign, limits.Low, limits.High, channels, n, odd)
}

func winogradTurned(dst, a, b []float32, dj int, sign float32, n int) {
	switch use {
	case avx512:
		winogradTurned512(&dst[0], &a[0], &b[0], 4*dj, sign, n)
	case avx2:
		winogradTurned256(&dst[0], &a[0], &b[0], 4*dj, sign, n)
	default:
		winogradTurnedGo(dst, a, b, dj, sign, n)
	}
}

func winogradKernels(dst, src []float32, step, n int, scale float32, turned bool) {
	if use != avx512 {
		winogradKernelsGo(dst, src, step, n, scale, turned)
		return
	}
	table := &winogradTables[0]
	if turned {
		table = &winogradTables[1]
	}
	winogradKernels512(&dst[0], &src[0], 4*step, n, scale, &table[0])
}

// winogradTables are those of winogradKernels512, of kernels as they are and of ones
// turned around.
var winogradTables = func() (tables [2][8 * Lanes]uint32) {
	for turned := range tables {
		t := &tables[turned]
		for i := range 4 {
			for j := range 4 {
				at, x := uint32(4*i+j), uint32(min(j, 2))
				end := [4]uint32{0, 0, 0, 2} // of the first and the last row or column of the result
				if turned == 1 {
					end = [4]uint32{2, 0, 0, 0}
				}
				t[at], t[Lanes+at], t[2*Lanes+at] = 3*end[i]+x, 6+x, 3+x
				t[4*Lanes+at], t[5*Lanes+at], t[6*Lanes+at] = uint32(4*i)+end[j], uint32(4*i)+2, uint32(4*i)+1
				half := [4]float32{0, 0.5, -0.5, 0}
				t[3*Lanes+at], t[7*Lanes+at] = math.Float32bits(half[i]), math.Float32bits(half[j])
			}
		}
	}
	return tables
}()

func winogradGrad(dst, a, b []float32, dj, dc, ac int, sign float32, channels, n int) {
	switch use {
	case avx512:
		winogradGrad512(&dst[0], &a[0], &b[0], 4*dj, 4*dc, 4*ac, sign, channels, n)
	case avx2:
		winogradGrad256(&dst[0], &a[0], &b[0], 4*dj, 4*dc, 4*ac, sign, channels, n)
	default:
		winogradGradGo(dst, a, b, dj, dc, ac, sign, channels, n)
	}
}

func outerBlocks(acc *[Rows * Cols * Lanes]float32, a, b []float32, ai, n int, add bool) {
	switch use {
	case avx512:
		outerBlocks512(&acc[0], &a[0], &b[0], 4*ai, n, add)
	case avx2:
		outerBlocks256(&acc[0], &a[0], &b[0], 4*ai, n, add)
	default:
		outerBlocksGo(acc, a, b, ai, n, add)
	}
}

func transpose(dst, src []float32, step, n int) {
	m := whole(n)
	if blocks := n / Lanes; use == avx512 && blocks > 0 {
		transpose512(&dst[0], &src[0], 4*step, blocks)
		m = blocks * Lanes
	} else if m > 0 {
		interleave256(&dst[0], &src[0], step, m/8)
	}
	if m < n {
		transposeGo(dst[m*Lanes:], src[m:], step, n-m)
	}
}

func interleave(dst, src []float32, size int) {
	n := whole(size)
	if n > 0 {
		interleave256(&dst[0], &src[0], size, n/8)
	}
	for l := range Lanes {
		for i := n; i < size; i++ {
			dst[i*Lanes+l] = src[l*size+i]
		}
	}
}

func sumLanes(dst, src []float32) {
	if use == portable {
		sumLanesGo(dst, src)
		return
	}
	switch n := len(dst); {
	case n == 0:
	case use == avx512 && n >= Lanes:
		sumLanes512(&dst[0], &src[0], n/Lanes)
		if last := n - Lanes; n%Lanes > 0 { // some of them again, which is faster than the rest alone
			sumLanes512(&dst[last], &src[last*Lanes], 1)
		}
	default:
		sumLanes256(&dst[0], &src[0], n)
	}
}

func affine(dst, src []float32, scale, shift float32) {
	n := whole(len(dst))
	if n > 0 {
		affine256(&dst[0], &src[0], scale, shift, n/8)
	}
	affineGo(dst[n:], src[n:], scale, shift)
}

func affineGrad(dx, x, dy []float32, scale, mean float32, sums *[2 * Lanes]float32) {
	n := whole(len(dx)) / Lanes * Lanes
	if n > 0 {
		affineGrad256(&dx[0], &x[0], &dy[0], scale, mean, sums, n/Lanes)
	}
	affineGradGo(dx[n:], x[n:], dy[n:], scale, mean, sums)
}

func relu(dst, src []float32) {
	n := whole(len(dst))
	if n > 0 {
		relu256(&dst[0], &src[0], n/8)
	}
	reluGo(dst[n:], src[n:])
}

func reluGrad(dx, y, dy []float32) {
	n := whole(len(dx))
	if n > 0 {
		reluGrad256(&dx[0], &y[0], &dy[0], n/8)
	}
	reluGradGo(dx[n:], y[n:], dy[n:])
}

func clip(dst, src []float32, low, high float32) {
	n := whole(len(dst))
	if n > 0 {
		clip256(&dst[0], &src[0], low, high, n/8)
	}
	clipGo(dst[n:], src[n:], low, high)
}

func clipGrad(dx, x, dy []float32, low, high float32) {
	n := whole(len(dx))
	if n > 0 {
		clipGrad256(&dx[0], &x[0], &dy[0], low, high, n/8)
	}
	clipGradGo(dx[n:], x[n:], dy[n:], low, high)
}

func mul(dst, a, b []float32) {
	n := whole(len(dst))
	if n > 0 {
		mul256(&dst[0], &a[0], &b[0], n/8)
	}
	mulGo(dst[n:], a[n:], b[n:])
}

func maxTaps(dst, src []float32, taps []Tap, step, n int) {
	if use == portable {
		maxTapsGo(dst, src, taps, step, n)
		return
	}
	maxTaps256(&dst[0], &src[0], &taps[0].A, len(taps), step, n)
}

func maxTapsGrad(dx, x, y, dy []float32, taps []Tap, step, n int) {
	if use == portable {
		maxTapsGradGo(dx, x, y, dy, taps, step, n)
		return
	}
	maxTapsGrad256(&dx[0], &x[0], &y[0], &dy[0], &taps[0].A, len(taps), step, n)
}

func poolAffine(dst, src []float32, scale, shift float32, taps []Tap, step, n int) {
	if use == portable {
		poolAffineGo(dst, src, scale, shift, taps, step, n)
		return
	}
	f := poolAffine256
	if use == avx512 {
		f = poolAffine512
	}
	f(&dst[0], &src[0], scale, shift, &taps[0].A, len(taps), step, n)
}

func poolAffineGrad(dx, x, y, dy []float32, scale, shift, mean float32, sums *[2 * Lanes]float32, taps []Tap, step, n int) {
	if use == portable {
		poolAffineGradGo(dx, x, y, dy, scale, shift, mean, sums, taps, step, n)
		return
	}
	f := poolAffineGrad256
	if use == avx512 {
		f = poolAffineGrad512
	}
	f(&dx[0], &x[0], &y[0], &dy[0], scale, shift, mean, &sums[0], &taps[0].A, len(taps), step, n)
}

func addTo(dst, src []float32) {
	n := whole(len(dst))
	if n > 0 {
		addTo256(&dst[0], &src[0], n/8)
	}
	addToGo(dst[n:], src[n:])
}

func adam(theta, m, v, g []float32, r AdamRates) {
	n := whole(len(theta))
	if n > 0 {
		adam256(&theta[0], &m[0], &v[0], &g[0], r.Rate, r.Beta1, r.Beta2, r.Root, r.Eps, n/8)
	}
	adamGo(theta[n:], m[n:], v[n:], g[n:], r)
}

func pull(grad, theta, origin []float32, weight float32) {
	n := whole(len(grad))
	if n > 0 {
		pull256(&grad[0], &theta[0], &origin[0], weight, n/8)
	}
	pullGo(grad[n:], theta[n:], origin[n:], weight)
}

func distance(acc *[Lanes]float64, a, b []float32) {
	n := whole(len(a)) / Lanes * Lanes
	if n > 0 {
		distance256(&acc[0], &a[0], &b[0], n/Lanes)
	}
	distanceGo(acc, a[n:], b[n:])
}

func exps(dst, src []float64) {
	n := whole(len(dst))
	if n > 0 {
		exps256(&dst[0], &src[0], n/4)
	}
	expsGo(dst[n:], src[n:])
}

func exp32s(dst, src []float32) {
	n := whole(len(dst))
	if m := n / Lanes; use == avx512 && m > 0 {
		exp32x512(&dst[0], &src[0], m)
		dst, src, n = dst[m*Lanes:], src[m*Lanes:], n-m*Lanes
	}
	if n > 0 {
		exp32x256(&dst[0], &src[0], n/8)
	}
	exp32sGo(dst[n:], src[n:])
}

func sigmoid(dst, src []float32) {
	n := whole(len(dst))
	if n > 0 {
		sigmoid256(&dst[0], &src[0], n/8)
	}
	sigmoidGo(dst[n:], src[n:])
}

func centre(dst, src []float32, mean, squares *[Lanes]float32) {
	if use == portable || len(dst) == 0 {
		centreGo(dst, src, mean, squares)
		return
	}
	centre256(&dst[0], &src[0], &mean[0], &squares[0], len(dst)/Lanes)
}

func scaleEach(dst []float32, by *[Lanes]float32, scale, shift []float32, run int) {
	if use == portable {
		scaleEachGo(dst, by, scale, shift, run)
		return
	}
	scaleEach256(&dst[0], &by[0], &scale[0], &shift[0], len(scale), run)
}

func normSums(sums *[2 * Lanes]float32, acc, x, dy []float32, stats *[2 * Lanes]float32, scale []float32, run int) {
	if use == portable {
		normSumsGo(sums, acc, x, dy, stats, scale, run)
		return
	}
	var nobody [2 * Lanes]float32
	step := len(nobody) * 4
	if acc == nil {
		acc, step = nobody[:], 0
	}
	normSums256(&sums[0], &acc[0], &x[0], &dy[0], &stats[0], &scale[0], len(scale), run, step)
}

func normGrad(dx, x, dy []float32, stats, sums *[2 * Lanes]float32, scale []float32, run int) {
	if use == portable {
		normGradGo(dx, x, dy, stats, sums, scale, run)
		return
	}
	normGrad256(&dx[0], &x[0], &dy[0], &stats[0], &sums[0], &scale[0], len(scale), run)
}

func normalCDF(dst, src []float32) {
	n := whole(len(dst))
	if m := n / Lanes; use == avx512 && m > 0 {
		normalCDF512(&dst[0], &src[0], m)
		dst, src, n = dst[m*Lanes:], src[m*Lanes:], n-m*Lanes
	}
	if n > 0 {
		normalCDF256(&dst[0], &src[0], n/8)
	}
	normalCDFGo(dst[n:], src[n:])
}

func sum(acc *[Lanes]float32, src []float32) {
	if use == portable || len(src) == 0 {
		sumGo(acc, src)
		return
	}
	sum256(&acc[0], &src[0], len(src)/Lanes)
}

// whole returns how many of n elements the assembly takes: a multiple of 8.
func whole(n int) int {
	if use == portable {
		return 0
	}
	return n &^ 7
}
