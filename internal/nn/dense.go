package nn

import (
	"slices"

	"lethe/internal/kernel"
)

func inferGemm(n *site) ([]shape, error) {
	in := n.in[0]
	if len(in.dims) != 2 || in.batch > 0 {
		return nil, misfit("Gemm needs vectors of a sample, found shape %v: a Flatten is missing", in)
	}
	if n.Int("transA", 0) != 0 || n.Float("alpha", 1) != 1 || n.Float("beta", 1) != 1 {
		return nil, unsupported("Gemm with transA, alpha or beta is not supported")
	}
	if !n.fixed(1) || len(n.in[1].dims) != 2 {
		return nil, misfit("Gemm has no weight of two dimensions")
	}
	k, out := n.in[1].dims[0], n.in[1].dims[1]
	if n.Int("transB", 0) != 0 {
		k, out = out, k
	}
	if k != in.dims[1] {
		return nil, misfit("Gemm has a weight of shape %v for an input of %d features", n.in[1].dims, in.dims[1])
	}
	if n.has(2) && (!n.fixed(2) || len(n.in[2].dims) != 1 || n.in[2].dims[0] != out) {
		return nil, unsupported("Gemm to %d features has a bias of shape %v", out, n.in[2])
	}
	return []shape{in.as([]int{in.dims[0], out})}, only(n, "alpha", "beta", "transA", "transB")
}

// denseLayer is a fully connected layer at every position of a sample:
// y = W x + b.
type denseLayer struct {
	in, out      *value
	dx           *sink
	weight, bias *param
	k, m         int // features of the input and of the output
	rs, cs       int // steps of the weight from output to output and from input to input

	packed, packedT []float32 // W and its transpose for kernel.Tile
	biases, zeros   []float32
	rows, rowsT     *kernel.Taps

	residual *value // that is added, or nil
	dr       *sink  // of that

	// The gradient of the weight: of one position a sample over the groups of the
	// batch, of several as that of a convolution.
	groupTaps *kernel.Taps // one for each group of the batch
	grad      gradient
	biasSum   *sums
}

func buildGemm(b *builder) layer {
	w := b.in(1).dims
	k, m := w[0], w[1]
	rs, cs := 1, m
	if b.node.Int("transB", 0) != 0 {
		k, m = m, k
		rs, cs = k, 1
	}
	return newDense(b, b.weight(1), b.weight(2), k, m, rs, cs)
}

// newDense returns a layer whose weight has element (o, i) at o*rs + i*cs.
func newDense(b *builder, weight, bias *param, k, m, rs, cs int) layer {
	l := &denseLayer{in: b.data(0), out: b.out[0], weight: weight, bias: bias, k: k, m: m, rs: rs, cs: cs}
	l.dx = b.sink(l.in)
	l.dx.adds = true
	if b.fold != nil && b.fold.bias != "" {
		l.bias = b.use(b.weightOf(b.fold.bias))
	}
	l.residual, l.dr = b.otherTerm()
	l.packed = b.block(kernel.PackedLen(l.m, l.k))
	l.biases = make([]float32, kernel.PackedLen(l.m, 1))
	l.rows = column(l.k)
	if l.dx.wanted() {
		l.packedT = make([]float32, kernel.PackedLen(l.k, l.m))
		l.zeros = make([]float32, kernel.PackedLen(l.k, 1))
		l.rowsT = column(l.m)
	}
	positions := l.in.size / (k * Lanes)
	if l.weight.trained {
		b.keep(l.in)
		if positions > 1 && outerFits(m, k) {
			one := axis{in: 1, out: 1, kernel: 1, stride: 1, dilat: 1}
			l.grad = b.newOuterGrad(&outerGrad{
				weight: l.weight, in: l.in, out: l.out, images: 1, group: 1, m: m, c: k, rs: rs, cs: cs,
				x: plane{Lanes, k * Lanes}, y: plane{Lanes, m * Lanes},
				w: window{one, axis{in: positions, out: positions, kernel: 1, stride: 1, dilat: 1}},
			})
		} else if positions > 1 {
			l.grad = b.newWeightGrad(l.weight, l.in, l.out, 1, l.planGrad(positions))
		} else {
			l.in.wholeBatch, l.out.wholeBatch = true, true
			var taps []kernel.Tap
			for g := range b.groups {
				taps = append(taps, kernel.Tap{A: int32(g * l.out.size), B: int32(g * l.in.size)})
			}
			l.groupTaps = kernel.NewTaps(taps)
		}
	}
	if l.bias != nil && l.bias.trained {
		if positions > 1 {
			l.biasSum = b.newSums(m)
		} else {
			l.out.wholeBatch = true
		}
	}
	return l
}

