// Command asm generates the assembly of package kernel with avo. Run it
// through `go generate ./internal/kernel`.
//
// Every function here has a twin in generic.go that defines its result to the
// bit; the comments there say what is computed.
package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// What the functions of single precision are made of: the same as in package
// kernel.
const (
	ln2Hi32, ln2Lo32      = 0.693359375, -2.12194440e-4
	exp32Most, exp32Least = 88.72283, -86.5
)

var exp32Coef = []float32{1. / 5040, 1. / 720, 1. / 120, 1. / 24, 1. / 6, 1. / 2, 1, 1}

var erfcCoef = []float32{
	0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223,
}

const (
	rows  = 6  // rows of A in a panel
	cols  = 4  // vectors of B that an AVX-512 tile holds at once
	lane  = 64 // bytes in a vector of 16 lanes
	tapSz = 8  // bytes of a Tap
)

func main() {
	ConstraintExpr("amd64")
	tile512()
	tile256()
	tileRow512()
	dot512()
	dot256()
	dotRow512()
	outer512()
	outer256()
	for _, wide := range []bool{true, false} {
		winogradIn(wide)
		winogradOut(wide)
		winogradTurned(wide)
		winogradGrad(wide)
		outerBlocks(wide)
		depth3(wide)
		depth3Grad(wide)
	}
	winogradKernels()
	gate()
	centre()
	scaleEach()
	normSums()
	normGrad()
	interleave()
	transpose512()
	sumLanes()
	sumLanes512()
	affine()
	affineGrad()
	relu()
	reluGrad()
	clip()
	clipGrad()
	mul()
	maxTaps()
	maxTapsGrad()
	poolAffine()
	poolAffine512()
	poolAffineGrad()
	poolAffineGrad512()
	addTo()
	sum()
	adam()
	pull()
	distance()
	exps()
	smooth()
	Generate()
}

// at addresses base + index*scale.
func at(base, index reg.Register, scale uint8) Mem {
	return Mem{Base: base, Index: index, Scale: scale}
}

// loop emits body with a counter that runs from n down to 1 and skips it if n
// is 0.
func loop(name string, n reg.Register, body func()) {
	TESTQ(n, n)
	JZ(LabelRef(name + "_end"))
	Label(name)
	body()
	DECQ(n)
	JNZ(LabelRef(name))
	Label(name + "_end")
}

// next loads the offsets of the tap at p, advances p and returns the
// addresses that they give from a and b.
func next(p, a, b reg.Register) (pa, pb reg.GPVirtual) {
	pa, pb = GP64(), GP64()
	MOVLQSX(Mem{Base: p}, pa)
	MOVLQSX(Mem{Base: p, Disp: 4}, pb)
	LEAQ(at(a, pa, 4), pa)
	LEAQ(at(b, pb, 4), pb)
	ADDQ(Imm(tapSz), p)
	return pa, pb
}

// store writes rows of registers to c, c+ci, ... as far as rowsParam says.
// perRow lists the registers of row i and their displacement from the row.
func store(label string, c reg.Register, perRow func(i int, row reg.Register)) {
	ci, n, row := GP64(), GP64(), GP64()
	Load(Param("ci"), ci)
	Load(Param("rows"), n)
	MOVQ(c, row)
	for i := range rows {
		if i > 0 {
			CMPQ(n, Imm(uint64(i)))
			JLE(LabelRef(label))
		}
		perRow(i, row)
		if i < rows-1 {
			LEAQ(at(row, ci, 4), row)
		}
	}
	Label(label)
}

func tile512() {
	TEXT("tile512", NOSPLIT, "func(c, a, b, bias *float32, taps *int32, ntaps, ci, cj, bj, rows, n int, add *float32, low, high float32, finish bool)")
	Pragma("noescape")
	Doc("tile512 is tileFinish with AVX-512: four positions at once, then single ones. It is tile if finish is false.")
	a, b, c := Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("c"), GP64())
	n := Load(Param("n"), GP64())
	bj := Load(Param("bj"), GP64())
	SHLQ(Imm(2), bj)
	acc := make([]reg.VecVirtual, rows*cols)
	for i := range acc {
		acc[i] = ZMM()
	}
	block := func(w int) {
		label := fmt.Sprintf("x%d", w)
		Label(label)
		CMPQ(n, Imm(uint64(w)))
		JLT(LabelRef(label + "_done"))
		bias := Load(Param("bias"), GP64())
		for i := range rows {
			VBROADCASTSS(Mem{Base: bias, Disp: 4 * i}, acc[i*cols])
			for j := 1; j < w; j++ {
				VMOVAPS(acc[i*cols], acc[i*cols+j])
			}
		}
		p, cnt := Load(Param("taps"), GP64()), Load(Param("ntaps"), GP64())
		bj3 := GP64()
		LEAQ(at(bj, bj, 2), bj3)
		loop(label+"_taps", cnt, func() {
			pa, pb := next(p, a, b)
			v := make([]reg.VecVirtual, w)
			for j := range v {
				v[j] = ZMM()
				m := Mem{Base: pb}
				switch j {
				case 1:
					m = at(pb, bj, 1)
				case 2:
					m = at(pb, bj, 2)
				case 3:
					m = at(pb, bj3, 1)
				}
				VMOVUPS(m, v[j])
			}
			x := ZMM()
			for i := range rows {
				if w == 1 {
					VFMADD231PS_BCST(Mem{Base: pa, Disp: 4 * i}, v[0], acc[i*cols])
					continue
				}
				VBROADCASTSS(Mem{Base: pa, Disp: 4 * i}, x)
				for j := range v {
					VFMADD231PS(x, v[j], acc[i*cols+j])
				}
			}
		})
		cj := Load(Param("cj"), GP64())
		cj3 := GP64()
		SHLQ(Imm(2), cj)
		LEAQ(at(cj, cj, 2), cj3)
		position := func(row reg.Register, j int) Mem {
			switch j {
			case 1:
				return at(row, cj, 1)
			case 2:
				return at(row, cj, 2)
			case 3:
				return at(row, cj3, 1)
			}
			return Mem{Base: row}
		}
		finish := Load(Param("finish"), GP8())
		TESTB(finish, finish)
		JZ(LabelRef(label + "_plain"))
		add := Load(Param("add"), GP64())
		TESTQ(add, add)
		JZ(LabelRef(label + "_added"))
		first := Load(Param("c"), GP64())
		SUBQ(first, add)
		ADDQ(c, add)
		store(label+"_added", add, func(i int, row reg.Register) {
			for j := range w {
				VADDPS(position(row, j), acc[i*cols+j], acc[i*cols+j])
			}
		})
		low, high := broadcastTo(ZMM(), "low"), broadcastTo(ZMM(), "high")
		for i := range rows {
			for j := range w {
				v := acc[i*cols+j]
				VMAXPS(v, low, v)
				VMINPS(v, high, v)
			}
		}
		Label(label + "_plain")
		store(label+"_stored", c, func(i int, row reg.Register) {
			for j := range w {
				VMOVUPS(acc[i*cols+j], position(row, j))
			}
		})
		step := func(p reg.Register, by reg.Register) { LEAQ(at(p, by, uint8(w)), p) }
		step(b, bj)
		step(c, cj)
		SUBQ(Imm(uint64(w)), n)
		JMP(LabelRef(label))
		Label(label + "_done")
	}
	block(4)
	block(1)
	VZEROUPPER()
	RET()
}

func tile256() {
	TEXT("tile256", NOSPLIT, "func(c, a, b, bias *float32, taps *int32, ntaps, ci, cj, bj, rows, n int)")
	Pragma("noescape")
	Doc("tile256 is tile with AVX2 and FMA: one position at a time.")
	a, b, c := Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("c"), GP64())
	n := Load(Param("n"), GP64())
	acc := make([]reg.VecVirtual, rows*2)
	for i := range acc {
		acc[i] = YMM()
	}
	loop("positions", n, func() {
		bias := Load(Param("bias"), GP64())
		for i := range rows {
			VBROADCASTSS(Mem{Base: bias, Disp: 4 * i}, acc[2*i])
			VMOVAPS(acc[2*i], acc[2*i+1])
		}
		p, cnt := Load(Param("taps"), GP64()), Load(Param("ntaps"), GP64())
		loop("taps", cnt, func() {
			pa, pb := next(p, a, b)
			lo, hi, x := YMM(), YMM(), YMM()
			VMOVUPS(Mem{Base: pb}, lo)
			VMOVUPS(Mem{Base: pb, Disp: 32}, hi)
			for i := range rows {
				VBROADCASTSS(Mem{Base: pa, Disp: 4 * i}, x)
				VFMADD231PS(x, lo, acc[2*i])
				VFMADD231PS(x, hi, acc[2*i+1])
			}
		})
		store("stored", c, func(i int, row reg.Register) {
			VMOVUPS(acc[2*i], Mem{Base: row})
			VMOVUPS(acc[2*i+1], Mem{Base: row, Disp: 32})
		})
		by := Load(Param("bj"), GP64())
		LEAQ(at(b, by, 4), b)
		by = Load(Param("cj"), GP64())
		LEAQ(at(c, by, 4), c)
	})
	VZEROUPPER()
	RET()
}

func tileRow512() {
	TEXT("tileRow512", NOSPLIT, "func(c, a, b, bias *float32, taps *int32, ntaps, cj, bj, n int)")
	Pragma("noescape")
	Doc("tileRow512 is tile of one row with AVX-512: eight positions at once, then single ones.")
	a, b, c := Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("c"), GP64())
	n := Load(Param("n"), GP64())
	bj, cj := Load(Param("bj"), GP64()), Load(Param("cj"), GP64())
	SHLQ(Imm(2), bj)
	SHLQ(Imm(2), cj)
	const most = 8
	acc := make([]reg.VecVirtual, most)
	for i := range acc {
		acc[i] = ZMM()
	}
	// position addresses position j of a block: base, and half four positions on.
	position := func(base, half, step, step3 reg.Register, j int) Mem {
		if j >= 4 {
			base, j = half, j-4
		}
		switch j {
		case 1, 2:
			return at(base, step, uint8(j))
		case 3:
			return at(base, step3, 1)
		}
		return Mem{Base: base}
	}
	block := func(w int) {
		label := fmt.Sprintf("x%d", w)
		Label(label)
		CMPQ(n, Imm(uint64(w)))
		JLT(LabelRef(label + "_done"))
		bias := Load(Param("bias"), GP64())
		VBROADCASTSS(Mem{Base: bias}, acc[0])
		for j := 1; j < w; j++ {
			VMOVAPS(acc[0], acc[j])
		}
		p, cnt := Load(Param("taps"), GP64()), Load(Param("ntaps"), GP64())
		bj3 := GP64()
		LEAQ(at(bj, bj, 2), bj3)
		loop(label+"_taps", cnt, func() {
			pa, pb := next(p, a, b)
			half := GP64()
			LEAQ(at(pb, bj, 4), half)
			x := ZMM()
			VBROADCASTSS(Mem{Base: pa}, x)
			for j := range w {
				VFMADD231PS(position(pb, half, bj, bj3, j), x, acc[j])
			}
		})
		cj3, half := GP64(), GP64()
		LEAQ(at(cj, cj, 2), cj3)
		LEAQ(at(c, cj, 4), half)
		for j := range w {
			VMOVUPS(acc[j], position(c, half, cj, cj3, j))
		}
		LEAQ(at(b, bj, uint8(w)), b)
		LEAQ(at(c, cj, uint8(w)), c)
		SUBQ(Imm(uint64(w)), n)
		JMP(LabelRef(label))
		Label(label + "_done")
	}
	block(most)
	block(1)
	VZEROUPPER()
	RET()
}

