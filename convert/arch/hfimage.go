package arch

import (
	"math"
	"strconv"

	"lethe/graph"
)

// hfViT and hfDeiT are Hugging Face's vision transformers for images.
var (
	hfViT = family{name: "ViT (Hugging Face)", marks: []string{"vit.embeddings.cls_token", "vit.encoder.layer.0.attention.attention.query.weight", "classifier.weight"},
		build: func(b *builder) value { return b.hfViT("vit", "cls_token") }}
	hfDeiT = family{name: "DeiT (Hugging Face)", marks: []string{"deit.embeddings.cls_token", "deit.embeddings.distillation_token", "deit.encoder.layer.0.attention.attention.query.weight"},
		build: func(b *builder) value { return b.hfViT("deit", "cls_token", "distillation_token") }}
)

func (b *builder) hfViT(root string, learned ...string) value {
	embeddings := root + ".embeddings."
	names := make([]string, len(learned))
	for i, name := range learned {
		names[i] = embeddings + name
	}
	epsilon := b.epsilon(1e-12)
	x := b.tokens(embeddings+"patch_embeddings.projection", embeddings+"position_embeddings", names...)
	heads := b.configHeads(dims(x)[1])
	b.each(root+".encoder.layer.", 0, func(_ int, name string) {
		y := b.layerNorm(x, name+".layernorm_before", epsilon)
		x = b.add(x, b.linear(b.selfAttention(y, name+".attention.attention", heads, nil), name+".attention.output.dense"))
		y = b.activation(b.linear(b.layerNorm(x, name+".layernorm_after", epsilon), name+".intermediate.dense"), "gelu")
		x = b.add(x, b.linear(y, name+".output.dense"))
	})
	x = b.layerNorm(x, root+".layernorm", epsilon)
	b.ignore(root+".pooler", embeddings+"mask_token")
	if b.has("cls_classifier.weight") { // the teacher's student: both heads, averaged
		one := b.linear(b.first(x), "cls_classifier")
		two := b.linear(b.call("", "select", []int{dims(x)[1]}, x, 1, 1), "distillation_classifier")
		return b.shaped("", "div", one.Shape, b.add(one, two), 2.0)
	}
	return b.linear(b.first(x), "classifier")
}

// selfAttention has queries, keys and values of their own matrices; x has the
// axes batch, token, feature, and mask says which tokens are there, or is nil.
func (b *builder) selfAttention(x value, name string, heads int, mask value) value {
	return b.attentionOf(b.linear(x, name+".query"), b.linear(x, name+".key"), b.linear(x, name+".value"), heads, mask)
}

func (b *builder) attentionOf(q, k, v value, heads int, mask value) value {
	batch, tokens := q.Shape[0], q.Shape[1]
	size := width(q)
	if size%heads != 0 {
		b.fail("a width of %d is not a multiple of %d heads", size, heads)
	}
	split := func(x value) value {
		shape := graph.Shape{batch, tokens, graph.Size(heads), graph.Size(size / heads)}
		return b.permute(b.shaped("", "reshape", shape, x, shape), 0, 2, 1, 3)
	}
	q = split(q)
	args := []any{q, split(k), split(v)}
	if mask != nil {
		args = append(args, mask)
	}
	y := b.permute(b.shaped("", "scaled_dot_product_attention", q.Shape, args...), 0, 2, 1, 3)
	joined := graph.Shape{batch, tokens, graph.Size(size)}
	return b.shaped("", "reshape", joined, y, joined)
}

// hfResNet is Hugging Face's ResNet.
var hfResNet = family{
	name:  "ResNet (Hugging Face)",
	marks: []string{"resnet.embedder.embedder.convolution.weight", "resnet.encoder.stages.0.layers.0.layer.0.convolution.weight", "classifier.1.weight"},
	build: func(b *builder) value {
		step := func(x value, name string, stride int) value {
			return b.convBN(x, name+".convolution", name+".normalization", stride, 1e-5)
		}
		inBottleneck := b.config != nil && b.config.DownsampleInBottleneck
		x := b.image(b.channelsOf("resnet.embedder.embedder.convolution.weight"), 224, 224)
		x = b.maxPool(b.activation(step(x, "resnet.embedder.embedder", 2), "relu"), 3, 2, 1, false)
		b.each("resnet.encoder.stages.", 0, func(stage int, name string) {
			b.each(name+".layers.", 0, func(i int, name string) {
				stride := strided(i == 0, stage > 0 || b.config != nil && b.config.DownsampleInFirstStage != nil && *b.config.DownsampleInFirstStage)
				y := x
				parts := b.each(name+".layer.", 0, func(int, string) {})
				for j := range parts {
					s := 1
					if bottleneck := parts == 3; !bottleneck && j == 0 || bottleneck && (j == 0) == inBottleneck && j < 2 {
						s = stride
					}
					if y = step(y, name+".layer."+strconv.Itoa(j), s); j+1 < parts {
						y = b.activation(y, "relu")
					}
				}
				if b.under(name + ".shortcut") {
					x = step(x, name+".shortcut", stride)
				}
				x = b.activation(b.add(y, x), "relu")
			})
		})
		return b.linear(b.globalAvg(x), "classifier.1")
	},
	notes: []string{"the epsilon of batch normalization is taken to be 1e-5"},
}

