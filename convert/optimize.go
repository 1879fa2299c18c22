package convert

import (
	"fmt"
	"maps"
	"slices"

	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// Optimize returns a graph with fewer nodes that computes the same up to rounding,
// and the weights that it reads: what is constant is computed, nodes that do nothing
// in evaluation mode are removed, two transpositions in a row become one, and batch
// normalization becomes part of the convolution before it ([FoldBatchNorm]). Neither
// g nor sd is changed.
func Optimize(g *graph.Graph, sd *model.StateDict) (*graph.Graph, *model.StateDict, error) {
	out, err := ops.Fold(g, sd)
	if err != nil {
		return nil, nil, err
	}
	for n := -1; n != len(out.Nodes); {
		n = len(out.Nodes)
		bypass(out)
		joinTransposes(out)
		out.Prune()
	}
	return FoldWeights(out, sd)
}

// FoldWeights is [FoldBatchNorm] for graphs whose element types are stated: weights
// must be float32, and entries that no node reads any more are left out.
func FoldWeights(g *graph.Graph, sd *model.StateDict) (*graph.Graph, *model.StateDict, error) {
	for _, name := range g.Weights() {
		if t := sd.Get(name); t != nil && t.DType().IsFloat() && t.DType() != model.Float32 {
			return nil, nil, &model.UnsupportedError{What: fmt.Sprintf("batch normalization of a network with weights of %v cannot be folded", t.DType()),
				Advice: "convert it without folding"}
		}
	}
	out, folded, err := FoldBatchNorm(g, sd)
	if err != nil {
		return nil, nil, err
	}
	used := map[string]bool{}
	for _, name := range out.Weights() {
		used[name] = true
	}
	var entries []model.Entry
	for name, t := range folded.All() {
		if used[name] {
			entries = append(entries, model.Entry{Name: name, Tensor: t})
		}
	}
	state, err := model.NewStateDict(entries...)
	if err != nil {
		return nil, nil, err
	}
	// Values that are no more have no type either.
	made := map[string]bool{}
	for _, n := range out.Nodes {
		for _, name := range n.Outputs {
			made[name] = true
		}
	}
	if out.Types != nil {
		types := maps.Clone(out.Types)
		maps.DeleteFunc(types, func(name string, _ graph.Type) bool { return !made[name] })
		out.Types = types
	}
	return out, state, nil
}

// bypass lets the readers of a node that does nothing read its input.
func bypass(g *graph.Graph) {
	outputs := map[string]bool{}
	for _, v := range g.Outputs {
		outputs[v.Name] = true
	}
	to := map[string]string{}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		rename(n, to)
		nothing := n.Op == "Identity" || n.Op == "Dropout" && len(n.Inputs) < 3 && len(n.Outputs) == 1 && g.Opset("") >= 7
		if n.Domain == "" && nothing && len(n.Inputs) > 0 && !outputs[n.Outputs[0]] && !nested(g) {
			to[n.Outputs[0]] = n.Inputs[0]
		}
	}
}

// nested reports whether the graph has others in it, which read its values too.
func nested(g *graph.Graph) bool {
	for i := range g.Nodes {
		for range g.Nodes[i].Subgraphs() {
			return true
		}
	}
	return false
}

func rename(n *graph.Node, to map[string]string) {
	for j, in := range n.Inputs {
		if better, ok := to[in]; ok {
			n.Inputs[j] = better
		}
	}
}

// joinTransposes makes one node of two transpositions in a row, or an Identity.
func joinTransposes(g *graph.Graph) {
	made := map[string]*graph.Node{}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if before := made[n.Input(0)]; n.Op == "Transpose" && n.Domain == "" && before != nil {
			first, second := before.Ints("perm"), n.Ints("perm")
			if len(first) > 0 && len(first) == len(second) {
				perm := make([]int64, len(first))
				still := true
				for j, p := range second {
					perm[j] = int64(first[p])
					still = still && first[p] == j
				}
				n.Inputs = slices.Clone(before.Inputs)
				n.Attrs = graph.Attrs{"perm": graph.Ints(perm...)}
				if still {
					n.Op, n.Attrs = "Identity", nil
				}
			}
		}
		if n.Op == "Transpose" && n.Domain == "" {
			made[n.Outputs[0]] = n
		}
	}
}