// rowAddress returns the address of row i of six that are ai bytes apart.
func rowAddress(base, ai, ai3, ai5 reg.Register, i int) Mem {
	switch i {
	case 0:
		return Mem{Base: base}
	case 1, 2, 4:
		return at(base, ai, uint8(i))
	case 3:
		return at(base, ai3, 1)
	}
	return at(base, ai5, 1)
}

func rowStrides() (ai, ai3, ai5 reg.Register) {
	ai, ai3, ai5 = Load(Param("ai"), GP64()), GP64(), GP64()
	SHLQ(Imm(2), ai)
	LEAQ(at(ai, ai, 2), ai3)
	LEAQ(at(ai, ai, 4), ai5)
	return ai, ai3, ai5
}

func dot512() {
	TEXT("dot512", NOSPLIT, "func(acc, a, b *float32, boff *[4]int32, taps *int32, ntaps, ai int, add bool)")
	Pragma("noescape")
	Doc("dot512 is dot with AVX-512.")
	a, b := Load(Param("a"), GP64()), Load(Param("b"), GP64())
	ai, ai3, ai5 := rowStrides()
	off := Load(Param("boff"), GP64())
	bo := make([]reg.GPVirtual, cols)
	for j := range bo {
		bo[j] = GP64()
		MOVLQSX(Mem{Base: off, Disp: 4 * j}, bo[j])
	}
	out := Load(Param("acc"), GP64())
	acc := make([]reg.VecVirtual, rows*cols)
	for i := range acc {
		acc[i] = ZMM()
		VPXORD(acc[i], acc[i], acc[i])
	}
	add := Load(Param("add"), GP8())
	TESTB(add, add)
	JZ(LabelRef("zero"))
	for i := range acc {
		VMOVUPS(Mem{Base: out, Disp: lane * i}, acc[i])
	}
	Label("zero")
	p, cnt := Load(Param("taps"), GP64()), Load(Param("ntaps"), GP64())
	loop("taps", cnt, func() {
		pa, pb := next(p, a, b)
		v := make([]reg.VecVirtual, cols)
		for j := range v {
			v[j] = ZMM()
			VMOVUPS(at(pb, bo[j], 4), v[j])
		}
		x := ZMM()
		for i := range rows {
			VMOVUPS(rowAddress(pa, ai, ai3, ai5, i), x)
			for j := range v {
				VFMADD231PS(x, v[j], acc[j*rows+i])
			}
		}
	})
	out = Load(Param("acc"), GP64())
	for i := range acc {
		VMOVUPS(acc[i], Mem{Base: out, Disp: lane * i})
	}
	VZEROUPPER()
	RET()
}

func dotRow512() {
	TEXT("dotRow512", NOSPLIT, "func(acc, a, b *float32, boff *[4]int32, taps *int32, ntaps int)")
	Pragma("noescape")
	Doc("dotRow512 is dot of one row with AVX-512: the sums of the other five are left alone.")
	a, b := Load(Param("a"), GP64()), Load(Param("b"), GP64())
	off := Load(Param("boff"), GP64())
	bo := make([]reg.GPVirtual, cols)
	for j := range bo {
		bo[j] = GP64()
		MOVLQSX(Mem{Base: off, Disp: 4 * j}, bo[j])
	}
	out := Load(Param("acc"), GP64())
	acc := make([]reg.VecVirtual, cols)
	for j := range acc {
		acc[j] = ZMM()
		VPXORD(acc[j], acc[j], acc[j])
	}
	p, cnt := Load(Param("taps"), GP64()), Load(Param("ntaps"), GP64())
	loop("taps", cnt, func() {
		pa, pb := next(p, a, b)
		x := ZMM()
		VMOVUPS(Mem{Base: pa}, x)
		for j := range acc {
			VFMADD231PS(at(pb, bo[j], 4), x, acc[j])
		}
	})
	for j := range acc {
		VMOVUPS(acc[j], Mem{Base: out, Disp: lane * rows * j})
	}
	VZEROUPPER()
	RET()
}

func dot256() {
	TEXT("dot256", NOSPLIT, "func(acc, a, b *float32, boff *[4]int32, taps *int32, ntaps, ai int, add bool)")
	Pragma("noescape")
	Doc("dot256 is dot with AVX2 and FMA: one vector of B at a time.")
	a := Load(Param("a"), GP64())
	ai, ai3, ai5 := rowStrides()
	off, out := Load(Param("boff"), GP64()), Load(Param("acc"), GP64())
	j := GP64()
	MOVQ(U32(cols), j)
	acc := make([]reg.VecVirtual, rows*2)
	for i := range acc {
		acc[i] = YMM()
	}
	loop("columns", j, func() {
		for i := range acc {
			VXORPS(acc[i], acc[i], acc[i])
		}
		add := Load(Param("add"), GP8())
		TESTB(add, add)
		JZ(LabelRef("zero"))
		for i := range acc {
			VMOVUPS(Mem{Base: out, Disp: 32 * i}, acc[i])
		}
		Label("zero")
		b, shift := Load(Param("b"), GP64()), GP64()
		MOVLQSX(Mem{Base: off}, shift)
		LEAQ(at(b, shift, 4), b)
		p, cnt := Load(Param("taps"), GP64()), Load(Param("ntaps"), GP64())
		loop("taps", cnt, func() {
			pa, pb := next(p, a, b)
			lo, hi := YMM(), YMM()
			VMOVUPS(Mem{Base: pb}, lo)
			VMOVUPS(Mem{Base: pb, Disp: 32}, hi)
			for i := range rows {
				m := rowAddress(pa, ai, ai3, ai5, i)
				VFMADD231PS(m, lo, acc[2*i])
				m.Disp = 32
				VFMADD231PS(m, hi, acc[2*i+1])
			}
		})
		for i := range acc {
			VMOVUPS(acc[i], Mem{Base: out, Disp: 32 * i})
		}
		ADDQ(U32(rows*lane), out)
		ADDQ(Imm(4), off)
	})
	VZEROUPPER()
	RET()
}

// outerRows and outerCols are the size of a block of outer.
const outerRows, outerCols = 8, 3

// positions emits the loops of outer: over rows, the positions of each, and the
// lanes of a position, four at a time. product is given the displacements of a
// lane in a and in b; ahead, if not nil, the place of the position after the next.
func positions(label string, a, b reg.Register, ahead func(next reg.Register), product func(da, db int)) {
	rows, n, lanes := GP64(), GP64(), GP64()
	Load(Param("rows"), rows)
	Label(label + "_row")
	Load(Param("n"), n)
	Label(label + "_position")
	if ahead != nil {
		next := GP64()
		Load(Param("aPos"), next)
		LEAQ(Mem{Base: a, Index: next, Scale: 2, Disp: 2 * lane}, next)
		ahead(next)
	}
	MOVQ(U32(4), lanes)
	Label(label + "_lanes")
	for l := range 4 {
		product(4*l, lane*l)
	}
	ADDQ(Imm(16), a)
	ADDQ(U32(4*lane), b)
	DECQ(lanes)
	JNZ(LabelRef(label + "_lanes"))
	by := GP64()
	Load(Param("aPos"), by)
	ADDQ(by, a)
	Load(Param("bPos"), by)
	ADDQ(by, b)
	DECQ(n)
	JNZ(LabelRef(label + "_position"))
	Load(Param("aRow"), by)
	ADDQ(by, a)
	Load(Param("bRow"), by)
	ADDQ(by, b)
	DECQ(rows)
	JNZ(LabelRef(label + "_row"))
}

func outer512() {
	TEXT("outer512", NOSPLIT, "func(acc, a, b *float32, b1, b2, rows, n, ai, aPos, aRow, bPos, bRow int, add bool)")
	Pragma("noescape")
	Doc("outer512 is outer with AVX-512. Steps are in bytes, from where the inner loop ends.")
	a, b := Load(Param("a"), GP64()), Load(Param("b"), GP64())
	b1, b2 := Load(Param("b1"), GP64()), Load(Param("b2"), GP64())
	ai, ai3, ai5, ai7 := Load(Param("ai"), GP64()), GP64(), GP64(), GP64()
	LEAQ(at(ai, ai, 2), ai3)
	LEAQ(at(ai, ai, 4), ai5)
	LEAQ(at(ai3, ai, 4), ai7)
	acc := make([]reg.VecVirtual, outerRows*outerCols)
	for i := range acc {
		acc[i] = ZMM()
		VPXORD(acc[i], acc[i], acc[i])
	}
	row := func(base reg.Register, i int) Mem {
		switch i {
		case 6:
			return at(base, ai3, 2)
		case 7:
			return at(base, ai7, 1)
		}
		return rowAddress(base, ai, ai3, ai5, i)
	}
	// Rows of a product with a matrix are one line of the cache long, far from those of
	// the next position: no processor foresees that.
	ahead := func(next reg.Register) {
		for i := range outerRows {
			PREFETCHT0(row(next, i))
		}
	}
	positions("x", a, b, ahead, func(da, db int) {
		v := []reg.VecVirtual{ZMM(), ZMM(), ZMM()}
		for j, m := range []Mem{{Base: b}, at(b, b1, 1), at(b, b2, 1)} {
			m.Disp = db
			VMOVUPS(m, v[j])
		}
		for i := range outerRows {
			m := row(a, i)
			m.Disp = da
			x := ZMM()
			VBROADCASTSS(m, x)
			for j := range v {
				VFMADD231PS(x, v[j], acc[i*outerCols+j])
			}
		}
	})
	out := Load(Param("acc"), GP64())
	add := Load(Param("add"), GP8())
	TESTB(add, add)
	JZ(LabelRef("store"))
	for i := range acc {
		VADDPS(Mem{Base: out, Disp: lane * i}, acc[i], acc[i])
	}
	Label("store")
	for i := range acc {
		VMOVUPS(acc[i], Mem{Base: out, Disp: lane * i})
	}
	VZEROUPPER()
	RET()
}

func outer256() {
	TEXT("outer256", NOSPLIT, "func(acc, a, b *float32, b1, b2, rows, n, ai, aPos, aRow, bPos, bRow int, add bool)")
	Pragma("noescape")
	Doc("outer256 is outer with AVX2 and FMA: four rows and half of each vector at a time.")
	acc := make([]reg.VecVirtual, outerRows/2*outerCols)
	for i := range acc {
		acc[i] = YMM()
	}
	for part := range 4 {
		rows, half := part/2*outerRows/2, part%2*32
		for i := range acc {
			VXORPS(acc[i], acc[i], acc[i])
		}
		a, b := Load(Param("a"), GP64()), Load(Param("b"), GP64())
		b1, b2 := Load(Param("b1"), GP64()), Load(Param("b2"), GP64())
		ai, ai3 := Load(Param("ai"), GP64()), GP64()
		LEAQ(at(ai, ai, 2), ai3)
		if rows > 0 {
			LEAQ(at(a, ai, 4), a)
		}
		positions(fmt.Sprintf("x%d", part), a, b, nil, func(da, db int) {
			v := []reg.VecVirtual{YMM(), YMM(), YMM()}
			for j, m := range []Mem{{Base: b}, at(b, b1, 1), at(b, b2, 1)} {
				m.Disp = db + half
				VMOVUPS(m, v[j])
			}
			x := YMM()
			for i := range outerRows / 2 {
				m := rowAddress(a, ai, ai3, ai3, i)
				m.Disp = da
				VBROADCASTSS(m, x)
				for j := range v {
					VFMADD231PS(x, v[j], acc[i*outerCols+j])
				}
			}
		})
		out := Load(Param("acc"), GP64())
		add := Load(Param("add"), GP8())
		at := func(i int) Mem { return Mem{Base: out, Disp: lane*(rows*outerCols+i) + half} }
		TESTB(add, add)
		JZ(LabelRef(fmt.Sprintf("store%d", part)))
		for i := range acc {
			VADDPS(at(i), acc[i], acc[i])
		}
		Label(fmt.Sprintf("store%d", part))
		for i := range acc {
			VMOVUPS(acc[i], at(i))
		}
	}
	VZEROUPPER()
	RET()
}

