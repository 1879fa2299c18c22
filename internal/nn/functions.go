package nn

import (
	"math"

	"lethe/graph"
	"lethe/internal/kernel"
)

// Functions of one number whose bits are the same on every machine: sums of
// products are fused by [math.FMA] or rounded by a conversion, never left to the
// compiler.

// smooth returns a function from its value and its slope; nil for a slope of 0.
func smooth(value, slope func(v float64) float64) function {
	return function{
		func(y, x []float64) { each(y, x, value) },
		func(d, x, _ []float64) {
			if slope == nil {
				clear(d)
				return
			}
			each(d, x, slope)
		},
	}
}

// truth returns 1 where a condition holds, and else 0.
func truth(holds func(v float64) bool) function {
	return smooth(func(v float64) float64 {
		if holds(v) {
			return 1
		}
		return 0
	}, nil)
}

// Half of pi in two parts: the second is what the first lacks.
const halfPi, halfPiRest = 1.5707963267948966, 6.123233995736766e-17

// quarter returns what is left of an angle beyond a multiple of a right angle,
// and the multiple modulo 4. Angles of more than 1e9 are not exact.
func quarter(v float64) (rest float64, turns int) {
	k := math.RoundToEven(v / halfPi)
	if math.IsNaN(k) || math.IsInf(k, 0) {
		return math.NaN(), 0
	}
	return math.FMA(-k, halfPiRest, math.FMA(-k, halfPi, v)), int(math.Mod(k, 4)+4) % 4
}

// sineSeries and cosineSeries are the Taylor series up to pi/4.
func sineSeries(r float64) float64 {
	s, q := 0.0, r*r
	for n := 15; n >= 3; n -= 2 {
		s = math.FMA(s, q, 1) * (-1 / float64(n*(n-1)))
	}
	return math.FMA(float64(s*q), r, r)
}

func cosineSeries(r float64) float64 {
	s, q := 0.0, r*r
	for n := 16; n >= 2; n -= 2 {
		s = math.FMA(s, q, 1) * (-1 / float64(n*(n-1)))
	}
	return math.FMA(s, q, 1)
}

func sine(v float64) float64 {
	switch r, turns := quarter(v); turns {
	case 0:
		return sineSeries(r)
	case 1:
		return cosineSeries(r)
	case 2:
		return -sineSeries(r)
	default:
		return -cosineSeries(r)
	}
}

func cosine(v float64) float64 {
	switch r, turns := quarter(v); turns {
	case 0:
		return cosineSeries(r)
	case 1:
		return -sineSeries(r)
	case 2:
		return -cosineSeries(r)
	default:
		return sineSeries(r)
	}
}

// arcTangent halves the angle twice, and then sums the Taylor series.
func arcTangent(v float64) float64 {
	a := math.Abs(v)
	if a > 1 {
		return math.Copysign(halfPi-arcTangent(1/a), v)
	}
	for range 2 {
		a /= 1 + math.Sqrt(1+float64(a*a))
	}
	s, q := 0.0, a*a
	for n := 21; n >= 3; n -= 2 {
		s = math.FMA(-s, q, 1/float64(n))
	}
	return math.Copysign(4*math.FMA(float64(-s*q), a, a), v)
}

func arcSine(v float64) float64 { return arcTangent(v / math.Sqrt(float64((1-v)*(1+v)))) }

func hyperbolicSine(v float64) float64 {
	if math.Abs(v) < 1e-3 {
		return math.FMA(float64(v*v), v/6, v)
	}
	e := kernel.Exp(math.Abs(v))
	return math.Copysign((e-1/e)/2, v)
}

func areaSine(v float64) float64 {
	a := math.Abs(v)
	if a < 1e-3 {
		return math.FMA(float64(v*v), -v/6, v)
	}
	return math.Copysign(kernel.Log(a+math.Sqrt(1+float64(a*a))), v)
}

func areaTangent(v float64) float64 {
	if math.Abs(v) < 1e-3 {
		return math.FMA(float64(v*v), v/3, v)
	}
	return kernel.Log((1+v)/(1-v)) / 2
}

// mish is x times the hyperbolic tangent of log(1+e^x).
func mish(v float64) (value, slope float64) {
	if v > 20 {
		return v, 1
	}
	e := kernel.Exp(v)
	n := float64(e * (e + 2))
	t := n / (n + 2)
	return v * t, t + float64(float64(v*(1-float64(t*t)))*(e/(1+e)))
}

func swish(n *graph.Node) function {
	alpha := float64(n.Float("alpha", 1))
	return closedForm(func(v float64) (float64, float64) {
		s := 1 / (1 + kernel.Exp(-alpha*v))
		return v * s, s + float64(float64(alpha*v)*float64(s*(1-s)))
	})
}

func celu(n *graph.Node) function {
	alpha := float64(n.Float("alpha", 1))
	return closedForm(func(v float64) (float64, float64) {
		if v > 0 {
			return v, 1
		}
		e := kernel.Exp(v / alpha)
		return alpha * (e - 1), e
	})
}

func selu(n *graph.Node) function {
	alpha, gamma := float64(n.Float("alpha", 1.67326319217681884765625)), float64(n.Float("gamma", 1.05070102214813232421875))
	return closedForm(func(v float64) (float64, float64) {
		if v > 0 {
			return gamma * v, gamma
		}
		e := kernel.Exp(v)
		return gamma * alpha * (e - 1), gamma * alpha * e
	})
}

func shrink(n *graph.Node) function {
	limit, bias := float64(n.Float("lambd", 0.5)), float64(n.Float("bias", 0))
	return closedForm(func(v float64) (float64, float64) {
		switch {
		case v < -limit:
			return v + bias, 1
		case v > limit:
			return v - bias, 1
		}
		return 0, 0
	})
}

func isInf(n *graph.Node) function {
	negative, positive := n.Int("detect_negative", 1) != 0, n.Int("detect_positive", 1) != 0
	return truth(func(v float64) bool { return positive && math.IsInf(v, 1) || negative && math.IsInf(v, -1) })
}
