package nn

import (
	"fmt"

	"lethe/graph"
	"lethe/internal/kernel"
)

func inferConv(n *graph.Node, in []int, weights [][]int) ([]int, error) {
	if len(weights) == 0 || len(weights[0]) != 4 {
		return nil, unsupported("Conv without a weight of four dimensions is not supported")
	}
	w := weights[0]
	if g := n.Int("group", 1); g != 1 {
		return nil, unsupported("Conv with %d groups is not supported, only with one", g)
	}
	if len(in) != 3 || w[1] != in[0] {
		return nil, misfit("Conv has a weight of shape %v for an input of shape %v", w, in)
	}
	if len(weights) > 1 && weights[1] != nil && (len(weights[1]) != 1 || weights[1][0] != w[0]) {
		return nil, misfit("Conv to %d channels has a bias of shape %v", w[0], weights[1])
	}
	if k := n.Ints("kernel_shape", w[2:]...); len(k) != 2 || k[0] != w[2] || k[1] != w[3] {
		return nil, misfit("Conv has kernel_shape %v and a weight of shape %v", k, w)
	}
	g, err := inferWindow(n, in, w[2:])
	if err != nil {
		return nil, err
	}
	return []int{w[0], g.y.out, g.x.out}, only(n, "auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
}

// convLayer is a convolution, computed directly: every vector of outputs is a
// sum over the elements of the kernel that do not fall on padding.
type convLayer struct {
	in, out       *value
	weight, bias  *param
	m, c, kk      int // output channels, input channels, elements of a plane of the kernel
	inSz, outSz   int // elements of a plane of vectors
	packed        []float32
	packedT       []float32
	biases, zeros []float32
	ahead, back   []strip

	// The gradient of the weight: for each chunk one accumulator a tile, in
	// lanes first and summed over them when the chunk is done.
	tiles   []gradTile
	acc     [][]float32 // of each worker
	accBias [][]float32
	partial []float32 // [chunks][tiles][Rows*Cols]
	biasSum []float32 // [chunks][m]
}

// gradTile is a block of the gradient of the weight: rows of output channels
// and columns of kernel elements that meet the same output positions.
type gradTile struct {
	positions *kernel.Taps
	row       int // first output channel
	rowStep   int // distance of the rows in the gradient of the output
	source    int // of the first column
	columns   [kernel.Cols]int32
	index     [kernel.Cols * kernel.Rows]int // in the weight; -1 where another tile has it
}

func buildConv(b *builder) layer {
	w := b.dims[0]
	l := &convLayer{in: b.in, out: b.out, weight: b.weights[0], m: w[0], c: w[1], kk: w[2] * w[3]}
	if len(b.weights) > 1 {
		l.bias = b.weights[1]
	}
	g, err := inferWindow(b.node, b.inDims, w[2:])
	if err != nil {
		panic(err) // Bind has inferred it before
	}
	l.inSz, l.outSz = g.y.in*g.x.in*Lanes, g.y.out*g.x.out*Lanes
	l.packed = make([]float32, kernel.PackedLen(l.m, l.c*l.kk))
	l.biases = make([]float32, kernel.PackedLen(l.m, 1))
	l.ahead = strips(g.y.forward(), g.x.forward(), g.x.out, g.x.in, l.c, l.inSz/Lanes,
		func(c, ky, kx int) int { return (c*l.kk + ky*w[3] + kx) * kernel.Rows })
	if l.in.grad != nil {
		l.packedT = make([]float32, kernel.PackedLen(l.c, l.m*l.kk))
		l.zeros = make([]float32, kernel.PackedLen(l.c, 1))
		l.back = strips(g.y.backward(), g.x.backward(), g.x.in, g.x.out, l.m, l.outSz/Lanes,
			func(c, ky, kx int) int { return (c*l.kk + ky*w[3] + kx) * kernel.Rows })
	}
	if l.weight.grad != nil {
		l.planGrad(g, w[3])
		chunks := (b.session.groups + chunk - 1) / chunk
		l.partial = make([]float32, chunks*len(l.tiles)*kernel.Rows*kernel.Cols)
		for range b.session.threads {
			l.acc = append(l.acc, make([]float32, len(l.tiles)*kernel.Rows*kernel.Cols*Lanes))
		}
	}
	if l.bias != nil && l.bias.grad != nil {
		l.biasSum = make([]float32, (b.session.groups+chunk-1)/chunk*l.m)
		for range b.session.threads {
			l.accBias = append(l.accBias, make([]float32, l.m*Lanes))
		}
	}
	return l
}

// planGrad lays out the tiles of the gradient of the weight.
func (l *convLayer) planGrad(g window, width int) {
	type column struct{ source, index int }
	type group struct {
		positions *kernel.Taps
		columns   []column
	}
	byKey := map[string]*group{}
	var groups []*group
	ys, xs := meetings(g.y), meetings(g.x)
	for c := range l.c {
		for ky, y := range ys {
			for kx, x := range xs {
				if len(y) == 0 || len(x) == 0 {
					continue // only padding: the gradient is 0
				}
				key := fmt.Sprint(y[0].out, len(y), x[0].out, len(x))
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
					byKey[key] = &group{positions: kernel.NewTaps(taps)}
					groups = append(groups, byKey[key])
				}
				byKey[key].columns = append(byKey[key].columns, column{
					source: c*l.inSz + (y[0].in*g.x.in+x[0].in)*Lanes,
					index:  c*l.kk + ky*width + kx,
				})
			}
		}
	}
	for row := 0; row < l.m; {
		start, step, done := dotRows(row, l.m, l.outSz)
		for _, grp := range groups {
			for j := 0; j < len(grp.columns); j += kernel.Cols {
				t := gradTile{positions: grp.positions, row: start, rowStep: step, source: grp.columns[j].source}
				for c := range kernel.Cols {
					col := grp.columns[min(j+c, len(grp.columns)-1)]
					t.columns[c] = int32(col.source - t.source)
					for r := range kernel.Rows {
						t.index[c*kernel.Rows+r] = -1
						if own := r - (row - start); j+c < len(grp.columns) && own >= 0 && own < done {
							t.index[c*kernel.Rows+r] = (row+own)*l.c*l.kk + col.index
						}
					}
				}
				l.tiles = append(l.tiles, t)
			}
		}
		row += done
	}
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
	kernel.Pack(l.packed, kernel.Rows*k, l.weight.w, l.m, k, k, 1)
	if l.bias != nil {
		copy(l.biases, l.bias.w)
	}
	if l.packedT != nil {
		for o := range l.m {
			kernel.Pack(l.packedT[o*l.kk*kernel.Rows:], kernel.Rows*l.m*l.kk, l.weight.w[o*k:], l.c, l.kk, l.kk, 1)
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
	groups := len(dst) / dstSize
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
	slide(l.out.data(p), l.in.data(p), l.packed, l.biases, l.ahead, l.m, l.c*l.kk, l.outSz, l.out.size, l.in.size)
}

func (l *convLayer) backward(p part) {
	x, dy := l.in.data(p), l.out.gradient(p)
	if l.in.grad != nil {
		slide(l.in.gradient(p), dy, l.packedT, l.zeros, l.back, l.c, l.m*l.kk, l.inSz, l.in.size, l.out.size)
	}
	if l.biasSum != nil && p.opens() {
		clear(l.accBias[p.worker])
	}
	for g := range p.hi - p.lo {
		x, dy := x[g*l.in.size:(g+1)*l.in.size], dy[g*l.out.size:(g+1)*l.out.size]
		if l.weight.grad != nil {
			const n = kernel.Rows * kernel.Cols * Lanes
			for i := range l.tiles {
				t := &l.tiles[i]
				acc := (*[n]float32)(l.acc[p.worker][i*n:])
				kernel.Dot(acc, dy[t.row*l.outSz:], x[t.source:], &t.columns, t.positions, t.rowStep, g > 0 || !p.opens())
			}
		}
		if l.biasSum != nil {
			for i := range l.m {
				acc := (*[Lanes]float32)(l.accBias[p.worker][i*Lanes:])
				kernel.Sum(acc, dy[i*l.outSz:(i+1)*l.outSz])
			}
		}
	}
	if l.weight.grad != nil && p.closes() {
		n := len(l.tiles) * kernel.Rows * kernel.Cols
		kernel.SumLanes(l.partial[p.index*n:(p.index+1)*n], l.acc[p.worker])
	}
	if l.biasSum != nil && p.closes() {
		kernel.SumLanes(l.biasSum[p.index*l.m:(p.index+1)*l.m], l.accBias[p.worker])
	}
}

func (l *convLayer) tasks() int {
	if l.weight.grad == nil && l.biasSum == nil {
		return 0
	}
	return 1
}

func (l *convLayer) reduce(_, chunks, _ int) {
	if l.weight.grad != nil {
		n := len(l.tiles) * kernel.Rows * kernel.Cols
		sumChunks(l.partial[:n], l.partial, chunks, n)
		clear(l.weight.dw)
		for i := range l.tiles {
			for j, at := range l.tiles[i].index {
				if at >= 0 {
					l.weight.dw[at] = l.partial[i*kernel.Rows*kernel.Cols+j]
				}
			}
		}
	}
	if l.biasSum != nil {
		sumChunks(l.bias.dw, l.biasSum, chunks, l.m)
	}
}
