package arch

import (
	"lethe/graph"
	"lethe/model"
)

// The classifiers of Hugging Face for text. Their inputs are token ids and a
// mask that is 1 where a token is and 0 where a sequence was filled up, both
// batch x length.
var (
	bert       = bertOf("BERT (Hugging Face)", "bert")
	ernie      = bertOf("ERNIE (Hugging Face)", "ernie")
	roBERTa    = roBERTaOf("RoBERTa (Hugging Face)", "roberta")
	data2Vec   = roBERTaOf("Data2Vec (Hugging Face)", "data2vec_text")
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
	electra = family{
		name:  "ELECTRA (Hugging Face)",
		marks: []string{"electra.embeddings.word_embeddings.weight", "electra.encoder.layer.0.attention.self.query.weight", "classifier.dense.weight", "classifier.out_proj.weight"},
		build: func(b *builder) value {
			ids, mask := b.text()
			x := b.embedAll(ids, "electra")
			if b.under("electra.embeddings_project") {
				x = b.linear(x, "electra.embeddings_project")
			}
			x = b.bertLayers(x, mask, "electra")
			return b.linear(b.unary(b.linear(b.first(x), "classifier.dense"), "gelu"), "classifier.out_proj")
		},
	}
	albert = family{
		name:  "ALBERT (Hugging Face)",
		marks: []string{"albert.embeddings.word_embeddings.weight", "albert.encoder.embedding_hidden_mapping_in.weight", "albert.pooler.weight", "classifier.weight"},
		build: func(b *builder) value {
			if b.config == nil || b.config.Layers < 1 || b.config.Layers > 1000 {
				b.fail("the number of its layers, which share their weights, is in config.json alone: give the folder")
			}
			const layer = "albert.encoder.albert_layer_groups.0.albert_layers.0"
			ids, mask := b.text()
			x := b.linear(b.embedAll(ids, "albert"), "albert.encoder.embedding_hidden_mapping_in")
			heads, epsilon := b.configHeads(width(x)), b.epsilon(1e-12)
			for range b.config.Layers {
				y := b.linear(b.selfAttention(x, layer+".attention", heads, mask), layer+".attention.dense")
				x = b.layerNorm(b.add(x, y), layer+".attention.LayerNorm", epsilon)
				y = b.linear(b.activation(b.linear(x, layer+".ffn"), "gelu_new"), layer+".ffn_output")
				x = b.layerNorm(b.add(y, x), layer+".full_layer_layer_norm", epsilon)
			}
			return b.linear(b.unary(b.linear(b.first(x), "albert.pooler"), "tanh"), "classifier")
		},
	}
)

// bertOf is BERT, whose names begin with a root.
func bertOf(name, root string) family {
	return family{
		name:  name,
		marks: []string{root + ".embeddings.word_embeddings.weight", root + ".encoder.layer.0.attention.self.query.weight", root + ".pooler.dense.weight", "classifier.weight"},
		build: func(b *builder) value {
			ids, mask := b.text()
			x := b.bertLayers(b.embedAll(ids, root), mask, root)
			return b.linear(b.unary(b.linear(b.first(x), root+".pooler.dense"), "tanh"), "classifier")
		},
	}
}

// roBERTaOf is RoBERTa, whose names begin with a root.
func roBERTaOf(name, root string) family {
	return family{
		name:  name,
		marks: []string{root + ".embeddings.word_embeddings.weight", root + ".encoder.layer.0.attention.self.query.weight", "classifier.dense.weight", "classifier.out_proj.weight"},
		build: func(b *builder) value {
			ids, mask := b.text()
			pad := 1
			if b.config != nil && b.config.PadToken != nil {
				pad = *b.config.PadToken
			}
			// Positions count the tokens that are not padding, from pad + 1 on.
			there := b.shapedAs("", "to", model.Int64, ids.Shape, b.shapedAs("", "ne", model.Bool, ids.Shape, ids, pad), model.Int64)
			positions := b.shapedAs("", "cumsum", model.Int64, ids.Shape, there, 1)
			positions = b.shapedAs("", "mul", model.Int64, ids.Shape, positions, there)
			positions = b.shapedAs("", "add", model.Int64, ids.Shape, positions, pad)
			x := b.embed(ids, root+".embeddings.word_embeddings")
			types := b.weight(root + ".embeddings.token_type_embeddings.weight")
			x = b.add2(x, b.shaped("", "select", types.Shape[1:], types, 0, 0)) // all tokens are of type 0
			x = b.add(x, b.embed(positions, root+".embeddings.position_embeddings"))
			b.ignore(root+".embeddings.position_ids", root+".pooler")
			x = b.layerNorm(x, root+".embeddings.LayerNorm", b.epsilon(1e-12))
			x = b.bertLayers(x, mask, root)
			return b.linear(b.unary(b.linear(b.first(x), "classifier.dense"), "tanh"), "classifier.out_proj")
		},
	}
}

// text makes the inputs of a network for text and returns the ids and, for
// attention, where tokens are.
func (b *builder) text() (ids, mask value) {
	if c := b.config; c != nil && c.PositionType != "" && c.PositionType != "absolute" {
		b.fail("position embeddings of type %.50q are not supported", c.PositionType)
	}
	if b.config != nil && b.config.Decoder {
		b.fail("it is a decoder, which looks at the words before one alone")
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

// embedAll adds the vectors of words, types and positions, and normalizes them.
func (b *builder) embedAll(ids value, root string) value {
	types := b.inputOf("token_type_ids", model.Int64, ids.Shape)
	x := b.embed(ids, root+".embeddings.word_embeddings")
	x = b.add(x, b.embed(types, root+".embeddings.token_type_embeddings"))
	x = b.addRows(x, root+".embeddings.position_embeddings")
	b.ignore(root + ".embeddings.position_ids")
	return b.layerNorm(x, root+".embeddings.LayerNorm", b.epsilon(1e-12))
}

// bertLayers are the layers.
func (b *builder) bertLayers(x, mask value, root string) value {
	epsilon := b.epsilon(1e-12)
	heads := b.configHeads(width(x))
	b.each(root+".encoder.layer.", 0, func(_ int, name string) {
		y := b.linear(b.selfAttention(x, name+".attention.self", heads, mask), name+".attention.output.dense")
		x = b.layerNorm(b.add(y, x), name+".attention.output.LayerNorm", epsilon)
		y = b.linear(b.activation(b.linear(x, name+".intermediate.dense"), "gelu"), name+".output.dense")
		x = b.layerNorm(b.add(y, x), name+".output.LayerNorm", epsilon)
	})
	return x
}
