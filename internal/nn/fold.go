package nn

import (
	"math"
	"slices"

	"lethe/graph"
	"lethe/internal/kernel"
)

// folding is what runs as one layer with a convolution, of which nobody else reads what
// is between: a BatchNormalization in evaluation mode, which scales the kernels and
// shifts the bias; the sum with a value that is there already; and a ReLU or ReLU6. So
// results are written once, and none of what is between is kept. With a product with a
// matrix run the sum with a bias and that with a value.
type folding struct {
	norm     *graph.Node // or nil
	bias     string      // of a product, or ""
	residual string      // the name of the other term of the sum, or ""
	limits   kernel.Limits
	inputs   []string // of all nodes
}

var reluLimits, relu6Limits = kernel.Limits{High: kernel.NoLimits.High}, kernel.Limits{High: 6}

// foldable returns how many nodes from the first one on run as one layer with it.
func (c *compiler) foldable(nodes []graph.Node) (int, *folding) {
	conv := &nodes[0]
	f := &folding{limits: kernel.NoLimits, inputs: slices.Clone(conv.Inputs)}
	span := 1
	next := func() *graph.Node { // the node that alone reads what the last one makes
		if span == len(nodes) {
			return nil
		}
		uses := c.index.Uses(nodes[span-1].Outputs[0])
		if len(uses) != 1 || uses[0].Node != &nodes[span] {
			return nil
		}
		return &nodes[span]
	}
	if c.isProduct(conv) {
		if n := next(); n != nil && n.Op == "Add" {
			if f.bias = c.biasOf(n, conv); f.bias != "" {
				f.inputs = append(f.inputs, f.bias)
				span++
			}
		}
		if n := next(); n != nil && n.Op == "Add" {
			if other := c.addend(n, nodes[span-1].Outputs[0]); other != "" {
				f.residual, f.inputs = other, append(f.inputs, other)
				span++
			}
		}
		return span, f
	}
	if conv.Op != "Conv" || c.net.shapes[conv.Outputs[0]].dims[0] != 1 {
		return 1, f
	}
	if n := next(); n != nil && n.Op == "BatchNormalization" && !c.batchStatistics && !c.normPools(nodes[1:]) {
		f.norm, f.inputs = n, append(f.inputs, n.Inputs[1:]...)
		span++
	}
	if n := next(); n != nil && n.Op == "Add" && conv.Int("group", 1) == 1 {
		if other := c.addend(n, nodes[span-1].Outputs[0]); other != "" {
			f.residual, f.inputs = other, append(f.inputs, other)
			span++
		}
	}
	if n := next(); n != nil && n.Op == "Relu" {
		f.limits = reluLimits
		span++
	} else if n != nil && n.Op == "Clip" && c.clipLimits(n) == relu6Limits {
		f.limits = relu6Limits
		span++
	}
	return span, f
}

// isProduct reports whether a node multiplies values with a matrix of weights.
func (c *compiler) isProduct(n *graph.Node) bool {
	b := &builder{compiler: c, node: n}
	return n.Op == "MatMul" && b.isWeight(1) && len(b.in(1).dims) == 2 && b.in(0).batch >= 0
}

// biasOf returns the weight that an Add adds to the features of a product, or "".
func (c *compiler) biasOf(add, matMul *graph.Node) string {
	for i, name := range add.Inputs {
		b := &builder{compiler: c, node: add}
		if name == matMul.Outputs[0] || !b.isWeight(i) {
			continue
		}
		dims, m := b.in(i).dims, (&builder{compiler: c, node: matMul}).in(1).dims[1]
		if len(dims) > 0 && len(dims) <= len(c.net.shapes[matMul.Outputs[0]].dims) && dims[len(dims)-1] == m && product(dims) == m {
			return name
		}
	}
	return ""
}

// otherTerm returns what the node adds to a value and where its gradient goes, or nil.
func (b *builder) otherTerm() (*value, *sink) {
	if b.fold == nil || b.fold.residual == "" {
		return nil, nil
	}
	v := b.operandOf(b.fold.residual).value
	b.reads = append(b.reads, v)
	return v, b.sink(v)
}

