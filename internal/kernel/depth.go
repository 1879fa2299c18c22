package kernel

import (
	"fmt"
	"math"
)

// Limits are what a result is limited to; NaN stays.
type Limits struct{ Low, High float32 }

// NoLimits leave every result as it is.
var NoLimits = Limits{float32(math.Inf(-1)), float32(math.Inf(1))}

func (l Limits) apply(v float32) float32 {
	if l.Low > v {
		v = l.Low
	}
	if l.High < v {
		v = l.High
	}
	return v
}

// Finish is what happens to the results of [TileFinish].
type Finish struct {
	Add    []float32 // laid out as the results and added to them, or nil
	Limits Limits
}

// TileFinish is [Tile], and adds to each sum and limits it before it is stored. What is
// added may lie where the results go.
func TileFinish(c, a, b, bias []float32, taps *Taps, ci, cj, bj, rows, n int, f *Finish) {
	if n <= 0 || rows <= 0 {
		return
	}
	need("c", c, (rows-1)*ci+(n-1)*cj+Lanes)
	need("bias", bias, Rows)
	if f.Add != nil {
		need("add", f.Add, (rows-1)*ci+(n-1)*cj+Lanes)
	}
	if len(taps.list) > 0 {
		need("a", a, taps.maxA+Rows)
		need("b", b, taps.maxB+(n-1)*bj+Lanes)
	}
	tileFinish(c, a, b, bias, taps.list, ci, cj, bj, min(rows, Rows), n, f)
}

// finishTile is [TileFinish] by way of [Tile], a few positions at a time. What is added
// may be what is written.
func finishTile(c, a, b, bias []float32, taps []Tap, ci, cj, bj, rows, n int, f *Finish) {
	const most = 4
	var room [Rows * most * Lanes]float32
	for at := 0; at < n; at += most {
		count := min(most, n-at)
		tile(room[:], a, b, bias, taps, most*Lanes, Lanes, bj, rows, count)
		for i := range rows {
			for j := range count {
				v, to := room[(i*most+j)*Lanes:][:Lanes], i*ci+(at+j)*cj
				if f.Add != nil {
					addTo(v, f.Add[to:])
				}
				if f.Limits != NoLimits {
					clip(v, v, f.Limits.Low, f.Limits.High)
				}
				copy(c[to:], v)
			}
		}
		if len(taps) > 0 {
			b = b[min(most*bj, len(b)):]
		}
	}
}

// Grid is positions of two planes in rows: what is between them in each, in elements.
// A 3x3 kernel begins at a position of the source, whose rows are Pitch apart.
type Grid struct {
	Rows, N        int
	DstRow, DstPos int
	SrcRow, SrcPos int
	Pitch          int
}

func (g *Grid) checkDst(dst []float32) {
	if g.Rows < 1 || g.N < 1 || min(g.DstRow, g.DstPos, g.SrcRow, g.SrcPos, g.Pitch) < 0 {
		panic(fmt.Sprintf("kernel: cannot walk %+v", *g))
	}
	need("dst", dst, (g.Rows-1)*g.DstRow+(g.N-1)*g.DstPos+Lanes)
}

func (g *Grid) check(dst, src []float32) {
	g.checkDst(dst)
	need("src", src, (g.Rows-1)*g.SrcRow+(g.N-1)*g.SrcPos+2*g.Pitch+3*Lanes)
}

// Depth3 slides a kernel of 3 by 3 over one plane:
//
//	dst[r*DstRow + j*DstPos + l] = bias + sum over k of w[k] * src[r*SrcRow + j*SrcPos + k/3*Pitch + k%3*Lanes + l]
//
// for every row r, position j and lane l, within limits.
func Depth3(dst, src []float32, w *[9]float32, bias float32, limits Limits, g *Grid) {
	g.check(dst, src)
	depth3(dst, src, w, bias, limits, g)
}

// Depth3Grad is the gradient of the kernel of [Depth3], dst being that of what it
// makes:
//
//	acc[k*Lanes + l] = sum over r and j of dst[r*DstRow + j*DstPos + l] * src[r*SrcRow + j*SrcPos + k/3*Pitch + k%3*Lanes + l]
func Depth3Grad(acc *[9 * Lanes]float32, dst, src []float32, g *Grid) {
	g.check(dst, src)
	depth3Grad(acc, dst, src, g)
}

// Gate sets dx to dy where y is within limits and on none of them, to 0 elsewhere,
// and adds dx to sums lane by lane: the backward pass of a ReLU or ReLU6. y and dy
// hold Rows*N vectors one after the other, those of dx are DstRow and DstPos apart. dx
// may be dy.
func Gate(dx, y, dy []float32, limits Limits, sums *[Lanes]float32, g *Grid) {
	g.checkDst(dx)
	need("y", y, g.Rows*g.N*Lanes)
	need("dy", dy, g.Rows*g.N*Lanes)
	gate(dx, y, dy, limits, sums, g)
}

func depth3Go(dst, src []float32, w *[9]float32, bias float32, limits Limits, g *Grid) {
	for r := range g.Rows {
		for j := range g.N {
			to, from := dst[r*g.DstRow+j*g.DstPos:][:Lanes], src[r*g.SrcRow+j*g.SrcPos:]
			for l := range to {
				v := bias
				for k, f := range w {
					v = fma(f, from[k/3*g.Pitch+k%3*Lanes+l], v)
				}
				to[l] = limits.apply(v)
			}
		}
	}
}

func depth3GradGo(acc *[9 * Lanes]float32, dst, src []float32, g *Grid) {
	clear(acc[:])
	for r := range g.Rows {
		for j := range g.N {
			d, from := dst[r*g.DstRow+j*g.DstPos:][:Lanes], src[r*g.SrcRow+j*g.SrcPos:]
			for k := range 9 {
				s, x := acc[k*Lanes:][:Lanes], from[k/3*g.Pitch+k%3*Lanes:][:Lanes]
				for l, v := range d {
					s[l] = fma(x[l], v, s[l])
				}
			}
		}
	}
}

func gateGo(dx, y, dy []float32, limits Limits, sums *[Lanes]float32, g *Grid) {
	for r := range g.Rows {
		for j := range g.N {
			at := (r*g.N + j) * Lanes
			to := dx[r*g.DstRow+j*g.DstPos:][:Lanes]
			for l := range to {
				v := dy[at+l]
				if y[at+l] <= limits.Low || y[at+l] >= limits.High {
					v = 0
				}
				to[l] = v
				sums[l] += v
			}
		}
	}
}
