package nn

import (
	"lethe/graph"
	"lethe/internal/kernel"
)

// fusible returns how many nodes from the first one on run as one layer: three
// for BatchNormalization, Relu and MaxPool with windows that do not overlap,
// which then pass over the activations once instead of three times. Chains have
// no branches, so nobody else reads what is between them.
func fusible(nodes []graph.Node, in []int) int {
	if len(nodes) < 3 || len(in) != 3 ||
		nodes[0].Op != "BatchNormalization" || nodes[1].Op != "Relu" || nodes[2].Op != "MaxPool" {
		return 1
	}
	w, err := inferWindow(&nodes[2], in, nodes[2].Ints("kernel_shape"))
	if err != nil {
		return 1
	}
	for _, a := range []axis{w.y, w.x} {
		if a.stride < a.kernel || a.dilat != 1 {
			return 1
		}
	}
	return 3
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
	w, err := inferWindow(pool, b.inDims, pool.Ints("kernel_shape"))
	if err != nil {
		panic(err) // Bind has inferred it before
	}
	l := &normPoolLayer{
		batchNormLayer: newBatchNorm(b), strips: poolStrips(w),
		inSz: w.y.in * w.x.in * Lanes, outSz: w.y.out * w.x.out * Lanes,
	}
	for _, a := range []axis{w.y, w.x} {
		l.holes = l.holes || a.pad > 0 || a.stride != a.kernel || a.in != a.out*a.stride
	}
	if b.in.grad == nil && b.out.grad != nil {
		for range b.session.threads {
			l.spare = append(l.spare, make([]float32, chunk*b.in.size))
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
	if l.in.grad != nil {
		dx = l.in.gradient(p)
	} else {
		dx = l.spare[p.worker]
	}
	if l.holes {
		clear(dx)
	}
	sums := l.sumsOf(p)
	for plane := 0; len(x) > 0; plane, x, y, dx, dy = plane+1, x[l.inSz:], y[l.outSz:], dx[l.inSz:], dy[l.outSz:] {
		f := plane % l.features
		for i := range l.strips {
			st := &l.strips[i]
			kernel.PoolAffineGrad(dx[st.source:], x[st.source:], y[st.target:], dy[st.target:],
				l.factor[f], l.term[f], l.mean[f], &sums[f], st.taps, st.sourceStep, st.n)
		}
	}
	l.store(sums, p)
}
