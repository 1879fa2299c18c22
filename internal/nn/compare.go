package nn

import (
	"math"
	"slices"

	"lethe/internal/kernel"
)

// flat are the operators whose value does not change where their operands change
// a little: no gradient flows through them.
var flat = map[string]bool{
	"ArgMax": true, "ArgMin": true, "Ceil": true, "Floor": true, "IsInf": true, "IsNaN": true, "Not": true, "Round": true, "Sign": true, "Truncate": true, "Truth": true,
}

func init() {
	for name, f := range map[string]func(x, y float32) bool{
		"And":            func(x, y float32) bool { return x != 0 && y != 0 },
		"Equal":          func(x, y float32) bool { return x == y },
		"Greater":        func(x, y float32) bool { return x > y },
		"GreaterOrEqual": func(x, y float32) bool { return x >= y },
		"Less":           func(x, y float32) bool { return x < y },
		"LessOrEqual":    func(x, y float32) bool { return x <= y },
		"Or":             func(x, y float32) bool { return x != 0 || y != 0 },
		"Xor":            func(x, y float32) bool { return (x != 0) != (y != 0) },
	} {
		flat[name] = true
		operations[name] = arithmetic{value: func(z, x, y []float32) {
			for i, v := range x {
				if z[i] = 0; f(v, y[i]) {
					z[i] = 1
				}
			}
		}}
	}
}

// remainder returns the operation whose result has the sign of the divisor, or
// with fmod that of the dividend.
func remainder(fmod bool) arithmetic {
	whole := func(x, y float32) float64 {
		q := float64(x) / float64(y)
		if fmod {
			return math.Trunc(q)
		}
		return math.Floor(q)
	}
	return arithmetic{
		value: func(z, x, y []float32) {
			for i, v := range x {
				m := math.Mod(float64(v), float64(y[i]))
				if !fmod && m != 0 && (m < 0) != (y[i] < 0) {
					m += float64(y[i])
				}
				z[i] = float32(m)
			}
		},
		slopeY: func(d, dz, x, y []float32) {
			for i, g := range dz {
				d[i] = float32(-float64(g) * whole(x[i], y[i]))
			}
		},
		readsX: true, readsY: true,
	}
}

// quotient is the division of whole numbers.
var quotient = arithmetic{value: func(z, x, y []float32) {
	for i, v := range x {
		z[i] = float32(math.Trunc(float64(v) / float64(y[i])))
	}
}, slopeX: nothing, slopeY: nothing}

func nothing(d, _, _, _ []float32) { clear(d) }

// whereLayer takes elements of one operand or the other, as a condition says that
// depends on the sample.
type whereLayer struct {
	stateless
	c, x, y, out *value
	dx, dy       *sink
	at           [3][]int32 // of the condition and the operands, for each element of the result
}

func inferWhere(n *site) ([]shape, error) {
	if len(n.in) != 3 || !n.has(1) || !n.has(2) {
		return nil, misfit("Where needs a condition and two operands")
	}
	out, err := broadcast(n.in[1], n.in[2])
	if err == nil {
		out, err = broadcast(out, n.in[0])
	}
	return []shape{out}, err
}

func buildWhere(b *builder) layer {
	out := b.outs[0].dims
	c, x, y := broadcastIndex(b.in(0).dims, out), broadcastIndex(b.in(1).dims, out), broadcastIndex(b.in(2).dims, out)
	if t := b.net.constants[b.node.Inputs[0]]; t != nil {
		condition, err := numbers(t)
		if err != nil {
			panic(err) // Bind has seen it
		}
		behind := int32(b.in(1).elements())
		for i := range x {
			if condition[c[i]] == 0 {
				x[i] = behind + y[i]
			}
		}
		return newMove(b, []int{1, 2}, [][]int32{x}, 0)
	}
	l := &whereLayer{c: b.data(0), x: b.data(1), y: b.data(2), out: b.out[0], at: [3][]int32{c, x, y}}
	l.dx, l.dy = b.sink(l.x), b.sink(l.y)
	b.keep(l.c)
	return l
}

func (l *whereLayer) forward(p part) {
	for g := range p.hi - p.lo {
		c, x, y, z := l.c.data(p)[g*l.c.size:], l.x.data(p)[g*l.x.size:], l.y.data(p)[g*l.y.size:], l.out.data(p)[g*l.out.size:]
		for i := range l.at[0] {
			c, x, y, z := c[l.at[0][i]*Lanes:][:Lanes], x[l.at[1][i]*Lanes:][:Lanes], y[l.at[2][i]*Lanes:][:Lanes], z[i*Lanes:][:Lanes]
			for lane, b := range c {
				if z[lane] = y[lane]; b != 0 {
					z[lane] = x[lane]
				}
			}
		}
	}
}