// addend returns what an Add adds to a value, if it is a value of the same shape
// that is there already, and "" otherwise.
func (c *compiler) addend(add *graph.Node, value string) string {
	if len(add.Inputs) != 2 {
		return ""
	}
	other := add.Inputs[0]
	if other == value {
		other = add.Inputs[1]
	}
	in, own := c.operands[other], c.net.shapes[value]
	if in == nil || in.value == nil || !slices.Equal(in.shape.dims, own.dims) || in.shape.batch != own.batch {
		return ""
	}
	return other
}

func (c *compiler) clipLimits(n *graph.Node) kernel.Limits {
	low, high, err := limitsOf((&builder{compiler: c, node: n}).site())
	if err != nil {
		panic(err) // Bind has seen it
	}
	return kernel.Limits{Low: low, High: high}
}

// foldedNorm is BatchNormalization that is part of a convolution: with f the factor
// scale/deviation of a channel, its kernels are multiplied by f and its bias becomes
// f*(bias - mean) + shift. From the gradient dw of the kernels that are multiplied and
// the sum s of the gradient of what the layer makes come
//
//	those of the kernels, f*dw, and of the bias, f*s,
//	of the scale, (sum of kernel*dw + (bias-mean)*s)/deviation, and of the shift, s
type foldedNorm struct {
	scale, shift   *param
	mean, variance []float32
	eps            float64
	factor         []float32
	inverse        []float64 // 1/deviation
	biases         []float32
	room           []float32 // for kernels to a few channels
}

func (b *builder) newFoldedNorm(norm *graph.Node) *foldedNorm {
	use := func(i int) *param { return b.use(b.weightOf(norm.Inputs[i])) }
	n := &foldedNorm{scale: use(1), shift: use(2), mean: use(3).w, variance: use(4).w, eps: float64(norm.Float("epsilon", 1e-5))}
	n.factor, n.inverse = make([]float32, len(n.mean)), make([]float64, len(n.mean))
	n.biases = make([]float32, len(n.mean))
	return n
}

// refresh sets the factors and the biases; bias may be nil.
func (n *foldedNorm) refresh(bias *param) {
	for f := range n.factor {
		n.inverse[f] = 1 / math.Sqrt(float64(n.variance[f])+n.eps)
		factor := float64(float64(n.scale.w[f]) * n.inverse[f])
		shifted := -float64(n.mean[f])
		if bias != nil {
			shifted += float64(bias.w[f])
		}
		n.factor[f], n.biases[f] = float32(factor), float32(float64(n.shift.w[f])+float64(shifted*factor))
	}
}

// multiplied returns kernels of a size, to channels from first on, times their factors.
func (n *foldedNorm) multiplied(kernels []float32, first, size int) []float32 {
	if len(n.room) < len(kernels) {
		n.room = make([]float32, len(kernels))
	}
	for i := 0; i < len(kernels); i += size {
		kernel.Affine(n.room[i:i+size], kernels[i:i+size], n.factor[first+i/size], 0)
	}
	return n.room[:len(kernels)]
}

// finish makes the gradients of what the convolution is made of; sums are those of the
// gradient of each channel.
func (n *foldedNorm) finish(weight, bias *param, sums []float32) {
	size := len(weight.w) / len(n.factor)
	for f := range n.factor {
		if n.shift.trained {
			n.shift.dw[f] = sums[f]
		}
		if n.scale.trained {
			shifted := -float64(n.mean[f])
			if bias != nil {
				shifted += float64(bias.w[f])
			}
			sum := dotOf(weight.w[f*size:(f+1)*size], weight.dw[f*size:(f+1)*size])
			n.scale.dw[f] = float32((sum + float64(shifted*float64(sums[f]))) * n.inverse[f])
		}
		if bias != nil && bias.trained {
			bias.dw[f] = n.factor[f] * sums[f]
		}
		if weight.trained {
			dw := weight.dw[f*size : (f+1)*size]
			kernel.Affine(dw, dw, n.factor[f], 0)
		}
	}
}

// dotOf returns the sum of products of two vectors: of the elements as they lie in
// lanes, and of the lanes.
func dotOf(a, b []float32) (sum float64) {
	var lanes [Lanes]float32
	var room [blockLen]float32
	for len(a) >= Lanes {
		n := min(len(a)/Lanes*Lanes, blockLen)
		kernel.Mul(room[:n], a[:n], b[:n])
		kernel.Sum(&lanes, room[:n])
		a, b = a[n:], b[n:]
	}
	for _, v := range lanes {
		sum += float64(v)
	}
	for i, v := range a {
		sum += float64(float64(v) * float64(b[i]))
	}
	return sum
}
