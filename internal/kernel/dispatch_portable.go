//go:build !amd64 && !arm64

package kernel

// CPU names the instruction set in use.
func CPU() string { return "portable" }

func tile(c, a, b, bias []float32, taps []Tap, ci, cj, bj, rows, n int) {
	tileGo(c, a, b, bias, taps, ci, cj, bj, rows, n)
}

func dot(acc *[Rows * Cols * Lanes]float32, a, b []float32, boff *[Cols]int32, taps []Tap, ai int, add bool) {
	dotGo(acc, a, b, boff, taps, ai, add)
}

func outer(acc *[OuterRows * OuterCols * Lanes]float32, a, b []float32, boff *[OuterCols]int32, ai int, w *Walk, add bool) {
	outerGo(acc, a, b, boff, ai, w, add)
}

func outerBlocks(acc *[Rows * Cols * Lanes]float32, a, b []float32, ai, n int, add bool) {
	outerBlocksGo(acc, a, b, ai, n, add)
}
