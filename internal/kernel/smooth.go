package kernel

import "math"

// The functions of single precision that are made of exponentials. Their errors
// are a few units of 2^-24, relative to the result; in the tails of [NormalCDF],
// where it is below 1e-15, up to 2e-5.

// ln2 in two parts: the first has so many trailing zero bits that its products
// with exponents are exact.
const (
	ln2Hi32, ln2Lo32      = 0.693359375, -2.12194440e-4
	exp32Most, exp32Least = 88.72283, -86.5
)

// exp32Coef are 1/n!, highest first.
var exp32Coef = [...]float32{1. / 5040, 1. / 720, 1. / 120, 1. / 24, 1. / 6, 1. / 2, 1, 1}

// erfcCoef is the Chebyshev fit of Numerical Recipes in C, section 6.2, highest
// power first: erfc(z) = t exp(-z^2 + P(t)), t = 1/(1 + z/2), z >= 0.
var erfcCoef = [...]float32{
	0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223,
}

// Exp32 sets dst to e**src; what is less than e**-86.5 is 0.
func Exp32(dst, src []float32) {
	need("src", src, len(dst))
	exp32s(dst, src)
}

// Sigmoid sets dst to 1/(1 + e**-src).
func Sigmoid(dst, src []float32) {
	need("src", src, len(dst))
	sigmoid(dst, src)
}

// NormalCDF sets dst to the probability that a standard normal variable is below
// src: (1 + erf(src/sqrt 2))/2.
func NormalCDF(dst, src []float32) {
	need("src", src, len(dst))
	normalCDF(dst, src)
}

func exp32(x float32) float32 {
	switch {
	case x != x:
		return x
	case x > exp32Most:
		return float32(math.Inf(1))
	case x < exp32Least:
		return 0
	}
	k := float32(math.RoundToEven(float64(float32(x * (1 / math.Ln2)))))
	r := fma(-k, ln2Lo32, fma(-k, ln2Hi32, x))
	p := exp32Coef[0]
	for _, c := range exp32Coef[1:] {
		p = fma(p, r, c)
	}
	return float32(p*math.Float32frombits(uint32(int32(k)+126)<<23)) * 2
}

func exp32sGo(dst, src []float32) {
	for i, x := range src[:len(dst)] {
		dst[i] = exp32(x)
	}
}

func sigmoidGo(dst, src []float32) {
	for i, x := range src[:len(dst)] {
		dst[i] = 1 / (1 + exp32(-x))
	}
}

func normalCDFGo(dst, src []float32) {
	for i, x := range src[:len(dst)] {
		z := float32(float32(math.Abs(float64(x))) * float32(math.Sqrt2/2))
		t := 1 / fma(z, 0.5, 1)
		p := erfcCoef[0]
		for _, c := range erfcCoef[1:] {
			p = fma(p, t, c)
		}
		tail := float32(float32(t*0.5) * exp32(fma(-z, z, p)))
		if math.Signbit(float64(x)) {
			dst[i] = tail
		} else {
			dst[i] = 1 - tail
		}
	}
}
