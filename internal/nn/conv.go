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
	gaps          bool // the kernel misses positions of the input, of which back has no strips

	winograd, winogradBack *winograd  // instead of these
	depth                  *depthwise // likewise

	norm     *foldedNorm // or nil
	residual *value      // that is added, or nil
	dr       *sink       // of that
	limits   kernel.Limits

	grad    gradient
	biasSum *sums
	totals  []float32 // of the gradient of each channel, after reduce
}

func buildConv(b *builder) layer {
	w := b.in(1).dims
	group := b.node.Int("group", 1)
	l := &convLayer{
		in: b.data(0), out: b.out[0], weight: b.weight(1), bias: b.weight(2), group: group, images: b.in(0).dims[0],
		m: w[0] / group, c: w[1], kk: product(w[2:]), limits: kernel.NoLimits,
	}
	l.dx = b.sink(l.in)
	l.takeIn(b)
	g, width := b.window(b.node, b.in(0), w[2:]), w[len(w)-1]
	l.inSz, l.outSz = g.y.in*g.x.in*Lanes, g.y.out*g.x.out*Lanes
	l.biases = make([]float32, group*kernel.PackedLen(l.m, 1))
	l.dx.adds = true
	if depthwiseFits(g, l.m, l.c) && l.images == 1 {
		l.dx.adds = false
		l.depth = b.newDepthwise(g, group, l.out.needsGrad)
	} else if winogradFits(g, l.m, l.c, group) {
		l.planWinograd(b, g)
	} else {
		l.planStrips(g, width)
	}
	if l.weight.trained {
		b.keep(l.in)
	}
	if l.limits != kernel.NoLimits {
		b.keep(l.out)
	}
	switch {
	case !l.weight.trained || l.depth != nil:
	case winogradGradFits(g, l.m, l.c, group):
		l.grad = b.newWinogradGrad(&winogradGrad{weight: l.weight, in: l.in, out: l.out, images: l.images, m: l.m, c: l.c, height: g.y.in, width: g.x.in})
	case outerFits(l.m, l.c):
		l.grad = b.newOuterGrad(&outerGrad{
			weight: l.weight, in: l.in, out: l.out, images: l.images, group: group, m: l.m, c: l.c,
			rs: l.c * l.kk, cs: l.kk, x: plane{l.inSz, Lanes}, y: plane{l.outSz, Lanes}, w: g,
		})
	default:
		l.grad = b.newWeightGrad(l.weight, l.in, l.out, l.images, l.planGrad(g, width))
	}
	if l.sumsTrained() && l.depth == nil {
		l.biasSum = b.newSums(w[0])
	} else if l.depth != nil {
		l.totals = make([]float32, w[0])
	}
	if l.norm != nil && (l.weight.trained || l.sumsTrained()) {
		b.finishers = append(b.finishers, func() { l.norm.finish(l.weight, l.bias, l.totals) })
	}
	return l
}

// takeIn takes in what runs with the convolution.
func (l *convLayer) takeIn(b *builder) {
	if b.fold == nil {
		return
	}
	l.limits = b.fold.limits
	if b.fold.norm != nil {
		l.norm = b.newFoldedNorm(b.fold.norm)
		if l.norm.scale.trained && !l.weight.trained { // its gradient comes with that of the kernels
			w := *l.weight
			w.trained, w.dw = true, make([]float32, len(w.w))
			l.weight = &w
		}
	}
	l.residual, l.dr = b.otherTerm()
}

// sumsTrained reports whether a gradient is made of that of the layer's results alone.
func (l *convLayer) sumsTrained() bool {
	return l.bias != nil && l.bias.trained || l.norm != nil && (l.norm.scale.trained || l.norm.shift.trained)
}

func (l *convLayer) planWinograd(b *builder, g window) {
	l.winograd = b.newWinograd(g, l.m, l.c)
	if l.dx.wanted() {
		l.winogradBack, l.zeros = b.newWinograd(g, l.c, l.m), make([]float32, kernel.PackedLen(l.c, 1))
	}
}