// channelsOf returns the channels that the first convolution takes.
func (b *builder) channelsOf(name string) int {
	k := b.shape(name)
	if len(k) != 4 {
		b.fail("%q has shape %v", b.prefix+name, k)
	}
	return k[1]
}

// hfConvNeXt and hfConvNeXtV2 are Hugging Face's ConvNeXt.
var (
	hfConvNeXt   = hfConvNeXtOf("ConvNeXt (Hugging Face)", "convnext")
	hfConvNeXtV2 = hfConvNeXtOf("ConvNeXt V2 (Hugging Face)", "convnextv2")
)

func hfConvNeXtOf(name, root string) family {
	embeddings := root + ".embeddings."
	return family{
		name:  name,
		marks: []string{embeddings + "patch_embeddings.weight", root + ".encoder.stages.0.layers.0.dwconv.weight", root + ".layernorm.weight", "classifier.weight"},
		build: func(b *builder) value {
			const inner = 1e-6 // of all normalizations but the last
			norm := func(x value, name string) value {
				return b.permute(b.layerNorm(b.permute(x, 0, 2, 3, 1), name, inner), 0, 3, 1, 2)
			}
			patches := func(x value, name string) value { return b.convPad(x, name, b.shape(name + ".weight")[2], 0, 0) }
			size := b.sizeOr(224)
			x := b.image(b.channelsOf(embeddings+"patch_embeddings.weight"), size, size)
			x = norm(patches(x, embeddings+"patch_embeddings"), embeddings+"layernorm")
			b.each(root+".encoder.stages.", 0, func(_ int, name string) {
				if down := name + ".downsampling_layer"; b.under(down) {
					x = patches(norm(x, down+".0"), down+".1")
				}
				b.each(name+".layers.", 0, func(_ int, name string) {
					y := b.permute(b.conv(x, name+".dwconv", 1), 0, 2, 3, 1)
					y = b.activation(b.linear(b.layerNorm(y, name+".layernorm", inner), name+".pwconv1"), "gelu")
					if b.under(name + ".grn") {
						y = b.responseNorm(y, name+".grn")
					}
					y = b.linear(y, name+".pwconv2")
					if b.has(name + ".layer_scale_parameter") {
						y = b.scale(y, b.weight(name+".layer_scale_parameter", dims(x)[0]))
					}
					x = b.add(x, b.permute(y, 0, 3, 1, 2))
				})
			})
			return b.linear(b.layerNorm(b.globalAvg(x), root+".layernorm", b.epsilon(1e-12)), "classifier")
		},
	}
}

// responseNorm is the global response normalization of ConvNeXt V2 over height and
// width, with the channels last: weight * (x * n) + bias + x, where n is the norm of
// a channel divided by the mean norm of all channels.
func (b *builder) responseNorm(x value, name string) value {
	c := width(x)
	norms := b.call("", "linalg_vector_norm", []int{1, 1, c}, x, 2.0, []int{1, 2}, true)
	mean := b.call("", "mean", []int{1, 1, 1}, norms, []int{-1}, true)
	n := b.shaped("", "div", norms.Shape, norms, b.shaped("", "add", mean.Shape, mean, 1e-6))
	y := b.scale(b.scale(x, n), b.weight(name+".weight", 1, 1, 1, c))
	return b.add(b.add2(y, b.weight(name+".bias", 1, 1, 1, c)), x)
}