// planGrad lays out the tiles of the gradient of the weight.
func (l *denseLayer) planGrad(positions int) []gradTile {
	var taps []kernel.Tap
	for t := range positions {
		taps = append(taps, kernel.Tap{A: int32(t * l.m * Lanes), B: int32(t * l.k * Lanes)})
	}
	shared := kernel.NewTaps(taps)
	var tiles []gradTile
	for i := 0; i < l.m; {
		start, step, done := dotRows(i, l.m, Lanes)
		for j := 0; j < l.k; j += kernel.Cols {
			t := gradTile{positions: shared, row: start * Lanes, rowStep: step, source: j * Lanes}
			for c := range kernel.Cols {
				t.columns[c] = int32((min(j+c, l.k-1) - j) * Lanes)
				for r := range kernel.Rows {
					t.index[c*kernel.Rows+r] = -1
					if own := r - (i - start); j+c < l.k && own >= 0 && own < done {
						t.index[c*kernel.Rows+r] = int32((i+own)*l.rs + (j+c)*l.cs)
					}
				}
			}
			tiles = append(tiles, t)
		}
		i += done
	}
	return tiles
}

// column returns the taps of a matrix product over k packed columns.
func column(k int) *kernel.Taps {
	taps := make([]kernel.Tap, k)
	for i := range taps {
		taps[i] = kernel.Tap{A: int32(i * kernel.Rows), B: int32(i * Lanes)}
	}
	return kernel.NewTaps(taps)
}

func (l *denseLayer) refresh() {
	kernel.Pack(l.packed, kernel.Rows*l.k, l.weight.w, l.m, l.k, l.rs, l.cs)
	if l.packedT != nil {
		kernel.Pack(l.packedT, kernel.Rows*l.m, l.weight.w, l.k, l.m, l.cs, l.rs)
	}
	if l.bias != nil {
		copy(l.biases, l.bias.w)
	}
}

// multiply computes out = packed*in + bias, and adds add if it is not nil, for every
// position at hand: a block at a time, which all rows of the weights pass. A block
// takes a quarter of the second-level cache, so that weights that do not fit into it are
// read seldom.
func multiply(out, add, in, packed, biases []float32, taps *kernel.Taps, m, k int) {
	n := len(in) / (k * Lanes)
	block := min(max(cacheSize/4/(k*Lanes)&^3, 4), 16)
	for at := 0; at < n; at += block {
		count, b := min(block, n-at), in[at*k*Lanes:]
		f := kernel.Finish{Limits: kernel.NoLimits}
		for i := 0; i < m; i += kernel.Rows {
			c, rows := out[(at*m+i)*Lanes:], min(kernel.Rows, m-i)
			if add == nil {
				kernel.Tile(c, packed[i*k:], b, biases[i:], taps, Lanes, m*Lanes, k*Lanes, rows, count)
				continue
			}
			f.Add = add[(at*m+i)*Lanes:]
			kernel.TileFinish(c, packed[i*k:], b, biases[i:], taps, Lanes, m*Lanes, k*Lanes, rows, count, &f)
		}
	}
}

func (l *denseLayer) forward(p part) {
	var add []float32
	if l.residual != nil {
		add = l.residual.data(p)
	}
	multiply(l.out.data(p), add, l.in.data(p), l.packed, l.biases, l.rows, l.m, l.k)
}

