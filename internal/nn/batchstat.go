package nn

import (
	"fmt"
	"math"
	"slices"

	"lethe/internal/kernel"
	"lethe/ops"
)

// ChunkSamples is the number of samples that BatchNormalization in training
// mode normalizes together, see [Net.NewTrainingSession].
const ChunkSamples = largestChunk * Lanes

// Momentum is the weight of the newest statistics in the running ones, torch's
// default.
const Momentum = 0.1

// NewTrainingSession is [Net.NewSession] for training from scratch: every
// parameter is trained, and BatchNormalization is in training mode. It
// normalizes each chunk of [ChunkSamples] samples by the mean and the variance
// of that chunk ("ghost batch normalization": Hoffer, Hubara and Soudry, "Train
// longer, generalize better", 2017), and [Session.Step] moves the running
// statistics chunk by chunk, in order:
//
//	running = 0.9 * running + 0.1 * statistics of the chunk
//
// with the unbiased variance, as torch.nn.BatchNorm2d does for batches of that
// size. The results do not depend on the number of threads. batch and the
// samples of every step must be whole chunks.
//
// [Session.StateDict] then has the running statistics too. [Session.Forward]
// normalizes by chunks as well: to evaluate, bind the state dict.
func (n *Net) NewTrainingSession(batch, threads int) (*Session, error) {
	if batch%ChunkSamples != 0 {
		return nil, fmt.Errorf("nn: a batch of %d samples is not whole chunks of %d", batch, ChunkSamples)
	}
	for i := range n.nodes {
		if node := &n.nodes[i]; node.Op == "BatchNormalization" && n.shapes[node.Inputs[0]].dims[0] != 1 {
			return nil, unsupported("node %q: BatchNormalization of several vectors of a sample cannot be trained from scratch", node.Name)
		}
	}
	train := slices.DeleteFunc(ops.Parameters(n.graph), func(name string) bool { return n.weights[name] == nil })
	return n.newSession(batch, threads, train, true)
}

// batchStatLayer is BatchNormalization in training mode.
type batchStatLayer struct {
	in, out           *value
	dx                *sink
	scale, shift      *param
	runMean, runVar   []float32
	eps               float64
	features, plane   int         // plane: elements of one feature of one group
	mean, invStd      [][]float32 // of the chunk at hand, of each worker
	spare             [][]float32 // a plane for each worker
	stats, partial    []float32   // [chunks][2*features]: mean and unbiased variance; gradients of shift and scale
	perSample, degree float64     // 1/n and n/(n-1) for the n elements of a feature of a chunk
}

func newBatchStat(b *builder) *batchStatLayer {
	dims := b.in(0).dims
	features := dims[1]
	l := &batchStatLayer{
		in: b.data(0), out: b.out[0], scale: b.weight(1), shift: b.weight(2),
		runMean: b.weight(3).w, runVar: b.weight(4).w,
		eps:      float64(b.node.Float("epsilon", 1e-5)),
		features: features, plane: product(dims[2:]) * Lanes,
	}
	l.dx = b.sink(l.in)
	b.keep(l.in)
	n := float64(largestChunk * l.plane)
	l.perSample, l.degree = 1/n, n/(n-1)
	chunks := b.groups / largestChunk
	l.stats, l.partial = make([]float32, chunks*2*features), make([]float32, chunks*2*features)
	for range b.threads {
		l.mean, l.invStd = append(l.mean, make([]float32, features)), append(l.invStd, make([]float32, features))
		l.spare = append(l.spare, make([]float32, l.plane))
	}
	return l
}

func (l *batchStatLayer) refresh() {}

// planes calls f with where each plane of a feature begins in a whole chunk.
func (l *batchStatLayer) planes(feature int, f func(lo, hi int)) {
	for g := range largestChunk {
		at := (g*l.features + feature) * l.plane
		f(at, at+l.plane)
	}
}

