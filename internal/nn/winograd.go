package nn

import "lethe/internal/kernel"

// winograd is a convolution with kernels of 3 by 3 that slides one position at a time
// over images with one column or row of padding on each side, by the algorithm of
// [kernel.WinogradIn]. Its sums run over the channels of the source for each of the
// sixteen elements of a transformed patch.
type winograd struct {
	m, c          int // channels of the target and of the source
	height, width int // of the images
	patches       int // at a time
	weights       []float32
	panels        int // elements of the weights of one element of a patch
	zeros         []float32
	taps          *kernel.Taps
	room          [][]float32 // of each worker: transformed patches, then products
}

// winogradFits reports whether a convolution from c to m channels is one, and one of
// images in which the kernel meets at least half again as many inputs as the
// algorithm has products: it takes whole patches also at the edges, and more memory
// for the weights.
func winogradFits(g window, m, c, group int) bool {
	met, products := 1, 1
	for _, a := range []axis{g.y, g.x} {
		if a.kernel != 3 || a.stride != 1 || a.dilat != 1 || a.pad != 1 || a.after != 1 {
			return false
		}
		met, products = met*(3*a.in-2), products*4*((a.in+1)/2)
	}
	return group == 1 && min(m, c) >= 8 && 2*met >= 3*products
}

func (b *builder) newWinograd(g window, m, c int) *winograd {
	w := &winograd{m: m, c: c, height: g.y.in, width: g.x.in, panels: kernel.PackedLen(m, c), patches: 4}
	if m+c <= 128 {
		w.patches = 8
	}
	w.patches = min(w.patches, (g.y.in+1)/2*((g.x.in+1)/2))
	w.weights = make([]float32, 16*w.panels)
	w.zeros = make([]float32, max(g.x.in*Lanes, kernel.PackedLen(m, 1)))
	taps := make([]kernel.Tap, c)
	for i := range taps {
		taps[i] = kernel.Tap{A: int32(i * kernel.Rows), B: int32(i * w.patches * Lanes)}
	}
	w.taps = kernel.NewTaps(taps)
	for range b.threads {
		w.room = append(w.room, make([]float32, 4*(m+c)*w.patches*Lanes))
	}
	return w
}

// set takes the kernels of a convolution: that from a source to a target channel begins at
// target*to + source*from in weight, and is turned around if the one is the gradient of
// the input of the other. factors are those of the channels of the output, or nil.
func (w *winograd) set(weight []float32, to, from int, factors []float32, turned bool) {
	var room [kernel.Rows * Lanes * 16]float32 // of a panel and sixteen sources
	var block [16 * Lanes]float32
	for p := 0; p < w.m; p += kernel.Rows {
		rows := min(kernel.Rows, w.m-p)
		for c := 0; c < w.c; c += Lanes {
			n := min(Lanes, w.c-c)
			switch {
			case !turned: // the kernels to a channel lie side by side
				for r := range rows {
					kernel.WinogradKernels(room[r*16:], weight[(p+r)*to+c*from:], kernel.Rows*16, n, factorOf(factors, p+r), false)
				}
			default: // those from a channel of the output
				for k := range n {
					kernel.WinogradKernels(room[k*kernel.Rows*16:], weight[p*to+(c+k)*from:], 16, rows, factorOf(factors, c+k), true)
				}
			}
			at, total := p*w.c+c*kernel.Rows, n*kernel.Rows
			for i := 0; i < total; i += Lanes {
				kernel.Transpose(block[:], room[i*16:], 16, 16)
				for e := range 16 {
					dst := w.weights[e*w.panels+at+i:]
					if i+Lanes <= total {
						*(*[Lanes]float32)(dst) = [Lanes]float32(block[e*Lanes:])
					} else {
						copy(dst[:total-i], block[e*Lanes:])
					}
				}
			}
		}
	}
}

func factorOf(factors []float32, channel int) float32 {
	if factors == nil {
		return 1
	}
	return factors[channel]
}

