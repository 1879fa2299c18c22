package ops

import (
	"lethe/graph"
	"lethe/model"
)

// Fold returns a graph in which every value that is the same whatever the
// inputs are has become a constant, and what nobody needs any more is gone.
// Weights stay weights: what is computed from a weight of real numbers is not
// folded, nor a value of more than 65,536 elements. Neither g nor sd is changed.
// The errors are those of [Infer].
func Fold(g *graph.Graph, sd *model.StateDict) (*graph.Graph, error) {
	facts, err := Infer(g, sd)
	if err != nil {
		return nil, err
	}
	out := g.Clone()
	kept := out.Nodes[:0]
	for i := range out.Nodes {
		n := &out.Nodes[i]
		constants := map[string]*model.Tensor{}
		folded := true
		for _, name := range n.Outputs {
			if name == "" {
				continue
			}
			t := facts.Value(name)
			if t == nil || isOutput(out, name) {
				folded = false
				break
			}
			if constants[name], err = t.Model(); err != nil {
				folded = false
				break
			}
		}
		if !folded {
			kept = append(kept, *n)
			continue
		}
		if out.Constants == nil {
			out.Constants = map[string]*model.Tensor{}
		}
		for name, t := range constants {
			out.Constants[name] = t
		}
	}
	out.Nodes = kept
	out.Prune()
	return out, nil
}

func isOutput(g *graph.Graph, name string) bool {
	for _, v := range g.Outputs {
		if v.Name == name {
			return true
		}
	}
	return false
}
