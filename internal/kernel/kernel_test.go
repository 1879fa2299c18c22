package kernel

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// guarded returns n random values inside a larger slice of NaNs and a check
// that the NaNs around them are still there.
func guarded(t *testing.T, r *rand.Rand, n int) ([]float32, func()) {
	const zone = 64
	canary := math.Float32frombits(0x7fc0dead)
	all := make([]float32, n+2*zone)
	for i := range all {
		all[i] = canary
	}
	v := all[zone : zone+n : zone+n]
	for i := range v {
		switch v[i] = sample(r); r.IntN(200) {
		case 0:
			v[i] = float32(math.NaN())
		case 1:
			v[i] = float32(math.Inf(r.IntN(2)*2 - 1))
		}
	}
	return v, func() {
		t.Helper()
		for i := range zone {
			for _, at := range []int{i, zone + n + i} {
				if math.Float32bits(all[at]) != math.Float32bits(canary) {
					t.Fatalf("element %d outside of the slice was overwritten with %v", at-zone, all[at])
				}
			}
		}
	}
}

// sample draws mostly ordinary numbers, and now and then a zero, a denormal,
// or a number whose products are denormal.
func sample(r *rand.Rand) float32 {
	switch v := float32(r.NormFloat64()); r.IntN(24) {
	case 0:
		return 0
	case 1:
		return float32(math.Copysign(0, float64(v)))
	case 2:
		return v * 0x1p-130
	case 3:
		return v * 0x1p-70
	case 4:
		return v * 0x1p20
	default:
		return v
	}
}

func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		g, w := math.Float32bits(got[i]), math.Float32bits(want[i])
		if g != w && !(got[i] != got[i] && want[i] != want[i]) {
			t.Fatalf("%s: element %d is %v (%#x), want %v (%#x)", what, i, got[i], g, want[i], w)
		}
	}
}

func clone(v []float32) []float32 { return append([]float32(nil), v...) }

func TestFMAIsRoundedOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	exact := func(a, b, c float32) float32 {
		p := new(big.Float).SetPrec(1000).SetFloat64(float64(a))
		p.Mul(p, new(big.Float).SetPrec(1000).SetFloat64(float64(b)))
		p.Add(p, new(big.Float).SetPrec(1000).SetFloat64(float64(c)))
		f, _ := p.Float32()
		return f
	}
	check := func(a, b, c float32) {
		if got, want := fma(a, b, c), exact(a, b, c); got != want {
			t.Fatalf("fma(%x, %x, %x) = %x, want %x", a, b, c, got, want)
		}
	}
	// Rounding twice gets these wrong: the float64 sum is a tie.
	check(1+0x1p-23, 0x1p-25, 1)
	check(1+0x1p-12, (1+0x1p-12)*0x1p-24, 1)
	check(-(1 + 0x1p-23), 0x1p-25, -1)
	check(0x1.fffffep-100, 0x1.000002p-50, 0x1p-149)
	for range 200000 {
		a, b := sample(r), sample(r)
		c := sample(r)
		if r.IntN(2) == 0 { // force exponents near a tie
			c = a * b * float32(math.Ldexp(1, r.IntN(60)-30))
		}
		check(a, b, c)
		half := math.Float32frombits(math.Float32bits(a)&^0xfff | 0x800)
		check(half, math.Float32frombits(math.Float32bits(b)&^0xfff|1), c)
	}
}

func TestExpAndLogAgreeWithMath(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200000 {
		x := r.NormFloat64() * 50
		if got, want := Exp(x), math.Exp(x); math.Abs(got-want) > 4e-16*want {
			t.Fatalf("Exp(%v) = %v, want %v", x, got, want)
		}
		y := math.Exp(x)
		if got, want := Log(y), math.Log(y); math.Abs(got-want) > 4e-16*math.Max(math.Abs(want), 0.1) {
			t.Fatalf("Log(%v) = %v, want %v", y, got, want)
		}
	}
	if Exp(math.Inf(-1)) != 0 || !math.IsInf(Exp(800), 1) || !math.IsNaN(Exp(math.NaN())) || Exp(0) != 1 {
		t.Error("Exp is wrong at a special value")
	}
	if !math.IsInf(Log(0), -1) || !math.IsNaN(Log(-1)) || Log(1) != 0 || !math.IsInf(Log(math.Inf(1)), 1) {
		t.Error("Log is wrong at a special value")
	}
}