func (l *whereLayer) backward(p part) {
	for side, k := range []*sink{l.dx, l.dy} {
		if !k.wanted() {
			continue
		}
		d, at := k.open(p), l.at[1+side]
		clear(d)
		for g := range p.hi - p.lo {
			c, dz, d := l.c.data(p)[g*l.c.size:], l.out.gradient(p)[g*l.out.size:], d[g*k.v.size:]
			for i := range at {
				c, dz, d := c[l.at[0][i]*Lanes:][:Lanes], dz[i*Lanes:][:Lanes], d[at[i]*Lanes:][:Lanes]
				for lane, b := range c {
					if (b != 0) == (side == 0) {
						d[lane] += dz[lane]
					}
				}
			}
		}
		k.close(p)
	}
}

// extremeLayer is the largest or the smallest element, or the product, over axes.
type extremeLayer struct {
	stateless
	in, out *value
	dx      *sink
	op      string
	members [][]int32 // of each output, the elements of the input
}

func buildExtreme(b *builder) layer {
	axes, err := reduced(b.site())
	if err != nil {
		panic(err) // Bind has seen it
	}
	in := b.in(0).dims
	kept := slices.Clone(in)
	for _, a := range axes {
		kept[a] = 1
	}
	l := &extremeLayer{in: b.data(0), out: b.out[0], op: b.node.Op, members: make([][]int32, product(kept))}
	for i, to := range broadcastIndex(kept, in) {
		l.members[to] = append(l.members[to], int32(i*Lanes))
	}
	l.dx = b.sink(l.in)
	b.keep(l.in)
	b.keep(l.out)
	return l
}

func (l *extremeLayer) forward(p part) {
	for g := range p.hi - p.lo {
		x, y := l.in.data(p)[g*l.in.size:], l.out.data(p)[g*l.out.size:]
		for o, members := range l.members {
			y := y[o*Lanes:][:Lanes]
			copy(y, x[members[0]:])
			for _, at := range members[1:] {
				x := x[at:][:Lanes]
				switch l.op {
				case "ReduceMax":
					for lane, v := range x {
						if v > y[lane] || v != v {
							y[lane] = v
						}
					}
				case "ReduceMin":
					for lane, v := range x {
						if v < y[lane] || v != v {
							y[lane] = v
						}
					}
				default:
					for lane, v := range x {
						y[lane] *= v
					}
				}
			}
		}
	}
}

// backward divides the gradient of an extreme among the elements that have it, as
// torch.amax does. The gradient of a product is the product of the others.
func (l *extremeLayer) backward(p part) {
	if !l.dx.wanted() {
		return
	}
	dx := l.dx.open(p)
	for g := range p.hi - p.lo {
		x, dx := l.in.data(p)[g*l.in.size:], dx[g*l.in.size:]
		y, dy := l.out.data(p)[g*l.out.size:], l.out.gradient(p)[g*l.out.size:]
		for o, members := range l.members {
			y, dy := y[o*Lanes:][:Lanes], dy[o*Lanes:][:Lanes]
			if l.op == "ReduceProd" {
				productGrad(dx, x, dy, members)
				continue
			}
			var share [Lanes]float32
			for _, at := range members {
				for lane, v := range x[at:][:Lanes] {
					if v == y[lane] {
						share[lane]++
					}
				}
			}
			for lane, n := range share {
				share[lane] = dy[lane] / max(n, 1)
			}
			for _, at := range members {
				for lane, v := range x[at:][:Lanes] {
					if dx[int(at)+lane] = 0; v == y[lane] {
						dx[int(at)+lane] = share[lane]
					}
				}
			}
		}
	}
	l.dx.close(p)
}

func productGrad(dx, x, dy []float32, members []int32) {
	var left [Lanes]float32
	copy(left[:], dy)
	for _, at := range members {
		copy(dx[at:at+Lanes], left[:])
		kernel.Mul(left[:], left[:], x[at:at+Lanes])
	}
	for lane := range left {
		left[lane] = 1
	}
	for _, at := range slices.Backward(members) {
		kernel.Mul(dx[at:at+Lanes], dx[at:at+Lanes], left[:])
		kernel.Mul(left[:], left[:], x[at:at+Lanes])
	}
}
