package nn

import (
	"math"

	"lethe/graph"
	"lethe/internal/kernel"
)

// function is an elementwise function and its gradient. The arithmetic is in
// float64, rounded once, and the same on every machine: products that are added
// to something are rounded by a conversion, so that nothing is fused.
type function struct {
	// value sets y = f(x).
	value func(y, x []float64)
	// slope sets d = f'(x); y = f(x) is known.
	slope func(d, x, y []float64)
}

// single is a function in float32, for those that networks have in many places.
// room is for what is between.
type single struct {
	value func(y, x []float32)
	slope func(d, x, y, room []float32)
}

// singles are the functions of which there is a fast form; nil where the
// attributes ask for another.
var singles = map[string]func(n *graph.Node) *single{
	"Sigmoid": func(*graph.Node) *single { return &single{kernel.Sigmoid, sigmoidSlope} },
	"Gelu": func(n *graph.Node) *single {
		if n.String("approximate", "none") == "tanh" {
			return nil
		}
		return &single{geluValue, geluSlope}
	},
}

// functions are the elementwise operators of one input, by name.
var functions = map[string]func(n *graph.Node) function{
	"Tanh":     func(*graph.Node) function { return hyperbolicTangent },
	"Gelu":     func(*graph.Node) function { return geluTanh },
	"Erf":      func(*graph.Node) function { return errorFunction },
	"Softplus": func(*graph.Node) function { return softplus },
	"Exp":      func(*graph.Node) function { return function{kernel.Exps, func(d, _, y []float64) { copy(d, y) }} },
	"Log": func(*graph.Node) function {
		return function{logs, func(d, x, _ []float64) { each(d, x, func(v float64) float64 { return 1 / v }) }}
	},
	"Sqrt": func(*graph.Node) function {
		return function{func(y, x []float64) { each(y, x, math.Sqrt) }, func(d, _, y []float64) { each(d, y, func(v float64) float64 { return 0.5 / v }) }}
	},
	"Reciprocal": func(*graph.Node) function {
		return function{func(y, x []float64) { each(y, x, func(v float64) float64 { return 1 / v }) }, func(d, _, y []float64) { each(d, y, func(v float64) float64 { return -v * v }) }}
	},
	"Neg": func(*graph.Node) function { return closedForm(func(v float64) (float64, float64) { return -v, -1 }) },
	"Abs": func(*graph.Node) function {
		return closedForm(func(v float64) (float64, float64) { return math.Abs(v), signOf(v) })
	},
	"Acos": func(*graph.Node) function {
		return smooth(func(v float64) float64 { return math.Pi/2 - arcSine(v) }, func(v float64) float64 { return -1 / math.Sqrt(1-float64(v*v)) })
	},
	"Acosh": func(*graph.Node) function {
		return smooth(func(v float64) float64 { return kernel.Log(v + math.Sqrt(float64(v*v)-1)) }, func(v float64) float64 { return 1 / math.Sqrt(float64(v*v)-1) })
	},
	"Asin": func(*graph.Node) function {
		return smooth(arcSine, func(v float64) float64 { return 1 / math.Sqrt(1-float64(v*v)) })
	},
	"Asinh": func(*graph.Node) function {
		return smooth(areaSine, func(v float64) float64 { return 1 / math.Sqrt(1+float64(v*v)) })
	},
	"Atan": func(*graph.Node) function {
		return smooth(arcTangent, func(v float64) float64 { return 1 / (1 + float64(v*v)) })
	},
	"Atanh": func(*graph.Node) function {
		return smooth(areaTangent, func(v float64) float64 { return 1 / (1 - float64(v*v)) })
	},
	"Ceil": func(*graph.Node) function { return smooth(math.Ceil, nil) },
	"Celu": celu,
	"Cos":  func(*graph.Node) function { return smooth(cosine, func(v float64) float64 { return -sine(v) }) },
	"Cosh": func(*graph.Node) function {
		return smooth(func(v float64) float64 { e := kernel.Exp(math.Abs(v)); return (e + 1/e) / 2 }, hyperbolicSine)
	},
	"Floor":  func(*graph.Node) function { return smooth(math.Floor, nil) },
	"IsInf":  isInf,
	"IsNaN":  func(*graph.Node) function { return truth(math.IsNaN) },
	"Mish":   func(*graph.Node) function { return closedForm(mish) },
	"Not":    func(*graph.Node) function { return truth(func(v float64) bool { return v == 0 }) },
	"Round":  func(*graph.Node) function { return smooth(math.RoundToEven, nil) },
	"Selu":   selu,
	"Shrink": shrink,
	"Sign":   func(*graph.Node) function { return smooth(signOf, nil) },
	"Sin":    func(*graph.Node) function { return smooth(sine, cosine) },
	"Sinh": func(*graph.Node) function {
		return smooth(hyperbolicSine, func(v float64) float64 { e := kernel.Exp(math.Abs(v)); return (e + 1/e) / 2 })
	},
	"Softsign": func(*graph.Node) function {
		return smooth(func(v float64) float64 { return v / (1 + math.Abs(v)) }, func(v float64) float64 { return 1 / float64((1+math.Abs(v))*(1+math.Abs(v))) })
	},
	"Swish": swish,
	"Tan": func(*graph.Node) function {
		return smooth(func(v float64) float64 { return sine(v) / cosine(v) }, func(v float64) float64 { c := cosine(v); return 1 / float64(c*c) })
	},
	"Truncate":    func(*graph.Node) function { return smooth(math.Trunc, nil) },
	"Truth":       func(*graph.Node) function { return truth(func(v float64) bool { return v != 0 }) },
	"HardSwish":   func(*graph.Node) function { return hardSwish },
	"HardSigmoid": hardSigmoid,
	"LeakyRelu":   leakyRelu,
	"Elu":         elu,
}

