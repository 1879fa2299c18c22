package ops

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lethe/graph"
	"lethe/model"
)

// Check reports whether every operator of a graph is known and used as it may
// be. Operators that are not known are one [model.UnsupportedError] with all of
// them: how often each occurs and the first node. What a node gets wrong about
// attributes and inputs is a [model.FormatError].
func Check(g *graph.Graph) error {
	if err := g.Check(); err != nil {
		return err
	}
	c := &checker{functions: functionsOf(g), missing: map[string]*missing{}, done: map[string]bool{}}
	err := c.nodes(g.Nodes, opsetsOf(g))
	if len(c.missing) == 0 {
		return err
	}
	var all []*missing
	for _, m := range c.missing {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *missing) int { return cmp.Compare(a.order, b.order) })
	list := make([]string, len(all))
	for i, m := range all {
		list[i] = fmt.Sprintf("%s (%d times, first in node %q)", m.name, m.count, m.first)
		if m.count == 1 {
			list[i] = fmt.Sprintf("%s (in node %q)", m.name, m.first)
		}
	}
	what := "an operator that is"
	if len(all) > 1 {
		what = fmt.Sprintf("%d operators that are", len(all))
	}
	return &model.UnsupportedError{What: fmt.Sprintf("the network has %s not supported: %s", what, strings.Join(list, ", "))}
}

type missing struct {
	name, first  string
	count, order int
}

type checker struct {
	functions map[string]*graph.Function
	missing   map[string]*missing
	done      map[string]bool // functions
}

// nodes returns the first error, and collects what is missing in all nodes.
func (c *checker) nodes(nodes []graph.Node, sets opsets) (first error) {
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	for i := range nodes {
		n := &nodes[i]
		for sub := range n.Subgraphs() {
			keep(c.nodes(sub.Nodes, sets))
		}
		key := functionKey(n.Domain, n.Op, n.Overload)
		if f := c.functions[key]; f != nil {
			if !c.done[key] {
				c.done[key] = true
				keep(c.function(f, n))
			}
			continue
		}
		found := find(sets, n)
		if found == nil {
			c.miss(n)
			continue
		}
		keep(guard(n, found.check))
	}
	return first
}

func (c *checker) function(f *graph.Function, n *graph.Node) error {
	body := instance(f, n)
	if err := body.Check(); err != nil {
		return err
	}
	return c.nodes(body.Nodes, opsets(f.Opsets))
}

func (c *checker) miss(n *graph.Node) {
	name := n.Op
	if n.Domain != "" && n.Domain != "ai.onnx" {
		name = n.Domain + "." + n.Op
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) || n.Op == "" {
		name = strconv.Quote(name) // it may hold what a terminal would obey
	}
	m := c.missing[name]
	if m == nil {
		m = &missing{name: name, first: n.Name, order: len(c.missing)}
		c.missing[name] = m
	}
	m.count++
}