func (l *convLayer) planStrips(g window, width int) {
	index := func(c, ky, kx int) int { return (c*l.kk + ky*width + kx) * kernel.Rows }
	l.packed = make([]float32, l.group*kernel.PackedLen(l.m, l.c*l.kk))
	pointwise := true
	for _, a := range []axis{g.y, g.x} {
		pointwise = pointwise && a.kernel == 1 && a.stride == 1 && a.pad == 0 && a.after == 0
	}
	if pointwise {
		l.ahead = pointStrips(l.inSz, l.c)
	} else {
		l.ahead = strips(g.y.forward(), g.x.forward(), g.x.out, g.x.in, l.c, l.inSz/Lanes, index)
	}
	if !l.dx.wanted() {
		return
	}
	l.packedT = make([]float32, l.group*kernel.PackedLen(l.c, l.m*l.kk))
	l.zeros = make([]float32, kernel.PackedLen(l.c, 1))
	if pointwise {
		l.back = pointStrips(l.outSz, l.m)
	} else {
		l.back = strips(g.y.backward(), g.x.backward(), g.x.in, g.x.out, l.m, l.outSz/Lanes, index)
		n := len(l.back)
		l.back = slices.DeleteFunc(l.back, func(s strip) bool { return s.taps.Len() == 0 })
		l.gaps = len(l.back) < n
	}
}

// pointStrips are those of a kernel of one element: a plane is one row, so many
// positions at a time that all channels of these fit in the first-level cache.
func pointStrips(plane, channels int) []strip {
	const room = 32 << 10 / 4 // elements
	list := make([]kernel.Tap, channels)
	for c := range list {
		list[c] = kernel.Tap{A: int32(c * kernel.Rows), B: int32(c * plane)}
	}
	taps := kernel.NewTaps(list)
	step := max(room/(channels*Lanes)&^3, 4) * Lanes
	var all []strip
	for at := 0; at < plane; at += step {
		all = append(all, strip{target: at, targetStep: Lanes, source: at, sourceStep: Lanes, n: min(step, plane-at) / Lanes, taps: taps})
	}
	return all
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
	if l.norm != nil {
		l.norm.refresh(l.bias)
		l.setBiases(l.norm.biases)
	} else if l.bias != nil {
		l.setBiases(l.bias.w)
	}
	if l.depth != nil {
		copy(l.depth.kernels, l.rows(0, l.group))
		return
	}
	k := l.c * l.kk
	if l.winograd != nil {
		var factors []float32
		if l.norm != nil {
			factors = l.norm.factor
		}
		l.winograd.set(l.weight.w, k, l.kk, factors, false)
		if l.winogradBack != nil {
			l.winogradBack.set(l.weight.w, l.kk, k, factors, true)
		}
		return
	}
	for g := range l.group {
		for p := 0; p < l.m; p += kernel.Rows {
			n := min(kernel.Rows, l.m-p)
			w := l.rows(g*l.m+p, n)
			kernel.Pack(l.packed[g*kernel.PackedLen(l.m, k)+p*k:], kernel.Rows*k, w, n, k, k, 1)
			if l.packedT != nil && l.kk == 1 {
				kernel.Pack(l.packedT[g*kernel.PackedLen(l.c, l.m)+p*kernel.Rows:], kernel.Rows*l.m, w, l.c, n, 1, k)
				continue
			}
			for o := 0; o < n && l.packedT != nil; o++ {
				packed := l.packedT[g*kernel.PackedLen(l.c, l.m*l.kk)+(p+o)*l.kk*kernel.Rows:]
				kernel.Pack(packed, kernel.Rows*l.m*l.kk, w[o*k:], l.c, l.kk, l.kk, 1)
			}
		}
	}
}

// rows returns the kernels to n channels from first on, as the layer applies them. They
// are valid until the next call.
func (l *convLayer) rows(first, n int) []float32 {
	k := l.c * l.kk
	w := l.weight.w[first*k : (first+n)*k]
	if l.norm == nil {
		return w
	}
	return l.norm.multiplied(w, first, k)
}

func (l *convLayer) setBiases(biases []float32) {
	for g := range l.group {
		copy(l.groupBiases(g), biases[g*l.m:(g+1)*l.m])
	}
}

