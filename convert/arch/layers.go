package arch

import (
	"fmt"

	"lethe/convert/layers"
	"lethe/graph"
	"lethe/model"
)

// Layers returns the network that a description without open choices makes of
// the weights of a state dict. All entries but counters must be part of it. What
// does not fit is a [model.UnsupportedError] with the line of the description.
func Layers(sd *model.StateDict, net *layers.Net) (*Network, error) {
	list, err := net.Fixed()
	if err != nil {
		return nil, &model.UnsupportedError{What: "the description of the layers: " + err.Error(),
			Advice: "--data finds it out with labelled images"}
	}
	if net.Input == nil {
		return nil, &model.UnsupportedError{What: "the description of the layers does not say the input",
			Advice: "add input: [1, 28, 28], or give --input"}
	}
	f := family{name: "network of layers", build: func(b *builder) value { return b.layers(net.Input, list) }}
	n, reason := f.try(sd, "", nil, Options{Input: net.Input})
	if n == nil {
		return nil, &model.UnsupportedError{What: "the weights do not fit the description of the layers: " + reason}
	}
	return n, nil
}

// layers applies layers in a row.
func (b *builder) layers(input []int, list []layers.Layer) value {
	x := b.inputOf("input", model.Float32, graph.Batch(input...))
	shapes := layers.ShapesOf(b.sd)
	for i := range list {
		l := &list[i]
		out, err := l.After(dims(x), shapes)
		if err != nil {
			if l.Line > 0 {
				err = fmt.Errorf("line %d: %w", l.Line, err)
			}
			b.fail("%v", err)
		}
		x = b.layer(x, l, out)
	}
	if len(x.Shape) != 2 {
		b.fail("the last layer leaves a shape of %v, not one vector", dims(x))
	}
	return x
}

// layer applies a layer that leaves the given sizes.
func (b *builder) layer(x value, l *layers.Layer, out []int) value {
	pair := func(p [2]int) []int { return p[:] }
	switch {
	case l.Op == "conv":
		w := b.weight(l.Module + ".weight")
		groups := dims(x)[0] / b.shape(l.Module + ".weight")[1]
		return b.call(l.Module, "conv2d", out, x, w, b.optional(l.Module+".bias"),
			pair(l.Stride), pair(l.Padding), pair(l.Dilation), groups)
	case l.Op == "linear":
		return b.linear(x, l.Module)
	case l.Op == "prelu":
		return b.call(l.Module, "prelu", out, x, b.weight(l.Module+".weight"))
	case l.Op == "batch_norm":
		b.known[l.Module+".num_batches_tracked"] = true // counts training steps
		return b.call(l.Module, "batch_norm", out, x, b.optional(l.Module+".weight"), b.optional(l.Module+".bias"),
			b.weight(l.Module+".running_mean"), b.weight(l.Module+".running_var"), false, 0.1, l.Number, true)
	case l.Op == "max_pool":
		return b.call("", l.Aten(), out, x, pair(l.Size), pair(l.Stride), pair(l.Padding), []int{1, 1}, l.Ceil)
	case l.Op == "avg_pool":
		return b.call("", l.Aten(), out, x, pair(l.Size), pair(l.Stride), pair(l.Padding), l.Ceil, true)
	case l.IsTarget():
		return b.call("", l.Aten(), out, x, pair(l.Size))
	case l.Op == "flatten" && l.Last && len(x.Shape) == 4:
		return b.flatten(b.permute(x, 0, 2, 3, 1))
	case l.Op == "flatten":
		return b.flatten(x)
	case l.Aten() == "": // dropout
		return x
	case l.HasNumber():
		return b.call("", l.Aten(), out, x, l.Number)
	}
	return b.unary(x, l.Aten())
}