// hfSwin is Hugging Face's Swin transformer, version 1.
var hfSwin = family{
	name:  "Swin (Hugging Face)",
	marks: []string{"swin.embeddings.patch_embeddings.projection.weight", "swin.encoder.layers.0.blocks.0.attention.self.query.weight", "swin.layernorm.weight", "classifier.weight"},
	build: func(b *builder) value {
		epsilon := b.epsilon(1e-5)
		size := b.sizeOr(224)
		const patch = "swin.embeddings.patch_embeddings.projection"
		x := b.image(b.channelsOf(patch+".weight"), size, size)
		x = b.permute(b.convPad(x, patch, b.shape(patch + ".weight")[2], 0, 0), 0, 2, 3, 1)
		x = b.layerNorm(x, "swin.embeddings.norm", epsilon)
		b.each("swin.encoder.layers.", 0, func(_ int, stage string) {
			b.each(stage+".blocks.", 0, func(i int, name string) {
				y := b.hfSwinAttention(b.layerNorm(x, name+".layernorm_before", epsilon), name+".attention", i%2 == 1)
				x = b.add(x, y)
				y = b.activation(b.linear(b.layerNorm(x, name+".layernorm_after", epsilon), name+".intermediate.dense"), "gelu")
				x = b.add(x, b.linear(y, name+".output.dense"))
			})
			if b.under(stage + ".downsample") {
				x = b.mergePatches(x, stage+".downsample")
			}
		})
		x = b.permute(b.layerNorm(x, "swin.layernorm", epsilon), 0, 3, 1, 2)
		b.ignore("swin.embeddings.mask_token")
		return b.linear(b.globalAvg(x), "classifier")
	},
	notes: []string{"every second block shifts its windows by half of their size, as in the published network"},
}

func (b *builder) hfSwinAttention(x value, name string, shifted bool) value {
	d := dims(x)
	table := b.weight(name + ".self.relative_position_bias_table")
	rows, columns := b.shape(name + ".self.relative_position_bias_table")[0], len(table.Shape)
	if columns != 2 {
		b.fail("%q has shape %v", table.Name, table.Shape)
	}
	heads, _ := table.Shape[1].Int()
	span := int(math.Round(math.Sqrt(float64(rows)))) // 2*side - 1
	side := (span + 1) / 2
	if span*span != rows || span%2 == 0 || side > widest || heads < 1 || d[2]%heads != 0 {
		b.fail("%q has shape %v, which is not a table of square windows", table.Name, table.Shape)
	}
	b.ignore(name + ".self.relative_position_index")
	n := side * side
	bias := b.biasOf(name, table, b.relativeIndex(side), n, heads)
	return b.windowAttention(x, side, shifted, func(x, mask value) value {
		windows, c := dims(x)[0], d[2]
		part := func(which string) value {
			y := b.linear(x, name+".self."+which)
			return b.permute(b.reshape(y, windows, n, heads, c/heads), 0, 1, 3, 2, 4)
		}
		y := b.attendWindows(part("query"), part("key"), part("value"), 1/math.Sqrt(float64(c/heads)), bias, mask)
		return b.linear(y, name+".output.dense")
	})
}

// relativeIndex returns for each pair of patches of a window the row of the
// table of biases: their distance in rows and columns, both moved to be
// positive.
func (b *builder) relativeIndex(side int) value {
	n := side * side
	rows := make([]int, 0, n*n)
	for p := range n {
		for q := range n {
			rows = append(rows, (p/side-q/side+side-1)*(2*side-1)+p%side-q%side+side-1)
		}
	}
	return b.integers64("relative_index_"+strconv.Itoa(side), rows)
}

// hfMobile returns what the config of a MobileNet of Hugging Face says: whether it pads
// as TensorFlow does, and the height and width of its images.
func (b *builder) hfMobile() (uneven bool, size int) {
	uneven, size = true, 224
	if c := b.config; c != nil {
		uneven = c.TFPadding == nil || *c.TFPadding
		if c.ImageSize > 0 {
			size = int(c.ImageSize)
		}
	}
	return uneven, size
}

// hfMobileNetV2 is Hugging Face's MobileNetV2.
var hfMobileNetV2 = family{
	name:  "MobileNetV2 (Hugging Face)",
	marks: []string{"mobilenet_v2.conv_stem.first_conv.convolution.weight", "mobilenet_v2.layer.0.conv_3x3.convolution.weight", "mobilenet_v2.conv_1x1.convolution.weight", "classifier.weight"},
	build: func(b *builder) value {
		epsilon := b.epsilon(1e-3)
		uneven, size := b.hfMobile()
		if c := b.config; c != nil && c.OutputSteps != 0 && c.OutputSteps != 32 {
			b.fail("an output_stride of %d is not supported", c.OutputSteps)
		}
		step := func(x value, name string, stride int, active bool) value {
			x = b.batchNorm(b.convSame(x, name+".convolution", stride, uneven), name+".normalization", epsilon)
			if active {
				return b.activation(x, "relu6")
			}
			return x
		}
		x := b.image(b.channelsOf("mobilenet_v2.conv_stem.first_conv.convolution.weight"), size, size)
		x = step(x, "mobilenet_v2.conv_stem.first_conv", 2, true)
		x = step(x, "mobilenet_v2.conv_stem.conv_3x3", 1, true)
		x = step(x, "mobilenet_v2.conv_stem.reduce_1x1", 1, false)
		for i, stride := range []int{2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1} {
			name := "mobilenet_v2.layer." + strconv.Itoa(i)
			y := step(x, name+".expand_1x1", 1, true)
			y = step(y, name+".conv_3x3", stride, true)
			x = b.residual(x, step(y, name+".reduce_1x1", 1, false), stride)
		}
		x = step(x, "mobilenet_v2.conv_1x1", 1, true)
		return b.linear(b.globalAvg(x), "classifier")
	},
	notes: []string{"strides are those of the published network"},
}

