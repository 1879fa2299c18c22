package graph

import (
	"fmt"
	"unicode/utf8"

	"lethe/model"
)

// maxDepth is how deep graphs may be nested.
const maxDepth = 32

// Check reports where a graph breaks the rules of its kind: names that are
// empty, not UTF-8 or defined twice, nodes that read what a later node makes,
// outputs that nothing makes, graphs nested deeper than 32. Names that nothing
// makes are weights and no fault. The error is a [model.FormatError], for graphs that
// are nested too deep a [model.LimitError].
func (g *Graph) Check() error { return g.check(nil, 0) }

func (g *Graph) check(around *scope, depth int) error {
	if depth > maxDepth {
		return &model.LimitError{What: "nesting depth of graphs", Got: uint64(depth), Limit: maxDepth}
	}
	made := map[string]bool{} // by any node of this graph
	for i := range g.Nodes {
		for _, out := range g.Nodes[i].Outputs {
			made[out] = true
		}
	}
	s := &scope{map[string]bool{}, around}
	define := func(where, name string) error {
		if name == "" || !utf8.ValidString(name) {
			return broken(where, "the name %q is empty or not UTF-8", name)
		}
		if s.names[name] {
			return broken(where, "the name %q is already taken", name)
		}
		s.names[name] = true
		return nil
	}
	for _, v := range g.Inputs {
		if err := define("input "+v.Name, v.Name); err != nil {
			return err
		}
	}
	for name := range g.Constants {
		if err := define("constant "+name, name); err != nil {
			return err
		}
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		for _, in := range n.Inputs {
			if made[in] && in != "" && !s.has(in) {
				return broken(n.Label(), "the input %q is made by a later node", in)
			}
		}
		for sub := range n.Subgraphs() {
			if err := sub.check(s, depth+1); err != nil {
				return err
			}
		}
		for _, out := range n.Outputs {
			if out == "" {
				continue
			}
			if err := define(n.Label(), out); err != nil {
				return err
			}
		}
	}
	return nil
}

// Label returns what a message calls the node.
func (n *Node) Label() string { return fmt.Sprintf("node %s (%s)", n.Name, n.Op) }

func broken(member, format string, args ...any) error {
	return &model.FormatError{Format: "graph", Member: member, Offset: -1, Reason: fmt.Sprintf(format, args...)}
}

// Sort puts the nodes into topological order and changes nothing about nodes
// that are in order already. Nodes that form a cycle are a
// [model.FormatError], and leave the order as it was.
func (g *Graph) Sort() error {
	maker := map[string]int{}
	for i := range g.Nodes {
		for _, out := range g.Nodes[i].Outputs {
			if out != "" {
				maker[out] = i
			}
		}
	}
	readers := make([][]int, len(g.Nodes))
	missing := make([]int, len(g.Nodes)) // how many inputs are not made yet
	for i := range g.Nodes {
		for _, name := range g.Nodes[i].reads() {
			if j, ok := maker[name]; ok {
				readers[j] = append(readers[j], i)
				missing[i]++
			}
		}
	}
	var ready queue
	for i, m := range missing {
		if m == 0 {
			ready.push(i)
		}
	}
	sorted := make([]Node, 0, len(g.Nodes))
	for len(ready) > 0 {
		i := ready.pop()
		sorted = append(sorted, g.Nodes[i])
		for _, r := range readers[i] {
			if missing[r]--; missing[r] == 0 {
				ready.push(r)
			}
		}
	}
	if len(sorted) < len(g.Nodes) {
		for i, m := range missing {
			if m > 0 {
				return broken(g.Nodes[i].Label(), "it reads, by way of other nodes, what it makes itself")
			}
		}
	}
	g.Nodes = sorted
	return nil
}

// reads returns the names that the node and its subgraphs read.
func (n *Node) reads() []string {
	names := n.Inputs
	for sub := range n.Subgraphs() {
		names = append(names[:len(names):len(names)], sub.Weights()...)
	}
	return names
}

// queue is a heap of indices, the smallest first.
type queue []int

func (q *queue) push(i int) {
	h := append(*q, i)
	for at := len(h) - 1; at > 0 && h[(at-1)/2] > h[at]; at = (at - 1) / 2 {
		h[(at-1)/2], h[at] = h[at], h[(at-1)/2]
	}
	*q = h
}

func (q *queue) pop() int {
	h := *q
	first := h[0]
	h[0] = h[len(h)-1]
	h = h[:len(h)-1]
	for at := 0; ; {
		least := at
		for _, c := range []int{2*at + 1, 2*at + 2} {
			if c < len(h) && h[c] < h[least] {
				least = c
			}
		}
		if least == at {
			break
		}
		h[at], h[least] = h[least], h[at]
		at = least
	}
	*q = h
	return first
}