func (l *denseLayer) backward(p part) {
	dy := l.out.gradient(p)
	if l.dr.wanted() {
		l.dr.add(p, dy)
	}
	if l.dx.wanted() {
		dx, add := l.dx.target(p)
		multiply(dx, add, dy, l.packedT, l.zeros, l.rowsT, l.k, l.m)
	}
	if l.grad != nil {
		l.grad.backward(p)
	}
	if l.biasSum != nil {
		acc := l.biasSum.open(p)
		for ; len(dy) > 0; dy = dy[len(acc):] {
			kernel.Add(acc, dy[:len(acc)])
		}
		l.biasSum.close(p)
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

func (l *denseLayer) weightTasks() int {
	switch {
	case l.grad != nil:
		return l.grad.tasks()
	case l.weight.trained:
		return (l.m + kernel.Rows - 1) / kernel.Rows
	}
	return 0
}

func (l *denseLayer) tasks() int {
	n := l.weightTasks()
	if l.bias != nil && l.bias.trained {
		n++
	}
	return n
}

// reduce computes the gradient of the weights of one panel of outputs, or of
// the bias: sums over the groups of the batch, then over the lanes.
func (l *denseLayer) reduce(task, chunks, groups int) {
	switch {
	case task == l.weightTasks():
		l.reduceBias(chunks, groups)
	case l.grad != nil:
		l.grad.reduce(task, chunks, groups)
	default:
		taps := l.groupTaps.First(groups)
		first := task * kernel.Rows
		for i := first; i < min(first+kernel.Rows, l.m); {
			i += l.weightGrad(&taps, i)
		}
	}
}

func (l *denseLayer) reduceBias(chunks, groups int) {
	if l.biasSum != nil {
		copy(l.bias.dw, l.biasSum.total(chunks))
		return
	}
	dy := l.out.g[0][:groups*l.out.size]
	for i := range l.m {
		var acc [Lanes]float32
		for at := i * Lanes; at < len(dy); at += l.out.size {
			kernel.Sum(&acc, dy[at:at+Lanes])
		}
		kernel.SumLanes(l.bias.dw[i:i+1], acc[:])
	}
}

// weightGrad computes the gradient of up to [kernel.Rows] rows of the weight
// from row i on, and returns how many.
func (l *denseLayer) weightGrad(taps *kernel.Taps, i int) int {
	start, step, done := dotRows(i, l.m, Lanes)
	var boff [kernel.Cols]int32
	var acc [kernel.Rows * kernel.Cols * Lanes]float32
	var sums [kernel.Rows * kernel.Cols]float32
	for j := 0; j < l.k; j += kernel.Cols {
		for c := range boff {
			boff[c] = int32(min(j+c, l.k-1) * Lanes)
		}
		kernel.Dot(&acc, l.out.g[0][start*Lanes:], l.in.x[0], &boff, taps, step, false)
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

func inferMatMul(n *site) ([]shape, error) {
	if !n.has(1) || len(n.in[0].dims) < 1 || len(n.in[1].dims) < 1 {
		return nil, misfit("MatMul needs two factors")
	}
	a, b := n.in[0], n.in[1]
	if len(a.dims) < 2 || len(b.dims) < 2 {
		return nil, unsupported("MatMul of a vector is not supported")
	}
	ra, rb := len(a.dims), len(b.dims)
	if a.dims[ra-1] != b.dims[rb-2] {
		return nil, misfit("MatMul has factors of shapes %v and %v: the last axis of the first must be as long as the last but one of the second", a, b)
	}
	last := b.dims[rb-1]
	if n.fixed(1) && rb == 2 && a.batch != ra-1 {
		out := a.as(append(slices.Clone(a.dims[:ra-1]), last))
		return []shape{out}, only(n)
	}
	if a.batch >= ra-2 || b.batch >= rb-2 {
		return nil, unsupported("MatMul of shapes %v and %v would mix samples", a, b)
	}
	out, err := broadcast(a.as(a.dims[:ra-2]), b.as(b.dims[:rb-2]))
	if err != nil {
		return nil, err
	}
	out.dims = append(out.dims, a.dims[ra-2], last)
	return []shape{out}, only(n)
}

func buildMatMul(b *builder) layer {
	if w := b.in(1).dims; b.isWeight(1) && len(w) == 2 && b.in(0).batch >= 0 {
		if source := b.transposed[b.node.Inputs[1]]; source != nil {
			return newDense(b, b.use(source), nil, w[0], w[1], w[0], 1)
		}
		return newDense(b, b.weight(1), nil, w[0], w[1], 1, w[1])
	}
	return newMatMul(b)
}