// vectors are the registers of 16 lanes: one of AVX-512, or two.
type vectors []reg.VecVirtual

// width returns the suffix of a function's name, and what makes registers.
func width(wide bool) (suffix string, vector func() vectors) {
	if wide {
		return "512", func() vectors { return vectors{ZMM()} }
	}
	return "256", func() vectors { return vectors{YMM(), YMM()} }
}

// part addresses register i of a vector at m.
func part(m Mem, i int) Mem {
	m.Disp += 32 * i
	return m
}

func clearVector(v vectors, wide bool) {
	for _, r := range v {
		if wide {
			VPXORD(r, r, r)
		} else {
			VXORPS(r, r, r)
		}
	}
}

func winogradIn(wide bool) {
	suffix, vector := width(wide)
	TEXT("winogradIn"+suffix, NOSPLIT, "func(dst, a, b *float32, dj, dc, ac, bc int, sign float32, channels, edge, n, tail int)")
	Pragma("noescape")
	Doc("winogradIn" + suffix + " is winogradIn; steps are in bytes.")
	dst, a, b := Load(Param("dst"), GP64()), Load(Param("a"), GP64()), Load(Param("b"), GP64())
	dj, dj3 := Load(Param("dj"), GP64()), GP64()
	LEAQ(at(dj, dj, 2), dj3)
	signs := vector()
	m, _ := Param("sign").Resolve()
	VBROADCASTSS(m.Addr, signs[0])
	channels := Load(Param("channels"), GP64())
	r := [4]vectors{vector(), vector(), vector(), vector()}
	pa, pb, pd, n, mode := GP64(), GP64(), GP64(), GP64(), GP64()
	read := func(v vectors, disp int) {
		for i := range v {
			VMOVUPS(part(Mem{Base: pb, Disp: disp}, i), v[i])
			VFMADD213PS(part(Mem{Base: pa, Disp: disp}, i), signs[0], v[i])
		}
	}
	tile := func() {
		for i := range r[0] {
			v := vector()[0]
			VSUBPS(r[2][i], r[0][i], v)
			VMOVUPS(v, part(Mem{Base: pd}, i))
			VADDPS(r[2][i], r[1][i], v)
			VMOVUPS(v, part(at(pd, dj, 1), i))
			VSUBPS(r[1][i], r[2][i], v)
			VMOVUPS(v, part(at(pd, dj, 2), i))
			VSUBPS(r[3][i], r[1][i], v)
			VMOVUPS(v, part(at(pd, dj3, 1), i))
		}
	}
	Label("channel")
	MOVQ(a, pa)
	MOVQ(b, pb)
	MOVQ(dst, pd)
	Load(Param("edge"), mode)
	TESTQ(mode, mode)
	JNZ(LabelRef("edge"))
	read(r[0], 0)
	ADDQ(Imm(lane), pa)
	ADDQ(Imm(lane), pb)
	JMP(LabelRef("second"))
	Label("edge")
	clearVector(r[0], wide)
	Label("second")
	read(r[1], 0)
	Load(Param("n"), n)
	loop("tiles", n, func() {
		read(r[2], lane)
		read(r[3], 2*lane)
		tile()
		for i := range r[0] {
			VMOVAPS(r[2][i], r[0][i])
			VMOVAPS(r[3][i], r[1][i])
		}
		ADDQ(U32(2*lane), pa)
		ADDQ(U32(2*lane), pb)
		ADDQ(Imm(lane), pd)
	})
	Load(Param("tail"), mode)
	TESTQ(mode, mode)
	JZ(LabelRef("next"))
	clearVector(r[2], wide)
	clearVector(r[3], wide)
	CMPQ(mode, Imm(1))
	JNE(LabelRef("last"))
	read(r[2], lane)
	Label("last")
	tile()
	Label("next")
	for _, p := range []struct {
		name string
		reg  reg.Register
	}{{"ac", a}, {"bc", b}, {"dc", dst}} {
		by := Load(Param(p.name), GP64())
		ADDQ(by, p.reg)
	}
	DECQ(channels)
	JNZ(LabelRef("channel"))
	VZEROUPPER()
	RET()
}

// block is the size in bytes of a position of cols vectors of features, each with 16
// lanes.
const block = cols * 16 * lane

func winogradTurned(wide bool) {
	suffix, vector := width(wide)
	TEXT("winogradTurned"+suffix, NOSPLIT, "func(dst, a, b *float32, dj int, sign float32, n int)")
	Pragma("noescape")
	Doc("winogradTurned" + suffix + " is winogradTurned; dj is in bytes.")
	dst, a, b := Load(Param("dst"), GP64()), Load(Param("a"), GP64()), Load(Param("b"), GP64())
	dj, dj3 := Load(Param("dj"), GP64()), GP64()
	LEAQ(at(dj, dj, 2), dj3)
	signs := broadcastTo(vector()[0], "sign")
	n, count := Load(Param("n"), GP64()), GP64()
	loop("patches", n, func() {
		MOVQ(U32(block/lane), count)
		Label("vectors")
		for i := range vector() {
			r := [4]reg.VecVirtual{}
			for k := range r {
				r[k] = vector()[0]
				VMOVUPS(part(Mem{Base: b, Disp: k * block}, i), r[k])
				VFMADD213PS(part(Mem{Base: a, Disp: k * block}, i), signs, r[k])
			}
			for _, out := range []struct {
				from, less int
				minus      bool
				to         Mem
			}{{0, 2, true, Mem{Base: dst}}, {1, 2, false, at(dst, dj, 1)}, {2, 1, true, at(dst, dj, 2)}, {1, 3, true, at(dst, dj3, 1)}} {
				v := vector()[0]
				if out.minus {
					VSUBPS(r[out.less], r[out.from], v)
				} else {
					VADDPS(r[out.less], r[out.from], v)
				}
				VMOVUPS(v, part(out.to, i))
			}
		}
		for _, p := range []reg.Register{a, b, dst} {
			ADDQ(Imm(lane), p)
		}
		DECQ(count)
		JNZ(LabelRef("vectors"))
		ADDQ(U32(block), a) // two columns on, of which the vectors were one
		ADDQ(U32(block), b)
	})
	VZEROUPPER()
	RET()
}

func winogradGrad(wide bool) {
	suffix, vector := width(wide)
	TEXT("winogradGrad"+suffix, NOSPLIT, "func(dst, a, b *float32, dj, dc, ac int, sign float32, channels, n int)")
	Pragma("noescape")
	Doc("winogradGrad" + suffix + " is winogradGrad; steps are in bytes.")
	dst, a, b := Load(Param("dst"), GP64()), Load(Param("a"), GP64()), Load(Param("b"), GP64())
	dj, dj3 := Load(Param("dj"), GP64()), GP64()
	LEAQ(at(dj, dj, 2), dj3)
	signs := broadcastTo(vector()[0], "sign")
	channels, n := Load(Param("channels"), GP64()), GP64()
	pa, pb, pd := GP64(), GP64(), GP64()
	loop("channels", channels, func() {
		MOVQ(a, pa)
		MOVQ(b, pb)
		MOVQ(dst, pd)
		Load(Param("n"), n)
		loop("patches", n, func() {
			for i := range vector() {
				r := [2]reg.VecVirtual{}
				for k := range r {
					r[k] = vector()[0]
					VMOVUPS(part(Mem{Base: pb, Disp: k * lane}, i), r[k])
					VFMADD213PS(part(Mem{Base: pa, Disp: k * lane}, i), signs, r[k])
				}
				v := vector()[0]
				VMOVUPS(r[0], part(Mem{Base: pd}, i))
				VADDPS(r[1], r[0], v)
				VMOVUPS(v, part(at(pd, dj, 1), i))
				VSUBPS(r[1], r[0], v)
				VMOVUPS(v, part(at(pd, dj, 2), i))
				VMOVUPS(r[1], part(at(pd, dj3, 1), i))
			}
			ADDQ(U32(2*lane), pa)
			ADDQ(U32(2*lane), pb)
			ADDQ(Imm(lane), pd)
		})
		by := Load(Param("ac"), GP64())
		ADDQ(by, a)
		ADDQ(by, b)
		Load(Param("dc"), by)
		ADDQ(by, dst)
	})
	VZEROUPPER()
	RET()
}

// winogradKernels has a kernel in the lanes of a register. Of the result, the table says
// where in the kernel the lanes of the first, the last and the middle term of each row
// come from, and the middle's factor; and then the same of columns.
func winogradKernels() {
	TEXT("winogradKernels512", NOSPLIT, "func(dst, src *float32, step, n int, scale float32, table *uint32)")
	Pragma("noescape")
	Doc("winogradKernels512 is winogradKernels with AVX-512; step is in bytes.")
	dst, src := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	step, n := Load(Param("step"), GP64()), Load(Param("n"), GP64())
	table := Load(Param("table"), GP64())
	scale := broadcastTo(ZMM(), "scale")
	var entries [8]reg.VecVirtual
	for i := range entries {
		entries[i] = ZMM()
		VMOVUPS(Mem{Base: table, Disp: lane * i}, entries[i])
	}
	half, bits := ZMM(), GP32()
	MOVL(U32(math.Float32bits(0.5)), bits)
	VPBROADCASTD(bits, half)
	var masks [3]reg.OpmaskVirtual
	for i, m := range []uint32{0x1ff, 0x0ff0, 0x6666} { // a kernel, the rows and the columns in the middle
		masks[i] = K()
		MOVL(U32(m), bits)
		KMOVW(bits, masks[i])
	}
	g := ZMM()
	loop("kernels", n, func() {
		VMOVUPS_Z(Mem{Base: src}, masks[0], g)
		VMULPS(scale, g, g)
		for i := range 2 {
			ends, last, middle := ZMM(), ZMM(), ZMM()
			VPERMPS(g, entries[4*i], ends)
			VPERMPS(g, entries[4*i+1], last)
			VPERMPS(g, entries[4*i+2], middle)
			VADDPS(last, ends, masks[1+i], ends)
			VMULPS(half, ends, masks[1+i], ends)
			VMULPS(entries[4*i+3], middle, middle)
			VADDPS(middle, ends, masks[1+i], ends)
			VMOVAPS(ends, g)
		}
		VMOVUPS(g, Mem{Base: dst})
		ADDQ(Imm(36), src)
		ADDQ(step, dst)
	})
	VZEROUPPER()
	RET()
}

