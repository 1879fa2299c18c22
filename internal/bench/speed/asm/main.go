// Command asm generates the assembly of package main with avo. Run it through
// `go generate ./internal/bench/speed`.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// chains is the number of sums that do not wait for each other: more than
// latency times throughput of the multiply-add of any processor so far.
const chains = 12

func main() {
	ConstraintExpr("amd64")
	loop("fma512", "AVX-512", func() reg.VecVirtual { return ZMM() })
	loop("fma256", "AVX2", func() reg.VecVirtual { return YMM() })
	Generate()
}

func loop(name, set string, register func() reg.VecVirtual) {
	TEXT(name, NOSPLIT, "func(n int)")
	Doc(name + " runs n times 12 multiply-adds of " + set + ", on registers alone.")
	n := Load(Param("n"), GP64())
	x, acc := register(), make([]reg.VecVirtual, chains)
	VXORPS(x.AsY(), x.AsY(), x.AsY())
	for i := range acc {
		acc[i] = register()
		VXORPS(acc[i].AsY(), acc[i].AsY(), acc[i].AsY())
	}
	Label("again")
	for i := range acc {
		VFMADD231PS(x, x, acc[i])
	}
	DECQ(n)
	JNZ(LabelRef("again"))
	VZEROUPPER()
	RET()
}
