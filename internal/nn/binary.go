package nn

import (
	"math"

	"lethe/internal/kernel"
)

// arithmetic is an elementwise operation of two operands on runs of elements.
type arithmetic struct {
	// value sets z = x op y.
	value func(z, x, y []float32)
	// slopes set d to the gradient of one operand where that of z is dz; nil if it
	// is dz itself.
	slopeX, slopeY func(d, dz, x, y []float32)
	readsX, readsY bool // to make slopes
}

var operations = map[string]arithmetic{
	"Add": {
		value: func(z, x, y []float32) { copy(z, x); kernel.Add(z, y) },
	},
	"Sub": {
		value: func(z, x, y []float32) {
			for i, v := range x {
				z[i] = v - y[i]
			}
		},
		slopeY: func(d, dz, _, _ []float32) {
			for i, g := range dz {
				d[i] = -g
			}
		},
	},
	"Mul": {
		value:  kernel.Mul,
		slopeX: func(d, dz, _, y []float32) { kernel.Mul(d, dz, y) },
		slopeY: func(d, dz, x, _ []float32) { kernel.Mul(d, dz, x) },
		readsX: true, readsY: true,
	},
	"Div": {
		value: func(z, x, y []float32) {
			for i, v := range x {
				z[i] = v / y[i]
			}
		},
		slopeX: func(d, dz, _, y []float32) {
			for i, g := range dz {
				d[i] = g / y[i]
			}
		},
		slopeY: func(d, dz, x, y []float32) {
			for i, g := range dz {
				d[i] = float32(-float64(g) * float64(x[i]) / float64(float64(y[i])*float64(y[i])))
			}
		},
		readsX: true, readsY: true,
	},
	"Mod": remainder(false),
	"Max": extreme(func(x, y float32) bool { return x > y }),
	"Min": extreme(func(x, y float32) bool { return x < y }),
	"PRelu": {
		value: func(z, x, y []float32) {
			for i, v := range x {
				if z[i] = v; v < 0 {
					z[i] = v * y[i]
				}
			}
		},
		slopeX: func(d, dz, x, y []float32) {
			for i, g := range dz {
				if d[i] = g; x[i] < 0 {
					d[i] = g * y[i]
				}
			}
		},
		slopeY: func(d, dz, x, _ []float32) {
			for i, g := range dz {
				if d[i] = 0; x[i] < 0 {
					d[i] = g * x[i]
				}
			}
		},
		readsX: true, readsY: true,
	},
	"Pow": {
		value: func(z, x, y []float32) {
			for i, v := range x {
				z[i] = float32(power(float64(v), float64(y[i])))
			}
		},
		slopeX: func(d, dz, x, y []float32) {
			for i, g := range dz {
				d[i] = float32(float64(g) * float64(y[i]) * power(float64(x[i]), float64(y[i])-1))
			}
		},
		slopeY: func(d, dz, x, y []float32) {
			for i, g := range dz {
				d[i] = 0
				if x[i] > 0 {
					d[i] = float32(float64(g) * power(float64(x[i]), float64(y[i])) * kernel.Log(float64(x[i])))
				}
			}
		},
		readsX: true, readsY: true,
	},
}

// extreme returns the operation that takes the operand that wins; of two that are
// equal each gets half of the gradient, as in torch.
func extreme(wins func(x, y float32) bool) arithmetic {
	side := func(own, other func(x, y float32) float32) func(d, dz, x, y []float32) {
		return func(d, dz, x, y []float32) {
			for i, g := range dz {
				a, b := own(x[i], y[i]), other(x[i], y[i])
				switch {
				case a == b:
					d[i] = g / 2
				case wins(a, b):
					d[i] = g
				default:
					d[i] = 0
				}
			}
		}
	}
	first, second := func(x, _ float32) float32 { return x }, func(_, y float32) float32 { return y }
	return arithmetic{
		value: func(z, x, y []float32) {
			for i, v := range x {
				if z[i] = y[i]; wins(v, y[i]) || v != v {
					z[i] = v
				}
			}
		},
		slopeX: side(first, second), slopeY: side(second, first), readsX: true, readsY: true,
	}
}

// power returns x**y with the same bits on every machine: by multiplication for
// small whole exponents, by logarithm otherwise.
func power(x, y float64) float64 {
	switch {
	case y == 0.5:
		return math.Sqrt(x)
	case y == math.Trunc(y) && math.Abs(y) <= 64:
		r := 1.0
		for range int(math.Abs(y)) {
			r *= x
		}
		if y < 0 {
			return 1 / r
		}
		return r
	case x > 0:
		return kernel.Exp(y * kernel.Log(x))
	case x == 0 && y > 0:
		return 0
	}
	return math.NaN()
}

// binaryLayer applies an operation to two operands that are stretched to one
// shape.
type binaryLayer struct {
	stateless
	x, y, out *value
	dx, dy    *sink
	op        arithmetic
	runs      []binaryRun
	plain     bool // nothing is stretched
	longest   int
	room      [][]float32 // of each worker
}

// binaryRun is n vectors of the result; an operand that is stretched along them
// has one.
type binaryRun struct {
	x, y, z, n       int // elements
	repeatX, repeatY bool
}