// outerBlocks of AVX-512 holds all vectors, of AVX2 those of one column.
func outerBlocks(wide bool) {
	suffix, vector := width(wide)
	TEXT("outerBlocks"+suffix, NOSPLIT, "func(acc, a, b *float32, ai, n int, add bool)")
	Pragma("noescape")
	Doc("outerBlocks" + suffix + " is outerBlocks; ai is in bytes.")
	ai, ai3, ai5 := Load(Param("ai"), GP64()), GP64(), GP64()
	LEAQ(at(ai, ai, 2), ai3)
	LEAQ(at(ai, ai, 4), ai5)
	together := cols
	if !wide {
		together = 1
	}
	acc := make([]vectors, rows*together)
	for i := range acc {
		acc[i] = vector()
	}
	x := vector()[0]
	for first := 0; first < cols; first += together {
		label := fmt.Sprintf("c%d_", first)
		a, b, n := Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("n"), GP64())
		if first > 0 {
			ADDQ(U32(uint32(first*16*lane)), b)
		}
		for i := range acc {
			clearVector(acc[i], wide)
		}
		lanes := GP64()
		loop(label+"blocks", n, func() {
			MOVQ(U32(4), lanes)
			Label(label + "lanes")
			for l := range 4 {
				v := make([]vectors, together)
				for j := range v {
					v[j] = vector()
					for h := range v[j] {
						VMOVUPS(part(Mem{Base: b, Disp: 16*lane*j + lane*l}, h), v[j][h])
					}
				}
				for i := range rows {
					m := rowAddress(a, ai, ai3, ai5, i)
					m.Disp = 4 * l
					VBROADCASTSS(m, x)
					for j := range v {
						for h := range v[j] {
							VFMADD231PS(x, v[j][h], acc[i*together+j][h])
						}
					}
				}
			}
			ADDQ(Imm(16), a)
			ADDQ(U32(4*lane), b)
			DECQ(lanes)
			JNZ(LabelRef(label + "lanes"))
			ADDQ(U32(block-16*lane), b)
		})
		out, add := Load(Param("acc"), GP64()), Load(Param("add"), GP8())
		each := func(f func(v reg.VecVirtual, m Mem)) {
			for i := range rows {
				for j := range together {
					for h, v := range acc[i*together+j] {
						f(v, part(Mem{Base: out, Disp: lane * (i*cols + first + j)}, h))
					}
				}
			}
		}
		TESTB(add, add)
		JZ(LabelRef(label + "store"))
		each(func(v reg.VecVirtual, m Mem) { VADDPS(m, v, v) })
		Label(label + "store")
		each(func(v reg.VecVirtual, m Mem) { VMOVUPS(v, m) })
	}
	VZEROUPPER()
	RET()
}

func winogradOut(wide bool) {
	suffix, vector := width(wide)
	TEXT("winogradOut"+suffix, NOSPLIT, "func(y, from, m *float32, yc, mj, mc int, sign, low, high float32, channels, n, odd int)")
	Pragma("noescape")
	Doc("winogradOut" + suffix + " is winogradOut; steps are in bytes.")
	y, m, from := Load(Param("y"), GP64()), Load(Param("m"), GP64()), Load(Param("from"), GP64())
	mj, mj3 := Load(Param("mj"), GP64()), GP64()
	LEAQ(at(mj, mj, 2), mj3)
	signs := vector()
	addr, _ := Param("sign").Resolve()
	VBROADCASTSS(addr.Addr, signs[0])
	low, high := broadcastTo(vector()[0], "low"), broadcastTo(vector()[0], "high")
	channels := Load(Param("channels"), GP64())
	py, pf, pm, n, mode := GP64(), GP64(), GP64(), GP64(), GP64()
	tile := func(set bool, columns int) {
		for i := range vector() {
			v := [4]reg.VecVirtual{}
			for j, from := range []Mem{{Base: pm}, at(pm, mj, 1), at(pm, mj, 2), at(pm, mj3, 1)} {
				v[j] = vector()[0]
				VMOVUPS(part(from, i), v[j])
			}
			VADDPS(v[1], v[0], v[0])
			VADDPS(v[2], v[0], v[0])
			VSUBPS(v[2], v[1], v[1])
			VSUBPS(v[3], v[1], v[1])
			for c := range columns {
				if !set {
					VFMADD213PS(part(Mem{Base: pf, Disp: lane * c}, i), signs[0], v[c])
					VMAXPS(v[c], low, v[c])
					VMINPS(v[c], high, v[c])
				}
				VMOVUPS(v[c], part(Mem{Base: py, Disp: lane * c}, i))
			}
		}
	}
	body := func(set bool, label string) {
		Label(label)
		MOVQ(y, py)
		MOVQ(from, pf)
		MOVQ(m, pm)
		Load(Param("n"), n)
		loop(label+"_tiles", n, func() {
			tile(set, 2)
			ADDQ(U32(2*lane), py)
			ADDQ(U32(2*lane), pf)
			ADDQ(Imm(lane), pm)
		})
		Load(Param("odd"), mode)
		TESTQ(mode, mode)
		JZ(LabelRef(label + "_next"))
		tile(set, 1)
		Label(label + "_next")
		by := Load(Param("yc"), GP64())
		ADDQ(by, y)
		ADDQ(by, from)
		by = Load(Param("mc"), GP64())
		ADDQ(by, m)
		DECQ(channels)
		JNZ(LabelRef(label))
		VZEROUPPER()
		RET()
	}
	TESTQ(from, from)
	JNZ(LabelRef("add"))
	body(true, "set")
	body(false, "add")
}

// grid emits the loops over the rows and positions of a grid: the pointers, given with
// the parameters that say how far their rows and positions are apart, advance.
func grid(label string, walks []walk, body func(p []reg.Register)) {
	rows, n := Load(Param("rows"), GP64()), GP64()
	p := make([]reg.Register, len(walks))
	for i := range p {
		p[i] = GP64()
	}
	Label(label + "_row")
	for i, w := range walks {
		MOVQ(w.base, p[i])
	}
	Load(Param("n"), n)
	Label(label + "_position")
	body(p)
	for i, w := range walks {
		ADDQ(w.position, p[i])
	}
	DECQ(n)
	JNZ(LabelRef(label + "_position"))
	for _, w := range walks {
		by := Load(Param(w.row), GP64())
		ADDQ(by, w.base)
	}
	DECQ(rows)
	JNZ(LabelRef(label + "_row"))
}

// walk is a pointer and how far it goes: from position to position, and the name of
// the parameter with the distance of rows.
type walk struct {
	base, position reg.Register
	row            string
}

// tap3 addresses element k of a 3x3 kernel.
func tap3(p, pitch reg.Register, k int) Mem {
	m := Mem{Base: p}
	if k/3 > 0 {
		m = at(p, pitch, uint8(k/3))
	}
	m.Disp = k % 3 * lane
	return m
}

func depth3(wide bool) {
	suffix, vector := width(wide)
	TEXT("depth3x"+suffix, NOSPLIT, "func(dst, src, w *float32, bias, low, high float32, rows, n, dstRow, dstPos, srcRow, srcPos, pitch int)")
	Pragma("noescape")
	Doc("depth3x" + suffix + " is depth3; steps are in bytes.")
	dst, src := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	bias, low, high := broadcastTo(vector()[0], "bias"), broadcastTo(vector()[0], "low"), broadcastTo(vector()[0], "high")
	from := Load(Param("w"), GP64())
	var w [9]reg.VecVirtual
	for k := range w {
		w[k] = vector()[0]
		VBROADCASTSS(Mem{Base: from, Disp: 4 * k}, w[k])
	}
	dstPos, srcPos, pitch := Load(Param("dstPos"), GP64()), Load(Param("srcPos"), GP64()), Load(Param("pitch"), GP64())
	grid("x", []walk{{dst, dstPos, "dstRow"}, {src, srcPos, "srcRow"}}, func(p []reg.Register) {
		for i, v := range vector() {
			VMOVAPS(bias, v)
			for k := range w {
				VFMADD231PS(part(tap3(p[1], pitch, k), i), w[k], v)
			}
			VMAXPS(v, low, v)
			VMINPS(v, high, v)
			VMOVUPS(v, part(Mem{Base: p[0]}, i))
		}
	})
	VZEROUPPER()
	RET()
}

func depth3Grad(wide bool) {
	suffix, vector := width(wide)
	TEXT("depth3Grad"+suffix, NOSPLIT, "func(acc, dst, src *float32, rows, n, dstRow, dstPos, srcRow, srcPos, pitch int)")
	Pragma("noescape")
	Doc("depth3Grad" + suffix + " is depth3Grad; steps are in bytes.")
	dstPos, srcPos, pitch := Load(Param("dstPos"), GP64()), Load(Param("srcPos"), GP64()), Load(Param("pitch"), GP64())
	var acc [9]reg.VecVirtual
	for k := range acc {
		acc[k] = vector()[0]
	}
	for i := range vector() {
		dst, src := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
		for _, v := range acc {
			clearVector(vectors{v}, wide)
		}
		grid(fmt.Sprintf("x%d", i), []walk{{dst, dstPos, "dstRow"}, {src, srcPos, "srcRow"}}, func(p []reg.Register) {
			v := vector()[0]
			VMOVUPS(part(Mem{Base: p[0]}, i), v)
			for k := range acc {
				VFMADD231PS(part(tap3(p[1], pitch, k), i), v, acc[k])
			}
		})
		out := Load(Param("acc"), GP64())
		for k, v := range acc {
			VMOVUPS(v, part(Mem{Base: out, Disp: lane * k}, i))
		}
	}
	VZEROUPPER()
	RET()
}

func gate() {
	TEXT("gate256", NOSPLIT, "func(dx, y, dy *float32, low, high float32, sums *float32, rows, n, dxRow, dxPos, yRow int)")
	Pragma("noescape")
	Doc("gate256 is gate with AVX; steps are in bytes.")
	dx, y, dy := Load(Param("dx"), GP64()), Load(Param("y"), GP64()), Load(Param("dy"), GP64())
	low, high := broadcast("low"), broadcast("high")
	sums := Load(Param("sums"), GP64())
	acc := []reg.VecVirtual{YMM(), YMM()}
	for i, v := range acc {
		VMOVUPS(part(Mem{Base: sums}, i), v)
	}
	dxPos, one := Load(Param("dxPos"), GP64()), GP64()
	MOVQ(U32(lane), one)
	grid("x", []walk{{dx, dxPos, "dxRow"}, {y, one, "yRow"}, {dy, one, "yRow"}}, func(p []reg.Register) {
		for i := range acc {
			v, above, below := YMM(), YMM(), YMM()
			VMOVUPS(part(Mem{Base: p[1]}, i), v)
			VCMPPS(Imm(6), low, v, above)  // not v <= low
			VCMPPS(Imm(9), high, v, below) // not v >= high
			VANDPS(above, below, above)
			VANDPS(part(Mem{Base: p[2]}, i), above, above)
			VADDPS(above, acc[i], acc[i])
			VMOVUPS(above, part(Mem{Base: p[0]}, i))
		}
	})
	sums = Load(Param("sums"), GP64())
	for i, v := range acc {
		VMOVUPS(v, part(Mem{Base: sums}, i))
	}
	VZEROUPPER()
	RET()
}