func TestExpsMatchExp(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	special := []float64{0, math.Copysign(0, -1), 1, -1, 709.78, 709.79, -708, -708.01, -745, 1e-300, 0x1p-1074, 1e300, -1e300,
		math.Inf(1), math.Inf(-1), math.NaN(), math.Ln2 / 2, 1.5 * math.Ln2}
	for n := 0; n <= 70; n++ {
		src, dst := make([]float64, n), make([]float64, n+2)
		for i := range src {
			src[i] = r.NormFloat64() * math.Pow(10, r.Float64()*6-3)
			if r.IntN(4) == 0 {
				src[i] = special[r.IntN(len(special))]
			}
		}
		dst[n], dst[n+1] = 7, 7
		Exps(dst[:n], src)
		for i, x := range src {
			if got, want := dst[i], Exp(x); math.Float64bits(got) != math.Float64bits(want) && !(got != got && want != want) {
				t.Fatalf("element %d of %d: exp(%v) is %v, want %v", i, n, x, got, want)
			}
		}
		if dst[n] != 7 || dst[n+1] != 7 {
			t.Fatal("elements behind the slice were overwritten")
		}
		Exps(src, src)
	}
}

func TestElementwiseMatchTwins(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for n := 0; n <= 70; n++ {
		x, _ := guarded(t, r, n)
		y, _ := guarded(t, r, n)
		if n > 2 {
			x[n/2], y[n/3] = float32(math.NaN()), float32(math.Inf(1))
		}
		run := func(what string, f, twin func(dst []float32)) {
			t.Helper()
			dst, intact := guarded(t, r, n)
			want := clone(dst)
			twin(want)
			f(dst)
			sameBits(t, fmt.Sprintf("%s of %d", what, n), dst, want)
			intact()
		}
		run("affine", func(d []float32) { Affine(d, x, 1.5, -0.25) }, func(d []float32) { affineGo(d, x, 1.5, -0.25) })
		run("relu", func(d []float32) { ReLU(d, x) }, func(d []float32) { reluGo(d, x) })
		run("reluGrad", func(d []float32) { ReLUGrad(d, x, y) }, func(d []float32) { reluGradGo(d, x, y) })
		run("clip", func(d []float32) { Clip(d, x, -0.5, 0.75) }, func(d []float32) { clipGo(d, x, -0.5, 0.75) })
		run("clipGrad", func(d []float32) { ClipGrad(d, x, y, -0.5, 0.75) }, func(d []float32) { clipGradGo(d, x, y, -0.5, 0.75) })
		run("mul", func(d []float32) { Mul(d, x, y) }, func(d []float32) { mulGo(d, x, y) })
		run("exp32", func(d []float32) { Exp32(d, x) }, func(d []float32) { exp32sGo(d, x) })
		run("sigmoid", func(d []float32) { Sigmoid(d, x) }, func(d []float32) { sigmoidGo(d, x) })
		run("normalCDF", func(d []float32) { NormalCDF(d, x) }, func(d []float32) { normalCDFGo(d, x) })
		run("add", func(d []float32) { Add(d, x) }, func(d []float32) { addToGo(d, x) })
		run("pull", func(d []float32) { Pull(d, x, y, 0.3) }, func(d []float32) { pullGo(d, x, y, 0.3) })
		var s, w [2 * Lanes]float32
		run("affineGrad", func(d []float32) { AffineGrad(d, x, y, 0.7, 0.1, &s) }, func(d []float32) { affineGradGo(d, x, y, 0.7, 0.1, &w) })
		sameBits(t, "sums", s[:], w[:])

		theta, intact := guarded(t, r, n)
		m, _ := guarded(t, r, n)
		v, _ := guarded(t, r, n)
		for i := range v {
			v[i] = float32(math.Abs(float64(v[i])))
		}
		theta2, m2, v2 := clone(theta), clone(m), clone(v)
		rates := AdamRates{1e-3, 0.9, 0.99, 1.25, 1e-8}
		adamGo(theta2, m2, v2, x, rates)
		Adam(theta, m, v, x, rates)
		sameBits(t, "theta", theta, theta2)
		sameBits(t, "m", m, m2)
		sameBits(t, "v", v, v2)
		intact()

		var squares [Lanes]float64
		distanceGo(&squares, theta, m)
		var got [Lanes]float64
		distance(&got, theta, m)
		if fmt.Sprint(got) != fmt.Sprint(squares) { // exact, and equal for NaN
			t.Fatalf("distance of %d: %v, want %v", n, got, squares)
		}

		src, _ := guarded(t, r, n*Lanes)
		var acc, accTwin [Lanes]float32
		Sum(&acc, src)
		sumGo(&accTwin, src)
		sameBits(t, "sum", acc[:], accTwin[:])
		run("sumLanes", func(d []float32) { SumLanes(d, src) }, func(d []float32) { sumLanesGo(d, src) })
	}
}

