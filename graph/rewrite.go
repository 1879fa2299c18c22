package graph

// Replace makes every reader of a value, also in subgraphs, read another one.
// Outputs of the graph keep their names.
func (g *Graph) Replace(old, new string) {
	for i := range g.Nodes {
		n := &g.Nodes[i]
		for j, in := range n.Inputs {
			if in == old {
				n.Inputs[j] = new
			}
		}
		for sub := range n.Subgraphs() {
			if !sub.defines(old) {
				sub.Replace(old, new)
				for j, v := range sub.Outputs {
					if v.Name == old {
						sub.Outputs[j].Name = new
					}
				}
			}
		}
	}
}

// defines reports whether a name inside the graph hides the same name outside.
func (g *Graph) defines(name string) bool {
	if g.Constants[name] != nil {
		return true
	}
	for _, v := range g.Inputs {
		if v.Name == name {
			return true
		}
	}
	for i := range g.Nodes {
		for _, out := range g.Nodes[i].Outputs {
			if out == name {
				return true
			}
		}
	}
	return false
}

// Prune removes the nodes that no output of the graph depends on, and the
// constants and types of values that are then unused. Inputs stay.
func (g *Graph) Prune() {
	wanted := map[string]bool{}
	for _, v := range g.Outputs {
		wanted[v.Name] = true
	}
	keep := make([]bool, len(g.Nodes))
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		n := &g.Nodes[i]
		for _, out := range n.Outputs {
			keep[i] = keep[i] || out != "" && wanted[out]
		}
		if keep[i] {
			for _, name := range n.reads() {
				wanted[name] = true
			}
		}
	}
	var nodes []Node
	for i, n := range g.Nodes {
		if keep[i] {
			nodes = append(nodes, n)
		}
	}
	g.Nodes = nodes
	for name := range g.Constants {
		if !wanted[name] {
			delete(g.Constants, name)
		}
	}
	for name := range g.Types {
		if !wanted[name] {
			delete(g.Types, name)
		}
	}
}