func interleave() {
	TEXT("interleave256", NOSPLIT, "func(dst, src *float32, size, n int)")
	Pragma("noescape")
	Doc("interleave256 is interleave with AVX, for the first 8*n elements of each sample.")
	n := Load(Param("n"), GP64())
	dst, src := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	size := Load(Param("size"), GP64())
	SHLQ(Imm(2), size)
	size3, half := GP64(), GP64()
	LEAQ(at(size, size, 2), size3)
	loop("blocks", n, func() {
		MOVQ(src, half)
		for h := range 2 {
			// Rows l and l+4 share a register from the start: what is left is to
			// transpose four by four in each half of eight registers.
			fourth := GP64()
			LEAQ(at(half, size, 4), fourth)
			row := func(base reg.Register, l, disp int) Mem {
				m := Mem{Base: base}
				switch l {
				case 1, 2:
					m = at(base, size, uint8(l))
				case 3:
					m = at(base, size3, 1)
				}
				m.Disp = disp
				return m
			}
			for i := range 2 { // four elements of each row
				v := make([]reg.VecVirtual, 4)
				for l := range v {
					v[l] = YMM()
					VBROADCASTF128(row(half, l, 16*i), v[l])
					VINSERTF128(Imm(1), row(fourth, l, 16*i), v[l], v[l])
				}
				a, b, c, d := YMM(), YMM(), YMM(), YMM()
				VUNPCKLPS(v[1], v[0], a)
				VUNPCKHPS(v[1], v[0], b)
				VUNPCKLPS(v[3], v[2], c)
				VUNPCKHPS(v[3], v[2], d)
				for j, p := range [][2]reg.VecVirtual{{a, c}, {b, d}} {
					x := YMM()
					VUNPCKLPD(p[1], p[0], x)
					VMOVUPS(x, Mem{Base: dst, Disp: (4*i+2*j)*lane + 32*h})
					VUNPCKHPD(p[1], p[0], x)
					VMOVUPS(x, Mem{Base: dst, Disp: (4*i+2*j+1)*lane + 32*h})
				}
			}
			if h == 0 {
				LEAQ(at(half, size, 8), half)
			}
		}
		ADDQ(Imm(32), src)
		ADDQ(U32(8*lane), dst)
	})
	VZEROUPPER()
	RET()
}

// transpose512 reads each row once: rows that are a power of two apart compete for the
// same lines of a cache.
func transpose512() {
	TEXT("transpose512", NOSPLIT, "func(dst, src *float32, step, n int)")
	Pragma("noescape")
	Doc("transpose512 is transpose with AVX-512 for the first 16*n elements of each row; step is in bytes.")
	dst, src, n := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("n"), GP64())
	step, step3, step5, step7, half := Load(Param("step"), GP64()), GP64(), GP64(), GP64(), GP64()
	LEAQ(at(step, step, 2), step3)
	LEAQ(at(step, step, 4), step5)
	LEAQ(at(step3, step, 4), step7)
	var v, w [16]reg.VecVirtual
	for i := range v {
		v[i], w[i] = ZMM(), ZMM()
	}
	loop("blocks", n, func() {
		LEAQ(at(src, step, 8), half)
		for i := range v {
			base := reg.Register(src)
			if i >= 8 {
				base = half
			}
			m := rowAddress(base, step, step3, step5, i%8)
			switch i % 8 {
			case 6:
				m = at(base, step3, 2)
			case 7:
				m = at(base, step7, 1)
			}
			VMOVUPS(m, v[i])
		}
		for i := 0; i < 16; i += 2 { // pairs of rows
			VUNPCKLPS(v[i+1], v[i], w[i])
			VUNPCKHPS(v[i+1], v[i], w[i+1])
		}
		for i := 0; i < 16; i += 4 { // four rows: column c of each quarter in v[i+c]
			VUNPCKLPD(w[i+2], w[i], v[i])
			VUNPCKHPD(w[i+2], w[i], v[i+1])
			VUNPCKLPD(w[i+3], w[i+1], v[i+2])
			VUNPCKHPD(w[i+3], w[i+1], v[i+3])
		}
		const even, odd = 0x88, 0xdd // quarters of either
		for c := range 4 {
			VSHUFF32X4(Imm(even), v[4+c], v[c], w[0])
			VSHUFF32X4(Imm(odd), v[4+c], v[c], w[1])
			VSHUFF32X4(Imm(even), v[12+c], v[8+c], w[2])
			VSHUFF32X4(Imm(odd), v[12+c], v[8+c], w[3])
			for q, out := range []struct {
				quarters uint64
				a, b     int
			}{{even, 0, 2}, {even, 1, 3}, {odd, 0, 2}, {odd, 1, 3}} {
				x := ZMM()
				VSHUFF32X4(Imm(out.quarters), w[out.b], w[out.a], x)
				VMOVUPS(x, Mem{Base: dst, Disp: lane * (4*q + c)})
			}
		}
		ADDQ(Imm(lane), src)
		ADDQ(U32(16*lane), dst)
	})
	VZEROUPPER()
	RET()
}

func sumLanes() {
	TEXT("sumLanes256", NOSPLIT, "func(dst, src *float32, n int)")
	Pragma("noescape")
	Doc("sumLanes256 is sumLanes with AVX.")
	dst, src, n := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("n"), GP64())
	loop("vectors", n, func() {
		v := YMM()
		VMOVUPS(Mem{Base: src}, v)
		VADDPS(Mem{Base: src, Disp: 32}, v, v)
		hi := XMM()
		VEXTRACTF128(Imm(1), v, hi)
		lo := v.AsX()
		VADDPS(hi, lo, lo)
		VPERMILPD(Imm(1), lo, hi)
		VADDPS(hi, lo, lo)
		VPERMILPS(Imm(1), lo, hi)
		VADDSS(hi, lo, lo)
		VMOVSS(lo, Mem{Base: dst})
		ADDQ(Imm(4), dst)
		ADDQ(Imm(lane), src)
	})
	VZEROUPPER()
	RET()
}

// sumLanes512 sums sixteen vectors at once. At each level two registers become
// one: what was 8 lanes apart is added first, then 4, 2 and 1, as when each
// vector is summed alone.
func sumLanes512() {
	TEXT("sumLanes512", NOSPLIT, "func(dst, src *float32, n int)")
	Pragma("noescape")
	Doc("sumLanes512 is sumLanes with AVX-512; n counts blocks of 16 vectors.")
	dst, src, n := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("n"), GP64())
	vector := func(i int) Mem { return Mem{Base: src, Disp: lane * i} }
	eight := func(i, j int) reg.VecVirtual {
		a, b, sum := ZMM(), ZMM(), ZMM()
		VMOVUPS(vector(i), a)
		VMOVUPS(vector(j), b)
		VSHUFF64X2(Imm(0x44), b, a, sum)
		VSHUFF64X2(Imm(0xee), b, a, a)
		VADDPS(a, sum, sum)
		return sum
	}
	// four leaves the sums of vectors i, i+4, i+8 and i+12 in quarters of a register.
	four := func(i int) reg.VecVirtual {
		a, b, sum := eight(i, i+4), eight(i+8, i+12), ZMM()
		VSHUFF64X2(Imm(0x88), b, a, sum)
		VSHUFF64X2(Imm(0xdd), b, a, a)
		VADDPS(a, sum, sum)
		return sum
	}
	two := func(i int) reg.VecVirtual {
		a, b, sum := four(i), four(i+1), ZMM()
		VUNPCKLPD(b, a, sum)
		VUNPCKHPD(b, a, a)
		VADDPS(a, sum, sum)
		return sum
	}
	loop("blocks", n, func() {
		a, b, sum := two(0), two(2), ZMM()
		VSHUFPS(Imm(0x88), b, a, sum)
		VSHUFPS(Imm(0xdd), b, a, a)
		VADDPS(a, sum, sum)
		VMOVUPS(sum, Mem{Base: dst})
		ADDQ(Imm(lane), dst)
		ADDQ(U32(16*lane), src)
	})
	VZEROUPPER()
	RET()
}

// each emits a loop over vectors of 8 lanes: the parameters named in ptrs are
// pointers that advance together.
func each(ptrs []string, body func(p []reg.Register)) {
	p := make([]reg.Register, len(ptrs))
	for i, name := range ptrs {
		p[i] = Load(Param(name), GP64())
	}
	n := Load(Param("n"), GP64())
	loop("vectors", n, func() {
		body(p)
		for _, r := range p {
			ADDQ(Imm(32), r)
		}
	})
}

func broadcast(name string) reg.VecVirtual { return broadcastTo(YMM(), name) }

func broadcastTo(v reg.VecVirtual, name string) reg.VecVirtual {
	m, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(m.Addr, v)
	return v
}

func affine() {
	TEXT("affine256", NOSPLIT, "func(dst, src *float32, scale, shift float32, n int)")
	Pragma("noescape")
	Doc("affine256 is affine with AVX2 and FMA.")
	scale, shift := broadcast("scale"), broadcast("shift")
	each([]string{"dst", "src"}, func(p []reg.Register) {
		v := YMM()
		VMOVUPS(Mem{Base: p[1]}, v)
		VFMADD213PS(shift, scale, v)
		VMOVUPS(v, Mem{Base: p[0]})
	})
	VZEROUPPER()
	RET()
}

func affineGrad() {
	TEXT("affineGrad256", NOSPLIT, "func(dx, x, dy *float32, scale, mean float32, sums *[32]float32, n int)")
	Pragma("noescape")
	Doc("affineGrad256 is affineGrad with AVX2 and FMA; n counts vectors of 16 lanes.")
	scale, mean := broadcast("scale"), broadcast("mean")
	dx, x, dy := Load(Param("dx"), GP64()), Load(Param("x"), GP64()), Load(Param("dy"), GP64())
	sums, n := Load(Param("sums"), GP64()), Load(Param("n"), GP64())
	acc := make([]reg.VecVirtual, 4)
	for i := range acc {
		acc[i] = YMM()
		VMOVUPS(Mem{Base: sums, Disp: 32 * i}, acc[i])
	}
	loop("vectors", n, func() {
		for h := range 2 {
			g, v := YMM(), YMM()
			VMOVUPS(Mem{Base: dy, Disp: 32 * h}, g)
			VMOVUPS(Mem{Base: x, Disp: 32 * h}, v)
			VADDPS(g, acc[h], acc[h])
			VSUBPS(mean, v, v)
			VFMADD231PS(g, v, acc[2+h])
			VMULPS(scale, g, g)
			VMOVUPS(g, Mem{Base: dx, Disp: 32 * h})
		}
		for _, p := range []reg.Register{dx, x, dy} {
			ADDQ(Imm(lane), p)
		}
	})
	for i := range acc {
		VMOVUPS(acc[i], Mem{Base: sums, Disp: 32 * i})
	}
	VZEROUPPER()
	RET()
}

func relu() {
	TEXT("relu256", NOSPLIT, "func(dst, src *float32, n int)")
	Pragma("noescape")
	Doc("relu256 is relu with AVX.")
	zero := YMM()
	VXORPS(zero, zero, zero)
	each([]string{"dst", "src"}, func(p []reg.Register) {
		v := YMM()
		VMAXPS(Mem{Base: p[1]}, zero, v)
		VMOVUPS(v, Mem{Base: p[0]})
	})
	VZEROUPPER()
	RET()
}

func reluGrad() {
	TEXT("reluGrad256", NOSPLIT, "func(dx, y, dy *float32, n int)")
	Pragma("noescape")
	Doc("reluGrad256 is reluGrad with AVX.")
	zero := YMM()
	VXORPS(zero, zero, zero)
	each([]string{"dx", "y", "dy"}, func(p []reg.Register) {
		v := YMM()
		VCMPPS(Imm(1), Mem{Base: p[1]}, zero, v) // 0 < y
		VANDPS(Mem{Base: p[2]}, v, v)
		VMOVUPS(v, Mem{Base: p[0]})
	})
	VZEROUPPER()
	RET()
}

func clip() {
	TEXT("clip256", NOSPLIT, "func(dst, src *float32, low, high float32, n int)")
	Pragma("noescape")
	Doc("clip256 is clip with AVX.")
	low, high := broadcast("low"), broadcast("high")
	each([]string{"dst", "src"}, func(p []reg.Register) {
		v := YMM()
		VMAXPS(Mem{Base: p[1]}, low, v) // NaN stays: the second operand
		VMINPS(v, high, v)
		VMOVUPS(v, Mem{Base: p[0]})
	})
	VZEROUPPER()
	RET()
}