func TestDistance(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for _, n := range []int{0, 1, 15, 16, 17, 1000} {
		a, b, want := make([]float32, n), make([]float32, n), 0.0
		for i := range a {
			a[i], b[i] = float32(r.NormFloat64()), float32(r.NormFloat64())
			want += (float64(a[i]) - float64(b[i])) * (float64(a[i]) - float64(b[i]))
		}
		if got := Distance(a, b); math.Abs(got-math.Sqrt(want)) > 1e-12*(1+want) {
			t.Errorf("distance of %d elements is %v, want %v", n, got, math.Sqrt(want))
		}
	}
}

func TestMaxTapsMatchTwins(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	window := []Tap{{0, 0}, {16, 16}, {96, 96}, {112, 112}}
	for n := 0; n <= 3; n++ {
		taps := NewTaps(window)
		x, _ := guarded(t, r, 12*16)
		for i := range x { // few distinct values, so that ties are common
			x[i] = float32(math.Round(float64(x[i])))
		}
		y, intactY := guarded(t, r, n*Lanes)
		want := clone(y)
		maxTapsGo(want, x, window, 32, n)
		MaxTaps(y, x, taps, 32, n)
		sameBits(t, "maximum", y, want)
		intactY()
		for _, scale := range []float32{1.5, -0.75} {
			pooled, intact := guarded(t, r, n*Lanes)
			want := clone(pooled)
			poolAffineGo(want, x, scale, 0.125, window, 32, n)
			PoolAffine(pooled, x, scale, 0.125, taps, 32, n)
			sameBits(t, "pooled", pooled, want)
			intact()
			dy, _ := guarded(t, r, n*Lanes)
			dx, intact := guarded(t, r, 12*16)
			wantDX := clone(dx)
			var s, w [2 * Lanes]float32
			poolAffineGradGo(wantDX, x, pooled, dy, scale, 0.125, 0.3, &w, window, 32, n)
			PoolAffineGrad(dx, x, pooled, dy, scale, 0.125, 0.3, &s, taps, 32, n)
			sameBits(t, "gradient of pooled", dx, wantDX)
			sameBits(t, "sums of pooled", s[:], w[:])
			intact()
		}
		dy, _ := guarded(t, r, n*Lanes)
		dx, intact := guarded(t, r, 12*16)
		wantDX := clone(dx)
		maxTapsGradGo(wantDX, x, y, dy, window, 32, n)
		MaxTapsGrad(dx, x, y, dy, taps, 32, n)
		sameBits(t, "gradient", dx, wantDX)
		intact()
	}
}

