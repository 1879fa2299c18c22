// Package kernel is the arithmetic under internal/nn: single-precision loops
// over slices, in assembly where the processor has AVX2 or AVX-512 and in Go
// everywhere else, with the same bits from each.
//
// # Lanes
//
// Sixteen samples travel together: the innermost dimension of every activation
// is [Lanes] samples, so one AVX-512 register or two AVX2 registers hold one
// feature of sixteen images. No value of one lane depends on another lane
// before [SumLanes], so the result for a sample does not depend on its
// neighbours, on the batch, or on the width of the registers.
//
// # Rounding
//
// Products are added with one rounding (fused multiply-add), one after the
// other in the order of the taps, from the bias on. That order is part of the
// definition of each function. It is the same for every register width, tile
// and number of threads, which makes the bytes of an edit reproducible.
//
// Every function checks its slices against the offsets that it will touch, and
// panics as an index expression would if one is too short.
package kernel

//go:generate go run ./asm -out kernel_amd64.s -stubs stubs_amd64.go -pkg kernel

import (
	"fmt"
	"math"
)

const (
	// Lanes is the number of samples in a vector.
	Lanes = 16
	// Rows is the number of rows of A that [Tile] and [Dot] take at once.
	Rows = 6
	// Cols is the number of columns of B that [Dot] takes at once.
	Cols = 4
	// OuterRows and OuterCols are the rows of A and the vectors of B that [Outer]
	// takes at once.
	OuterRows, OuterCols = 8, 3
)

// Tap is one product of a sum: the offsets, in elements, of its two factors.
type Tap struct{ A, B int32 }

// Taps is a list of products in the order in which they are added.
type Taps struct {
	list []Tap
	maxA int
	maxB int
}

// NewTaps returns the list. Offsets must not be negative.
func NewTaps(list []Tap) *Taps {
	t := &Taps{list: list}
	for _, tap := range list {
		if tap.A < 0 || tap.B < 0 {
			panic(fmt.Sprintf("kernel: negative offset in tap %v", tap))
		}
		t.maxA, t.maxB = max(t.maxA, int(tap.A)), max(t.maxB, int(tap.B))
	}
	return t
}

// Len returns how many taps there are.
func (t *Taps) Len() int { return len(t.list) }

// First returns the first n taps. It takes the bounds of all, so the slices must
// reach as far as for all of them.
func (t *Taps) First(n int) Taps { return Taps{t.list[:n], t.maxA, t.maxB} }

// Mirrored returns the taps with each offset B in the place of A too.
func (t *Taps) Mirrored() *Taps {
	list := make([]Tap, len(t.list))
	for i, tap := range t.list {
		list[i] = Tap{tap.B, tap.B}
	}
	return NewTaps(list)
}

// need panics unless s has at least n elements.
func need(what string, s []float32, n int) {
	if len(s) < n {
		panic(fmt.Sprintf("kernel: %s has %d elements, needs %d", what, len(s), n))
	}
}

// Tile computes rows (at most [Rows]) by n vectors of a matrix product or a
// convolution:
//
//	c[i*ci + j*cj + l] = bias[i] + sum over taps t of a[t.A+i] * b[t.B + j*bj + l]
//
// for every row i, position j < n and lane l. a is packed so that the rows of a
// tap are adjacent (see [Pack]); it and bias always have all [Rows] of them.
func Tile(c, a, b, bias []float32, taps *Taps, ci, cj, bj, rows, n int) {
	if n <= 0 || rows <= 0 {
		return
	}
	need("c", c, (rows-1)*ci+(n-1)*cj+Lanes)
	need("bias", bias, Rows)
	if len(taps.list) > 0 {
		need("a", a, taps.maxA+Rows)
		need("b", b, taps.maxB+(n-1)*bj+Lanes)
	}
	tile(c, a, b, bias, taps.list, ci, cj, bj, min(rows, Rows), n)
}