func signOf(v float64) float64 {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return 0
}

func each(y, x []float64, f func(float64) float64) {
	for i, v := range x {
		y[i] = f(v)
	}
}

func logs(y, x []float64) { each(y, x, kernel.Log) }

// closedForm returns a function from one that gives value and slope.
func closedForm(f func(v float64) (value, slope float64)) function {
	return function{
		func(y, x []float64) {
			for i, v := range x {
				y[i], _ = f(v)
			}
		},
		func(d, x, _ []float64) {
			for i, v := range x {
				_, d[i] = f(v)
			}
		},
	}
}

// Of 1/(1+e^-x) both tails are exact; e^-x overflows to infinity, and 1/inf is 0.
var sigmoid = function{
	func(y, x []float64) {
		each(y, x, func(v float64) float64 { return -v })
		kernel.Exps(y, y)
		each(y, y, func(v float64) float64 { return 1 / (1 + v) })
	},
	func(d, _, y []float64) { each(d, y, func(v float64) float64 { return v * (1 - v) }) },
}

var hyperbolicTangent = function{
	func(y, x []float64) {
		each(y, x, func(v float64) float64 { return 2 * v })
		kernel.Exps(y, y)
		for i, v := range y {
			y[i] = 1 - 2/(v+1)
			if a := x[i]; math.Abs(a) < 1e-4 { // 1 - 2/(v+1) cancels
				y[i] = a
			}
		}
	},
	func(d, _, y []float64) { each(d, y, func(v float64) float64 { return 1 - float64(v*v) }) },
}

var softplus = function{
	func(y, x []float64) {
		each(y, x, func(v float64) float64 { return -math.Abs(v) })
		kernel.Exps(y, y)
		for i, v := range y {
			y[i] = kernel.Log(1+v) + max(x[i], 0)
			if v < 1e-9 { // 1 + v has lost it
				y[i] = v + max(x[i], 0)
			}
		}
	},
	func(d, x, _ []float64) { sigmoid.value(d, x) },
}

// erfcs sets y to 1 - erf(x), by the Chebyshev fit of Numerical Recipes in C,
// section 6.2, whose relative error is under 1.2e-7.
func erfcs(y, x []float64) {
	for i, v := range x {
		z := math.Abs(v)
		t := 1 / (1 + float64(0.5*z))
		p := 0.17087277
		for _, c := range [...]float64{-0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368} {
			p = math.FMA(p, t, c)
		}
		y[i] = math.FMA(-z, z, math.FMA(p, t, -1.26551223))
	}
	kernel.Exps(y, y)
	for i, v := range x {
		y[i] /= 1 + float64(0.5*math.Abs(v))
		if v < 0 {
			y[i] = 2 - y[i]
		}
	}
}