// groupBiases returns the biases of a group of channels as [kernel.Tile] takes them.
func (l *convLayer) groupBiases(g int) []float32 {
	n := kernel.PackedLen(l.m, 1)
	if l.depth != nil {
		n = 1
	}
	return l.biases[g*n:]
}

func (l *convLayer) forward(p part) {
	x, y := l.in.data(p), l.out.data(p)
	var add []float32
	if l.residual != nil {
		add = l.residual.data(p)
	}
	if l.depth != nil {
		l.depth.forward(l, p)
		return
	}
	if l.winograd != nil {
		l.winograd.apply(y, add, x, l.biases, l.limits, p.worker)
		return
	}
	for g := range l.group { // with something to add there is one group
		s := slider{
			y[g*l.m*l.outSz:], add, x[g*l.c*l.inSz:], l.packed[g*kernel.PackedLen(l.m, l.c*l.kk):], l.groupBiases(g),
			l.limits, l.m, l.c * l.kk, l.outSz, l.out.size / l.images, l.in.size / l.images,
		}
		s.slide(l.ahead)
	}
}

func (l *convLayer) backward(p part) {
	if l.depth != nil {
		l.depth.backward(l, p)
		return
	}
	dy := l.out.gradient(p)
	l.gate(p, dy)
	if l.dr.wanted() {
		l.dr.add(p, dy)
	}
	if l.dx.wanted() {
		l.inputGrad(p, dy)
	}
	if l.grad != nil {
		l.grad.backward(p)
	}
}

// inputGrad makes the gradient of the input.
func (l *convLayer) inputGrad(p part, dy []float32) {
	dx, add := l.dx.target(p)
	if l.winogradBack != nil {
		l.winogradBack.apply(dx, add, dy, l.zeros, kernel.NoLimits, p.worker)
		return
	}
	if l.gaps && add == nil {
		clear(dx)
	}
	for g := range l.group {
		s := slider{
			dx[g*l.c*l.inSz:], nil, dy[g*l.m*l.outSz:], l.packedT[g*kernel.PackedLen(l.c, l.m*l.kk):], l.zeros,
			kernel.NoLimits, l.c, l.m * l.kk, l.inSz, l.in.size / l.images, l.out.size / l.images,
		}
		if add != nil {
			s.add = add[g*l.c*l.inSz:]
		}
		s.slide(l.back)
	}
}

// gate takes out of the gradient what a ReLU stops, in its place: nobody else reads it
// once this layer has seen it. It sums what is left.
func (l *convLayer) gate(p part, dy []float32) {
	limited := l.limits != kernel.NoLimits
	if !limited && l.biasSum == nil {
		return
	}
	var acc, y []float32
	if l.biasSum != nil {
		acc = l.biasSum.open(p)
	}
	if limited {
		y = l.out.data(p)
	}
	var unused [Lanes]float32
	channels := l.group * l.m
	grid := kernel.Grid{Rows: 1, N: l.outSz / Lanes, DstRow: l.outSz, DstPos: Lanes}
	for i := 0; i < len(dy); i += l.outSz {
		sum := &unused
		if acc != nil {
			sum = (*[Lanes]float32)(acc[i/l.outSz%channels*Lanes:])
		}
		if limited {
			kernel.Gate(dy[i:], y[i:], dy[i:], l.limits, sum, &grid)
		} else {
			kernel.Sum(sum, dy[i:i+l.outSz])
		}
	}
	if l.biasSum != nil {
		l.biasSum.close(p)
	}
}

func (l *convLayer) tasks() int {
	n := 0
	if l.grad != nil {
		n = l.grad.tasks()
	}
	if l.biasSum != nil || l.depth != nil && (l.weight.trained || l.sumsTrained()) {
		n++
	}
	return n
}

func (l *convLayer) reduce(task, chunks, groups int) {
	if l.grad != nil && task < l.grad.tasks() {
		l.grad.reduce(task, chunks, groups)
		return
	}
	if l.depth != nil {
		l.depth.reduce(l.weight, l.totals, chunks)
	} else {
		l.totals = l.biasSum.total(chunks)
	}
	if l.norm == nil && l.bias != nil && l.bias.trained {
		copy(l.bias.dw, l.totals)
	}
}
