package drawing

import (
	"fmt"
	"slices"
	"strings"
)

// Fold returns the network with at most limit layers beside its inputs, in which
// layers of one module are one. It folds no deeper than it must; a network
// without names of modules is cut into stretches of equal length.
func (n *Network) Fold(limit int) *Network {
	inner := 0
	deepest := 0
	for _, l := range n.Layers {
		if len(l.Operators) > 0 {
			inner++
			deepest = max(deepest, len(strings.Split(l.module, ".")))
		}
	}
	if inner <= limit {
		return n
	}
	for depth := min(deepest, 12); depth > 0; depth-- {
		if folded := n.fold(func(i int) string { return prefix(n.Layers[i].module, depth) }); folded.inner() <= limit {
			return folded
		}
	}
	length := (inner + limit - 1) / limit
	at := 0
	return n.fold(func(i int) string {
		at++
		first := (at - 1) / length * length
		return fmt.Sprintf("layers %d to %d", first+1, min(first+length, inner))
	})
}

func (n *Network) inner() (layers int) {
	for _, l := range n.Layers {
		if len(l.Operators) > 0 {
			layers++
		}
	}
	return layers
}

// prefix returns the first words of a path.
func prefix(path string, words int) string {
	at := 0
	for i := range len(path) {
		if path[i] == '.' {
			if at++; at == words {
				return path[:i]
			}
		}
	}
	return path
}

// fold makes one layer of those that follow each other under one name. Because
// they follow each other in an order in which the network can run, no circle
// comes of it.
func (n *Network) fold(name func(i int) string) *Network {
	f := &Network{Name: n.Name, Parameters: n.Parameters, Layers: slices.Clone(n.Layers)}
	to := make([]int, len(f.Layers))
	at, current := -1, ""
	for i := range f.Layers {
		l := &f.Layers[i]
		to[i] = i
		if len(l.Operators) == 0 {
			continue
		}
		if group := name(i); at < 0 || group == "" || group != current {
			at, current = i, group
			continue
		}
		to[i] = at
		host := &f.Layers[at]
		if host.Holds == 0 {
			host.Holds = 1
			host.Name = current
			host.Operators, host.Weights = slices.Clone(host.Operators), slices.Clone(host.Weights)
		}
		host.Holds++
		host.Operators = append(host.Operators, l.Operators...)
		host.Weights = append(host.Weights, l.Weights...)
		host.Parameters += l.Parameters
		host.Output, host.last = l.Output, host.last || l.last
	}
	f.contract(to)
	return f
}
