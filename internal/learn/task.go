package learn

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"lethe/graph"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/ops"
	"lethe/report"
)

// Selection says which parameters an edit may move, beside the last layer, which
// it never does. A pattern is a name, or the beginning of one that ends at a dot,
// such as "layer4", or has wildcards in the sense of [path.Match].
type Selection struct {
	Train  []string // the only ones that may move; none: all
	Freeze []string // those of them that stay
}

// Movable returns the parameters of a graph that an edit may move, in order of
// first use, and those of the last layer. What several layers use is one
// parameter. A pattern that fits no parameter is an error.
func Movable(g *graph.Graph, pick Selection) (move, last []string, err error) {
	if last, err = ops.LastLayer(g); err != nil {
		return nil, nil, err
	}
	all := ops.Parameters(g)
	for _, p := range slices.Concat(pick.Train, pick.Freeze) {
		if _, err := path.Match(p, ""); err != nil {
			return nil, nil, fmt.Errorf("the pattern %q of parameters: %w", p, err)
		}
		if !slices.ContainsFunc(all, func(name string) bool { return fits(p, name) }) {
			return nil, nil, fmt.Errorf("no parameter fits %q; there are %s", p, some(all))
		}
	}
	among := func(patterns []string, name string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return fits(p, name) })
	}
	for _, name := range all {
		if !slices.Contains(last, name) && (len(pick.Train) == 0 || among(pick.Train, name)) && !among(pick.Freeze, name) {
			move = append(move, name)
		}
	}
	if len(move) > 0 {
		return move, last, nil
	}
	if len(pick.Train)+len(pick.Freeze) > 0 {
		return nil, nil, fmt.Errorf("the patterns leave no parameter that may move; those of the last layer, %s, never do", some(last))
	}
	return nil, nil, &model.UnsupportedError{What: "the network has nothing but a last layer, which an edit must not touch"}
}

func fits(pattern, name string) bool {
	matched, err := path.Match(pattern, name)
	return err == nil && matched || strings.HasPrefix(name, strings.TrimSuffix(pattern, ".")+".")
}

// some spells names, the first ones if there are many.
func some(names []string) string {
	const most = 20
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// Rules returns the rules of forgetting by a network of which
// the parameters move may move, if the accuracy on the classes that it is to keep
// is remain before the edit: those of the reference task for its network, see
// [report.FashionMNIST], and else those of [report.RulesFor].
func Rules(net *nn.Net, move []string, remain float64) report.Rules {
	if reference(net) {
		return report.FashionMNIST
	}
	sum := 0.0
	for _, name := range move {
		weights, _ := net.Weight(name)
		for _, x := range weights {
			sum += float64(float64(x) * float64(x))
		}
	}
	return report.RulesFor(net.Classes(), remain, math.Sqrt(sum))
}

// reference reports whether a network is that of the reference task, of whatever
// width: grey images, two convolutions of 5x5, three fully connected layers, and
// ten classes or fewer. Its parameters tell, not the names that a file gives them.
func reference(net *nn.Net) bool {
	if in := net.InputShape(); len(in) != 3 || in[0] != 1 || net.Classes() > 10 {
		return false
	}
	var kinds []int // numbers of dimensions of what is not a vector
	for _, name := range ops.Parameters(net.Graph()) {
		_, shape := net.Weight(name)
		if len(shape) == 4 && (shape[2] != 5 || shape[3] != 5) {
			return false
		}
		if len(shape) > 1 {
			kinds = append(kinds, len(shape))
		}
	}
	return slices.Equal(kinds, []int{4, 4, 2, 2, 2})
}
