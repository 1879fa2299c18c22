package arch

import (
	"lethe/graph"
	"lethe/model"
)

// The classifiers of Hugging Face for text. Their inputs are token ids and a
// mask that is 1 where a token is and 0 where a sequence was filled up, both
// batch x length.
var (
	bert = family{
		name:  "BERT (Hugging Face)",
		marks: []string{"bert.embeddings.word_embeddings.weight", "bert.encoder.layer.0.attention.self.query.weight", "bert.pooler.dense.weight", "classifier.weight"},
		build: func(b *builder) value {
			ids, mask := b.text()
			types := b.inputOf("token_type_ids", model.Int64, ids.Shape)
			x := b.embed(ids, "bert.embeddings.word_embeddings")
			x = b.add(x, b.embed(types, "bert.embeddings.token_type_embeddings"))
			x = b.addRows(x, "bert.embeddings.position_embeddings")
			b.ignore("bert.embeddings.position_ids")
			x = b.bertBody(x, mask, "bert")
			x = b.unary(b.linear(b.first(x), "bert.pooler.dense"), "tanh")
			return b.linear(x, "classifier")
		},
	}
	distilBERT = family{
		name:  "DistilBERT (Hugging Face)",
		marks: []string{"distilbert.embeddings.word_embeddings.weight", "distilbert.transformer.layer.0.attention.q_lin.weight", "pre_classifier.weight", "classifier.weight"},
		build: func(b *builder) value {
			const epsilon = 1e-12
			ids, mask := b.text()
			x := b.addRows(b.embed(ids, "distilbert.embeddings.word_embeddings"), "distilbert.embeddings.position_embeddings")
			x = b.layerNorm(x, "distilbert.embeddings.LayerNorm", epsilon)
			heads := b.configHeads(width(x))
			b.each("distilbert.transformer.layer.", 0, func(_ int, name string) {
				part := func(which string) value { return b.linear(x, name+".attention."+which) }
				y := b.attentionOf(part("q_lin"), part("k_lin"), part("v_lin"), heads, mask)
				x = b.layerNorm(b.add(b.linear(y, name+".attention.out_lin"), x), name+".sa_layer_norm", epsilon)
				y = b.linear(b.activation(b.linear(x, name+".ffn.lin1"), "gelu"), name+".ffn.lin2")
				x = b.layerNorm(b.add(y, x), name+".output_layer_norm", epsilon)
			})
			return b.linear(b.relu(b.linear(b.first(x), "pre_classifier")), "classifier")
		},
	}
	roBERTa = family{
		name:  "RoBERTa (Hugging Face)",
		marks: []string{"roberta.embeddings.word_embeddings.weight", "roberta.encoder.layer.0.attention.self.query.weight", "classifier.dense.weight", "classifier.out_proj.weight"},
		build: func(b *builder) value {
			ids, mask := b.text()
			pad := 1
			if b.config != nil && b.config.PadToken != nil {
				pad = *b.config.PadToken
			}
			// Positions count the tokens that are no padding, from pad + 1 on.
			there := b.shapedAs("", "to", model.Int64, ids.Shape, b.shapedAs("", "ne", model.Bool, ids.Shape, ids, pad), model.Int64)
			positions := b.shapedAs("", "cumsum", model.Int64, ids.Shape, there, 1)
			positions = b.shapedAs("", "mul", model.Int64, ids.Shape, positions, there)
			positions = b.shapedAs("", "add", model.Int64, ids.Shape, positions, pad)
			x := b.embed(ids, "roberta.embeddings.word_embeddings")
			types := b.weight("roberta.embeddings.token_type_embeddings.weight")
			x = b.add2(x, b.shaped("", "select", types.Shape[1:], types, 0, 0)) // all tokens are of type 0
			x = b.add(x, b.embed(positions, "roberta.embeddings.position_embeddings"))
			b.ignore("roberta.embeddings.position_ids", "roberta.pooler")
			x = b.bertBody(x, mask, "roberta")
			return b.linear(b.unary(b.linear(b.first(x), "classifier.dense"), "tanh"), "classifier.out_proj")
		},
	}
)

// text makes the inputs of a network for text and returns the ids and, for
// attention, where tokens are.
func (b *builder) text() (ids, mask value) {
	if c := b.config; c != nil && c.PositionType != "" && c.PositionType != "absolute" {
		b.fail("position embeddings of type %.50q are not supported", c.PositionType)
	}
	shape := graph.Shape{graph.Symbol(graph.BatchSymbol), graph.Symbol("S")}
	ids = b.inputOf("input_ids", model.Int64, shape)
	mask = b.inputOf("attention_mask", model.Int64, shape)
	there := b.shapedAs("", "ne", model.Bool, shape, mask, 0)
	row := graph.Shape{shape[0], graph.Size(1), graph.Size(1), shape[1]}
	return ids, b.shapedAs("", "reshape", model.Bool, row, there, row)
}

// embed looks vectors up in a table.
func (b *builder) embed(ids value, name string) value {
	table := b.weight(name + ".weight")
	if len(table.Shape) != 2 {
		b.fail("%q has shape %v", table.Name, table.Shape)
	}
	return b.shaped(name, "embedding", append(ids.Shape[:len(ids.Shape):len(ids.Shape)], table.Shape[1]), table, ids)
}

// addRows adds the first rows of a table, one for each token.
func (b *builder) addRows(x value, name string) value {
	table := b.weight(name + ".weight")
	if len(table.Shape) != 2 {
		b.fail("%q has shape %v", table.Name, table.Shape)
	}
	rows := b.shaped(name, "slice", graph.Shape{x.Shape[1], table.Shape[1]}, table, 0, 0, x.Shape[1])
	return b.add2(x, rows)
}

// bertBody is the normalization of the embeddings and the layers.
func (b *builder) bertBody(x, mask value, root string) value {
	epsilon := b.epsilon(1e-12)
	x = b.layerNorm(x, root+".embeddings.LayerNorm", epsilon)
	heads := b.configHeads(width(x))
	b.each(root+".encoder.layer.", 0, func(_ int, name string) {
		y := b.linear(b.selfAttention(x, name+".attention.self", heads, mask), name+".attention.output.dense")
		x = b.layerNorm(b.add(y, x), name+".attention.output.LayerNorm", epsilon)
		y = b.linear(b.activation(b.linear(x, name+".intermediate.dense"), "gelu"), name+".output.dense")
		x = b.layerNorm(b.add(y, x), name+".output.LayerNorm", epsilon)
	})
	return x
}
