package arch

import (
	"cmp"
	"encoding/binary"
	"math"
	"strconv"

	"lethe/graph"
	"lethe/model"
)

// sizeOr returns the height and width that the config says, or the usual ones.
func (b *builder) sizeOr(usual int) int {
	if b.config != nil && b.config.ImageSize > 0 {
		return int(b.config.ImageSize)
	}
	return usual
}

// hfRegNet is Hugging Face's RegNet, X and Y.
var hfRegNet = family{
	name:  "RegNet (Hugging Face)",
	marks: []string{"regnet.embedder.embedder.convolution.weight", "regnet.encoder.stages.0.layers.0.layer.0.convolution.weight", "classifier.1.weight"},
	build: func(b *builder) value {
		step := func(x value, name string, stride int) value {
			return b.convBN(x, name+".convolution", name+".normalization", stride, 1e-5)
		}
		first := b.config == nil || b.config.DownsampleInFirstStage == nil || *b.config.DownsampleInFirstStage
		const stem = "regnet.embedder.embedder"
		x := b.activation(step(b.image(b.channelsOf(stem+".convolution.weight"), 224, 224), stem, 2), "relu")
		b.each("regnet.encoder.stages.", 0, func(stage int, name string) {
			b.each(name+".layers.", 0, func(i int, name string) {
				stride := strided(i == 0, stage > 0 || first)
				y := b.activation(step(x, name+".layer.0", 1), "relu")
				y = b.activation(step(y, name+".layer.1", stride), "relu")
				last := name + ".layer.2"
				if b.under(last + ".attention") {
					y = b.squeezeExcite(y, last+".attention.0", last+".attention.2", "relu", "sigmoid")
					last = name + ".layer.3"
				}
				if b.under(name + ".shortcut") {
					x = step(x, name+".shortcut", stride)
				}
				x = b.activation(b.add(step(y, last, 1), x), "relu")
			})
		})
		return b.linear(b.globalAvg(x), "classifier.1")
	},
	notes: []string{"the epsilon of batch normalization is taken to be 1e-5"},
}

// hfBEiT and hfData2VecVision are Hugging Face's BEiT, whose scores depend on how far two
// patches are from each other.
var (
	hfBEiT           = hfBEiTOf("BEiT (Hugging Face)", "beit")
	hfData2VecVision = hfBEiTOf("Data2Vec for images (Hugging Face)", "data2vec_vision")
)

func hfBEiTOf(name, root string) family {
	embeddings := root + ".embeddings."
	return family{
		name:  name,
		marks: []string{embeddings + "cls_token", embeddings + "patch_embeddings.projection.weight", root + ".encoder.layer.0.attention.attention.query.weight", "classifier.weight"},
		build: func(b *builder) value {
			epsilon, positions := b.epsilon(1e-12), embeddings+"position_embeddings"
			if !b.has(positions) {
				positions = ""
			}
			x := b.tokens(embeddings+"patch_embeddings.projection", positions, embeddings+"cls_token")
			b.ignore(embeddings + "mask_token")
			d := dims(x)
			heads := b.configHeads(d[1])
			shared := b.patchBias(root+".encoder.relative_position_bias", d[0], heads)
			b.each(root+".encoder.layer.", 0, func(_ int, name string) {
				branch := func(y value, scale string) value {
					if b.has(name + scale) {
						y = b.scale(y, b.weight(name+scale, d[1]))
					}
					return b.add(y, x)
				}
				attention := name + ".attention.attention"
				bias := b.patchBias(attention+".relative_position_bias", d[0], heads)
				if bias == nil {
					bias = shared
				} else if shared != nil {
					bias = b.add(bias, shared)
				}
				y := b.selfAttention(b.layerNorm(x, name+".layernorm_before", epsilon), attention, heads, bias)
				x = branch(b.linear(y, name+".attention.output.dense"), ".lambda_1")
				y = b.activation(b.linear(b.layerNorm(x, name+".layernorm_after", epsilon), name+".intermediate.dense"), "gelu")
				x = branch(b.linear(y, name+".output.dense"), ".lambda_2")
			})
			if pooled := root + ".pooler.layernorm"; b.under(pooled) {
				return b.linear(b.layerNorm(b.call("", "mean", []int{d[1]}, b.slice(x, 1, 1, d[0], 1), []int{1}), pooled, epsilon), "classifier")
			}
			return b.linear(b.first(b.layerNorm(x, root+".layernorm", epsilon)), "classifier")
		},
	}
}

