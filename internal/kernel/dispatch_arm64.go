package kernel

import (
	"os"
	"strings"
)

// neon is false if the environment variable LETHE_CPU asks for portable code:
// every arm64 processor has NEON. The results do not depend on it.
var neon = !strings.EqualFold(os.Getenv("LETHE_CPU"), "portable")

// CPU names the instruction set in use: "neon" or "portable".
func CPU() string {
	if neon {
		return "neon"
	}
	return "portable"
}

//go:noescape
func tileNEON(c, a, b, bias *float32, taps *int32, ntaps, ci, cj, bj, rows, n int)

//go:noescape
func dotNEON(acc, a, b *float32, boff *[4]int32, taps *int32, ntaps, ai int, add bool)

//go:noescape
func outerNEON(acc, a, b *float32, b1, b2, rows, n, ai, aPos, aRow, bPos, bRow int, add bool)

func outer(acc *[OuterRows * OuterCols * Lanes]float32, a, b []float32, boff *[OuterCols]int32, ai int, w *Walk, add bool) {
	if !neon {
		outerGo(acc, a, b, boff, ai, w, add)
		return
	}
	s := w.bytes()
	outerNEON(&acc[0], &a[0], &b[boff[0]], 4*int(boff[1]-boff[0]), 4*int(boff[2]-boff[0]), w.Rows, w.N, 4*ai, s.APos, s.ARow, s.BPos, s.BRow, add)
}

//go:noescape
func outerBlocksNEON(acc, a, b *float32, ai, n int, add bool)

func outerBlocks(acc *[Rows * Cols * Lanes]float32, a, b []float32, ai, n int, add bool) {
	if !neon {
		outerBlocksGo(acc, a, b, ai, n, add)
		return
	}
	outerBlocksNEON(&acc[0], &a[0], &b[0], 4*ai, n, add)
}

func tile(c, a, b, bias []float32, taps []Tap, ci, cj, bj, rows, n int) {
	if !neon || len(taps) == 0 {
		tileGo(c, a, b, bias, taps, ci, cj, bj, rows, n)
		return
	}
	tileNEON(&c[0], &a[0], &b[0], &bias[0], &taps[0].A, len(taps), ci, cj, bj, rows, n)
}

func dot(acc *[Rows * Cols * Lanes]float32, a, b []float32, boff *[Cols]int32, taps []Tap, ai int, add bool) {
	if !neon {
		dotGo(acc, a, b, boff, taps, ai, add)
		return
	}
	dotNEON(&acc[0], &a[0], &b[0], boff, &taps[0].A, len(taps), ai, add)
}