// Dot makes 24 sums of products, column by column:
//
//	acc[(j*Rows+i)*Lanes + l] = sum over taps t of a[t.A + i*ai + l] * b[t.B + boff[j] + l]
//
// for [Rows] rows i, [Cols] columns j and every lane l. If add is true, it goes
// on from the sums that acc holds.
func Dot(acc *[Rows * Cols * Lanes]float32, a, b []float32, boff *[Cols]int32, taps *Taps, ai int, add bool) {
	if len(taps.list) == 0 {
		if !add {
			clear(acc[:])
		}
		return
	}
	need("a", a, taps.maxA+(Rows-1)*ai+Lanes)
	need("b", b, taps.maxB+int(max(boff[0], boff[1], boff[2], boff[3]))+Lanes)
	if min(boff[0], boff[1], boff[2], boff[3]) < 0 || ai < 0 {
		panic("kernel: negative offset")
	}
	dot(acc, a, b, boff, taps.list, ai, add)
}

// Walk is the way of [Outer] through its factors, in elements: Rows rows of N
// positions, which are APos and BPos apart and whose rows are ARow and BRow apart.
type Walk struct {
	Rows, N                int
	APos, ARow, BPos, BRow int
}

// Outer makes 24 vectors of a product whose sum runs over positions and lanes:
//
//	acc[(i*OuterCols+j)*Lanes + v] = sum over rows r, positions p and lanes l of
//	    a[r*ARow + p*APos + i*ai + l] * b[boff[j] + r*BRow + p*BPos + l*Lanes + v]
//
// for [OuterRows] rows i, [OuterCols] columns j and all v; if add is true, what acc
// holds is added to the sum. b has lanes where a has positions of its vectors, see
// [Transpose].
func Outer(acc *[OuterRows * OuterCols * Lanes]float32, a, b []float32, boff *[OuterCols]int32, ai int, w *Walk, add bool) {
	if w.Rows < 1 || w.N < 1 || min(ai, w.APos, w.ARow, w.BPos, w.BRow) < 0 || min(boff[0], boff[1], boff[2]) < 0 {
		panic(fmt.Sprintf("kernel: cannot walk %+v with %d and %v", *w, ai, *boff))
	}
	need("a", a, (w.Rows-1)*w.ARow+(w.N-1)*w.APos+(OuterRows-1)*ai+Lanes)
	need("b", b, (w.Rows-1)*w.BRow+(w.N-1)*w.BPos+int(max(boff[0], boff[1], boff[2]))+Lanes*Lanes)
	outer(acc, a, b, boff, ai, w, add)
}

// bytes returns the steps as the assembly takes them: in bytes, from where the loop
// inside ends.
func (w *Walk) bytes() Walk {
	return Walk{
		APos: 4 * (w.APos - Lanes), ARow: 4 * (w.ARow - w.N*w.APos),
		BPos: 4 * (w.BPos - Lanes*Lanes), BRow: 4 * (w.BRow - w.N*w.BPos),
	}
}

// Transpose sets dst[i*Lanes+r] = src[r*step+i] for i < n and [Lanes] rows r: of a
// position of sixteen channels it makes a vector of channels for each lane.
func Transpose(dst, src []float32, step, n int) {
	if n <= 0 {
		return
	}
	need("dst", dst, n*Lanes)
	need("src", src, (Lanes-1)*step+n)
	transpose(dst, src, step, n)
}

// Interleave lays samples out in lanes: src holds [Lanes] samples one after the
// other, the first n of which are valid, and dst[i*Lanes+l] becomes element i of
// sample l, 0 for samples from n on.
func Interleave(dst, src []float32, n int) {
	if len(dst)%Lanes != 0 || n < 0 || n > Lanes {
		panic(fmt.Sprintf("kernel: %d elements in lanes for %d samples", len(dst), n))
	}
	need("src", src, len(dst))
	size := len(dst) / Lanes
	if n < Lanes {
		clear(src[n*size : Lanes*size])
	}
	interleave(dst, src, size)
}