var errorFunction = function{
	func(y, x []float64) {
		erfcs(y, x)
		for i, v := range y {
			y[i] = 1 - v
			if a := x[i]; math.Abs(a) < 1e-3 { // 1 - erfc cancels
				y[i] = float64(a*2/math.Sqrt(math.Pi)) * (1 - float64(a*a/3))
			}
		}
	},
	func(d, x, _ []float64) {
		each(d, x, func(v float64) float64 { return -v * v })
		kernel.Exps(d, d)
		each(d, d, func(v float64) float64 { return v * (2 / 1.7724538509055160273) })
	},
}

func sigmoidSlope(d, _, y, _ []float32) {
	kernel.Affine(d, y, -1, 1)
	kernel.Mul(d, d, y)
}

func geluValue(y, x []float32) {
	kernel.NormalCDF(y, x)
	kernel.Mul(y, y, x)
}

// geluSlope is the distribution function of x plus x times its density.
func geluSlope(d, x, _, room []float32) {
	kernel.Mul(room, x, x)
	kernel.Affine(room, room, -0.5, 0)
	kernel.Exp32(room, room)
	kernel.Mul(room, room, x)
	kernel.Affine(room, room, 0.39894228040143267794, 0)
	kernel.NormalCDF(d, x)
	kernel.Add(d, room)
}

const geluA, geluB = 0.79788456080286535588, 0.044715

var geluTanh = function{
	func(y, x []float64) {
		var room [blockLen]float64
		u := room[:len(x)]
		for i, v := range x {
			u[i] = geluA * (v + float64(geluB*v*v*v))
		}
		hyperbolicTangent.value(y, u)
		for i, v := range x {
			y[i] = 0.5 * v * (1 + y[i])
		}
	},
	func(d, x, _ []float64) {
		var room [blockLen]float64
		u := room[:len(x)]
		for i, v := range x {
			u[i] = geluA * (v + float64(geluB*v*v*v))
		}
		hyperbolicTangent.value(d, u)
		for i, v := range x {
			t := d[i]
			inner := geluA * (1 + float64(3*geluB*v*v))
			d[i] = float64(0.5*(1+t)) + float64(0.5*v*(1-float64(t*t))*inner)
		}
	},
}

var hardSwish = closedForm(func(v float64) (float64, float64) {
	switch {
	case v <= -3:
		return 0, 0
	case v >= 3:
		return v, 1
	}
	return v * (v + 3) / 6, (2*v + 3) / 6
})

func hardSigmoid(n *graph.Node) function {
	alpha, beta := float64(n.Float("alpha", 0.2)), float64(n.Float("beta", 0.5))
	return closedForm(func(v float64) (float64, float64) {
		switch y := float64(alpha*v) + beta; {
		case y <= 0:
			return 0, 0
		case y >= 1:
			return 1, 0
		default:
			return y, alpha
		}
	})
}

func leakyRelu(n *graph.Node) function {
	alpha := float64(n.Float("alpha", 0.01))
	return closedForm(func(v float64) (float64, float64) {
		if v > 0 {
			return v, 1
		}
		return alpha * v, alpha
	})
}

func elu(n *graph.Node) function {
	alpha := float64(n.Float("alpha", 1))
	return function{
		func(y, x []float64) {
			kernel.Exps(y, x)
			for i, v := range x {
				if y[i] = alpha * (y[i] - 1); v > 0 {
					y[i] = v
				}
			}
		},
		func(d, x, y []float64) {
			for i, v := range x {
				if d[i] = y[i] + alpha; v > 0 {
					d[i] = 1
				}
			}
		},
	}
}

// blockLen is how many elements are computed at a time.
const blockLen = 256

// unaryLayer applies a function to every element.
type unaryLayer struct {
	stateless
	in, out *value
	dx      *sink
	f       function
	single  *single // or nil
}

func inferUnary(n *site) ([]shape, error) {
	return n.in[:1], only(n, "alpha", "beta", "approximate", "bias", "detect_negative", "detect_positive", "gamma", "lambd")
}

