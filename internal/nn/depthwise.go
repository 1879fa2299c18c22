package nn

import (
	"math"

	"lethe/internal/kernel"
)

// depthwise is a convolution in which each channel has a kernel of 3 by 3 of its own.
// Planes are copied with their padding, so that a kernel meets what it needs at every
// position; so are gradients, as far apart as the stride has the positions. A gradient
// is read once: both gradients are made from the copies.
type depthwise struct {
	w            window
	pitch, gradP int         // of the copies of planes and of gradients, elements
	x, g         [][]float32 // these, of each worker; what is padding stays 0
	kernels      []float32   // as they are applied
	partial      []float32   // [chunks][channels][depthSums]: gradients of kernels, and sums
}

const depthSums = Lanes // nine for a kernel, one for the bias

func depthwiseFits(g window, m, c int) bool {
	for _, a := range []axis{g.y, g.x} {
		if a.kernel != 3 || a.dilat != 1 || a.pad > 2 || a.after > 2 {
			return false
		}
	}
	return m == 1 && c == 1
}

func (b *builder) newDepthwise(g window, channels int, train bool) *depthwise {
	d := &depthwise{w: g, pitch: (g.x.in + g.x.pad + g.x.after) * Lanes, gradP: (g.x.in + 2) * Lanes, kernels: make([]float32, 9*channels)}
	for range b.threads {
		d.x = append(d.x, make([]float32, (g.y.in+g.y.pad+g.y.after)*d.pitch))
		if train {
			d.g = append(d.g, make([]float32, (g.y.in+2)*d.gradP))
		}
	}
	if train {
		d.partial = make([]float32, b.chunks()*channels*depthSums)
	}
	return d
}

// copy lays a plane between its padding.
func (d *depthwise) copy(room, x []float32) {
	line := d.w.x.in * Lanes
	at := d.w.y.pad*d.pitch + d.w.x.pad*Lanes
	for i := 0; i < len(x); i += line {
		copy(room[at:], x[i:i+line])
		at += d.pitch
	}
}

func (d *depthwise) forward(l *convLayer, p part) {
	x, y, room := l.in.data(p), l.out.data(p), d.x[p.worker]
	grid := kernel.Grid{
		Rows: d.w.y.out, N: d.w.x.out, DstRow: d.w.x.out * Lanes, DstPos: Lanes,
		SrcRow: d.w.y.stride * d.pitch, SrcPos: d.w.x.stride * Lanes, Pitch: d.pitch,
	}
	for c := 0; len(x) > 0; c, x, y = (c+1)%l.group, x[l.inSz:], y[l.outSz:] {
		d.copy(room, x[:l.inSz])
		kernel.Depth3(y, room, (*[9]float32)(d.kernels[9*c:]), l.biases[c], l.limits, &grid)
	}
}

// everything are limits that let any gradient pass, also that of an infinite number.
var everything = kernel.Limits{Low: float32(math.NaN()), High: float32(math.NaN())}

func (d *depthwise) backward(l *convLayer, p part) {
	x, y, dy := l.in.data(p), l.out.data(p), l.out.gradient(p)
	limits := l.limits
	if limits == kernel.NoLimits {
		y, limits = dy, everything
	}
	var dx []float32
	if l.dx.wanted() {
		dx = l.dx.open(p)
	}
	room, g := d.x[p.worker], d.g[p.worker]
	at := (2-d.w.y.pad)*d.gradP + (2-d.w.x.pad)*Lanes
	spread := kernel.Grid{
		Rows: d.w.y.out, N: d.w.x.out, DstRow: d.w.y.stride * d.gradP, DstPos: d.w.x.stride * Lanes,
		SrcRow: d.w.y.stride * d.pitch, SrcPos: d.w.x.stride * Lanes, Pitch: d.pitch,
	}
	back := kernel.Grid{Rows: d.w.y.in, N: d.w.x.in, DstRow: d.w.x.in * Lanes, DstPos: Lanes, SrcRow: d.gradP, SrcPos: Lanes, Pitch: d.gradP}
	partial := d.partial[p.index*l.group*depthSums : (p.index+1)*l.group*depthSums]
	add := !p.opens()
	var acc [depthSums * Lanes]float32 // those behind the tenth stay 0
	var sums [depthSums]float32
	for c := 0; len(x) > 0; {
		clear(acc[9*Lanes : 10*Lanes])
		kernel.Gate(g[at:], y, dy, limits, (*[Lanes]float32)(acc[9*Lanes:]), &spread)
		if l.weight.trained {
			d.copy(room, x[:l.inSz])
			kernel.Depth3Grad((*[9 * Lanes]float32)(acc[:]), g[at:], room, &spread)
		}
		if own := partial[c*depthSums : (c+1)*depthSums]; add {
			kernel.SumLanes(sums[:], acc[:])
			kernel.Add(own, sums[:])
		} else {
			kernel.SumLanes(own, acc[:])
		}
		if dx != nil {
			var turned [9]float32
			for k := range turned {
				turned[k] = d.kernels[9*c+8-k]
			}
			kernel.Depth3(dx, g, &turned, 0, kernel.NoLimits, &back)
			dx = dx[l.inSz:]
		}
		x, y, dy = x[l.inSz:], y[l.outSz:], dy[l.outSz:]
		if c++; c == l.group { // the next group of samples
			c, add = 0, true
		}
	}
	if l.dx.wanted() {
		l.dx.close(p)
	}
}

// reduce sets the gradient of the kernels, and sums to the sum of that of each channel.
func (d *depthwise) reduce(weight *param, sums []float32, chunks int) {
	n := len(sums) * depthSums
	total := d.partial[:n]
	for i := 1; i < chunks; i++ {
		kernel.Add(total, d.partial[i*n:(i+1)*n])
	}
	for c := range sums {
		own := total[c*depthSums:]
		if weight.trained {
			copy(weight.dw[9*c:9*c+9], own)
		}
		sums[c] = own[9]
	}
}
