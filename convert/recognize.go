package convert

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lethe/convert/arch"
	"lethe/graph"
	"lethe/model"
)

// An architecture is the wiring of a network whose weights have known names.
type architecture struct {
	name    string
	summary string // for the person whose network is another one
	usual   int    // the image size to prefer where several fit
	layers  []layer
}

var architectures = []architecture{lenet}

// free stands for a size that the architecture leaves to the weights.
const free = 0

// Recognize returns the graph of the network whose weights sd holds. It knows
// a network by the names and shapes of its entries; a common prefix such as
// "module." or "_orig_mod.", also several of them, is kept in the names of the
// weights. The graph takes input [N, channels, size, size] and returns logits
// [N, classes], both float32, for any batch N. Weights may be of any
// floating-point type.
//
// A state dict does not say everything: the epsilon of batch normalization is
// taken to be torch's default of 1e-5, and of the square images that lead to
// the number of features that the first linear layer takes, the size 28 is
// preferred and the smallest is taken otherwise.
//
// Any other network is a [model.UnsupportedError] that says in what it differs
// from the closest known one.
func Recognize(sd *model.StateDict) (*graph.Graph, error) {
	var closest *builder
	var which architecture
	for _, a := range architectures {
		for _, prefix := range arch.Prefixes(sd.Names()) {
			b := a.build(sd, prefix)
			if b.differences() == 0 {
				return b.graph(a.name), nil
			}
			if closest == nil || b.differences() < closest.differences() {
				closest, which = b, a
			}
		}
	}
	if n := len(sd.Names()); n > 0 && len(closest.extra()) == n { // it has nothing of it
		return nil, arch.ErrNoFamily
	}
	return nil, &model.UnsupportedError{
		What:   fmt.Sprintf("the weights are not those of a known network: compared with %s, %s", which.name, closest.describe()),
		Advice: fmt.Sprintf("supported is %s: %s", which.name, which.summary),
	}
}

func (a architecture) build(sd *model.StateDict, prefix string) *builder {
	b := &builder{sd: sd, prefix: prefix, usual: a.usual, value: "input", known: map[string]bool{}}
	for _, add := range a.layers {
		add(b)
	}
	return b
}

// take checks that a tensor is there, real and of the wanted shape, and
// returns its shape; nil if there is nothing to go on.
func (b *builder) take(name string, want ...int) []int {
	name = b.prefix + name
	b.known[name] = true
	t := b.sd.Get(name)
	if t == nil {
		b.missing = append(b.missing, name)
		return nil
	}
	if !t.DType().IsFloat() {
		b.deviates = append(b.deviates, fmt.Sprintf("%s is %v, not of a floating-point type", name, t.DType()))
	}
	same := slices.EqualFunc(t.Shape(), want, func(got, want int) bool { return got > 0 && (want == free || got == want) })
	if !same {
		b.deviates = append(b.deviates, fmt.Sprintf("%s has shape %v, not %s", name, t.Shape(), pattern(want)))
		return nil
	}
	return t.Shape()
}

// pattern spells a shape as Go prints one, with * for what is free.
func pattern(shape []int) string {
	dims := make([]string, len(shape))
	for i, d := range shape {
		if dims[i] = fmt.Sprint(d); d == free {
			dims[i] = "*"
		}
	}
	return "[" + strings.Join(dims, " ") + "]"
}

// solve finds the size of the images from the number of features that are left
// of one; name is the weight that takes them.
func (b *builder) solve(name string, features int) {
	if features == free {
		return
	}
	lo, hi, ok := inputSizes(b.windows, b.flattened, features)
	if !ok {
		b.deviates = append(b.deviates, fmt.Sprintf("%s takes %d features, which is not %d channels times a square",
			b.prefix+name, features, b.flattened))
		return
	}
	b.imageSize = lo
	if lo <= b.usual && b.usual <= hi {
		b.imageSize = b.usual
	}
}

// extra returns the entries that the architecture does not have.
func (b *builder) extra() []string {
	return slices.DeleteFunc(b.sd.Names(), func(name string) bool { return b.known[name] })
}

func (b *builder) differences() int {
	return len(b.missing) + len(b.deviates) + len(b.extra())
}

// describe says in what a state dict differs, a few examples of each kind.
func (b *builder) describe() string {
	const examples = 3
	extra := b.extra()
	for i, name := range extra {
		extra[i] = strconv.Quote(name) // comes from a file: it may hold control characters
	}
	var parts []string
	for _, kind := range []struct {
		lead string
		list []string
	}{
		{"missing: ", b.missing},
		{"not part of it: ", extra},
		{"", b.deviates},
	} {
		if len(kind.list) == 0 {
			continue
		}
		text := kind.lead + strings.Join(kind.list[:min(examples, len(kind.list))], ", ")
		if more := len(kind.list) - examples; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

func (b *builder) graph(name string) *graph.Graph {
	const output = "logits"
	b.nodes[len(b.nodes)-1].Outputs[0] = output
	return &graph.Graph{
		Name:    name,
		Inputs:  []graph.Value{graph.TensorValue("input", model.Float32, graph.Batch(b.inputChannels, b.imageSize, b.imageSize))},
		Outputs: []graph.Value{graph.TensorValue(output, model.Float32, graph.Batch(b.channels))},
		Nodes:   b.nodes,
	}
}