// patchBias is what the distance of two of n tokens, of which the first is that of the
// class, adds to their score, of shape heads x n x n; nil if there is no such table.
func (b *builder) patchBias(name string, n, heads int) value {
	b.ignore(name + ".relative_position_index")
	if !b.has(name + ".relative_position_bias_table") {
		return nil
	}
	side := int(math.Round(math.Sqrt(float64(n - 1))))
	span := 2*side - 1
	if side*side != n-1 || side > 2*widest {
		b.fail("%d patches are not a square", n-1)
	}
	table := b.weight(name+".relative_position_bias_table", span*span+3, heads)
	rows := make([]int, 0, n*n)
	for p := range n {
		for q := range n {
			switch { // the class to a patch, a patch to the class, the class to itself
			case p == 0 && q == 0:
				rows = append(rows, span*span+2)
			case p == 0:
				rows = append(rows, span*span)
			case q == 0:
				rows = append(rows, span*span+1)
			default:
				rows = append(rows, ((p-1)/side-(q-1)/side+side-1)*span+(p-1)%side-(q-1)%side+side-1)
			}
		}
	}
	return b.biasOf(name, table, b.integers64("patch_index_"+strconv.Itoa(side), rows), n, heads)
}

// integers64 returns a constant vector of int64.
func (b *builder) integers64(name string, list []int) value {
	bytes := make([]byte, 0, 8*len(list))
	for _, n := range list {
		bytes = binary.LittleEndian.AppendUint64(bytes, uint64(n))
	}
	t, err := model.NewTensor(model.Int64, []int{len(list)}, nil, 0, model.BytesStorage(bytes))
	if err != nil {
		b.fail("%s: %v", name, err)
	}
	return b.constantTensor(name, t)
}

// hfSwinV2 is Hugging Face's Swin transformer, version 2, whose windows are as large as
// the config says.
var hfSwinV2 = family{
	name:  "Swin V2 (Hugging Face)",
	marks: []string{"swinv2.embeddings.patch_embeddings.projection.weight", "swinv2.encoder.layers.0.blocks.0.attention.self.logit_scale", "swinv2.layernorm.weight", "classifier.weight"},
	build: func(b *builder) value {
		if b.config == nil || b.config.Window < 1 || b.config.Window > widest {
			b.fail("the size of its windows is in config.json alone: give the folder")
		}
		epsilon, size := b.epsilon(swinEpsilon), b.sizeOr(224)
		const patch = "swinv2.embeddings.patch_embeddings.projection"
		x := b.image(b.channelsOf(patch+".weight"), size, size)
		x = b.permute(b.convPad(x, patch, b.shape(patch + ".weight")[2], 0, 0), 0, 2, 3, 1)
		x = b.layerNorm(x, "swinv2.embeddings.norm", swinEpsilon)
		b.ignore("swinv2.embeddings.mask_token")
		b.each("swinv2.encoder.layers.", 0, func(i int, stage string) {
			trained := 0
			if list := b.config.TrainedWindows; i < len(list) {
				trained = list[i]
			}
			b.each(stage+".blocks.", 0, func(j int, name string) {
				x = b.add(x, b.layerNorm(b.hfSwinV2Attention(x, name+".attention", j%2 == 1, trained), name+".layernorm_before", epsilon))
				y := b.linear(b.activation(b.linear(x, name+".intermediate.dense"), "gelu"), name+".output.dense")
				x = b.add(x, b.layerNorm(y, name+".layernorm_after", epsilon))
			})
			if b.under(stage + ".downsample") {
				x = b.mergePatches(x, stage+".downsample")
			}
		})
		x = b.permute(b.layerNorm(x, "swinv2.layernorm", epsilon), 0, 3, 1, 2)
		return b.linear(b.globalAvg(x), "classifier")
	},
	notes: []string{"every second block shifts its windows by half of their size, as in the published network"},
}