func TestShortSlicesPanic(t *testing.T) {
	taps := NewTaps([]Tap{{0, 0}, {6, 16}})
	long, block := make([]float32, 1000), new([OuterRows * OuterCols * Lanes]float32)
	for name, f := range map[string]func(){
		"tile a":    func() { Tile(long, long[:11], long, long, taps, 16, 16, 16, 6, 1) },
		"tile b":    func() { Tile(long, long, long[:47], long, taps, 16, 16, 16, 6, 2) },
		"tile c":    func() { Tile(long[:95], long, long, long, taps, 16, 16, 16, 6, 1) },
		"relu":      func() { ReLU(long[:8], long[:7]) },
		"sumLanes":  func() { SumLanes(long[:2], long[:31]) },
		"outer a":   func() { Outer(block, long[:143], long, &[3]int32{}, 16, &Walk{Rows: 1, N: 2, APos: 16}, false) },
		"outer b":   func() { Outer(block, long, long[:273], &[3]int32{2}, 0, &Walk{Rows: 1, N: 2, BPos: 16}, false) },
		"transpose": func() { Transpose(long, long[:15*7+2], 7, 3) },
		"negative":  func() { NewTaps([]Tap{{-1, 0}}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestInterleaveMatchesTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for size := range 35 {
		for _, n := range []int{0, 1, 15, 16} {
			src, intactSrc := guarded(t, r, size*Lanes)
			dst, intact := guarded(t, r, size*Lanes)
			want := make([]float32, size*Lanes)
			for l := range n {
				for i := range size {
					want[i*Lanes+l] = src[l*size+i]
				}
			}
			twin := make([]float32, size*Lanes)
			Interleave(dst, src, n)
			interleaveGo(twin, src, size)
			sameBits(t, "dst", dst, want)
			sameBits(t, "twin", twin, want)
			intact()
			intactSrc()
		}
	}
}

func TestSmoothFunctionsAgreeWithMath(t *testing.T) {
	var x, e, s, c []float32
	for v := float32(-100); v < 100; v += 0.0137 {
		x = append(x, v)
	}
	x = append(x, 0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), 88.7, 88.73, -86.4, -86.6, 1e-30, 1e30, -1e30)
	e, s, c = make([]float32, len(x)), make([]float32, len(x)), make([]float32, len(x))
	Exp32(e, x)
	Sigmoid(s, x)
	NormalCDF(c, x)
	for i, v := range x {
		w := float64(v)
		for _, f := range []struct {
			name      string
			got       float32
			want, eps float64
		}{
			{"exp", e[i], math.Exp(w), 2e-7},
			{"sigmoid", s[i], 1 / (1 + math.Exp(-w)), 3e-7},
			{"normal", c[i], 0.5 * math.Erfc(-w/math.Sqrt2), 2e-5},
		} {
			if f.name == "exp" && w < -86.5 || w > 88.72 && f.name == "exp" {
				continue
			}
			if d := math.Abs(float64(f.got) - f.want); !(d <= f.eps*f.want+1e-37) {
				t.Errorf("%s of %v is %v, want %v", f.name, v, f.got, f.want)
			}
		}
	}
	if e[len(e)-9] != float32(math.Inf(1)) || e[len(e)-8] != 0 {
		t.Errorf("exp of the infinities is %v and %v", e[len(e)-9], e[len(e)-8])
	}
}

func TestTransposeMatchesTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	for n := range 40 {
		step := n + r.IntN(20)
		src, _ := guarded(t, r, 15*step+n)
		got, done := guarded(t, r, n*Lanes)
		want := clone(got)
		transposeGo(want, src, step, n)
		Transpose(got, src, step, n)
		sameBits(t, fmt.Sprint(n), got, want)
		done()
	}
}