func inferBinary(n *site) ([]shape, error) {
	if !n.has(1) || len(n.in) > 2 {
		return nil, unsupported("%s of %d operands is not supported, only of two", n.Op, len(n.in))
	}
	out, err := broadcast(n.in[0], n.in[1])
	return []shape{out}, err
}

func buildBinary(b *builder) layer {
	l := &binaryLayer{x: b.data(0), y: b.data(1), out: b.out[0], op: operations[b.node.Op]}
	switch {
	case b.node.Op == "Mod":
		l.op = remainder(b.node.Int("fmod", 0) != 0)
	case b.node.Op == "Div" && b.net.whole[b.node.Outputs[0]]:
		l.op = quotient
	}
	l.dx, l.dy = b.sink(l.x), b.sink(l.y)
	if l.dx.wanted() && l.op.readsY || l.dy.wanted() && l.op.readsY {
		b.keep(l.y)
	}
	if l.dx.wanted() && l.op.readsX || l.dy.wanted() && l.op.readsX {
		b.keep(l.x)
	}
	xs, ys := broadcastIndex(b.in(0).dims, b.outs[0].dims), broadcastIndex(b.in(1).dims, b.outs[0].dims)
	for i := range xs {
		x, y := int(xs[i])*Lanes, int(ys[i])*Lanes
		if n := len(l.runs) - 1; n >= 0 && l.runs[n].take(x, y) {
			continue
		}
		l.runs = append(l.runs, binaryRun{x: x, y: y, z: i * Lanes, n: Lanes})
	}
	l.plain = len(l.runs) == 1 && !l.runs[0].repeatX && !l.runs[0].repeatY
	for _, r := range l.runs {
		l.longest = max(l.longest, r.n)
	}
	for range b.threads {
		l.room = append(l.room, make([]float32, 3*l.longest))
	}
	return l
}

// mostStretched is how many elements a run has at the most if an operand is stretched
// along it: what is between then stays in the first-level cache.
const mostStretched = 1024

// take makes one more vector part of the run, if it goes on as the run does.
func (r *binaryRun) take(x, y int) bool {
	repeatX, repeatY := x == r.x, y == r.y
	if repeatX && repeatY || !repeatX && x != r.x+r.n || !repeatY && y != r.y+r.n ||
		r.n > Lanes && (repeatX != r.repeatX || repeatY != r.repeatY) || r.n >= mostStretched && (repeatX || repeatY) {
		return false
	}
	r.repeatX, r.repeatY = repeatX, repeatY
	r.n += Lanes
	return true
}

// stretched returns the elements of an operand for a run, repeated if need be.
func stretched(x []float32, at, n int, repeat bool, room []float32) []float32 {
	if !repeat {
		return x[at : at+n]
	}
	room = room[:n]
	copy(room, x[at:at+Lanes])
	for done := Lanes; done < n; done *= 2 {
		copy(room[done:], room[:done])
	}
	return room
}

func (l *binaryLayer) forward(p part) {
	x, y, z := l.x.data(p), l.y.data(p), l.out.data(p)
	if l.plain {
		l.op.value(z, x, y)
		return
	}
	room := l.room[p.worker]
	for g := range p.hi - p.lo {
		x, y, z := x[g*l.x.size:], y[g*l.y.size:], z[g*l.out.size:]
		for i := range l.runs {
			r := &l.runs[i]
			l.op.value(z[r.z:r.z+r.n], stretched(x, r.x, r.n, r.repeatX, room), stretched(y, r.y, r.n, r.repeatY, room[l.longest:]))
		}
	}
}

func (l *binaryLayer) backward(p part) {
	dz := l.out.gradient(p)
	if l.dx.wanted() {
		l.side(p, l.dx, dz, l.op.slopeX, func(r *binaryRun) (int, bool) { return r.x, r.repeatX })
	}
	if l.dy.wanted() {
		l.side(p, l.dy, dz, l.op.slopeY, func(r *binaryRun) (int, bool) { return r.y, r.repeatY })
	}
}

// side makes the gradient of one operand, which may be met several times.
func (l *binaryLayer) side(p part, k *sink, dz []float32, slope func(d, dz, x, y []float32), place func(r *binaryRun) (at int, repeat bool)) {
	var x, y []float32
	if l.op.readsX || l.op.readsY {
		x, y = l.x.data(p), l.y.data(p)
	}
	if l.plain {
		if slope == nil {
			k.add(p, dz)
			return
		}
		slope(k.open(p), dz, x, y)
		k.close(p)
		return
	}
	d, room := k.open(p), l.room[p.worker]
	clear(d)
	for g := range p.hi - p.lo {
		d, dz := d[g*k.v.size:], dz[g*l.out.size:]
		for i := range l.runs {
			r := &l.runs[i]
			at, repeat := place(r)
			var xs, ys []float32
			if x != nil {
				xs = stretched(x[g*l.x.size:], r.x, r.n, r.repeatX, room)
				ys = stretched(y[g*l.y.size:], r.y, r.n, r.repeatY, room[l.longest:])
			}
			own := dz[r.z : r.z+r.n]
			if slope != nil {
				own = room[2*l.longest:][:r.n]
				slope(own, dz[r.z:r.z+r.n], xs, ys)
			}
			if repeat {
				kernel.Sum((*[Lanes]float32)(d[at:]), own)
			} else {
				kernel.Add(d[at:at+r.n], own)
			}
		}
	}
	k.close(p)
}
