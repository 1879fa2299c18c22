package nn

import "lethe/internal/kernel"

func inferAveragePool(n *site) ([]shape, error) {
	g, err := inferWindow(n.Node, n.in[0], n.Ints("kernel_shape"))
	if err != nil {
		return nil, err
	}
	for _, a := range []axis{g.y, g.x} {
		if err := a.allSee(n.Op); err != nil {
			return nil, err
		}
	}
	return []shape{g.outShape(n.in[0], n.in[0].dims[1])}, only(n, "auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides")
}

// averagePoolLayer takes the mean over windows.
type averagePoolLayer struct {
	stateless
	in, out     *value
	dx          *sink
	inSz, outSz int
	windows     []averageWindow // of one plane
}

// averageWindow is the elements of the input that an output is the mean of.
type averageWindow struct {
	from   []int32
	factor float32
}

func buildAveragePool(b *builder) layer {
	g := b.window(b.node, b.in(0), b.node.Ints("kernel_shape"))
	l := &averagePoolLayer{in: b.data(0), out: b.out[0], inSz: g.y.in * g.x.in * Lanes, outSz: g.y.out * g.x.out * Lanes}
	l.dx = b.sink(l.in)
	padded := b.node.Int("count_include_pad", 0) != 0
	for oy := range g.y.out {
		for ox := range g.x.out {
			var w averageWindow
			for ky := range g.y.kernel {
				for kx := range g.x.kernel {
					y, inY := g.y.meets(oy, ky)
					x, inX := g.x.meets(ox, kx)
					if inY && inX {
						w.from = append(w.from, int32((y*g.x.in+x)*Lanes))
					}
				}
			}
			count := len(w.from)
			if padded {
				count = g.y.counted(oy) * g.x.counted(ox)
			}
			w.factor = 1 / float32(count)
			l.windows = append(l.windows, w)
		}
	}
	return l
}

// counted returns how many elements a window has on the input and its pads; what
// ceil_mode adds behind them does not count.
func (a axis) counted(out int) int {
	n := 0
	for k := range a.kernel {
		if out*a.stride-a.pad+k*a.dilat < a.in+a.after {
			n++
		}
	}
	return n
}

func (l *averagePoolLayer) forward(p part) {
	x, y := l.in.data(p), l.out.data(p)
	for ; len(x) > 0; x, y = x[l.inSz:], y[l.outSz:] {
		for i := range l.windows {
			var sum [Lanes]float32
			w := &l.windows[i]
			for _, at := range w.from {
				for lane, v := range x[at:][:Lanes] {
					sum[lane] += v
				}
			}
			to := y[i*Lanes:][:Lanes]
			for lane, v := range sum {
				to[lane] = v * w.factor
			}
		}
	}
}

func (l *averagePoolLayer) backward(p part) {
	if !l.dx.wanted() {
		return
	}
	dx, dy := l.dx.open(p), l.out.gradient(p)
	clear(dx)
	for at := 0; at < len(dx); at, dy = at+l.inSz, dy[l.outSz:] {
		dx := dx[at : at+l.inSz]
		for i := range l.windows {
			var share [Lanes]float32
			w := &l.windows[i]
			kernel.Affine(share[:], dy[i*Lanes:], w.factor, 0)
			for _, at := range w.from {
				kernel.Add(dx[at:at+Lanes], share[:])
			}
		}
	}
	l.dx.close(p)
}
