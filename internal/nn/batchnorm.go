package nn

import (
	"math"

	"lethe/graph"
	"lethe/internal/kernel"
)

func inferBatchNorm(n *graph.Node, in []int, weights [][]int) ([]int, error) {
	if len(weights) != 4 {
		return nil, misfit("BatchNormalization has %d weights, needs scale, bias, mean and variance", len(weights))
	}
	for _, w := range weights {
		if len(w) != 1 || w[0] != in[0] {
			return nil, misfit("BatchNormalization of %d features has a weight of shape %v", in[0], w)
		}
	}
	if n.Int("training_mode", 0) != 0 {
		return nil, unsupported("BatchNormalization in training mode is not supported")
	}
	return in, only(n, "epsilon", "momentum", "training_mode")
}

// batchNormLayer is BatchNormalization in evaluation mode: the running
// statistics are constants.
type batchNormLayer struct {
	in, out              *value
	scale, shift         *param
	mean, variance       []float32
	eps                  float64
	features, positions  int
	factor, term, invStd []float32              // y = factor*x + term
	partial              []float32              // [chunks][2*features]: sums of dy and of dy*(x-mean)
	sums                 [][][2 * Lanes]float32 // the same in lanes, of each worker
}

func buildBatchNorm(b *builder) layer {
	if b.session.batchStatistics {
		return newBatchStat(b)
	}
	return newBatchNorm(b)
}

func newBatchNorm(b *builder) *batchNormLayer {
	features := b.inDims[0]
	l := &batchNormLayer{
		in: b.in, out: b.out, scale: b.weights[0], shift: b.weights[1],
		mean: b.weights[2].w, variance: b.weights[3].w,
		eps:      float64(b.node.Float("epsilon", 1e-5)),
		features: features, positions: product(b.inDims[1:]),
		factor: make([]float32, features), term: make([]float32, features), invStd: make([]float32, features),
	}
	l.partial = make([]float32, (b.session.groups+chunk-1)/chunk*2*features)
	for range b.session.threads {
		l.sums = append(l.sums, make([][2 * Lanes]float32, features))
	}
	return l
}

func (l *batchNormLayer) refresh() {
	for f := range l.factor {
		inv := 1 / math.Sqrt(float64(l.variance[f])+l.eps)
		factor := float64(float64(l.scale.w[f]) * inv)
		l.invStd[f], l.factor[f] = float32(inv), float32(factor)
		l.term[f] = float32(float64(l.shift.w[f]) - float64(float64(l.mean[f])*factor))
	}
}

func (l *batchNormLayer) forward(p part) {
	x, y := l.in.data(p), l.out.data(p)
	n := l.positions * Lanes
	for i := 0; i < len(x); i += n {
		f := i / n % l.features
		kernel.Affine(y[i:i+n], x[i:i+n], l.factor[f], l.term[f])
	}
}

func (l *batchNormLayer) backward(p part) {
	x, dy := l.in.data(p), l.out.gradient(p)
	dx := dy // of no use to anyone else once this layer has seen it
	if l.in.grad != nil {
		dx = l.in.gradient(p)
	}
	sums := l.sumsOf(p)
	n := l.positions * Lanes
	for i := 0; i < len(x); i += n {
		f := i / n % l.features
		kernel.AffineGrad(dx[i:i+n], x[i:i+n], dy[i:i+n], l.factor[f], l.mean[f], &sums[f])
	}
	l.store(sums, p)
}

// sumsOf returns the sums of the chunk of p, as far as they are made.
func (l *batchNormLayer) sumsOf(p part) [][2 * Lanes]float32 {
	sums := l.sums[p.worker]
	if p.opens() {
		clear(sums)
	}
	return sums
}

// store keeps the sums of a chunk that is done.
func (l *batchNormLayer) store(sums [][2 * Lanes]float32, p part) {
	if !p.closes() {
		return
	}
	out := l.partial[p.index*2*l.features:]
	for f := range sums {
		kernel.SumLanes(out[2*f:2*f+2], sums[f][:])
	}
}

func (l *batchNormLayer) tasks() int {
	if l.scale.grad == nil && l.shift.grad == nil {
		return 0
	}
	return 1
}

func (l *batchNormLayer) reduce(_, chunks, _ int) {
	width := 2 * l.features
	total := l.partial[:width]
	sumChunks(total, l.partial, chunks, width)
	for f := range l.features {
		if l.shift.grad != nil {
			l.shift.dw[f] = total[2*f]
		}
		if l.scale.grad != nil {
			l.scale.dw[f] = total[2*f+1] * l.invStd[f]
		}
	}
}
