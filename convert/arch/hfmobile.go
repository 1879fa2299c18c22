package arch

import (
	"math"
	"strconv"

	"lethe/graph"
)

// hfMobileViT is Hugging Face's MobileViT: attention among the pixels at the same place of
// all patches, between convolutions.
var hfMobileViT = family{
	name:  "MobileViT (Hugging Face)",
	marks: []string{"mobilevit.conv_stem.convolution.weight", "mobilevit.encoder.layer.2.conv_kxk.convolution.weight", "mobilevit.conv_1x1_exp.convolution.weight", "classifier.weight"},
	build: func(b *builder) value {
		if c := b.config; c != nil && c.OutputSteps != 0 && c.OutputSteps != 32 {
			b.fail("an output_stride of %d is not supported", c.OutputSteps)
		}
		step := func(x value, name string, stride int) value {
			return b.activation(b.convBN(x, name+".convolution", name+".normalization", stride, 1e-5), "silu")
		}
		inverted := func(x value, name string, stride int) value {
			y := step(step(x, name+".expand_1x1", 1), name+".conv_3x3", stride)
			return b.residual(x, b.convBN(y, name+".reduce_1x1.convolution", name+".reduce_1x1.normalization", 1, 1e-5), stride)
		}
		size := b.sizeOr(256)
		x := step(b.image(b.channelsOf("mobilevit.conv_stem.convolution.weight"), size, size), "mobilevit.conv_stem", 2)
		b.each("mobilevit.encoder.layer.", 0, func(i int, name string) {
			if !b.under(name + ".transformer") {
				b.each(name+".layer.", 0, func(j int, name string) { x = inverted(x, name, strided(j == 0, i > 0)) })
				return
			}
			x = inverted(x, name+".downsampling_layer", 2)
			y := b.conv(step(x, name+".conv_kxk", 1), name+".conv_1x1.convolution", 1)
			y = step(b.patchwise(y, name), name+".conv_projection", 1)
			x = step(b.cat(1, x, y), name+".fusion", 1)
		})
		return b.linear(b.globalAvg(step(x, "mobilevit.conv_1x1_exp", 1)), "classifier")
	},
	notes: []string{"strides are those of the published network"},
}

// patchwise is the transformer of a block of MobileViT: a sequence is what is at one place
// of every patch.
func (b *builder) patchwise(x value, name string) value {
	side := 2
	if b.config != nil && b.config.Patch > 0 {
		side = int(b.config.Patch)
	} else {
		b.note("patches of 2x2 are taken")
	}
	d := dims(x)
	c, h, w := d[0], d[1]/side, d[2]/side
	if h*side != d[1] || w*side != d[2] {
		b.fail("samples of %v lead to %dx%d pixels, which are not whole patches of %dx%d: give larger multiples with --input", b.input, d[1], d[2], side, side)
	}
	epsilon, heads := b.epsilon(1e-5), 4
	if b.config != nil && b.config.Heads > 0 {
		heads = b.configHeads(c)
	} else {
		b.note("4 attention heads are taken, as the published network has")
	}
	x = b.permute(b.reshape(x, c, h, side, w, side), 0, 3, 5, 2, 4, 1)
	split := x.Shape
	tokens := graph.Shape{split[0].Mul(graph.Size(side * side)), graph.Size(h * w), graph.Size(c)}
	x = b.shaped("", "reshape", tokens, x, tokens)
	b.each(name+".transformer.layer.", 0, func(_ int, name string) {
		y := b.selfAttention(b.layerNorm(x, name+".layernorm_before", epsilon), name+".attention.attention", heads, nil)
		x = b.add(b.linear(y, name+".attention.output.dense"), x)
		y = b.activation(b.linear(b.layerNorm(x, name+".layernorm_after", epsilon), name+".intermediate.dense"), "silu")
		x = b.add(b.linear(y, name+".output.dense"), x)
	})
	x = b.layerNorm(x, name+".layernorm", epsilon)
	x = b.permute(b.shaped("", "reshape", split, x, split), 0, 5, 3, 1, 4, 2)
	return b.reshape(x, c, h*side, w*side)
}

// hfLeViT is Hugging Face's LeViT, also with a teacher's head.
var hfLeViT = family{
	name:  "LeViT (Hugging Face)",
	marks: []string{"levit.patch_embeddings.embedding_layer_1.convolution.weight", "levit.encoder.stages.0.layers.0.module.attention_biases", "classifier.linear.weight"},
	build: func(b *builder) value {
		const patch = "levit.patch_embeddings.embedding_layer_"
		size := b.sizeOr(224)
		x := b.image(b.channelsOf(patch+"1.convolution.weight"), size, size)
		for i := 1; b.under(patch + strconv.Itoa(i)); i++ {
			if i > 1 {
				x = b.unary(x, "hardswish")
			}
			name := patch + strconv.Itoa(i)
			x = b.convBN(x, name+".convolution", name+".batch_norm", 2, 1e-5)
		}
		d := dims(x)
		side := d[1]
		if d[1] != d[2] || side > widest {
			b.fail("samples of %v lead to %dx%d patches, which are not a square of at most %d", b.input, d[1], d[2], widest)
		}
		x = b.permute(b.reshape(x, d[0], side*side), 0, 2, 1)
		b.each("levit.encoder.stages.", 0, func(_ int, stage string) {
			b.each(stage+".layers.", 0, func(_ int, name string) {
				inner := name + ".module"
				switch {
				case b.under(inner + ".linear_up"):
					x = b.add(x, b.linearBN(b.unary(b.linearBN(x, inner+".linear_up"), "hardswish"), inner+".linear_down"))
				case b.under(inner):
					x = b.add(x, b.levitAttention(x, inner, side, 1))
				default:
					x = b.levitAttention(x, name, side, 2)
					side = (side-1)/2 + 1
				}
			})
		})
		x = b.call("", "mean", []int{width(x)}, x, []int{1})
		head := func(name string) value { return b.linear(b.batchNorm(x, name+".batch_norm", 1e-5), name+".linear") }
		y := head("classifier")
		if b.under("classifier_distill") { // the teacher's student: both heads, averaged
			return b.shaped("", "div", y.Shape, b.add(y, head("classifier_distill")), 2.0)
		}
		return y
	},
	notes: []string{"strides are those of the published network", "the epsilon of batch normalization is taken to be 1e-5"},
}