func clipGrad() {
	TEXT("clipGrad256", NOSPLIT, "func(dx, x, dy *float32, low, high float32, n int)")
	Pragma("noescape")
	Doc("clipGrad256 is clipGrad with AVX.")
	low, high := broadcast("low"), broadcast("high")
	each([]string{"dx", "x", "dy"}, func(p []reg.Register) {
		x, in, below := YMM(), YMM(), YMM()
		VMOVUPS(Mem{Base: p[1]}, x)
		VCMPPS(Imm(2), x, low, in)     // low <= x
		VCMPPS(Imm(2), high, x, below) // x <= high
		VANDPS(in, below, in)
		VANDPS(Mem{Base: p[2]}, in, in)
		VMOVUPS(in, Mem{Base: p[0]})
	})
	VZEROUPPER()
	RET()
}

func mul() {
	TEXT("mul256", NOSPLIT, "func(dst, a, b *float32, n int)")
	Pragma("noescape")
	Doc("mul256 is mul with AVX.")
	each([]string{"dst", "a", "b"}, func(p []reg.Register) {
		v := YMM()
		VMOVUPS(Mem{Base: p[1]}, v)
		VMULPS(Mem{Base: p[2]}, v, v)
		VMOVUPS(v, Mem{Base: p[0]})
	})
	VZEROUPPER()
	RET()
}

func maxTaps() {
	TEXT("maxTaps256", NOSPLIT, "func(dst, src *float32, taps *int32, ntaps, step, n int)")
	Pragma("noescape")
	Doc("maxTaps256 is maxTaps with AVX.")
	dst, src := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	step, n := Load(Param("step"), GP64()), Load(Param("n"), GP64())
	loop("positions", n, func() {
		p, cnt := Load(Param("taps"), GP64()), Load(Param("ntaps"), GP64())
		lo, hi, v := YMM(), YMM(), YMM()
		_, first := next(p, src, src)
		VMOVUPS(Mem{Base: first}, lo)
		VMOVUPS(Mem{Base: first, Disp: 32}, hi)
		DECQ(cnt)
		loop("taps", cnt, func() {
			_, s := next(p, src, src)
			VMOVUPS(Mem{Base: s}, v)
			VMAXPS(v, lo, lo)
			VMOVUPS(Mem{Base: s, Disp: 32}, v)
			VMAXPS(v, hi, hi)
		})
		VMOVUPS(lo, Mem{Base: dst})
		VMOVUPS(hi, Mem{Base: dst, Disp: 32})
		ADDQ(Imm(lane), dst)
		LEAQ(at(src, step, 4), src)
	})
	VZEROUPPER()
	RET()
}

func maxTapsGrad() {
	TEXT("maxTapsGrad256", NOSPLIT, "func(dx, x, y, dy *float32, taps *int32, ntaps, step, n int)")
	Pragma("noescape")
	Doc("maxTapsGrad256 is maxTapsGrad with AVX.")
	dx, x := Load(Param("dx"), GP64()), Load(Param("x"), GP64())
	y, dy := Load(Param("y"), GP64()), Load(Param("dy"), GP64())
	step, n := Load(Param("step"), GP64()), Load(Param("n"), GP64())
	loop("positions", n, func() {
		p, cnt := Load(Param("taps"), GP64()), Load(Param("ntaps"), GP64())
		max, left := [2]reg.VecVirtual{YMM(), YMM()}, [2]reg.VecVirtual{YMM(), YMM()}
		for h := range 2 {
			VMOVUPS(Mem{Base: y, Disp: 32 * h}, max[h])
			VMOVUPS(Mem{Base: dy, Disp: 32 * h}, left[h])
		}
		loop("taps", cnt, func() {
			px, pd := next(p, x, dx)
			// Both offsets of the tap are the same, one for each base.
			for h := range 2 {
				hit, v := YMM(), YMM()
				VCMPPS(Imm(0), Mem{Base: px, Disp: 32 * h}, max[h], hit)
				VANDPS(left[h], hit, v)
				VANDNPS(left[h], hit, left[h])
				VADDPS(Mem{Base: pd, Disp: 32 * h}, v, v)
				VMOVUPS(v, Mem{Base: pd, Disp: 32 * h})
			}
		})
		ADDQ(Imm(lane), y)
		ADDQ(Imm(lane), dy)
		LEAQ(at(x, step, 4), x)
		LEAQ(at(dx, step, 4), dx)
	})
	VZEROUPPER()
	RET()
}

func poolAffine() {
	TEXT("poolAffine256", NOSPLIT, "func(dst, src *float32, scale, shift float32, taps *int32, ntaps, step, n int)")
	Pragma("noescape")
	Doc("poolAffine256 is poolAffine with AVX2 and FMA.")
	scale, shift := broadcast("scale"), broadcast("shift")
	dst, src := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	step, n := Load(Param("step"), GP64()), Load(Param("n"), GP64())
	zero := YMM()
	VXORPS(zero, zero, zero)
	loop("positions", n, func() {
		p, cnt := Load(Param("taps"), GP64()), Load(Param("ntaps"), GP64())
		top := [2]reg.VecVirtual{YMM(), YMM()}
		_, first := next(p, src, src)
		for h := range top {
			VMOVUPS(Mem{Base: first, Disp: 32 * h}, top[h])
			VFMADD213PS(shift, scale, top[h])
		}
		DECQ(cnt)
		loop("taps", cnt, func() {
			_, s := next(p, src, src)
			for h := range top {
				v := YMM()
				VMOVUPS(Mem{Base: s, Disp: 32 * h}, v)
				VFMADD213PS(shift, scale, v)
				VMAXPS(v, top[h], top[h])
			}
		})
		for h := range top {
			VMAXPS(top[h], zero, top[h])
			VMOVUPS(top[h], Mem{Base: dst, Disp: 32 * h})
		}
		ADDQ(Imm(lane), dst)
		LEAQ(at(src, step, 4), src)
	})
	VZEROUPPER()
	RET()
}

func poolAffineGrad() {
	TEXT("poolAffineGrad256", NOSPLIT, "func(dx, x, y, dy *float32, scale, shift, mean float32, sums *float32, taps *int32, ntaps, step, n int)")
	Pragma("noescape")
	Doc("poolAffineGrad256 is poolAffineGrad with AVX2 and FMA: lanes 0 to 7, then 8 to 15.")
	scale, shift, mean := broadcast("scale"), broadcast("shift"), broadcast("mean")
	zero := YMM()
	VXORPS(zero, zero, zero)
	half := GP64()
	XORQ(half, half)
	Label("half")
	dx, x := Load(Param("dx"), GP64()), Load(Param("x"), GP64())
	y, dy := Load(Param("y"), GP64()), Load(Param("dy"), GP64())
	sums, n := Load(Param("sums"), GP64()), Load(Param("n"), GP64())
	step := Load(Param("step"), GP64())
	for _, p := range []reg.Register{dx, x, y, dy, sums} {
		ADDQ(half, p)
	}
	sum, moment := YMM(), YMM()
	VMOVUPS(Mem{Base: sums}, sum)
	VMOVUPS(Mem{Base: sums, Disp: lane}, moment)
	loop("positions", n, func() {
		p, cnt := Load(Param("taps"), GP64()), Load(Param("ntaps"), GP64())
		top, g, scaled, left, at0 := YMM(), YMM(), YMM(), YMM(), YMM()
		VMOVUPS(Mem{Base: y}, top)
		VCMPPS(Imm(1), top, zero, left) // 0 < y
		VANDPS(Mem{Base: dy}, left, g)
		VMULPS(scale, g, scaled)
		VXORPS(at0, at0, at0)
		loop("taps", cnt, func() {
			px, pd := next(p, x, dx)
			v, r, hit := YMM(), YMM(), YMM()
			VMOVUPS(Mem{Base: px}, v)
			VMOVAPS(v, r)
			VFMADD213PS(shift, scale, r)
			VCMPPS(Imm(0), r, top, hit)
			VANDPS(left, hit, hit)
			VANDNPS(left, hit, left)
			VANDPS(hit, scaled, r)
			VMOVUPS(r, Mem{Base: pd})
			VANDPS(hit, v, v)
			VORPS(v, at0, at0)
		})
		VADDPS(g, sum, sum)
		VSUBPS(mean, at0, at0)
		VFMADD231PS(g, at0, moment)
		ADDQ(Imm(lane), y)
		ADDQ(Imm(lane), dy)
		LEAQ(at(x, step, 4), x)
		LEAQ(at(dx, step, 4), dx)
	})
	VMOVUPS(sum, Mem{Base: sums})
	VMOVUPS(moment, Mem{Base: sums, Disp: lane})
	ADDQ(Imm(32), half)
	CMPQ(half, Imm(32))
	JE(LabelRef("half"))
	VZEROUPPER()
	RET()
}

func poolAffine512() {
	TEXT("poolAffine512", NOSPLIT, "func(dst, src *float32, scale, shift float32, taps *int32, ntaps, step, n int)")
	Pragma("noescape")
	Doc("poolAffine512 is poolAffine with AVX-512.")
	scale, shift := broadcastTo(ZMM(), "scale"), broadcastTo(ZMM(), "shift")
	dst, src := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	step, n := Load(Param("step"), GP64()), Load(Param("n"), GP64())
	zero := ZMM()
	VPXORD(zero, zero, zero)
	loop("positions", n, func() {
		p, cnt := Load(Param("taps"), GP64()), Load(Param("ntaps"), GP64())
		top := ZMM()
		_, first := next(p, src, src)
		VMOVUPS(Mem{Base: first}, top)
		VFMADD213PS(shift, scale, top)
		DECQ(cnt)
		loop("taps", cnt, func() {
			_, s := next(p, src, src)
			v := ZMM()
			VMOVUPS(Mem{Base: s}, v)
			VFMADD213PS(shift, scale, v)
			VMAXPS(v, top, top)
		})
		VMAXPS(top, zero, top)
		VMOVUPS(top, Mem{Base: dst})
		ADDQ(Imm(lane), dst)
		LEAQ(at(src, step, 4), src)
	})
	VZEROUPPER()
	RET()
}