// hfMobileNetV1 is Hugging Face's MobileNetV1.
var hfMobileNetV1 = family{
	name:  "MobileNetV1 (Hugging Face)",
	marks: []string{"mobilenet_v1.conv_stem.convolution.weight", "mobilenet_v1.layer.25.convolution.weight", "classifier.weight"},
	build: func(b *builder) value {
		epsilon := b.epsilon(1e-3)
		uneven, size := b.hfMobile()
		step := func(x value, name string, stride int) value {
			return b.activation(b.batchNorm(b.convSame(x, name+".convolution", stride, uneven), name+".normalization", epsilon), "relu6")
		}
		x := step(b.image(b.channelsOf("mobilenet_v1.conv_stem.convolution.weight"), size, size), "mobilenet_v1.conv_stem", 2)
		for i, stride := range []int{1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1} {
			x = step(x, "mobilenet_v1.layer."+strconv.Itoa(2*i), stride)
			x = step(x, "mobilenet_v1.layer."+strconv.Itoa(2*i+1), 1)
		}
		return b.linear(b.globalAvg(x), "classifier")
	},
	notes: []string{"strides are those of the published network"},
}

// hfDINOv2 is Hugging Face's DINOv2, whose classifier takes the class token and the
// mean of the patches.
var hfDINOv2 = family{
	name:  "DINOv2 (Hugging Face)",
	marks: []string{"dinov2.embeddings.cls_token", "dinov2.encoder.layer.0.layer_scale1.lambda1", "dinov2.encoder.layer.0.mlp.fc1.weight", "classifier.weight"},
	build: func(b *builder) value {
		epsilon := b.epsilon(1e-6)
		x := b.tokens("dinov2.embeddings.patch_embeddings.projection", "dinov2.embeddings.position_embeddings", "dinov2.embeddings.cls_token")
		b.ignore("dinov2.embeddings.mask_token")
		d := dims(x)
		heads := b.configHeads(d[1])
		b.each("dinov2.encoder.layer.", 0, func(_ int, name string) {
			y := b.selfAttention(b.layerNorm(x, name+".norm1", epsilon), name+".attention.attention", heads, nil)
			x = b.add(x, b.scale(b.linear(y, name+".attention.output.dense"), b.weight(name+".layer_scale1.lambda1", d[1])))
			y = b.activation(b.linear(b.layerNorm(x, name+".norm2", epsilon), name+".mlp.fc1"), "gelu")
			x = b.add(x, b.scale(b.linear(y, name+".mlp.fc2"), b.weight(name+".layer_scale2.lambda1", d[1])))
		})
		x = b.layerNorm(x, "dinov2.layernorm", epsilon)
		patches := b.call("", "mean", []int{d[1]}, b.slice(x, 1, 1, d[0], 1), []int{1})
		return b.linear(b.cat(1, b.first(x), patches), "classifier")
	},
}

// convSame is a convolution that divides the size by its stride. Where the
// padding is uneven, TensorFlow puts the larger part at the end.
func (b *builder) convSame(x value, name string, stride int, uneven bool) value {
	k := b.shape(name + ".weight")
	if !uneven || len(k) != 4 {
		return b.conv(x, name, stride)
	}
	d := dims(x)
	var pads [2]int
	for i := range 2 {
		n := d[1+i] % stride
		if n == 0 {
			n = stride
		}
		pads[i] = max(k[2+i]-n, 0)
	}
	if pads[0]+pads[1] > 0 {
		padded := []int{d[0], d[1] + pads[0], d[2] + pads[1]}
		x = b.call(name, "constant_pad_nd", padded, x, []int{pads[1] / 2, pads[1] - pads[1]/2, pads[0] / 2, pads[0] - pads[0]/2}, 0.0)
	}
	return b.convPad(x, name, stride, 0, 0)
}
