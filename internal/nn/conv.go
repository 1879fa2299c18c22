package nn

import (
	"slices"

	"lethe/internal/kernel"
)

func inferConv(n *site) ([]shape, error) {
	if !n.has(1) || !n.fixed(1) {
		return nil, unsupported("Conv with a weight that is computed from the data is not supported")
	}
	w, in := n.in[1].dims, n.in[0]
	if len(w) < 3 || len(w) != len(in.dims) {
		return nil, unsupported("Conv of shape %v with a weight of shape %v is not supported", in, w)
	}
	group := n.Int("group", 1)
	if group < 1 || w[0]%group != 0 || in.dims[1] != w[1]*group {
		return nil, misfit("Conv in %d groups has a weight of shape %v for an input of shape %v", group, w, in)
	}
	if n.has(2) && (!n.fixed(2) || len(n.in[2].dims) != 1 || n.in[2].dims[0] != w[0]) {
		return nil, misfit("Conv to %d channels has a bias of shape %v", w[0], n.in[2])
	}
	if k := n.Ints("kernel_shape", w[2:]...); !slices.Equal(k, w[2:]) {
		return nil, misfit("Conv has kernel_shape %v and a weight of shape %v", k, w)
	}
	g, err := inferWindow(n.Node, in, w[2:])
	if err != nil {
		return nil, err
	}
	return []shape{g.outShape(in, w[0])}, only(n, "auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
}

// convLayer is a convolution, computed directly: every vector of outputs is a
// sum over the elements of the kernel that do not fall on padding. Groups of
// channels are convolutions side by side.
type convLayer struct {
	in, out       *value
	dx            *sink
	weight, bias  *param
	group         int
	images        int // of a sample
	m, c, kk      int // of one group of channels: output channels, input channels, elements of a plane of the kernel
	inSz, outSz   int // elements of a plane of vectors
	packed        []float32
	packedT       []float32
	biases, zeros []float32 // biases: for each group
	ahead, back   []strip

	winograd, winogradBack *winograd // instead of these

	grad    gradient
	biasSum *sums
}

func buildConv(b *builder) layer {
	w := b.in(1).dims
	group := b.node.Int("group", 1)
	l := &convLayer{
		in: b.data(0), out: b.out[0], weight: b.weight(1), bias: b.weight(2), group: group, images: b.in(0).dims[0],
		m: w[0] / group, c: w[1], kk: product(w[2:]),
	}
	l.dx = b.sink(l.in)
	g, width := b.window(b.node, b.in(0), w[2:]), w[len(w)-1]
	l.inSz, l.outSz = g.y.in*g.x.in*Lanes, g.y.out*g.x.out*Lanes
	l.biases = make([]float32, group*kernel.PackedLen(l.m, 1))
	index := func(c, ky, kx int) int { return (c*l.kk + ky*width + kx) * kernel.Rows }
	fast := winogradFits(g, l.m, l.c, group)
	if fast {
		l.winograd = b.newWinograd(g, l.m, l.c)
	} else {
		l.packed = make([]float32, group*kernel.PackedLen(l.m, l.c*l.kk))
		l.ahead = strips(g.y.forward(), g.x.forward(), g.x.out, g.x.in, l.c, l.inSz/Lanes, index)
	}
	if l.dx.wanted() && fast {
		l.winogradBack, l.zeros = b.newWinograd(g, l.c, l.m), make([]float32, kernel.PackedLen(l.c, 1))
	} else if l.dx.wanted() {
		l.packedT = make([]float32, group*kernel.PackedLen(l.c, l.m*l.kk))
		l.zeros = make([]float32, kernel.PackedLen(l.c, 1))
		l.back = strips(g.y.backward(), g.x.backward(), g.x.in, g.x.out, l.m, l.outSz/Lanes, index)
	}
	if l.weight.trained {
		b.keep(l.in)
		if outerFits(l.m, l.c) {
			l.grad = b.newOuterGrad(&outerGrad{
				weight: l.weight, in: l.in, out: l.out, images: l.images, group: group, m: l.m, c: l.c,
				rs: l.c * l.kk, cs: l.kk, x: plane{l.inSz, Lanes}, y: plane{l.outSz, Lanes}, w: g,
			})
		} else {
			l.grad = b.newWeightGrad(l.weight, l.in, l.out, l.images, l.planGrad(g, width))
		}
	}
	if l.bias != nil && l.bias.trained {
		l.biasSum = b.newSums(len(l.bias.w))
	}
	return l
}

// planGrad lays out the tiles of the gradient of the weight.
func (l *convLayer) planGrad(g window, width int) []gradTile {
	type column struct{ source, index int }
	type columns struct {
		positions *kernel.Taps
		list      []column
	}
	byKey := map[[4]int]*columns{}
	var all []*columns
	ys, xs := meetings(g.y), meetings(g.x)
	for c := range l.c {
		for ky, y := range ys {
			for kx, x := range xs {
				if len(y) == 0 || len(x) == 0 {
					continue // only padding: the gradient is 0
				}
				key := [4]int{y[0].out, len(y), x[0].out, len(x)}
				if byKey[key] == nil {
					var taps []kernel.Tap
					for _, py := range y {
						for _, px := range x {
							taps = append(taps, kernel.Tap{
								A: int32((py.out*g.x.out + px.out) * Lanes),
								B: int32(((py.in-y[0].in)*g.x.in + px.in - x[0].in) * Lanes),
							})
						}
					}
					byKey[key] = &columns{positions: kernel.NewTaps(taps)}
					all = append(all, byKey[key])
				}
				byKey[key].list = append(byKey[key].list, column{
					source: c*l.inSz + (y[0].in*g.x.in+x[0].in)*Lanes,
					index:  c*l.kk + ky*width + kx,
				})
			}
		}
	}
	var tiles []gradTile
	for group := range l.group {
		for row := 0; row < l.m; {
			start, step, done := dotRows(row, l.m, l.outSz)
			for _, grp := range all {
				for j := 0; j < len(grp.list); j += kernel.Cols {
					t := gradTile{
						positions: grp.positions, row: (group*l.m + start) * l.outSz, rowStep: step,
						source: group*l.c*l.inSz + grp.list[j].source,
					}
					for c := range kernel.Cols {
						col := grp.list[min(j+c, len(grp.list)-1)]
						t.columns[c] = int32(col.source - grp.list[j].source)
						for r := range kernel.Rows {
							t.index[c*kernel.Rows+r] = -1
							if own := r - (row - start); j+c < len(grp.list) && own >= 0 && own < done {
								t.index[c*kernel.Rows+r] = int32((group*l.m+row+own)*l.c*l.kk + col.index)
							}
						}
					}
					tiles = append(tiles, t)
				}
			}
			row += done
		}
	}
	return tiles
}

// meeting is a pair of positions that an element of the kernel connects.
type meeting struct{ out, in int }

// meetings lists for every element of the kernel the output positions that it
// contributes to.
func meetings(a axis) [][]meeting {
	all := make([][]meeting, a.kernel)
	for k := range all {
		for o := range a.out {
			if i, ok := a.meets(o, k); ok {
				all[k] = append(all[k], meeting{o, i})
			}
		}
	}
	return all
}

func (l *convLayer) refresh() {
	k := l.c * l.kk
	if l.winograd != nil {
		winogradWeights(l.winograd, l.winogradBack, l.weight.w)
		if l.bias != nil {
			copy(l.biases, l.bias.w)
		}
		return
	}
	for g := range l.group {
		w := l.weight.w[g*l.m*k:]
		kernel.Pack(l.packed[g*kernel.PackedLen(l.m, k):], kernel.Rows*k, w, l.m, k, k, 1)
		if l.bias != nil {
			copy(l.biases[g*kernel.PackedLen(l.m, 1):], l.bias.w[g*l.m:(g+1)*l.m])
		}
		if l.packedT != nil {
			packed := l.packedT[g*kernel.PackedLen(l.c, l.m*l.kk):]
			for o := range l.m {
				kernel.Pack(packed[o*l.kk*kernel.Rows:], kernel.Rows*l.m*l.kk, w[o*k:], l.c, l.kk, l.kk, 1)
			}
		}
	}
}

// slide applies packed weights along strips, in every group at hand: of m target
// planes and taps from all source planes, with k columns in a panel. Groups are
// dstSize and srcSize elements long.
//
// A tile takes four positions at once. Where a strip has fewer left, the same
// position of four groups makes a tile.
func slide(dst, src, packed, biases []float32, all []strip, m, k, plane, dstSize, srcSize int) {
	groups := (len(dst) + dstSize - 1) / dstSize
	for i := range all {
		st := &all[i]
		whole := st.n &^ 3
		if groups == 1 {
			whole = st.n
		}
		for p := 0; p < m; p += kernel.Rows {
			rows, target := min(kernel.Rows, m-p), dst[p*plane+st.target:]
			for g := range groups {
				if whole > 0 {
					kernel.Tile(target[g*dstSize:], packed[p*k:], src[st.source+g*srcSize:], biases[p:], st.taps,
						plane, st.targetStep, st.sourceStep, rows, whole)
				}
			}
			for j := whole; j < st.n; j++ {
				kernel.Tile(target[j*st.targetStep:], packed[p*k:], src[st.source+j*st.sourceStep:], biases[p:], st.taps,
					plane, dstSize, srcSize, rows, groups)
			}
		}
	}
}

func (l *convLayer) forward(p part) {
	x, y := l.in.data(p), l.out.data(p)
	if l.winograd != nil {
		l.winograd.apply(y, x, l.biases, p.worker)
		return
	}
	for g := range l.group {
		slide(y[g*l.m*l.outSz:], x[g*l.c*l.inSz:], l.packed[g*kernel.PackedLen(l.m, l.c*l.kk):], l.biases[g*kernel.PackedLen(l.m, 1):],
			l.ahead, l.m, l.c*l.kk, l.outSz, l.out.size/l.images, l.in.size/l.images)
	}
}

func (l *convLayer) backward(p part) {
	dy := l.out.gradient(p)
	if l.dx.wanted() {
		dx, groups := l.dx.open(p), l.group
		if l.winogradBack != nil {
			l.winogradBack.apply(dx, dy, l.zeros, p.worker)
			groups = 0
		}
		for g := range groups {
			slide(dx[g*l.c*l.inSz:], dy[g*l.m*l.outSz:], l.packedT[g*kernel.PackedLen(l.c, l.m*l.kk):], l.zeros,
				l.back, l.c, l.m*l.kk, l.inSz, l.in.size/l.images, l.out.size/l.images)
		}
		l.dx.close(p)
	}
	if l.grad != nil {
		l.grad.backward(p)
	}
	if l.biasSum != nil {
		acc := l.biasSum.open(p)
		for i := 0; i < len(dy); i += l.outSz {
			channel := i / l.outSz % len(l.bias.w)
			kernel.Sum((*[Lanes]float32)(acc[channel*Lanes:]), dy[i:i+l.outSz])
		}
		l.biasSum.close(p)
	}
}

func (l *convLayer) tasks() int {
	n := 0
	if l.grad != nil {
		n = l.grad.tasks()
	}
	if l.biasSum != nil {
		n++
	}
	return n
}

func (l *convLayer) reduce(task, chunks, groups int) {
	if l.grad != nil {
		if task < l.grad.tasks() {
			l.grad.reduce(task, chunks, groups)
			return
		}
	}
	copy(l.bias.dw, l.biasSum.total(chunks))
}