func (l *batchStatLayer) forward(p part) {
	if p.hi-p.lo != largestChunk {
		panic(fmt.Sprintf("nn: training on %d groups, which is not a whole chunk of %d", p.hi-p.lo, largestChunk))
	}
	x, y := l.in.data(p), l.out.data(p)
	stats := l.stats[p.index*2*l.features:]
	for f := range l.features {
		var acc [Lanes]float32
		l.planes(f, func(lo, hi int) { kernel.Sum(&acc, x[lo:hi]) })
		mean := float32(float64(total(acc[:])) * l.perSample)
		// Squares of what is centred already: no cancellation.
		var sums [2 * Lanes]float32
		l.planes(f, func(lo, hi int) {
			kernel.Affine(y[lo:hi], x[lo:hi], 1, -mean)
			kernel.AffineGrad(y[lo:hi], y[lo:hi], y[lo:hi], 1, 0, &sums)
		})
		variance := float64(float64(total(sums[Lanes:])) * l.perSample)
		inv := 1 / math.Sqrt(variance+l.eps)
		factor := float32(float64(l.scale.w[f]) * inv)
		l.planes(f, func(lo, hi int) { kernel.Affine(y[lo:hi], y[lo:hi], factor, l.shift.w[f]) })
		l.mean[p.worker][f], l.invStd[p.worker][f] = mean, float32(inv)
		stats[2*f], stats[2*f+1] = mean, float32(variance*l.degree)
	}
}

// backward computes, for n elements x of a feature of the chunk,
//
//	dx = scale/std * (dy - mean(dy) - (x-mean)/std^2 * mean(dy*(x-mean)))
func (l *batchStatLayer) backward(p part) {
	x, dy := l.in.data(p), l.out.gradient(p)
	dx := dy
	if l.dx.wanted() {
		dx = l.dx.open(p)
	}
	partial, spare := l.partial[p.index*2*l.features:], l.spare[p.worker]
	for f := range l.features {
		mean, inv := l.mean[p.worker][f], float64(l.invStd[p.worker][f])
		factor := float64(float64(l.scale.w[f]) * inv)
		var sums [2 * Lanes]float32
		l.planes(f, func(lo, hi int) {
			kernel.AffineGrad(dx[lo:hi], x[lo:hi], dy[lo:hi], float32(factor), mean, &sums)
		})
		sum, product := float64(total(sums[:Lanes])), float64(total(sums[Lanes:]))
		partial[2*f], partial[2*f+1] = float32(sum), float32(product*inv)
		if !l.dx.wanted() {
			continue
		}
		slope := -factor * inv * inv * product * l.perSample
		offset := -float64(factor*sum*l.perSample) - float64(slope*float64(mean))
		l.planes(f, func(lo, hi int) {
			kernel.Affine(spare, x[lo:hi], float32(slope), float32(offset))
			kernel.Add(dx[lo:hi], spare)
		})
	}
	if l.dx.wanted() {
		l.dx.close(p)
	}
}

// total adds up 16 lanes.
func total(lanes []float32) float32 {
	var sum [1]float32
	kernel.SumLanes(sum[:], lanes)
	return sum[0]
}

func (l *batchStatLayer) tasks() int { return 1 }

// reduce also moves the running statistics.
func (l *batchStatLayer) reduce(_, chunks, _ int) {
	width := 2 * l.features
	for c := range chunks {
		for f := range l.features {
			follow(&l.runMean[f], l.stats[c*width+2*f])
			follow(&l.runVar[f], l.stats[c*width+2*f+1])
		}
	}
	for c := 1; c < chunks; c++ {
		kernel.Add(l.partial[:width], l.partial[c*width:(c+1)*width])
	}
	for f := range l.features {
		l.shift.dw[f], l.scale.dw[f] = l.partial[2*f], l.partial[2*f+1]
	}
}

func follow(running *float32, now float32) {
	*running += float32(Momentum * float32(now-*running))
}
