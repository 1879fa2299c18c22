package kernel

import (
	"fmt"
	"math"
)

// ln2 in two parts: the first has 21 trailing zero bits, so that k*ln2Hi is
// exact for every exponent k.
const (
	ln2Hi = 6.93147180369123816490e-01
	ln2Lo = 1.90821492927058770002e-10
)

// expCoef are 1/n!, highest first: the Taylor polynomial of degree 13, whose
// error on |r| <= ln(2)/2 is under 2^-57.
var expCoef = [...]float64{
	1. / 6227020800, 1. / 479001600, 1. / 39916800, 1. / 3628800, 1. / 362880, 1. / 40320,
	1. / 5040, 1. / 720, 1. / 120, 1. / 24, 1. / 6, 1. / 2, 1, 1,
}

// Exp returns e**x with the same bits on every machine, which math.Exp does not
// promise; the error is under 2 units in the last place. Results too small for
// a normal number are 0.
func Exp(x float64) float64 {
	switch {
	case x != x:
		return x
	case x > 709.78:
		return math.Inf(1)
	case x < -708:
		return 0
	}
	k := math.RoundToEven(x * (1 / math.Ln2))
	r := math.FMA(-k, ln2Lo, math.FMA(-k, ln2Hi, x))
	p := expCoef[0]
	for _, c := range expCoef[1:] {
		p = math.FMA(p, r, c)
	}
	return p * math.Float64frombits(uint64(int64(k)+1022)<<52) * 2
}

// Exps sets dst[i] to [Exp] of src[i]. The slices may be the same.
func Exps(dst, src []float64) {
	if len(src) < len(dst) {
		panic(fmt.Sprintf("kernel: src has %d elements, needs %d", len(src), len(dst)))
	}
	exps(dst, src)
}

func expsGo(dst, src []float64) {
	for i := range dst {
		dst[i] = Exp(src[i])
	}
}

// Log returns the natural logarithm of a positive normal number with the same
// bits on every machine; the error is under 2 units in the last place. Zero
// gives -Inf, anything else that has no logarithm NaN.
func Log(x float64) float64 {
	switch {
	case x == 0:
		return math.Inf(-1)
	case !(x > 0):
		return math.NaN()
	case math.IsInf(x, 1):
		return x
	}
	m, k := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m, k = m*2, k-1
	}
	// log m = 2 atanh(s) = 2s (1 + s^2/3 + s^4/5 + ...), |s| <= 0.172.
	s := (m - 1) / (m + 1)
	z := float64(s * s)
	p := 1. / 23
	for n := 21; n > 1; n -= 2 {
		p = math.FMA(p, z, 1/float64(n))
	}
	f := float64(k)
	return math.FMA(f, ln2Hi, math.FMA(f, ln2Lo, 2*math.FMA(float64(s*z), p, s)))
}
