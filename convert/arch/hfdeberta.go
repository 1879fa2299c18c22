package arch

import (
	"cmp"
	"math"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// deBERTa and deBERTaV2 are Hugging Face's DeBERTa, version 1, and versions 2 and 3: scores
// depend on the words, and on how far they are from each other.
var (
	deBERTa   = deBERTaOf("DeBERTa (Hugging Face)", "in_proj")
	deBERTaV2 = deBERTaOf("DeBERTa V2 (Hugging Face)", "query_proj")
)

func deBERTaOf(name, projection string) family {
	return family{
		name:  name,
		marks: []string{"deberta.embeddings.word_embeddings.weight", "deberta.encoder.layer.0.attention.self." + projection + ".weight", "pooler.dense.weight", "classifier.weight"},
		build: (*builder).deBERTa,
	}
}

func (b *builder) deBERTa() value {
	c := b.config
	if c == nil {
		b.fail("how its distances are counted is in config.json alone: give the folder")
	}
	epsilon := b.epsilon(1e-7)
	ids, mask := b.text()
	x := b.embed(ids, "deberta.embeddings.word_embeddings")
	if b.has("deberta.embeddings.position_embeddings.weight") {
		x = b.addRows(x, "deberta.embeddings.position_embeddings")
	}
	if b.has("deberta.embeddings.token_type_embeddings.weight") {
		x = b.add(x, b.embed(b.inputOf("token_type_ids", model.Int64, ids.Shape), "deberta.embeddings.token_type_embeddings"))
	}
	if b.under("deberta.embeddings.embed_proj") {
		x = b.linear(x, "deberta.embeddings.embed_proj")
	}
	b.ignore("deberta.embeddings.position_ids")
	column := graph.Shape{ids.Shape[0], ids.Shape[1], graph.Size(1)}
	there := b.shapedAs("", "reshape", model.Bool, column, mask, column)
	absent := b.shapedAs("", "logical_not", model.Bool, column, there)
	x = b.layerNorm(x, "deberta.embeddings.LayerNorm", epsilon)
	x = b.shaped("", "masked_fill", x.Shape, x, absent, 0.0)
	d := &distance{heads: b.configHeads(width(x))}
	if c.RelativeAttention {
		b.distanceTables(d, ids.Shape[1], epsilon)
	}
	square := slices.Concat(mask.Shape[:2], ids.Shape[1:], ids.Shape[1:])
	tall := slices.Concat(mask.Shape[:2], ids.Shape[1:], graph.Sizes(1))
	d.absent = b.shapedAs("", "logical_not", model.Bool, square,
		b.shapedAs("", "logical_and", model.Bool, square, mask, b.shapedAs("", "reshape", model.Bool, tall, mask, tall)))
	before := x
	b.each("deberta.encoder.layer.", 0, func(i int, name string) {
		y := b.linear(b.disentangled(x, name+".attention.self", d), name+".attention.output.dense")
		x = b.layerNorm(b.add(y, x), name+".attention.output.LayerNorm", epsilon)
		y = b.linear(b.activation(b.linear(x, name+".intermediate.dense"), "gelu"), name+".output.dense")
		x = b.layerNorm(b.add(y, x), name+".output.LayerNorm", epsilon)
		if i == 0 && b.under("deberta.encoder.conv") {
			x = b.neighbours(before, x, absent, epsilon)
		}
	})
	return b.linear(b.named(b.linear(b.first(x), "pooler.dense"), cmp.Or(c.PoolerAct, "gelu")), "classifier")
}

// distance is how DeBERTa's attention depends on the distance of two words.
type distance struct {
	heads        int
	span         int   // vectors for each direction
	vectors      value // of distances, or nil
	toKey, toAsk value // for each pair of words, the vector of their distance, and of the opposite one
	absent       value // pairs of which a word is none
}

// distanceTables finds the vectors of distances, and which one each pair of words has.
func (b *builder) distanceTables(d *distance, words graph.Dim, epsilon float64) {
	c := b.config
	most := int(c.MaxDistance)
	if most < 1 {
		most = int(c.Positions)
	}
	buckets := int(c.Buckets)
	if d.span = most; buckets > 0 {
		d.span = buckets
	}
	if most < 1 || most > 1<<16 || d.span > 1<<16 || buckets == 1 {
		b.fail("config.json has %d distances in %d buckets", most, buckets)
	}
	const name = "deberta.encoder.rel_embeddings"
	d.vectors = b.weight(name + ".weight")
	if rows := b.shape(name + ".weight"); len(rows) != 2 || rows[0] < 2*d.span {
		b.fail("%q has shape %v for %d distances", name, rows, 2*d.span)
	}
	if b.under("deberta.encoder.LayerNorm") {
		d.vectors = b.layerNorm(d.vectors, "deberta.encoder.LayerNorm", epsilon)
	}
	d.vectors = b.shaped("", "slice", graph.Shape{graph.Size(2 * d.span), d.vectors.Shape[1]}, d.vectors, 0, 0, 2*d.span)
	var to, back []int
	for far := -most; far <= most; far++ {
		at := far
		if buckets > 0 {
			at = bucket(far, buckets, most)
		}
		to, back = append(to, min(max(at+d.span, 0), 2*d.span-1)), append(back, min(max(d.span-at, 0), 2*d.span-1))
	}
	row := graph.Shape{words}
	places := b.shapedAs("", "arange", model.Int64, row, words)
	square := graph.Shape{words, words}
	far := b.shapedAs("", "sub", model.Int64, square, b.shapedAs("", "unsqueeze", model.Int64, graph.Shape{words, graph.Size(1)}, places, 1), places)
	far = b.shapedAs("", "add", model.Int64, square, b.shapedAs("", "clamp", model.Int64, square, far, -most, most), most)
	flat := graph.Shape{words.Mul(words)}
	far = b.shapedAs("", "reshape", model.Int64, flat, far, flat)
	of := func(name string, table []int) value {
		y := b.shapedAs("", "index_select", model.Int64, flat, b.integers64(name, table), 0, far)
		return b.shapedAs("", "reshape", model.Int64, square, y, square)
	}
	d.toKey, d.toAsk = of("distances", to), of("distances_back", back)
}

// bucket puts distances into buckets: near ones have one each, those farther away share
// them on a logarithmic scale. It is computed in float32, as PyTorch does.
func bucket(far, buckets, most int) int {
	mid := buckets / 2
	if far < mid && far > -mid || far == mid || far == -mid {
		return far
	}
	ln := func(x float32) float32 { return float32(math.Log(float64(x))) }
	away := max(far, -far)
	y := ln(float32(away)/float32(mid)) / ln(float32(float64(most-1)/float64(mid))) * float32(mid-1)
	at := int(math.Ceil(float64(y))) + mid
	if far < 0 {
		return -at
	}
	return at
}

// disentangled is attention by words and distances.
func (b *builder) disentangled(x value, name string, d *distance) value {
	batch, words, size := x.Shape[0], x.Shape[1], width(x)/d.heads
	split := func(x value) value {
		shape := graph.Shape{x.Shape[0], x.Shape[1], graph.Size(d.heads), graph.Size(size)}
		return b.permute(b.shaped("", "reshape", shape, x, shape), 0, 2, 1, 3)
	}
	toKeyName, toAskName := "pos_key_proj", "pos_query_proj"
	var q, k, v value
	if b.under(name + ".in_proj") { // version 1: one product, the three parts of a head together
		toKeyName, toAskName = "pos_proj", "pos_q_proj"
		all := b.linear(x, name+".in_proj")
		if width(all) != 3*width(x) {
			b.fail("%q makes %d features of %d", name+".in_proj", width(all), width(x))
		}
		shape := graph.Shape{batch, words, graph.Size(d.heads), graph.Size(3 * size)}
		all = b.permute(b.shaped("", "reshape", shape, all, shape), 0, 2, 1, 3)
		biased := func(part value, bias string) value {
			w := b.weight(name+"."+bias, width(x))
			byHead := graph.Sizes(d.heads, 1, size)
			return b.add2(part, b.shaped("", "reshape", byHead, w, byHead))
		}
		q, k, v = biased(b.slice(all, 3, 0, size, 1), "q_bias"), b.slice(all, 3, size, 2*size, 1), biased(b.slice(all, 3, 2*size, 3*size, 1), "v_bias")
	} else {
		q, k, v = split(b.linear(x, name+".query_proj")), split(b.linear(x, name+".key_proj")), split(b.linear(x, name+".value_proj"))
	}
	toKey, toAsk := d.vectors != nil && b.config.attends("c2p"), d.vectors != nil && b.config.attends("p2c")
	parts := 1
	for _, kind := range []string{"c2p", "p2c"} {
		if b.config.attends(kind) {
			parts++
		}
	}
	scale := math.Sqrt(float64(float32(size * parts)))
	scores := graph.Shape{batch, graph.Size(d.heads), words, words}
	product := func(x, y value) value {
		shape := graph.Shape{batch, graph.Size(d.heads), words, y.Shape[2]}
		return b.shaped("", "matmul", shape, x, b.permute(y, 0, 1, 3, 2))
	}
	a := product(q, b.shaped("", "div", k.Shape, k, scale))
	relative := func(x value, which, own string, places value) value {
		if b.config.ShareKeys {
			own = which
		}
		vectors := b.shaped("", "unsqueeze", slices.Concat(graph.Sizes(1), d.vectors.Shape), d.vectors, 0)
		y := product(x, split(b.linear(vectors, name+"."+own)))
		index := b.shapedAs("", "expand", model.Int64, scores, places, scores)
		y = b.shaped("", "gather", scores, y, -1, index)
		return b.shaped("", "div", scores, y, scale)
	}
	if toKey {
		a = b.add(a, relative(q, "key_proj", toKeyName, d.toKey))
	}
	if toAsk {
		a = b.add(a, b.permute(relative(k, "query_proj", toAskName, d.toAsk), 0, 1, 3, 2))
	}
	a = b.shaped("", "masked_fill", scores, a, d.absent, -math.MaxFloat32)
	y := b.shaped("", "matmul", q.Shape, b.shaped("", "softmax", scores, a, -1), v)
	joined := graph.Shape{batch, words, graph.Size(size * d.heads)}
	return b.shaped("", "reshape", joined, b.permute(y, 0, 2, 1, 3), joined)
}

// neighbours adds to the first layer what a convolution over the words makes of its input.
func (b *builder) neighbours(before, x, absent value, epsilon float64) value {
	const name = "deberta.encoder.conv"
	k := b.shape(name + ".conv.weight")
	if len(k) != 3 || k[0] != width(x) || k[1] < 1 || k[0]%k[1] != 0 || k[2]%2 == 0 {
		b.fail("%q has shape %v", name+".conv.weight", k)
	}
	turned := b.permute(before, 0, 2, 1)
	y := b.shaped(name, "conv1d", turned.Shape, turned, b.weight(name+".conv.weight"), b.optional(name+".conv.bias", k[0]), []int{1}, []int{k[2] / 2}, []int{1}, k[0]/k[1])
	y = b.permute(y, 0, 2, 1)
	y = b.shaped("", "masked_fill", y.Shape, y, absent, 0.0)
	y = b.named(y, cmp.Or(b.config.ConvAct, "tanh"))
	y = b.layerNorm(b.add(x, y), name+".LayerNorm", epsilon)
	return b.shaped("", "masked_fill", y.Shape, y, absent, 0.0)
}
