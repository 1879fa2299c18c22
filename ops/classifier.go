package ops

import (
	"fmt"
	"slices"
	"strings"

	"lethe/graph"
	"lethe/model"
)

// Classifier returns a graph of several outputs as far as the one that makes a number
// for each class of a sample, such as [batch, classes]: the last of those with a
// [LastLayer] that are computed from one another, as logits are from features. Of several
// it is the one that is called logits; without such a one it is a
// [model.UnsupportedError] with the names and shapes of the outputs. A graph of one
// output is returned as it is.
func Classifier(g *graph.Graph, sd *model.StateDict) (*graph.Graph, error) {
	if len(g.Outputs) < 2 {
		return g, nil
	}
	facts, err := Infer(g, sd)
	if err != nil {
		return nil, err
	}
	var found []*graph.Graph
	var all []string
	for _, v := range g.Outputs {
		t := facts.Type(v.Name)
		all = append(all, fmt.Sprintf("%q %v", v.Name, t.Shape))
		if len(t.Shape) < 2 || !t.DType.IsFloat() || t.Shape[1].Is(1) || slices.ContainsFunc(t.Shape[2:], func(d graph.Dim) bool { return !d.Is(1) }) {
			continue
		}
		cut := g.Clone()
		cut.Outputs = []graph.Value{v}
		cut.Prune()
		if _, err := LastLayer(cut); err != nil {
			continue
		}
		isStep := func(of, step *graph.Graph) bool { return graph.NewIndex(of).Maker(step.Outputs[0].Name) != nil }
		if !slices.ContainsFunc(found, func(f *graph.Graph) bool { return isStep(f, cut) }) {
			found = append(slices.DeleteFunc(found, func(f *graph.Graph) bool { return isStep(cut, f) }), cut)
		}
	}
	if len(found) > 1 {
		isOther := func(f *graph.Graph) bool { return !strings.HasSuffix(f.Outputs[0].Name, "logits") }
		found = slices.DeleteFunc(found, isOther)
	}
	if len(found) != 1 {
		return nil, &model.UnsupportedError{What: "the network has several outputs, and nothing tells which of them has the numbers of the classes: " + strings.Join(all, ", "),
			Advice: `export a module that returns that one alone, or call it "logits" (as the key of a dict, or with output_names of torch.onnx.export)`}
	}
	return found[0], nil
}
