package nn

import (
	"lethe/graph"
	"lethe/internal/kernel"
)

// fusible returns how many nodes from the first one on run as one layer: three
// for BatchNormalization, Relu and MaxPool with windows that do not overlap,
// which then pass over the activations once instead of three times, if nobody
// else reads what is between them.
func (c *compiler) fusible(nodes []graph.Node) int {
	if !c.normPools(nodes) || c.operandOf(nodes[0].Inputs[0]).value == nil {
		return 1
	}
	return 3
}

// normPools reports whether nodes begin with three of this kind.
func (c *compiler) normPools(nodes []graph.Node) bool {
	if len(nodes) < 3 || nodes[0].Op != "BatchNormalization" || nodes[1].Op != "Relu" || nodes[2].Op != "MaxPool" ||
		!c.alone(&nodes[0], &nodes[1]) || !c.alone(&nodes[1], &nodes[2]) || len(c.net.shapes[nodes[0].Inputs[0]].dims) != 4 {
		return false
	}
	w, err := inferWindow(&nodes[2], c.net.shapes[nodes[0].Inputs[0]], nodes[2].Ints("kernel_shape"))
	if err != nil {
		return false
	}
	for _, a := range []axis{w.y, w.x} {
		if a.stride < a.kernel || a.dilat != 1 {
			return false
		}
	}
	return true
}

// alone reports whether the second node takes what the first makes and nobody
// else does.
func (c *compiler) alone(first, second *graph.Node) bool {
	uses := c.index.Uses(first.Outputs[0])
	return len(uses) == 1 && uses[0].Node == second && uses[0].Input == 0
}

// normPoolLayer is BatchNormalization in evaluation mode, ReLU and MaxPool.
type normPoolLayer struct {
	*batchNormLayer
	strips []strip
	inSz   int
	outSz  int
	holes  bool        // some elements of the input are in no window
	spare  [][]float32 // of each worker, for a gradient of the input that nobody wants
}

func buildNormPool(b *builder, pool *graph.Node) layer {
	w := b.window(pool, b.in(0), pool.Ints("kernel_shape"))
	l := &normPoolLayer{
		batchNormLayer: newBatchNorm(b), strips: poolStrips(w),
		inSz: w.y.in * w.x.in * Lanes, outSz: w.y.out * w.x.out * Lanes,
	}
	for _, a := range []axis{w.y, w.x} {
		l.holes = l.holes || a.pad > 0 || a.stride != a.kernel || a.in != a.out*a.stride
	}
	b.keep(l.in)
	b.keep(l.out)
	if !l.dx.wanted() && l.out.needsGrad {
		for range b.threads {
			l.spare = append(l.spare, make([]float32, b.chunk*l.in.size))
		}
	}
	return l
}

func (l *normPoolLayer) forward(p part) {
	x, y := l.in.data(p), l.out.data(p)
	for f := 0; len(x) > 0; f, x, y = (f+1)%l.features, x[l.inSz:], y[l.outSz:] {
		for i := range l.strips {
			st := &l.strips[i]
			kernel.PoolAffine(y[st.target:], x[st.source:], l.factor[f], l.term[f], st.taps, st.sourceStep, st.n)
		}
	}
}

func (l *normPoolLayer) backward(p part) {
	x, y, dy := l.in.data(p), l.out.data(p), l.out.gradient(p)
	var dx []float32
	if l.dx.wanted() {
		dx = l.dx.open(p)
	} else {
		dx = l.spare[p.worker]
	}
	if l.holes {
		clear(dx)
	}
	acc := l.sums.open(p)
	for plane := 0; len(x) > 0; plane, x, y, dx, dy = plane+1, x[l.inSz:], y[l.outSz:], dx[l.inSz:], dy[l.outSz:] {
		f := plane % l.features
		for i := range l.strips {
			st := &l.strips[i]
			kernel.PoolAffineGrad(dx[st.source:], x[st.source:], y[st.target:], dy[st.target:],
				l.factor[f], l.term[f], l.mean[f], pair(acc, f), st.taps, st.sourceStep, st.n)
		}
	}
	l.sums.close(p)
	if l.dx.wanted() {
		l.dx.close(p)
	}
}