// SumLanes sets dst[i] to the sum of the 16 lanes of vector i of src: lanes 8
// apart first, then 4, 2 and 1.
func SumLanes(dst, src []float32) {
	need("src", src, len(dst)*Lanes)
	sumLanes(dst, src)
}

// Affine sets dst = scale*src + shift. The length is a multiple of [Lanes].
func Affine(dst, src []float32, scale, shift float32) {
	need("src", src, len(dst))
	affine(dst, src, scale, shift)
}

// AffineGrad is the backward pass of y = scale'*(x-mean) + shift' for one
// feature: it sets dx = scale*dy and adds dy to sums[l] and dy*(x-mean) to
// sums[Lanes+l], lane by lane. The length is a multiple of [Lanes].
func AffineGrad(dx, x, dy []float32, scale, mean float32, sums *[2 * Lanes]float32) {
	need("x", x, len(dx))
	need("dy", dy, len(dx))
	affineGrad(dx, x, dy, scale, mean, sums)
}

// ReLU sets dst = max(src, 0); NaN stays NaN. The length is a multiple of
// [Lanes].
func ReLU(dst, src []float32) {
	need("src", src, len(dst))
	relu(dst, src)
}

// ReLUGrad sets dx = dy where the output y of [ReLU] is positive, 0 elsewhere.
// The length is a multiple of [Lanes].
func ReLUGrad(dx, y, dy []float32) {
	need("y", y, len(dx))
	need("dy", dy, len(dx))
	reluGrad(dx, y, dy)
}

// Clip sets dst = min(max(src, low), high); NaN stays NaN.
func Clip(dst, src []float32, low, high float32) {
	need("src", src, len(dst))
	clip(dst, src, low, high)
}

// ClipGrad sets dx = dy where low <= x <= high, 0 elsewhere.
func ClipGrad(dx, x, dy []float32, low, high float32) {
	need("x", x, len(dx))
	need("dy", dy, len(dx))
	clipGrad(dx, x, dy, low, high)
}

// Mul sets dst = a * b, element by element.
func Mul(dst, a, b []float32) {
	need("a", a, len(dst))
	need("b", b, len(dst))
	mul(dst, a, b)
}

// MaxTaps sets dst[j] to the maximum over the taps of src[t.B + j*step] for n
// positions, lane by lane.
func MaxTaps(dst, src []float32, taps *Taps, step, n int) {
	if n <= 0 {
		return
	}
	need("dst", dst, n*Lanes)
	need("src", src, taps.maxB+(n-1)*step+Lanes)
	maxTaps(dst, src, taps.list, step, n)
}

// MaxTapsGrad adds dy[j] to dx at the first tap whose x equals the maximum
// y[j], lane by lane. The taps are those of [MaxTaps] with A equal to B.
func MaxTapsGrad(dx, x, y, dy []float32, taps *Taps, step, n int) {
	if n <= 0 {
		return
	}
	need("dx", dx, max(taps.maxA, taps.maxB)+(n-1)*step+Lanes)
	need("x", x, max(taps.maxA, taps.maxB)+(n-1)*step+Lanes)
	need("y", y, n*Lanes)
	need("dy", dy, n*Lanes)
	maxTapsGrad(dx, x, y, dy, taps.list, step, n)
}

// PoolAffine is [Affine], [ReLU] and [MaxTaps] in one pass over src.
func PoolAffine(dst, src []float32, scale, shift float32, taps *Taps, step, n int) {
	if n <= 0 {
		return
	}
	need("dst", dst, n*Lanes)
	need("src", src, taps.maxB+(n-1)*step+Lanes)
	poolAffine(dst, src, scale, shift, taps.list, step, n)
}

