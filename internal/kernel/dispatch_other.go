//go:build !amd64

package kernel

// Everything but the products is in Go alone here.

func interleave(dst, src []float32, size int)             { interleaveGo(dst, src, size) }
func transpose(dst, src []float32, step, n int)           { transposeGo(dst, src, step, n) }
func sumLanes(dst, src []float32)                         { sumLanesGo(dst, src) }
func affine(dst, src []float32, scale, shift float32)     { affineGo(dst, src, scale, shift) }
func relu(dst, src []float32)                             { reluGo(dst, src) }
func reluGrad(dx, y, dy []float32)                        { reluGradGo(dx, y, dy) }
func clip(dst, src []float32, low, high float32)          { clipGo(dst, src, low, high) }
func clipGrad(dx, x, dy []float32, low, high float32)     { clipGradGo(dx, x, dy, low, high) }
func mul(dst, a, b []float32)                             { mulGo(dst, a, b) }
func maxTaps(dst, src []float32, taps []Tap, step, n int) { maxTapsGo(dst, src, taps, step, n) }
func addTo(dst, src []float32)                            { addToGo(dst, src) }
func adam(theta, m, v, g []float32, r AdamRates)          { adamGo(theta, m, v, g, r) }
func affineGrad(dx, x, dy []float32, scale, mean float32, sums *[2 * Lanes]float32) {
	affineGradGo(dx, x, dy, scale, mean, sums)
}

func maxTapsGrad(dx, x, y, dy []float32, taps []Tap, step, n int) {
	maxTapsGradGo(dx, x, y, dy, taps, step, n)
}

func winogradIn(dst, a, b []float32, dj, dc, ac, bc int, sign float32, channels int, s Strip) {
	winogradInGo(dst, a, b, dj, dc, ac, bc, sign, channels, s)
}

func winogradOut(y, from, m []float32, yc, mj, mc int, sign float32, limits Limits, channels, n, odd int) {
	winogradOutGo(y, from, m, yc, mj, mc, sign, limits, channels, n, odd)
}

func winogradTurned(dst, a, b []float32, dj int, sign float32, n int) {
	winogradTurnedGo(dst, a, b, dj, sign, n)
}

func winogradKernels(dst, src []float32, step, n int, scale float32, turned bool) {
	winogradKernelsGo(dst, src, step, n, scale, turned)
}

func winogradGrad(dst, a, b []float32, dj, dc, ac int, sign float32, channels, n int) {
	winogradGradGo(dst, a, b, dj, dc, ac, sign, channels, n)
}

func tileFinish(c, a, b, bias []float32, taps []Tap, ci, cj, bj, rows, n int, f *Finish) {
	finishTile(c, a, b, bias, taps, ci, cj, bj, rows, n, f)
}

func depth3(dst, src []float32, w *[9]float32, bias float32, limits Limits, g *Grid) {
	depth3Go(dst, src, w, bias, limits, g)
}

func depth3Grad(acc *[9 * Lanes]float32, dst, src []float32, g *Grid) {
	depth3GradGo(acc, dst, src, g)
}

func gate(dx, y, dy []float32, limits Limits, sums *[Lanes]float32, g *Grid) {
	gateGo(dx, y, dy, limits, sums, g)
}

func pull(grad, theta, origin []float32, weight float32) { pullGo(grad, theta, origin, weight) }
func distance(acc *[Lanes]float64, a, b []float32)       { distanceGo(acc, a, b) }

func exp32s(dst, src []float32)    { exp32sGo(dst, src) }
func sigmoid(dst, src []float32)   { sigmoidGo(dst, src) }
func normalCDF(dst, src []float32) { normalCDFGo(dst, src) }

func exps(dst, src []float64) { expsGo(dst, src) }

func sum(acc *[Lanes]float32, src []float32) { sumGo(acc, src) }

func poolAffine(dst, src []float32, scale, shift float32, taps []Tap, step, n int) {
	poolAffineGo(dst, src, scale, shift, taps, step, n)
}

func poolAffineGrad(dx, x, y, dy []float32, scale, shift, mean float32, sums *[2 * Lanes]float32, taps []Tap, step, n int) {
	poolAffineGradGo(dx, x, y, dy, scale, shift, mean, sums, taps, step, n)
}

func normSums(sums *[2 * Lanes]float32, acc, x, dy []float32, stats *[2 * Lanes]float32, scale []float32, run int) {
	normSumsGo(sums, acc, x, dy, stats, scale, run)
}

func normGrad(dx, x, dy []float32, stats, sums *[2 * Lanes]float32, scale []float32, run int) {
	normGradGo(dx, x, dy, stats, sums, scale, run)
}

func centre(dst, src []float32, mean, squares *[Lanes]float32) { centreGo(dst, src, mean, squares) }

func scaleEach(dst []float32, by *[Lanes]float32, scale, shift []float32, run int) {
	scaleEachGo(dst, by, scale, shift, run)
}