// apply computes the images of dst from those of src, adds add if it is not nil, and
// limits the sums.
func (w *winograd) apply(dst, add, src, biases []float32, limits kernel.Limits, worker int) {
	plane := w.height * w.width * Lanes
	across := (w.width + 1) / 2
	all := (w.height + 1) / 2 * across
	for ; len(dst) > 0; dst, src = dst[w.m*plane:], src[w.c*plane:] {
		for first := 0; first < all; first += w.patches {
			w.block(dst, add, src, biases, w.room[worker], limits, first, min(w.patches, all-first), across)
		}
		if add != nil {
			add = add[w.m*plane:]
		}
	}
}

// winogradRows are the two rows of a patch of which a transformed row is made, as
// first + sign*second, and what its outputs add to either row of outputs.
var winogradRows = [4]struct {
	first, second int
	sign          float32
	above, below  float32
}{
	{0, 2, -1, 1, 0},
	{1, 2, 1, 1, 1},
	{2, 1, -1, 1, -1},
	{1, 3, -1, 0, -1},
}

// block computes n patches of an image from number first on, of which there are so
// many across.
func (w *winograd) block(dst, add, src, biases, room []float32, limits kernel.Limits, first, n, across int) {
	line, plane := w.width*Lanes, w.height*w.width*Lanes
	vc, step := w.patches*Lanes, w.c*w.patches*Lanes // from channel to channel, and from element to element of a patch
	patches, products := room[:4*step], room[4*step:]
	mstep := w.m * vc
	for i, t := range winogradRows {
		w.strips(first, n, across, func(at, row, column int, s kernel.Strip) {
			pick := func(k int) ([]float32, int) {
				if y := 2*row - 1 + k; y >= 0 && y < w.height {
					return src[y*line+max(2*column-1, 0)*Lanes:], plane
				}
				return w.zeros, 0
			}
			a, ac := pick(t.first)
			b, bc := pick(t.second)
			kernel.WinogradIn(patches[at*Lanes:], a, b, step, vc, ac, bc, t.sign, w.c, s)
		})
		for j := range 4 {
			bias, weights := w.zeros, w.weights[(4*i+j)*w.panels:]
			if i == 1 && j == 1 { // which goes to all outputs once
				bias = biases
			}
			for p := 0; p < w.m; p += kernel.Rows {
				kernel.Tile(products[j*mstep+p*vc:], weights[p*w.c:], patches[j*step:], bias[p:], w.taps,
					vc, Lanes, Lanes, min(kernel.Rows, w.m-p), n)
			}
		}
		w.strips(first, n, across, func(at, row, column int, s kernel.Strip) {
			whole, odd := s.N, false
			if s.Tail == 2 {
				odd = true
			} else if s.Tail == 1 {
				whole++
			}
			// out puts a row of outputs in, the first and the last time in a step of its own.
			out := func(at0 int, sign float32, begins, ends bool) {
				from, within := dst, kernel.NoLimits
				if begins {
					from = add
				}
				if from != nil {
					from = from[at0:]
				}
				if ends {
					within = limits
				}
				kernel.WinogradOut(dst[at0:], from, products[at*Lanes:], plane, mstep, vc, sign, within, w.m, whole, odd)
			}
			y := 2*row*line + 2*column*Lanes
			if t.above != 0 {
				out(y, t.above, i == 0, i == 2)
			}
			if t.below != 0 && 2*row+1 < w.height {
				out(y+line, t.below, i == 1, i == 3)
			}
		})
	}
}

// strips calls f for every row of patches, with the number of the first in the
// block.
func (w *winograd) strips(first, n, across int, f func(at, row, column int, s kernel.Strip)) {
	for at := 0; at < n; {
		row, column := (first+at)/across, (first+at)%across
		count := min(across-column, n-at)
		s := kernel.Strip{N: count, Edge: column == 0}
		if column+count == across {
			s.N, s.Tail = count-1, 1+w.width%2
		}
		f(at, row, column, s)
		at += count
	}
}