func poolAffineGrad512() {
	TEXT("poolAffineGrad512", NOSPLIT, "func(dx, x, y, dy *float32, scale, shift, mean float32, sums *float32, taps *int32, ntaps, step, n int)")
	Pragma("noescape")
	Doc("poolAffineGrad512 is poolAffineGrad with AVX-512.")
	scale, shift, mean := broadcastTo(ZMM(), "scale"), broadcastTo(ZMM(), "shift"), broadcastTo(ZMM(), "mean")
	zero := ZMM()
	VPXORD(zero, zero, zero)
	dx, x := Load(Param("dx"), GP64()), Load(Param("x"), GP64())
	y, dy := Load(Param("y"), GP64()), Load(Param("dy"), GP64())
	sums, n := Load(Param("sums"), GP64()), Load(Param("n"), GP64())
	step := Load(Param("step"), GP64())
	sum, moment := ZMM(), ZMM()
	VMOVUPS(Mem{Base: sums}, sum)
	VMOVUPS(Mem{Base: sums, Disp: lane}, moment)
	loop("positions", n, func() {
		p, cnt := Load(Param("taps"), GP64()), Load(Param("ntaps"), GP64())
		top, g, scaled, at0 := ZMM(), ZMM(), ZMM(), ZMM()
		left, hit := K(), K()
		VMOVUPS(Mem{Base: y}, top)
		VCMPPS(Imm(1), top, zero, left) // 0 < y
		VMOVUPS_Z(Mem{Base: dy}, left, g)
		VMULPS(scale, g, scaled)
		VPXORD(at0, at0, at0)
		loop("taps", cnt, func() {
			px, pd := next(p, x, dx)
			v, r := ZMM(), ZMM()
			VMOVUPS(Mem{Base: px}, v)
			VMOVAPS(v, r)
			VFMADD213PS(shift, scale, r)
			VCMPPS(Imm(0), r, top, left, hit)
			KANDNW(left, hit, left)
			VMOVAPS_Z(scaled, hit, r)
			VMOVUPS(r, Mem{Base: pd})
			VMOVAPS(v, hit, at0)
		})
		VADDPS(g, sum, sum)
		VSUBPS(mean, at0, at0)
		VFMADD231PS(g, at0, moment)
		ADDQ(Imm(lane), y)
		ADDQ(Imm(lane), dy)
		LEAQ(at(x, step, 4), x)
		LEAQ(at(dx, step, 4), dx)
	})
	VMOVUPS(sum, Mem{Base: sums})
	VMOVUPS(moment, Mem{Base: sums, Disp: lane})
	VZEROUPPER()
	RET()
}

func addTo() {
	TEXT("addTo256", NOSPLIT, "func(dst, src *float32, n int)")
	Pragma("noescape")
	Doc("addTo256 is addTo with AVX.")
	each([]string{"dst", "src"}, func(p []reg.Register) {
		v := YMM()
		VMOVUPS(Mem{Base: p[0]}, v)
		VADDPS(Mem{Base: p[1]}, v, v)
		VMOVUPS(v, Mem{Base: p[0]})
	})
	VZEROUPPER()
	RET()
}

func adam() {
	TEXT("adam256", NOSPLIT, "func(theta, m, v, grad *float32, rate, beta1, beta2, root, eps float32, n int)")
	Pragma("noescape")
	Doc("adam256 is adam with AVX2 and FMA.")
	rate, b1, b2 := broadcast("rate"), broadcast("beta1"), broadcast("beta2")
	root, eps := broadcast("root"), broadcast("eps")
	each([]string{"theta", "m", "v", "grad"}, func(p []reg.Register) {
		g, m, v, t := YMM(), YMM(), YMM(), YMM()
		VMOVUPS(Mem{Base: p[3]}, g)
		VMOVUPS(Mem{Base: p[1]}, m)
		VSUBPS(g, m, m)
		VFMADD213PS(g, b1, m)
		VMOVUPS(m, Mem{Base: p[1]})
		VMULPS(g, g, g)
		VMOVUPS(Mem{Base: p[2]}, v)
		VSUBPS(g, v, v)
		VFMADD213PS(g, b2, v)
		VMOVUPS(v, Mem{Base: p[2]})
		VSQRTPS(v, v)
		VFMADD213PS(eps, root, v)
		VDIVPS(v, m, m)
		VMOVUPS(Mem{Base: p[0]}, t)
		VFNMADD231PS(rate, m, t)
		VMOVUPS(t, Mem{Base: p[0]})
	})
	VZEROUPPER()
	RET()
}

func pull() {
	TEXT("pull256", NOSPLIT, "func(grad, theta, origin *float32, weight float32, n int)")
	Pragma("noescape")
	Doc("pull256 is pull with AVX2 and FMA.")
	weight := broadcast("weight")
	each([]string{"grad", "theta", "origin"}, func(p []reg.Register) {
		g, d := YMM(), YMM()
		VMOVUPS(Mem{Base: p[0]}, g)
		VMOVUPS(Mem{Base: p[1]}, d)
		VSUBPS(Mem{Base: p[2]}, d, d)
		VFMADD231PS(weight, d, g)
		VMOVUPS(g, Mem{Base: p[0]})
	})
	VZEROUPPER()
	RET()
}

func distance() {
	TEXT("distance256", NOSPLIT, "func(acc *float64, a, b *float32, n int)")
	Pragma("noescape")
	Doc("distance256 is distance with AVX2 and FMA; n counts vectors of 16 lanes.")
	out, n := Load(Param("acc"), GP64()), Load(Param("n"), GP64())
	a, b := Load(Param("a"), GP64()), Load(Param("b"), GP64())
	acc := make([]reg.VecVirtual, 4)
	for i := range acc {
		acc[i] = YMM()
		VMOVUPD(Mem{Base: out, Disp: 32 * i}, acc[i])
	}
	loop("vectors", n, func() {
		for i := range acc {
			x, y := YMM(), YMM()
			VCVTPS2PD(Mem{Base: a, Disp: 16 * i}, x)
			VCVTPS2PD(Mem{Base: b, Disp: 16 * i}, y)
			VSUBPD(y, x, x)
			VFMADD231PD(x, x, acc[i])
		}
		ADDQ(Imm(lane), a)
		ADDQ(Imm(lane), b)
	})
	for i := range acc {
		VMOVUPD(acc[i], Mem{Base: out, Disp: 32 * i})
	}
	VZEROUPPER()
	RET()
}

// The numbers of Exp in exp.go, which says what they are.
var expCoef = [...]float64{
	1. / 6227020800, 1. / 479001600, 1. / 39916800, 1. / 3628800, 1. / 362880, 1. / 40320,
	1. / 5040, 1. / 720, 1. / 120, 1. / 24, 1. / 6, 1. / 2, 1, 1,
}

func exps() {
	constants := GLOBL("expConstants", RODATA|NOPTR)
	var offset int
	constant := func(v float64) Mem {
		DATA(offset, U64(math.Float64bits(v)))
		offset += 8
		return constants.Offset(offset - 8)
	}
	log2e, hi, lo := constant(1/math.Ln2), constant(6.93147180369123816490e-01), constant(1.90821492927058770002e-10)
	most, least, infinity := constant(709.78), constant(-708), constant(math.Inf(1))
	// Adding 1.5 * 2^52 to a small whole number leaves it in the low bits.
	shift, two := constant(0x1.8p52+1022), constant(2)
	var coef []Mem
	for _, c := range expCoef {
		coef = append(coef, constant(c))
	}
	TEXT("exps256", NOSPLIT, "func(dst, src *float64, n int)")
	Pragma("noescape")
	Doc("exps256 is exps with AVX2 and FMA; n counts vectors of 4.")
	dst, src, n := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("n"), GP64())
	every := func(m Mem) reg.VecVirtual {
		v := YMM()
		VBROADCASTSD(m, v)
		return v
	}
	shifts, twos, leasts, mosts := every(shift), every(two), every(least), every(most)
	infinities := every(infinity)
	loop("vectors", n, func() {
		x, k, r, p, t, mask := YMM(), YMM(), YMM(), YMM(), YMM(), YMM()
		VMOVUPD(Mem{Base: src}, x)
		VMULPD(every(log2e), x, k)
		VROUNDPD(Imm(8), k, k) // to the nearest, ties to even, no exception
		VMOVAPD(x, r)
		VFNMADD231PD(every(hi), k, r)
		VFNMADD231PD(every(lo), k, r)
		VBROADCASTSD(coef[0], p)
		for _, c := range coef[1:] {
			VBROADCASTSD(c, t)
			VFMADD213PD(t, r, p)
		}
		VADDPD(shifts, k, k)
		VPSLLQ(Imm(52), k, k)
		VMULPD(k, p, p)
		VMULPD(twos, p, p)
		VCMPPD(Imm(1), leasts, x, mask) // x < least
		VANDNPD(p, mask, p)
		VCMPPD(Imm(14), mosts, x, mask) // x > most
		VBLENDVPD(mask, infinities, p, p)
		VCMPPD(Imm(3), x, x, mask) // NaN
		VBLENDVPD(mask, x, p, p)
		VMOVUPD(p, Mem{Base: dst})
		ADDQ(Imm(32), src)
		ADDQ(Imm(32), dst)
	})
	VZEROUPPER()
	RET()
}

// smooth emits the functions of single precision that are made of exponentials.
func smooth() {
	constants := GLOBL("smoothConstants", RODATA|NOPTR)
	var offset int
	constant := func(v float32) Mem {
		DATA(offset, U32(math.Float32bits(v)))
		offset += 4
		return constants.Offset(offset - 4)
	}
	every := func(m Mem) reg.VecVirtual {
		v := YMM()
		VBROADCASTSS(m, v)
		return v
	}
	log2e, hi, lo := constant(1/math.Ln2), constant(ln2Hi32), constant(ln2Lo32)
	most, least, infinity := constant(exp32Most), constant(exp32Least), constant(float32(math.Inf(1)))
	one, two, half, bias := constant(1), constant(2), constant(0.5), constant(math.Float32frombits(126))
	rootHalf, sign := constant(float32(math.Sqrt2/2)), constant(math.Float32frombits(1<<31))
	var coef, tail []Mem
	for _, c := range exp32Coef {
		coef = append(coef, constant(c))
	}
	for _, c := range erfcCoef {
		tail = append(tail, constant(c))
	}
	// exp returns e**x, and leaves x alone.
	exp := func(x reg.VecVirtual) reg.VecVirtual {
		k, r, p, mask := YMM(), YMM(), YMM(), YMM()
		VMULPS(every(log2e), x, k)
		VROUNDPS(Imm(8), k, k)
		VMOVAPS(x, r)
		VFNMADD231PS(every(hi), k, r)
		VFNMADD231PS(every(lo), k, r)
		VBROADCASTSS(coef[0], p)
		for _, c := range coef[1:] {
			VFMADD213PS(every(c), r, p)
		}
		VCVTPS2DQ(k, k)
		VPADDD(every(bias), k, k)
		VPSLLD(Imm(23), k, k)
		VMULPS(k, p, p)
		VMULPS(every(two), p, p)
		VCMPPS(Imm(1), every(least), x, mask) // x < least
		VANDNPS(p, mask, p)
		VCMPPS(Imm(14), every(most), x, mask) // x > most
		VBLENDVPS(mask, every(infinity), p, p)
		VCMPPS(Imm(3), x, x, mask) // NaN
		VBLENDVPS(mask, x, p, p)
		return p
	}
	function := func(name, doc string, f func(x reg.VecVirtual) reg.VecVirtual) {
		TEXT(name, NOSPLIT, "func(dst, src *float32, n int)")
		Pragma("noescape")
		Doc(doc)
		each([]string{"dst", "src"}, func(p []reg.Register) {
			x := YMM()
			VMOVUPS(Mem{Base: p[1]}, x)
			VMOVUPS(f(x), Mem{Base: p[0]})
		})
		VZEROUPPER()
		RET()
	}
	function("exp32x256", "exp32x256 is exp32 with AVX2 and FMA.", exp)
	function("sigmoid256", "sigmoid256 is sigmoid with AVX2 and FMA.", func(x reg.VecVirtual) reg.VecVirtual {
		VXORPS(every(sign), x, x)
		e := exp(x)
		VADDPS(every(one), e, e)
		y := every(one)
		VDIVPS(e, y, y)
		return y
	})
	function("normalCDF256", "normalCDF256 is normalCDF with AVX2 and FMA.", func(x reg.VecVirtual) reg.VecVirtual {
		z, t, p := YMM(), YMM(), YMM()
		VANDNPS(x, every(sign), z)
		VMULPS(every(rootHalf), z, z)
		VMOVAPS(z, t)
		VFMADD213PS(every(one), every(half), t)
		u := every(one)
		VDIVPS(t, u, t)
		VBROADCASTSS(tail[0], p)
		for _, c := range tail[1:] {
			VFMADD213PS(every(c), t, p)
		}
		VFNMADD231PS(z, z, p)
		e := exp(p)
		VMULPS(every(half), t, t)
		VMULPS(t, e, e)
		above := every(one)
		VSUBPS(e, above, above)
		// The sign of x chooses.
		VBLENDVPS(x, e, above, above)
		return above
	})
	smooth512(wideConstants{log2e, hi, lo, most, least, infinity, one, two, half, bias, rootHalf, sign, coef, tail})
}