func buildUnary(b *builder) layer {
	l := &unaryLayer{in: b.data(0), out: b.out[0]}
	if f := functions[b.node.Op]; f != nil {
		l.f = f(b.node)
	}
	if f := singles[b.node.Op]; f != nil {
		l.single = f(b.node)
	}
	l.dx = b.sink(l.in)
	b.keep(l.in)
	b.keep(l.out)
	return l
}

func (l *unaryLayer) forward(p part) {
	x, y := l.in.data(p), l.out.data(p)
	if l.single != nil {
		for ; len(x) > 0; x, y = x[min(blockLen, len(x)):], y[min(blockLen, len(y)):] {
			n := min(blockLen, len(x))
			l.single.value(y[:n], x[:n])
		}
		return
	}
	var from, to [blockLen]float64
	for ; len(x) > 0; x, y = x[min(blockLen, len(x)):], y[min(blockLen, len(y)):] {
		n := widen(from[:], x)
		l.f.value(to[:n], from[:n])
		narrow(y, to[:n])
	}
}

func (l *unaryLayer) backward(p part) {
	if !l.dx.wanted() {
		return
	}
	x, y, dy, dx := l.in.data(p), l.out.data(p), l.out.gradient(p), l.dx.open(p)
	if l.single != nil {
		var room [blockLen]float32
		for len(x) > 0 {
			n := min(blockLen, len(x))
			l.single.slope(dx[:n], x[:n], y[:n], room[:n])
			kernel.Mul(dx[:n], dx[:n], dy)
			x, y, dy, dx = x[n:], y[n:], dy[n:], dx[n:]
		}
		l.dx.close(p)
		return
	}
	var from, to, slope [blockLen]float64
	for len(x) > 0 {
		n := widen(from[:], x)
		widen(to[:], y)
		l.f.slope(slope[:n], from[:n], to[:n])
		for i, d := range slope[:n] {
			dx[i] = float32(float64(dy[i]) * d)
		}
		x, y, dy, dx = x[n:], y[n:], dy[n:], dx[n:]
	}
	l.dx.close(p)
}

// widen copies the first elements of src, as many as there is room, and returns
// how many.
func widen(dst []float64, src []float32) int {
	n := min(len(dst), len(src))
	for i, v := range src[:n] {
		dst[i] = float64(v)
	}
	return n
}

func narrow(dst []float32, src []float64) {
	for i, v := range src {
		dst[i] = float32(v)
	}
}

// clipLayer limits every element.
type clipLayer struct {
	stateless
	in, out   *value
	dx        *sink
	low, high float32
}

func limitsOf(n *site) (low, high float32, err error) {
	low, high = n.Float("min", -math.MaxFloat32), n.Float("max", math.MaxFloat32)
	for i, to := range []*float32{&low, &high} {
		if !n.has(1 + i) {
			continue
		}
		if n.consts[1+i] == nil {
			return 0, 0, unsupported("Clip with a limit that is computed is not supported")
		}
		v, err := numbers(n.consts[1+i])
		if err != nil || len(v) != 1 {
			return 0, 0, misfit("Clip has a limit that is not one number")
		}
		*to = v[0]
	}
	return low, high, nil
}

func inferClip(n *site) ([]shape, error) {
	if _, _, err := limitsOf(n); err != nil {
		return nil, err
	}
	return n.in[:1], only(n, "min", "max")
}

func buildClip(b *builder) layer {
	l := &clipLayer{in: b.data(0), out: b.out[0]}
	var err error
	if l.low, l.high, err = limitsOf(b.site()); err != nil {
		panic(err) // Bind has seen it
	}
	l.dx = b.sink(l.in)
	b.keep(l.in)
	return l
}

func (l *clipLayer) forward(p part) { kernel.Clip(l.out.data(p), l.in.data(p), l.low, l.high) }

// backward lets the gradient pass where the element was within the limits, the
// limits included, as torch does.
func (l *clipLayer) backward(p part) {
	if l.dx.wanted() {
		kernel.ClipGrad(l.dx.open(p), l.in.data(p), l.out.gradient(p), l.low, l.high)
		l.dx.close(p)
	}
}