// PoolAffineGrad is the backward pass of [PoolAffine] with scale and shift made
// as for [AffineGrad]: it sets dx at every tap and adds to sums what AffineGrad
// adds, window by window. Windows must not overlap. The taps are those of
// PoolAffine with A equal to B.
func PoolAffineGrad(dx, x, y, dy []float32, scale, shift, mean float32, sums *[2 * Lanes]float32, taps *Taps, step, n int) {
	if n <= 0 {
		return
	}
	need("dx", dx, max(taps.maxA, taps.maxB)+(n-1)*step+Lanes)
	need("x", x, max(taps.maxA, taps.maxB)+(n-1)*step+Lanes)
	need("y", y, n*Lanes)
	need("dy", dy, n*Lanes)
	poolAffineGrad(dx, x, y, dy, scale, shift, mean, sums, taps.list, step, n)
}

// Add adds src to dst.
func Add(dst, src []float32) {
	need("src", src, len(dst))
	addTo(dst, src)
}

// AdamRates are the numbers of one step of Adam (Kingma and Ba, 2015,
// algorithm 1) that do not depend on the parameter.
type AdamRates struct {
	Rate  float32 // step size / (1 - Beta1^t)
	Beta1 float32 // decay of the first moment
	Beta2 float32 // decay of the second moment
	Root  float32 // 1 / sqrt(1 - Beta2^t)
	Eps   float32
}

// Adam updates theta and its moments m and v with the gradient g:
//
//	m = Beta1*(m-g) + g
//	v = Beta2*(v-g*g) + g*g
//	theta = theta - Rate * m / (Root*sqrt(v) + Eps)
func Adam(theta, m, v, g []float32, r AdamRates) {
	need("m", m, len(theta))
	need("v", v, len(theta))
	need("g", g, len(theta))
	adam(theta, m, v, g, r)
}

// Pull adds the gradient of a spring to grad: weight * (theta - origin).
func Pull(grad, theta, origin []float32, weight float32) {
	need("theta", theta, len(grad))
	need("origin", origin, len(grad))
	pull(grad, theta, origin, weight)
}

// Distance returns the Euclidean distance of a and b. The squares are summed in
// float64: element i in sum i % [Lanes], and those sums as in [SumLanes].
func Distance(a, b []float32) float64 {
	need("b", b, len(a))
	var acc [Lanes]float64
	distance(&acc, a, b)
	for w := Lanes / 2; w > 0; w /= 2 {
		for l := range w {
			acc[l] += acc[l+w]
		}
	}
	return math.Sqrt(acc[0])
}

// Sum adds the vectors of src, one after the other, to acc.
func Sum(acc *[Lanes]float32, src []float32) {
	if len(src)%Lanes != 0 {
		panic(fmt.Sprintf("kernel: %d elements are not whole vectors", len(src)))
	}
	sum(acc, src)
}

// Pack lays out m rows and k columns of a matrix for [Tile]: panels of [Rows]
// rows that start panel elements apart, in each the rows of column 0, of column
// 1, and so on. Element (i, j) is src[i*rs + j*cs]. Rows that the last panel
// lacks are left as they are: zero, in a new slice of [PackedLen] elements.
func Pack(dst []float32, panel int, src []float32, m, k, rs, cs int) {
	p := 0
	for ; p+Rows <= m; p += Rows {
		out, in := dst[p/Rows*panel:][:k*Rows], src[p*rs:]
		for j := range k {
			to, from := out[j*Rows:][:Rows], in[j*cs:]
			to[5] = from[5*rs] // the last first: one check of the bounds
			to[0], to[1], to[2], to[3], to[4] = from[0], from[rs], from[2*rs], from[3*rs], from[4*rs]
		}
	}
	for i := range m - p {
		out, in := dst[p/Rows*panel+i:], src[(p+i)*rs:]
		for j := range k {
			out[j*Rows] = in[j*cs]
		}
	}
}

// PackedLen returns the elements of a packed m by k matrix.
func PackedLen(m, k int) int { return (m + Rows - 1) / Rows * Rows * k }