// hfSwinV2Attention scores by the cosine of queries and keys and a function of the
// distance, which was learned with windows of another size if trained is not 0.
func (b *builder) hfSwinV2Attention(x value, name string, shifted bool, trained int) value {
	d := dims(x)
	side := min(int(b.config.Window), d[0], d[1])
	self := name + ".self"
	heads, n, c := b.shape(self + ".logit_scale")[0], side*side, d[2]
	if heads < 1 || c%heads != 0 {
		b.fail("%d features are none of %d heads", c, heads)
	}
	b.ignore(self+".relative_position_index", self+".relative_coords_table")
	mlp := self + ".continuous_position_bias_mlp."
	span, hidden := 2*side-1, b.shape(mlp + "0.weight")[0]
	coords := b.constant("distances_"+strconv.Itoa(side)+"_"+strconv.Itoa(trained), []int{span * span, 2}, distances(side, trained))
	t := b.relu(b.shaped(name, "linear", graph.Sizes(span*span, hidden), coords, b.weight(mlp+"0.weight", hidden, 2), b.weight(mlp+"0.bias", hidden)))
	t = b.shaped(name, "linear", graph.Sizes(span*span, heads), t, b.weight(mlp+"2.weight", heads, hidden))
	bias := b.biasOf(name, t, b.relativeIndex(side), n, heads)
	bias = b.shaped(name, "mul", bias.Shape, b.unary(bias, "sigmoid"), 16.0)
	s := b.weight(self+".logit_scale", heads, 1, 1)
	scale := b.shaped(name, "exp", s.Shape, b.shaped(name, "clamp", s.Shape, s, nil, math.Log(100)))
	return b.windowAttention(x, side, shifted, func(x, mask value) value {
		part := func(which string) value {
			return b.permute(b.reshape(b.linear(x, self+"."+which), dims(x)[0], n, heads, c/heads), 0, 1, 3, 2, 4)
		}
		y := b.attendWindows(b.normalize(part("query")), b.normalize(part("key")), part("value"), scale, bias, mask)
		return b.linear(y, name+".output.dense")
	})
}

// distances are those of two patches of a window in rows and columns, on the logarithmic
// scale of Swin V2: sign(d) log2(1 + |d|) / 3 for d from -8 to 8.
func distances(side, trained int) []float32 {
	last := float32(max(cmp.Or(trained, side)-1, 1))
	out := make([]float32, 0, 2*(2*side-1)*(2*side-1))
	at := func(i int) float32 {
		d := float64(float32(i-side+1) / last * 8)
		return float32(math.Copysign(math.Log2(math.Abs(d)+1)/3, d))
	}
	for i := range 2*side - 1 {
		for j := range 2*side - 1 {
			out = append(out, at(i), at(j))
		}
	}
	return out
}

// hfPoolFormer is Hugging Face's PoolFormer.
var hfPoolFormer = family{
	name:  "PoolFormer (Hugging Face)",
	marks: []string{"poolformer.encoder.patch_embeddings.0.projection.weight", "poolformer.encoder.block.0.0.before_norm.weight", "norm.weight", "classifier.weight"},
	build: func(b *builder) value {
		strides, paddings, pool := []int{4, 2, 2, 2}, []int{2, 1, 1, 1}, 3
		if c := b.config; c != nil {
			if c.Strides != nil && c.Padding != nil {
				strides, paddings = c.Strides, c.Padding
			}
			pool = cmp.Or(int(c.PoolSize), pool)
		}
		norm := func(x value, name string) value {
			c := dims(x)[0]
			return b.shaped(name, "group_norm", x.Shape, x, 1, b.weight(name+".weight", c), b.weight(name+".bias", c), 1e-5)
		}
		const patch = "poolformer.encoder.patch_embeddings."
		x := b.image(b.channelsOf(patch+"0.projection.weight"), 224, 224)
		b.each("poolformer.encoder.block.", 0, func(stage int, name string) {
			if stage >= min(len(strides), len(paddings)) || pool < 1 || pool%2 == 0 || strides[stage] < 1 || paddings[stage] < 0 {
				b.fail("config.json has strides of %v, padding of %v and a pooling of %d", strides, paddings, pool)
			}
			x = b.convPad(x, patch+strconv.Itoa(stage)+".projection", strides[stage], paddings[stage], paddings[stage])
			b.each(name+".", 0, func(_ int, name string) {
				branch := func(y value, scale string) value {
					if c := dims(x)[0]; b.has(name + scale) {
						y = b.scale(y, b.shaped(name, "reshape", graph.Sizes(c, 1, 1), b.weight(name+scale, c), []int{c, 1, 1}))
					}
					return b.add(x, y)
				}
				y := norm(x, name+".before_norm")
				mean := b.shaped(name, "avg_pool2d", y.Shape, y, []int{pool, pool}, []int{1, 1}, []int{pool / 2, pool / 2}, false, false)
				x = branch(b.shaped(name, "sub", y.Shape, mean, y), ".layer_scale_1")
				y = b.activation(b.conv(norm(x, name+".after_norm"), name+".output.conv1", 1), "gelu")
				x = branch(b.conv(y, name+".output.conv2", 1), ".layer_scale_2")
			})
		})
		return b.linear(b.globalAvg(norm(x, "norm")), "classifier")
	},
	notes: []string{"the epsilon of normalization is taken to be 1e-5"},
}
