package arch

import (
	"math"

	"lethe/graph"
)

// torchvisionViT is torchvision's vision transformer.
var torchvisionViT = family{
	name:  "ViT",
	marks: []string{"class_token", "conv_proj.weight", "encoder.pos_embedding", "encoder.layers.encoder_layer_0.ln_1.weight", "heads.head.weight"},
	build: func(b *builder) value {
		const epsilon = 1e-6
		x := b.tokens("conv_proj", "encoder.pos_embedding", "class_token")
		heads := b.heads(dims(x)[1])
		b.each("encoder.layers.encoder_layer_", 0, func(_ int, name string) {
			y := b.layerNorm(x, name+".ln_1", epsilon)
			qkv := b.linearOf(y, name+".self_attention", name+".self_attention.in_proj_weight", name+".self_attention.in_proj_bias")
			x = b.add(x, b.linear(b.attention(qkv, heads), name+".self_attention.out_proj"))
			y = b.layerNorm(x, name+".ln_2", epsilon)
			first, second := name+".mlp.0", name+".mlp.3"
			if b.has(name + ".mlp.linear_1.weight") {
				first, second = name+".mlp.linear_1", name+".mlp.linear_2"
			}
			x = b.add(x, b.linear(b.unary(b.linear(y, first), "gelu"), second))
		})
		return b.head(b.first(b.layerNorm(x, "encoder.ln", epsilon)), "heads", ".head")
	},
	notes: []string{"GELU and the order of layers are those of the published network", "the epsilon of layer normalization is taken to be 1e-6"},
}

// timmViT is timm's vision transformer with a class token, DeiT among them.
var timmViT = family{
	name:  "ViT (timm)",
	marks: []string{"cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "norm.weight", "head.weight"},
	build: func(b *builder) value {
		const epsilon = 1e-6
		x := b.tokens("patch_embed.proj", "pos_embed", "cls_token")
		heads := b.heads(dims(x)[1])
		b.each("blocks.", 0, func(_ int, name string) {
			branch := func(y value, scale string) value {
				if b.has(name + scale) {
					y = b.scale(y, b.weight(name+scale, dims(x)[1]))
				}
				return b.add(x, y)
			}
			y := b.linear(b.layerNorm(x, name+".norm1", epsilon), name+".attn.qkv")
			x = branch(b.linear(b.attention(y, heads), name+".attn.proj"), ".ls1.gamma")
			y = b.linear(b.layerNorm(x, name+".norm2", epsilon), name+".mlp.fc1")
			x = branch(b.linear(b.unary(y, "gelu"), name+".mlp.fc2"), ".ls2.gamma")
		})
		return b.head(b.first(b.layerNorm(x, "norm", epsilon)), "head", "")
	},
	notes: []string{"GELU and the order of layers are those of the published network", "the epsilon of layer normalization is taken to be 1e-6"},
}

// tokens cuts images into patches, puts learned tokens such as that of the class
// before them and adds the positions. The result has the axes batch, token,
// feature. The images are as large as the number of positions says; without the name of
// positions, as large as usual.
func (b *builder) tokens(patch, positions string, learned ...string) value {
	k, p := b.shape(patch+".weight"), []int{1, 0, 0}
	if positions != "" {
		p = b.shape(positions)
	}
	if len(k) != 4 || len(p) != 3 || k[2] < 1 || k[2] > 1<<10 {
		b.fail("patches of shape %v and positions of shape %v", k, p)
	}
	patches := p[1] - len(learned)
	side := int(math.Round(math.Sqrt(float64(max(patches, 0)))))
	if positions == "" {
		side = b.sizeOr(224) / k[2]
		patches = side * side
		if b.input != nil {
			patches = b.input[len(b.input)-1] / k[2] * (b.input[len(b.input)-2] / k[2])
		}
		p[1] = patches + len(learned)
	}
	if side == 0 || side*side != patches {
		b.fail("%d positions are not a square and %d tokens", p[1], len(learned))
	}
	x := b.convPad(b.image(k[1], side*k[2], side*k[2]), patch, k[2], 0, 0)
	d := dims(x)
	if d[1]*d[2] != patches {
		b.fail("samples of %v have %d patches, there are positions for %d", b.input, d[1]*d[2], patches)
	}
	var parts []value
	for _, name := range learned {
		parts = append(parts, b.shaped("", "expand", graph.Batch(1, d[0]), b.weight(name, 1, 1, d[0]), graph.Batch(1, d[0])))
	}
	x = b.cat(1, append(parts, b.permute(b.reshape(x, d[0], d[1]*d[2]), 0, 2, 1))...)
	if positions == "" {
		return x
	}
	return b.add2(x, b.weight(positions, 1, p[1], d[0]))
}

// add2 adds a weight that is broadcast over the batch.
func (b *builder) add2(x, w value) value { return b.shaped("", "add", x.Shape, x, w) }

// first takes the class token.
func (b *builder) first(x value) value {
	return b.call("", "select", []int{width(x)}, x, 1, 0)
}

// heads returns the number of attention heads of a published network by its
// width.
func (b *builder) heads(width int) int {
	if n := b.moduleHeads(); n > 0 && width%n == 0 {
		return n
	}
	heads := width / 64
	if width == 1280 { // ViT-H
		heads = 16
	}
	if heads == 0 || width%heads != 0 {
		b.fail("it has a width of %d, which no published network has", width)
	}
	b.note("%d attention heads are taken, as the published network of width %d has", heads, width)
	return heads
}

// attention is self-attention over the joined queries, keys and values.
func (b *builder) attention(qkv value, heads int) value {
	d := dims(qkv)
	n, width := d[0], d[1]/3
	if d[1]%3 != 0 || width%heads != 0 {
		b.fail("%d features are not queries, keys and values of %d heads", d[1], heads)
	}
	parts := b.permute(b.reshape(qkv, n, 3, heads, width/heads), 2, 0, 3, 1, 4)
	shape := graph.Batch(heads, n, width/heads)
	part := func(i int) value { return b.shaped("", "select", shape, parts, 0, i) }
	y := b.shaped("", "scaled_dot_product_attention", shape, part(0), part(1), part(2))
	return b.reshape(b.permute(y, 0, 2, 1, 3), n, width)
}
