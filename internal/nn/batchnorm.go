package nn

import (
	"math"

	"lethe/internal/kernel"
)

func inferBatchNorm(n *site) ([]shape, error) {
	in := n.in[0]
	if len(n.in) != 5 {
		return nil, misfit("BatchNormalization has %d weights, needs scale, bias, mean and variance", len(n.in)-1)
	}
	if len(in.dims) < 2 || in.batch != 0 {
		return nil, unsupported("BatchNormalization of shape %v is not supported", in)
	}
	for i, w := range n.in[1:] {
		if w.batch >= 0 || len(w.dims) != 1 || w.dims[0] != in.dims[1] || !n.fixed(1+i) {
			return nil, misfit("BatchNormalization of %d features has a weight of shape %v", in.dims[1], w)
		}
	}
	if n.Int("training_mode", 0) != 0 {
		return nil, unsupported("BatchNormalization in training mode is not supported: export the network after model.eval(), with training=TrainingMode.EVAL")
	}
	return []shape{in}, only(n, "epsilon", "momentum", "training_mode", "spatial")
}

// batchNormLayer is BatchNormalization in evaluation mode: the running
// statistics are constants.
type batchNormLayer struct {
	in, out              *value
	dx                   *sink
	scale, shift         *param
	mean, variance       []float32
	eps                  float64
	features, positions  int
	factor, term, invStd []float32 // y = factor*x + term
	sums                 *sums     // of dy and of dy*(x-mean), for each feature
}

func buildBatchNorm(b *builder) layer {
	if b.batchStatistics {
		return newBatchStat(b)
	}
	return newBatchNorm(b)
}

func newBatchNorm(b *builder) *batchNormLayer {
	dims := b.in(0).dims
	features := dims[1]
	l := &batchNormLayer{
		in: b.data(0), out: b.out[0], scale: b.weight(1), shift: b.weight(2),
		mean: b.weight(3).w, variance: b.weight(4).w,
		eps:      float64(b.node.Float("epsilon", 1e-5)),
		features: features, positions: product(dims[2:]),
		factor: make([]float32, features), term: make([]float32, features), invStd: make([]float32, features),
	}
	l.dx = b.sink(l.in)
	if l.trained() {
		b.keep(l.in)
	}
	l.sums = b.newSums(2 * features)
	return l
}

// trained reports whether the gradient of the scale or the shift is wanted.
func (l *batchNormLayer) trained() bool { return l.scale.trained || l.shift.trained }

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
	dy := l.out.gradient(p)
	n := l.positions * Lanes
	if !l.trained() {
		dx := l.dx.open(p)
		for i := 0; i < len(dy); i += n {
			kernel.Affine(dx[i:i+n], dy[i:i+n], l.factor[i/n%l.features], 0)
		}
		l.dx.close(p)
		return
	}
	x, dx := l.in.data(p), dy // of no use to anyone else once this layer has seen it
	if l.dx.wanted() {
		dx = l.dx.open(p)
	}
	acc := l.sums.open(p)
	for i := 0; i < len(x); i += n {
		f := i / n % l.features
		kernel.AffineGrad(dx[i:i+n], x[i:i+n], dy[i:i+n], l.factor[f], l.mean[f], pair(acc, f))
	}
	l.sums.close(p)
	if l.dx.wanted() {
		l.dx.close(p)
	}
}

// pair returns the two sums of a feature among those of all.
func pair(acc []float32, feature int) *[2 * Lanes]float32 {
	return (*[2 * Lanes]float32)(acc[2*feature*Lanes:])
}

func (l *batchNormLayer) tasks() int {
	if !l.trained() {
		return 0
	}
	return 1
}

func (l *batchNormLayer) reduce(_, chunks, _ int) {
	total := l.sums.total(chunks)
	for f := range l.features {
		if l.shift.trained {
			l.shift.dw[f] = total[2*f]
		}
		if l.scale.trained {
			l.scale.dw[f] = total[2*f+1] * l.invStd[f]
		}
	}
}
