package ops

import (
	"math"

	"lethe/model"
)

// format is a floating-point format that is narrower than float32.
type format struct {
	mantissa int     // explicit bits
	bias     int     // of the exponent
	bits     int     // all of them, with the sign
	largest  float64 // finite value
	infinite bool    // the format has infinities, coded as IEEE 754 does
	nan      int     // the code of NaN without the sign; -1 if there is none
	unsigned bool    // no sign, no zero, no mantissa: powers of two alone
	noMinus  bool    // no negative zero, whose code is NaN
}

var formats = map[model.DType]format{
	model.Float16:        {mantissa: 10, bias: 15, bits: 16, largest: 65504, infinite: true, nan: 0x7e00},
	model.BFloat16:       {mantissa: 7, bias: 127, bits: 16, largest: 0x1.fep127, infinite: true, nan: 0x7fc0},
	model.Float8E4M3FN:   {mantissa: 3, bias: 7, bits: 8, largest: 448, nan: 0x7f},
	model.Float8E4M3FNUZ: {mantissa: 3, bias: 8, bits: 8, largest: 240, nan: 0x80, noMinus: true},
	model.Float8E5M2:     {mantissa: 2, bias: 15, bits: 8, largest: 57344, infinite: true, nan: 0x7f},
	model.Float8E5M2FNUZ: {mantissa: 2, bias: 16, bits: 8, largest: 57344, nan: 0x80, noMinus: true},
	model.Float8E8M0FNU:  {mantissa: 0, bias: 127, bits: 8, largest: 0x1p127, nan: 0xff, unsigned: true},
	model.Float4E2M1FN:   {mantissa: 1, bias: 1, bits: 4, largest: 6, nan: -1},
	model.Float6E2M3FN:   {mantissa: 3, bias: 1, bits: 6, largest: 7.5, nan: -1},
	model.Float6E3M2FN:   {mantissa: 2, bias: 3, bits: 6, largest: 28, nan: -1},
}

// rounding is what becomes of a number that a format does not have.
type rounding struct {
	saturate bool // what is too large becomes the largest finite value
	mode     byte // for powers of two: 'u' up, 'd' down, 'n' to the nearest
}

// round returns the value of the format that is nearest to x, ties to even.
func (f *format) round(x float64, r rounding) float64 {
	if x != x {
		if f.nan < 0 {
			return math.Copysign(0, -1)
		}
		return x
	}
	if f.unsigned {
		return f.power(x, r)
	}
	size := math.Abs(x)
	if math.IsInf(x, 0) {
		switch {
		case r.saturate || f.nan < 0:
			return math.Copysign(f.largest, x)
		case f.infinite:
			return x
		}
		return math.NaN()
	}
	_, exponent := math.Frexp(size)
	quantum := math.Ldexp(1, max(exponent-1, 1-f.bias)-f.mantissa)
	rounded := math.RoundToEven(size/quantum) * quantum
	if rounded > f.largest {
		switch {
		case r.saturate || f.nan < 0:
			rounded = f.largest
		case f.infinite:
			rounded = math.Inf(1)
		default:
			return math.NaN()
		}
	}
	if rounded == 0 && f.noMinus {
		return 0
	}
	return math.Copysign(rounded, x)
}

// power rounds to a power of two.
func (f *format) power(x float64, r rounding) float64 {
	x = math.Abs(x)
	if math.IsInf(x, 0) {
		if r.saturate {
			return f.largest
		}
		return math.NaN()
	}
	fraction, exponent := math.Frexp(x) // x = fraction * 2^exponent, 0.5 <= fraction < 1
	exponent--
	up := false
	switch r.mode {
	case 'u':
		up = fraction > 0.5
	case 'd':
	default:
		up = fraction > 0.75 || fraction == 0.75
	}
	if up {
		exponent++
	}
	switch {
	case x == 0 || exponent < -127:
		return 0x1p-127
	case exponent > 127 && r.saturate:
		return f.largest
	case exponent > 127:
		return math.NaN()
	}
	return math.Ldexp(1, exponent)
}

// decode returns the value of a code.
func (f *format) decode(code int) float32 {
	if f.unsigned {
		if code == f.nan {
			return float32(math.NaN())
		}
		return float32(math.Ldexp(1, code-f.bias))
	}
	top := 1 << (f.bits - 1)
	sign := 1.0
	size := code &^ top
	if code&top != 0 {
		sign = -1
	}
	exponent, mantissa := size>>f.mantissa, size&(1<<f.mantissa-1)
	last := (top - 1) >> f.mantissa
	switch {
	case f.noMinus && code == top, !f.infinite && !f.noMinus && size == f.nan:
		return float32(math.NaN())
	case f.infinite && exponent == last && mantissa == 0:
		return float32(math.Inf(int(sign)))
	case f.infinite && exponent == last:
		return float32(math.NaN())
	case exponent == 0:
		return float32(sign * math.Ldexp(float64(mantissa), 1-f.bias-f.mantissa))
	}
	return float32(sign * math.Ldexp(float64(mantissa|1<<f.mantissa), exponent-f.bias-f.mantissa))
}

// encode returns the code of a value of the format.
func (f *format) encode(x float32) int {
	v := float64(x)
	if v != v {
		return max(f.nan, 0)
	}
	if f.unsigned {
		return math.Ilogb(v) + f.bias
	}
	sign := 0
	if math.Signbit(v) {
		sign = 1 << (f.bits - 1)
	}
	v = math.Abs(v)
	if math.IsInf(v, 0) {
		return sign | ((1<<(f.bits-1)-1)>>f.mantissa)<<f.mantissa
	}
	if v == 0 {
		return sign
	}
	exponent := math.Ilogb(v)
	if exponent < 1-f.bias {
		return sign | int(math.Ldexp(v, f.bias-1+f.mantissa))
	}
	return sign | (exponent+f.bias)<<f.mantissa | int(math.Ldexp(v, f.mantissa-exponent))&(1<<f.mantissa-1)
}
