package nn

import (
	"lethe/graph"
	"lethe/internal/kernel"
)

func inferGemm(n *graph.Node, in []int, weights [][]int) ([]int, error) {
	if len(in) != 1 {
		return nil, misfit("Gemm needs one vector a sample, found shape %v: a Flatten is missing", in)
	}
	if n.Int("transA", 0) != 0 || n.Float("alpha", 1) != 1 || n.Float("beta", 1) != 1 {
		return nil, unsupported("Gemm with transA, alpha or beta is not supported")
	}
	if len(weights) == 0 || len(weights[0]) != 2 {
		return nil, misfit("Gemm has no weight of two dimensions")
	}
	k, out := weights[0][0], weights[0][1]
	if n.Int("transB", 0) != 0 {
		k, out = out, k
	}
	if k != in[0] {
		return nil, misfit("Gemm has a weight of shape %v for an input of %d features", weights[0], in[0])
	}
	if len(weights) > 1 && weights[1] != nil && (len(weights[1]) != 1 || weights[1][0] != out) {
		return nil, unsupported("Gemm to %d features has a bias of shape %v", out, weights[1])
	}
	return []int{out}, only(n, "alpha", "beta", "transA", "transB")
}

// gemmLayer is a fully connected layer: y = W x + b.
type gemmLayer struct {
	in, out      *value
	weight, bias *param
	k, m         int // features of the input and of the output
	rs, cs       int // steps of the weight from output to output and from input to input

	packed, packedT []float32 // W and its transpose for kernel.Tile
	biases, zeros   []float32
	rows, rowsT     *kernel.Taps
	groupTaps       *kernel.Taps // one for each group of the batch
}

func buildGemm(b *builder) layer {
	l := &gemmLayer{in: b.in, out: b.out, weight: b.weights[0], k: b.inDims[0], m: b.outDims[0]}
	l.rs, l.cs = 1, l.m
	if b.node.Int("transB", 0) != 0 {
		l.rs, l.cs = l.k, 1
	}
	if len(b.weights) > 1 {
		l.bias = b.weights[1]
	}
	l.packed = make([]float32, kernel.PackedLen(l.m, l.k))
	l.biases = make([]float32, kernel.PackedLen(l.m, 1))
	l.rows = column(l.k)
	if l.in.grad != nil {
		l.packedT = make([]float32, kernel.PackedLen(l.k, l.m))
		l.zeros = make([]float32, kernel.PackedLen(l.k, 1))
		l.rowsT = column(l.m)
	}
	if l.weight.grad != nil {
		var taps []kernel.Tap
		for g := range b.session.groups {
			taps = append(taps, kernel.Tap{A: int32(g * l.out.size), B: int32(g * l.in.size)})
		}
		l.groupTaps = kernel.NewTaps(taps)
	}
	return l
}

// column returns the taps of a matrix product over k packed columns.
func column(k int) *kernel.Taps {
	taps := make([]kernel.Tap, k)
	for i := range taps {
		taps[i] = kernel.Tap{A: int32(i * kernel.Rows), B: int32(i * Lanes)}
	}
	return kernel.NewTaps(taps)
}

func (l *gemmLayer) refresh() {
	kernel.Pack(l.packed, kernel.Rows*l.k, l.weight.w, l.m, l.k, l.rs, l.cs)
	if l.packedT != nil {
		kernel.Pack(l.packedT, kernel.Rows*l.m, l.weight.w, l.k, l.m, l.cs, l.rs)
	}
	if l.bias != nil {
		copy(l.biases, l.bias.w)
	}
}

// multiply computes out = packed*in + bias for every group at hand.
func multiply(out, in, packed, biases []float32, taps *kernel.Taps, m, k int) {
	for i := 0; i < m; i += kernel.Rows {
		kernel.Tile(out[i*Lanes:], packed[i*k:], in, biases[i:], taps,
			Lanes, m*Lanes, k*Lanes, min(kernel.Rows, m-i), len(in)/(k*Lanes))
	}
}

func (l *gemmLayer) forward(p part) {
	multiply(l.out.data(p), l.in.data(p), l.packed, l.biases, l.rows, l.m, l.k)
}

func (l *gemmLayer) backward(p part) {
	if l.in.grad != nil {
		multiply(l.in.gradient(p), l.out.gradient(p), l.packedT, l.zeros, l.rowsT, l.k, l.m)
	}
}

// dotRows returns the panel of [kernel.Rows] rows that [kernel.Dot] takes for row
// i of m rows that are step elements apart: its first row, the distance of its
// rows, and how many rows it gives from i on. A panel that would leave the
// matrix starts earlier; in a matrix with fewer rows than a panel it is one row,
// six times.
func dotRows(i, m, step int) (first, distance, done int) {
	if m < kernel.Rows {
		return i, 0, 1
	}
	return min(i, m-kernel.Rows), step, min(kernel.Rows, m-i)
}

func (l *gemmLayer) tasks() int {
	n := 0
	if l.weight.grad != nil {
		n = (l.m + kernel.Rows - 1) / kernel.Rows
	}
	if l.bias != nil && l.bias.grad != nil {
		n++
	}
	return n
}

// reduce computes the gradient of the weights of one panel of outputs, or of
// the bias: sums over the groups of the batch, then over the lanes.
func (l *gemmLayer) reduce(task, _, groups int) {
	if task*kernel.Rows >= l.m || l.weight.grad == nil {
		dy := l.out.g[:groups*l.out.size]
		for i := range l.m {
			var acc [Lanes]float32
			for at := i * Lanes; at < len(dy); at += l.out.size {
				kernel.Sum(&acc, dy[at:at+Lanes])
			}
			kernel.SumLanes(l.bias.dw[i:i+1], acc[:])
		}
		return
	}
	taps := l.groupTaps.First(groups)
	first := task * kernel.Rows
	for i := first; i < min(first+kernel.Rows, l.m); {
		i += l.weightGrad(&taps, i)
	}
}

// weightGrad computes the gradient of up to [kernel.Rows] rows of the weight
// from row i on, and returns how many.
func (l *gemmLayer) weightGrad(taps *kernel.Taps, i int) int {
	start, step, done := dotRows(i, l.m, Lanes)
	var boff [kernel.Cols]int32
	var acc [kernel.Rows * kernel.Cols * Lanes]float32
	var sums [kernel.Rows * kernel.Cols]float32
	for j := 0; j < l.k; j += kernel.Cols {
		for c := range boff {
			boff[c] = int32(min(j+c, l.k-1) * Lanes)
		}
		kernel.Dot(&acc, l.out.g[start*Lanes:], l.in.x, &boff, taps, step, false)
		kernel.SumLanes(sums[:], acc[:])
		for r := range done {
			row, sum := l.weight.dw[(i+r)*l.rs+j*l.cs:], sums[i-start+r:]
			for c := range min(kernel.Cols, l.k-j) {
				row[c*l.cs] = sum[c*kernel.Rows]
			}
		}
	}
	return done
}