// linearBN is a linear layer over tokens, then batch normalization of its features.
func (b *builder) linearBN(x value, name string) value {
	y := b.linear(x, name+".linear")
	if len(y.Shape) != 3 {
		b.fail("%q of shape %v", name, y.Shape)
	}
	flat := graph.Shape{y.Shape[0].Mul(y.Shape[1]), y.Shape[2]}
	z := b.batchNorm(b.shaped("", "reshape", flat, y, flat), name+".batch_norm", 1e-5)
	return b.shaped("", "reshape", y.Shape, z, y.Shape)
}

// levitAttention is attention with biases that depend on the distance of two patches in
// rows and columns; with a step of 2, every second row and column asks.
func (b *builder) levitAttention(x value, name string, side, step int) value {
	biases := b.shape(name + ".attention_biases")
	heads, asking := biases[0], (side-1)/step+1
	queries, keys := asking*asking, side*side
	values := b.shape(name + ".projection.linear.weight")[1]
	if heads < 1 || values%heads != 0 {
		b.fail("%d features are none of %d heads", values, heads)
	}
	split := func(x value, n int) value { // by heads
		if width(x)%heads != 0 {
			b.fail("%d features are none of %d heads", width(x), heads)
		}
		return b.permute(b.reshape(x, n, heads, width(x)/heads), 0, 2, 1, 3)
	}
	var q, rest value
	if step == 1 {
		rest = split(b.linearBN(x, name+".queries_keys_values"), keys)
		size := (width(rest) - values/heads) / 2
		q, rest = b.slice(rest, 3, 0, size, 1), b.slice(rest, 3, size, width(rest), 1)
	} else {
		rest = split(b.linearBN(x, name+".keys_values"), keys)
		c := width(x)
		some := b.slice(b.slice(b.reshape(x, side, side, c), 1, 0, side, step), 2, 0, side, step)
		q = split(b.linearBN(b.reshape(some, queries, c), name+".queries"), queries)
	}
	size := width(q)
	if size < 1 || width(rest) != size+values/heads {
		b.fail("queries of %d features for %d of keys and values", size, width(rest))
	}
	k, v := b.slice(rest, 3, 0, size, 1), b.slice(rest, 3, size, width(rest), 1)
	scores := graph.Batch(heads, queries, keys)
	a := b.shaped("", "matmul", scores, q, b.permute(k, 0, 1, 3, 2))
	a = b.shaped("", "mul", scores, a, 1/math.Sqrt(float64(size)))
	a = b.shaped("", "softmax", scores, b.shaped("", "add", scores, a, b.levitBias(name, side, step, heads, biases[1])), -1)
	y := b.shaped("", "matmul", graph.Batch(heads, queries, values/heads), a, v)
	y = b.reshape(b.permute(y, 0, 2, 1, 3), queries, values)
	return b.linearBN(b.unary(y, "hardswish"), name+".projection")
}

// levitBias looks the bias of each pair of patches up: distances are numbered in the order
// in which they first occur.
func (b *builder) levitBias(name string, side, step, heads, count int) value {
	asking := (side-1)/step + 1
	numbers := map[[2]int]int{}
	list := make([]int, 0, asking*asking*side*side)
	distance := func(p, q int) int { return max(p*step-q, q-p*step) }
	for p := range asking * asking {
		for q := range side * side {
			at := [2]int{distance(p/asking, q/side), distance(p%asking, q%side)}
			if _, ok := numbers[at]; !ok {
				numbers[at] = len(numbers)
			}
			list = append(list, numbers[at])
		}
	}
	if len(numbers) != count {
		b.fail("%q has biases for %d distances, samples of %v have %d", b.prefix+name, count, b.input, len(numbers))
	}
	b.ignore(name + ".attention_bias_idxs")
	index := b.integers64("distances_"+strconv.Itoa(side)+"_"+strconv.Itoa(step), list)
	bias := b.shaped(name, "index_select", graph.Sizes(heads, len(list)), b.weight(name+".attention_biases", heads, count), 1, index)
	cube := graph.Sizes(heads, asking*asking, side*side)
	return b.shaped(name, "reshape", cube, bias, cube)
}
