package arch

import (
	"math"

	"lethe/graph"
)

// maxViT is torchvision's MaxViT. Heads and the size of partitions are read from the
// tables of relative positions.
var maxViT = family{
	name:  "MaxViT",
	marks: []string{"stem.0.0.weight", "blocks.0.layers.0.layers.MBconv.layers.conv_a.0.weight", "blocks.0.layers.0.layers.grid_attention.attn_layer.1.to_qkv.weight", "classifier.5.weight"},
	build: func(b *builder) value {
		x := b.unary(b.convBN(b.image(3, 224, 224), "stem.0.0", "stem.0.1", 2, maxViTEpsilon), "gelu")
		x = b.conv(x, "stem.1.0", 1)
		b.each("blocks.", 0, func(_ int, block string) {
			b.each(block+".layers.", 0, func(i int, name string) {
				name += ".layers"
				x = b.maxViTConv(x, name+".MBconv", strided(i == 0, true))
				x = b.partitioned(x, name+".window_attention", false)
				x = b.partitioned(x, name+".grid_attention", true)
			})
		})
		x = b.layerNorm(b.globalAvg(x), "classifier.2", 1e-5)
		return b.linear(b.unary(b.linear(x, "classifier.3"), "tanh"), "classifier.5")
	},
	notes: []string{"strides and activations are torchvision's", "the epsilons of normalization are taken to be 1e-3 and 1e-5, as in the published network"},
}

const maxViTEpsilon = 1e-3

// maxViTConv is an inverted bottleneck with a shortcut.
func (b *builder) maxViTConv(x value, name string, stride int) value {
	inner := name + ".layers."
	y := b.batchNorm(x, inner+"pre_norm", maxViTEpsilon)
	y = b.unary(b.convBN(y, inner+"conv_a.0", inner+"conv_a.1", 1, maxViTEpsilon), "gelu")
	y = b.unary(b.convBN(y, inner+"conv_b.0", inner+"conv_b.1", stride, maxViTEpsilon), "gelu")
	y = b.squeezeExcite(y, inner+"squeeze_excitation.fc1", inner+"squeeze_excitation.fc2", "silu", "sigmoid")
	y = b.conv(y, inner+"conv_c", 1)
	if stride == 2 {
		x = b.conv(b.avgPool(x, 3, 2, 1), name+".proj.1", 1)
	} else if b.under(name + ".proj") {
		x = b.conv(x, name+".proj.0", 1)
	}
	return b.add(x, y)
}

// partitioned is attention and a perceptron for the pixels of each square of an image, or
// of each grid: pixels that are as far from each other as the grid is wide.
func (b *builder) partitioned(x value, name string, grid bool) value {
	attention := name + ".attn_layer.1"
	n := 1 // pixels of a partition, squared
	for _, size := range b.shape(attention + ".relative_position_index") {
		n *= size
	}
	n = int(math.Round(math.Sqrt(float64(n))))
	side := int(math.Round(math.Sqrt(float64(n))))
	d := dims(x)
	c, h, w := d[0], d[1], d[2]
	if side*side != n || side > widest || h%side != 0 || w != h {
		b.fail("samples of %v lead to %dx%d pixels, which are not whole partitions of %dx%d", b.input, h, w, side, side)
	}
	// Axes of an image cut into squares: batch, row and column of the square, row and
	// column in it, channel.
	size, order := side, []int{0, 2, 4, 3, 5, 1}
	if grid {
		size, order = h/side, []int{0, 3, 5, 2, 4, 1}
	}
	cut := b.permute(b.reshape(x, c, h/size, size, w/size, size), order...)
	y := b.reshape(cut, h*w/n, n, c)
	z := b.layerNorm(y, name+".attn_layer.0", 1e-5)
	bias, heads := b.relativeBias(attention, n)
	if heads < 1 || c%heads != 0 {
		b.fail("%d features are none of %d heads", c, heads)
	}
	qkv := b.permute(b.reshape(b.linear(z, attention+".to_qkv"), h*w/n, n, 3, heads, c/heads), 3, 0, 1, 4, 2, 5)
	part := func(i int) value {
		return b.shaped(attention, "select", graph.Batch(h*w/n, heads, n, c/heads), qkv, 0, i)
	}
	z = b.attendWindows(part(0), part(1), part(2), 1/math.Sqrt(float64(c)), bias, nil)
	y = b.add(y, b.linear(z, attention+".merge"))
	z = b.layerNorm(y, name+".mlp_layer.0", 1e-5)
	y = b.add(y, b.linear(b.unary(b.linear(z, name+".mlp_layer.1"), "gelu"), name+".mlp_layer.3"))
	y = b.shaped("", "reshape", cut.Shape, y, cut.Shape)
	back := make([]int, len(order))
	for i, from := range order {
		back[from] = i
	}
	return b.reshape(b.permute(y, back...), c, h, w)
}