// wideConstants are those of smooth.
type wideConstants struct {
	log2e, hi, lo, most, least, infinity, one, two, half, bias, rootHalf, sign Mem
	coef, tail                                                                 []Mem
}

// smooth512 makes the functions of smooth that are worth it with AVX-512.
func smooth512(c wideConstants) {
	function := func(name, doc string, f func(x, zero, one reg.VecVirtual) reg.VecVirtual) {
		TEXT(name, NOSPLIT, "func(dst, src *float32, n int)")
		Pragma("noescape")
		Doc(doc)
		dst, src, n := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("n"), GP64())
		zero, one := ZMM(), ZMM()
		VPXORD(zero, zero, zero)
		VBROADCASTSS(c.one, one)
		loop("vectors", n, func() {
			x := ZMM()
			VMOVUPS(Mem{Base: src}, x)
			VMOVUPS(f(x, zero, one), Mem{Base: dst})
			ADDQ(Imm(lane), src)
			ADDQ(Imm(lane), dst)
		})
		VZEROUPPER()
		RET()
	}
	exp := func(x, zero, _ reg.VecVirtual) reg.VecVirtual {
		k, r, p, mask := ZMM(), ZMM(), ZMM(), K()
		VMULPS_BCST(c.log2e, x, k)
		VRNDSCALEPS(Imm(8), k, k)
		VMOVAPS(x, r)
		VFNMADD231PS_BCST(c.hi, k, r)
		VFNMADD231PS_BCST(c.lo, k, r)
		VBROADCASTSS(c.coef[0], p)
		for _, m := range c.coef[1:] {
			VFMADD213PS_BCST(m, r, p)
		}
		VCVTPS2DQ(k, k)
		VPADDD_BCST(c.bias, k, k)
		VPSLLD(Imm(23), k, k)
		VMULPS(k, p, p)
		VMULPS_BCST(c.two, p, p)
		VCMPPS_BCST(Imm(1), c.least, x, mask) // x < least
		VMOVAPS(zero, mask, p)
		VCMPPS_BCST(Imm(14), c.most, x, mask) // x > most
		VBROADCASTSS(c.infinity, mask, p)
		VCMPPS(Imm(3), x, x, mask) // NaN
		VMOVAPS(x, mask, p)
		return p
	}
	function("exp32x512", "exp32x512 is exp32 with AVX-512; n counts vectors of 16.", exp)
	function("normalCDF512", "normalCDF512 is normalCDF with AVX-512; n counts vectors of 16.", func(x, zero, one reg.VecVirtual) reg.VecVirtual {
		z, t, p := ZMM(), ZMM(), ZMM()
		VBROADCASTSS(c.sign, z)
		VPANDND(x, z, z)
		VMULPS_BCST(c.rootHalf, z, z)
		VBROADCASTSS(c.half, t)
		VFMADD213PS(one, z, t)
		VDIVPS(t, one, t)
		VBROADCASTSS(c.tail[0], p)
		for _, m := range c.tail[1:] {
			VFMADD213PS_BCST(m, t, p)
		}
		VFNMADD231PS(z, z, p)
		e := exp(p, zero, one)
		VMULPS_BCST(c.half, t, t)
		VMULPS(t, e, e)
		above, negative := ZMM(), K()
		VSUBPS(e, one, above)
		VPSRAD(Imm(31), x, z) // the sign of x chooses
		VPTESTMD(z, z, negative)
		VMOVAPS(e, negative, above)
		return above
	})
}

func centre() {
	TEXT("centre256", NOSPLIT, "func(dst, src, mean, squares *float32, n int)")
	Pragma("noescape")
	Doc("centre256 is centre with AVX; n counts vectors of 16 lanes.")
	dst, src, n := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("n"), GP64())
	from, squares := Load(Param("mean"), GP64()), Load(Param("squares"), GP64())
	mean, acc := []reg.VecVirtual{YMM(), YMM()}, []reg.VecVirtual{YMM(), YMM()}
	for i := range mean {
		VMOVUPS(part(Mem{Base: from}, i), mean[i])
		VMOVUPS(part(Mem{Base: squares}, i), acc[i])
	}
	loop("vectors", n, func() {
		for i := range mean {
			v := YMM()
			VMOVUPS(part(Mem{Base: src}, i), v)
			VSUBPS(mean[i], v, v)
			VMOVUPS(v, part(Mem{Base: dst}, i))
			VMULPS(v, v, v)
			VADDPS(v, acc[i], acc[i])
		}
		ADDQ(Imm(lane), src)
		ADDQ(Imm(lane), dst)
	})
	for i := range acc {
		VMOVUPS(acc[i], part(Mem{Base: squares}, i))
	}
	VZEROUPPER()
	RET()
}

func scaleEach() {
	TEXT("scaleEach256", NOSPLIT, "func(dst, by, scale, shift *float32, n, run int)")
	Pragma("noescape")
	Doc("scaleEach256 is scaleEach with AVX; n counts scales.")
	dst, from := Load(Param("dst"), GP64()), Load(Param("by"), GP64())
	scale, shift := Load(Param("scale"), GP64()), Load(Param("shift"), GP64())
	n, run := Load(Param("n"), GP64()), GP64()
	by := []reg.VecVirtual{YMM(), YMM()}
	for i := range by {
		VMOVUPS(part(Mem{Base: from}, i), by[i])
	}
	w, b := YMM(), YMM()
	loop("scales", n, func() {
		VBROADCASTSS(Mem{Base: scale}, w)
		VBROADCASTSS(Mem{Base: shift}, b)
		Load(Param("run"), run)
		loop("vectors", run, func() {
			for i := range by {
				v := YMM()
				VMULPS(part(Mem{Base: dst}, i), by[i], v)
				VMULPS(w, v, v)
				VADDPS(b, v, v)
				VMOVUPS(v, part(Mem{Base: dst}, i))
			}
			ADDQ(Imm(lane), dst)
		})
		ADDQ(Imm(4), scale)
		ADDQ(Imm(4), shift)
	})
	VZEROUPPER()
	RET()
}

// normRow is what both passes over a row of a normalization go by: the halves of four
// vectors of lanes, and addresses.
type normRow struct {
	mean, by, sum, product []reg.VecVirtual
	x, dy, scale, n, run   reg.Register
}

// halves loads the two vectors of lanes at an address.
func halves(from reg.Register) (first, second []reg.VecVirtual) {
	for i := range 4 {
		v := YMM()
		VMOVUPS(part(Mem{Base: from}, i), v)
		if i < 2 {
			first = append(first, v)
		} else {
			second = append(second, v)
		}
	}
	return first, second
}

func loadNormRow() (r normRow, sums reg.Register) {
	stats := Load(Param("stats"), GP64())
	sums = Load(Param("sums"), GP64())
	r.mean, r.by = halves(stats)
	r.sum, r.product = halves(sums)
	r.x, r.dy, r.scale = Load(Param("x"), GP64()), Load(Param("dy"), GP64()), Load(Param("scale"), GP64())
	r.n, r.run = Load(Param("n"), GP64()), GP64()
	return r, sums
}

// each makes a loop over the vectors of the row: body is given a half of xhat, of dy and
// of dy times the scale.
func (r normRow) each(body func(i int, hat, g, scaled reg.VecVirtual), vector, scale func()) {
	w := YMM()
	loop("scales", r.n, func() {
		VBROADCASTSS(Mem{Base: r.scale}, w)
		Load(Param("run"), r.run)
		loop("vectors", r.run, func() {
			for i := range r.mean {
				hat, g, scaled := YMM(), YMM(), YMM()
				VMOVUPS(part(Mem{Base: r.x}, i), hat)
				VSUBPS(r.mean[i], hat, hat)
				VMULPS(r.by[i], hat, hat)
				VMOVUPS(part(Mem{Base: r.dy}, i), g)
				VMULPS(w, g, scaled)
				body(i, hat, g, scaled)
			}
			ADDQ(Imm(lane), r.x)
			ADDQ(Imm(lane), r.dy)
			vector()
		})
		ADDQ(Imm(4), r.scale)
		scale()
	})
}

func normSums() {
	TEXT("normSums256", NOSPLIT, "func(sums, acc, x, dy, stats, scale *float32, n, run, step int)")
	Pragma("noescape")
	Doc("normSums256 is normSums with AVX; n counts scales, step is the distance of their elements of acc.")
	r, sums := loadNormRow()
	acc, step := Load(Param("acc"), GP64()), Load(Param("step"), GP64())
	r.each(func(i int, hat, g, scaled reg.VecVirtual) {
		VADDPS(scaled, r.sum[i], r.sum[i])
		VMULPS(hat, scaled, scaled)
		VADDPS(scaled, r.product[i], r.product[i])
		VMULPS(g, hat, hat)
		VADDPS(part(Mem{Base: acc}, i), hat, hat)
		VMOVUPS(hat, part(Mem{Base: acc}, i))
		VADDPS(part(Mem{Base: acc}, 2+i), g, g)
		VMOVUPS(g, part(Mem{Base: acc}, 2+i))
	}, func() {}, func() { ADDQ(step, acc) })
	for i := range r.sum {
		VMOVUPS(r.sum[i], part(Mem{Base: sums}, i))
		VMOVUPS(r.product[i], part(Mem{Base: sums}, 2+i))
	}
	VZEROUPPER()
	RET()
}

func normGrad() {
	TEXT("normGrad256", NOSPLIT, "func(dx, x, dy, stats, sums, scale *float32, n, run int)")
	Pragma("noescape")
	Doc("normGrad256 is normGrad with AVX; n counts scales.")
	r, _ := loadNormRow()
	dx := Load(Param("dx"), GP64())
	r.each(func(i int, hat, _, scaled reg.VecVirtual) {
		VSUBPS(r.sum[i], scaled, scaled)
		VMULPS(r.product[i], hat, hat)
		VSUBPS(hat, scaled, scaled)
		VMULPS(r.by[i], scaled, scaled)
		VMOVUPS(scaled, part(Mem{Base: dx}, i))
	}, func() { ADDQ(Imm(lane), dx) }, func() {})
	VZEROUPPER()
	RET()
}

func sum() {
	TEXT("sum256", NOSPLIT, "func(acc, src *float32, n int)")
	Pragma("noescape")
	Doc("sum256 is sum with AVX.")
	acc, src, n := Load(Param("acc"), GP64()), Load(Param("src"), GP64()), Load(Param("n"), GP64())
	lo, hi := YMM(), YMM()
	VMOVUPS(Mem{Base: acc}, lo)
	VMOVUPS(Mem{Base: acc, Disp: 32}, hi)
	loop("vectors", n, func() {
		VADDPS(Mem{Base: src}, lo, lo)
		VADDPS(Mem{Base: src, Disp: 32}, hi, hi)
		ADDQ(Imm(lane), src)
	})
	VMOVUPS(lo, Mem{Base: acc})
	VMOVUPS(hi, Mem{Base: acc, Disp: 32})
	VZEROUPPER()
	RET()
}
