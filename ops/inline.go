package ops

import (
	"fmt"
	"maps"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// MostRounds is how many rounds of one loop [Inline] writes out at most.
const MostRounds = 1 << 12

// mostInlined is how many nodes of all bodies Inline writes at most.
const mostInlined = 1 << 15

// Inline returns a graph that computes the same as g and in which nodes stand in
// the place of If, Loop, Scan and calls of functions, as far as it is known before
// the graph runs what they do: the branch of an If whose condition depends on no
// data, the rounds of a Loop whose number and conditions do not, the rounds of a
// Scan (of opset 9 or later) over axes of known length, up to [MostRounds] of them, and
// the body of a function whose opsets are those of the graph. What depends on the
// data stays as it is, and what no output needs any more is gone. g is returned if
// it has none of these, and is never changed.
//
// Shapes that contradict each other are a [model.FormatError], as in [Infer]; more
// than 32,768 nodes of bodies are a [model.LimitError].
func Inline(g *graph.Graph, sd *model.StateDict) (*graph.Graph, error) {
	functions := functionsOf(g)
	if !slices.ContainsFunc(g.Nodes, func(n graph.Node) bool {
		found := find(nil, &n)
		return functions[functionKey(n.Domain, n.Op, n.Overload)] != nil || found != nil && found.op.body != nil
	}) {
		return g, nil
	}
	if err := Check(g); err != nil {
		return nil, err
	}
	i, inputs := newInferrer(g, sd)
	in := &inliner{inferrer: i, known: i.given(g, inputs, nil), out: g.Clone(), taken: map[string]bool{}}
	in.take(g)
	if in.out.Constants == nil {
		in.out.Constants = map[string]*model.Tensor{}
	}
	nodes := in.out.Nodes
	in.out.Nodes = nil
	for k := range nodes {
		if err := in.add(nodes[k]); err != nil {
			return nil, err
		}
	}
	in.out.Prune()
	return in.out, nil
}

// inliner writes the nodes of a graph and infers what it writes.
type inliner struct {
	*inferrer
	known *known
	out   *graph.Graph
	taken map[string]bool // names of the file and new ones
	names int             // new ones
	nodes int             // of bodies
}

// take makes no new name one that a graph has, or a graph in it.
func (in *inliner) take(g *graph.Graph) {
	for _, values := range [][]graph.Value{g.Inputs, g.Outputs} {
		for _, v := range values {
			in.taken[v.Name] = true
		}
	}
	for name := range g.Constants {
		in.taken[name] = true
	}
	for i := range g.Nodes {
		for _, name := range slices.Concat(g.Nodes[i].Inputs, g.Nodes[i].Outputs) {
			in.taken[name] = true
		}
		for sub := range g.Nodes[i].Subgraphs() {
			in.take(sub)
		}
	}
}

// fresh returns a name that nothing has.
func (in *inliner) fresh(name string) string {
	for {
		in.names++
		if made := fmt.Sprintf("%s/%d", name, in.names); !in.taken[made] {
			in.taken[made] = true
			return made
		}
	}
}

// add writes a node, or what it stands for.
func (in *inliner) add(n graph.Node) error {
	before := len(in.out.Nodes)
	done, err := in.expand(&n)
	if done || err != nil {
		return err
	}
	in.out.Nodes = in.out.Nodes[:before]
	if err := in.node(&n, in.known); err != nil {
		return err
	}
	in.known.state(in.out, &n)
	in.out.Nodes = append(in.out.Nodes, n)
	return nil
}

// expand writes what a node stands for; done is false if it stands for itself.
func (in *inliner) expand(n *graph.Node) (done bool, err error) {
	if f := in.functions[functionKey(n.Domain, n.Op, n.Overload)]; f != nil {
		return in.function(f, n)
	}
	found := find(in.opsets, n)
	switch found.op {
	case ifOp:
		holds, known := in.truth(n.Input(0))
		if !known {
			return false, nil
		}
		name := "else_branch"
		if holds {
			name = "then_branch"
		}
		results, err := in.body(found.attr(name).Graph(), nil)
		return true, in.finish(n, results, err)
	case loopOp:
		return in.loop(found)
	case scanOp:
		if found.opset >= 9 {
			return in.scan(found)
		}
	}
	return false, nil
}

// body writes the nodes of a graph whose inputs are the values of the given names,
// and returns the names of its outputs.
func (in *inliner) body(g *graph.Graph, inputs []string) (outputs []string, err error) {
	g = g.Clone()
	local := map[string]string{"": ""}
	for i, v := range g.Inputs {
		local[v.Name] = ""
		if i < len(inputs) {
			local[v.Name] = inputs[i]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.Constants)) {
		local[name] = in.constant(name, g.Constants[name])
	}
	for _, n := range g.Nodes {
		if in.nodes++; in.nodes > mostInlined {
			return nil, &model.LimitError{What: "nodes that loops, branches and functions stand for", Got: uint64(in.nodes), Limit: mostInlined}
		}
		if err := in.add(in.renamed(n, local)); err != nil {
			return nil, err
		}
	}
	for _, v := range g.Outputs {
		outputs = append(outputs, nameIn(local, v.Name))
	}
	return outputs, nil
}

// nameIn returns the name that a value of a body has where the body is written.
func nameIn(local map[string]string, name string) string {
	if to, own := local[name]; own {
		return to
	}
	return name
}

// renamed returns a node of a body with the names that its values have where it is
// written; its outputs get new ones.
func (in *inliner) renamed(n graph.Node, local map[string]string) graph.Node {
	inside := &graph.Graph{Nodes: []graph.Node{{Attrs: n.Attrs}}}
	between := map[string]string{} // a new name may be that of another value of the body
	for sub := range n.Subgraphs() {
		for _, name := range sub.Weights() {
			if _, own := local[name]; own && between[name] == "" {
				between[name] = in.fresh(name)
				inside.Replace(name, between[name])
			}
		}
	}
	for name, to := range between {
		inside.Replace(to, local[name])
	}
	n.Attrs = inside.Nodes[0].Attrs
	for i, name := range n.Inputs {
		n.Inputs[i] = nameIn(local, name)
	}
	for i, name := range n.Outputs {
		if name != "" {
			local[name] = in.fresh(name)
			n.Outputs[i] = local[name]
		}
	}
	return n
}

// constant adds a constant and returns its name.
func (in *inliner) constant(name string, t *model.Tensor) string {
	name = in.fresh(name)
	in.out.Constants[name] = t
	in.known.own[name] = in.stored(t, true)
	return name
}

// value is [inliner.constant] for a tensor of this package.
func (in *inliner) value(name string, t *Tensor) (string, error) {
	m, err := t.Model()
	if err != nil {
		return "", err
	}
	return in.constant(name, m), nil
}

// single returns the only element of a value of whole numbers or truth values;
// known is false if it depends on data.
func (in *inliner) single(name string) (v float64, known bool) {
	f, _ := in.known.get(name)
	if f.value == nil || f.dtype.IsFloat() {
		return 0, false
	}
	list, known := f.value.Float64s()
	if !known || len(list) != 1 {
		return 0, false
	}
	return list[0], true
}

// truth is [inliner.single] for a truth value.
func (in *inliner) truth(name string) (holds, known bool) {
	v, known := in.single(name)
	return v != 0, known
}

// finish gives the outputs of a node the values of the given names.
func (in *inliner) finish(n *graph.Node, results []string, err error) error {
	for i, name := range n.Outputs {
		if err != nil {
			return err
		}
		if name == "" {
			continue
		}
		if i >= len(results) || results[i] == "" {
			return &model.FormatError{Format: "network", Offset: -1, Reason: fmt.Sprintf("%s has %d outputs, and what it runs has no output %d", n.Label(), len(n.Outputs), i)}
		}
		err = in.add(graph.Node{Name: n.Name, Op: "Identity", Inputs: results[i : i+1], Outputs: n.Outputs[i : i+1]})
	}
	return err
}

// stack joins values along a new axis and returns the name of the result.
func (in *inliner) stack(n *graph.Node, list []string, axis int) (string, error) {
	joined := graph.Node{Name: n.Name, Op: "Concat", Attrs: graph.Attrs{"axis": graph.Int(int64(axis))}, Outputs: []string{in.fresh("stacked")}}
	axes, err := in.value("axis", Int64s([]int{1}, []int64{int64(axis)}))
	for _, x := range list {
		if err != nil {
			return "", err
		}
		part := graph.Node{Name: n.Name, Op: "Unsqueeze", Inputs: []string{x, axes}, Outputs: []string{in.fresh(x)}}
		if in.opsets.version("") < 13 {
			part.Inputs, part.Attrs = part.Inputs[:1], graph.Attrs{"axes": graph.Ints(int64(axis))}
		}
		joined.Inputs = append(joined.Inputs, part.Outputs[0])
		err = in.add(part)
	}
	if err == nil {
		err = in.add(joined)
	}
	return joined.Outputs[0], err
}

// loop writes the rounds of a Loop.
func (in *inliner) loop(found *node) (done bool, err error) {
	n, body := found.n, found.attr("body").Graph()
	rounds, holds, known := float64(MostRounds+1), true, true
	if name := n.Input(0); name != "" {
		if rounds, known = in.single(name); !known {
			return false, nil
		}
	}
	if name := n.Input(1); name != "" {
		if holds, known = in.truth(name); !known {
			return false, nil
		}
	}
	carried := slices.Clone(n.Inputs[min(2, len(n.Inputs)):])
	if len(body.Inputs) != 2+len(carried) || len(body.Outputs) < 1+len(carried) {
		return false, nil
	}
	stacks := make([][]string, len(body.Outputs)-1-len(carried))
	for i := 0; holds && float64(i) < rounds; i++ {
		if i == MostRounds {
			return false, nil
		}
		round, err := in.value("round", Int64s([]int{}, []int64{int64(i)}))
		if err != nil {
			return false, err
		}
		goes, err := in.value("goes on", Bools([]int{}, []bool{true}))
		if err != nil {
			return false, err
		}
		results, err := in.body(body, append([]string{round, goes}, carried...))
		if err != nil {
			return false, err
		}
		if holds, known = in.truth(results[0]); !known {
			return false, nil
		}
		carried = results[1 : 1+len(carried)]
		for j := range stacks {
			stacks[j] = append(stacks[j], results[1+len(carried)+j])
		}
	}
	return in.stackAll(n, carried, stacks, nil, nil)
}

// stackAll finishes a loop: the values that are carried, and the stacked ones; done
// is false if one is stacked of nothing.
func (in *inliner) stackAll(n *graph.Node, carried []string, stacks [][]string, axes, directions []int) (done bool, err error) {
	for j, list := range stacks {
		if len(list) == 0 {
			return false, nil
		}
		if elementOr0(directions, j) == 1 {
			slices.Reverse(list)
		}
		stacked, err := in.stack(n, list, elementOr0(axes, j))
		if err != nil {
			return false, err
		}
		carried = append(carried, stacked)
	}
	return true, in.finish(n, carried, nil)
}

// scan writes the rounds of a Scan.
func (in *inliner) scan(found *node) (done bool, err error) {
	n, body := found.n, found.attr("body").Graph()
	states := len(n.Inputs) - found.int("num_scan_inputs")
	if states < 0 || states == len(n.Inputs) || len(body.Inputs) != len(n.Inputs) || len(body.Outputs) < states {
		return false, nil
	}
	axes, back := found.ints("scan_input_axes"), found.ints("scan_input_directions")
	carried, scanned := slices.Clone(n.Inputs[:states]), n.Inputs[states:]
	rounds := -1
	for i, name := range scanned {
		f, _ := in.known.get(name)
		axis := elementOr0(axes, i)
		if axis < 0 {
			axis += len(f.shape)
		}
		if axis < 0 || axis >= len(f.shape) {
			return false, nil
		}
		size, fixed := f.shape[axis].Int()
		if !fixed || size > MostRounds || rounds >= 0 && size != rounds {
			return false, nil
		}
		rounds = size
	}
	stacks := make([][]string, len(body.Outputs)-states)
	for round := range rounds {
		args := slices.Clone(carried)
		for i, name := range scanned {
			at := round
			if elementOr0(back, i) == 1 {
				at = rounds - 1 - round
			}
			index, err := in.value("round", Int64s([]int{}, []int64{int64(at)}))
			if err != nil {
				return false, err
			}
			part := graph.Node{Name: n.Name, Op: "Gather", Inputs: []string{name, index}, Outputs: []string{in.fresh(name)}, Attrs: graph.Attrs{"axis": graph.Int(int64(elementOr0(axes, i)))}}
			if err := in.add(part); err != nil {
				return false, err
			}
			args = append(args, part.Outputs[0])
		}
		results, err := in.body(body, args)
		if err != nil {
			return false, err
		}
		carried = results[:states:states]
		for i := range stacks {
			stacks[i] = append(stacks[i], results[states+i])
		}
	}
	return in.stackAll(n, carried, stacks, found.ints("scan_output_axes"), found.ints("scan_output_directions"))
}

// function writes the body of a function for a call.
func (in *inliner) function(f *graph.Function, n *graph.Node) (done bool, err error) {
	opsets := opsetsOf(in.out)
	for domain, version := range f.Opsets {
		if domain == "ai.onnx" {
			domain = ""
		}
		if v, there := opsets[domain]; there && v != version {
			return false, nil
		} else if !there {
			if in.out.Opsets == nil {
				in.out.Opsets = map[string]int{}
			}
			in.out.Opsets[domain], in.opsets[domain] = version, version
		}
	}
	if in.inside++; in.inside > maxCalls {
		return false, &model.LimitError{What: "depth of functions", Got: uint64(in.inside), Limit: maxCalls}
	}
	defer func() { in.inside-- }()
	results, err := in.body(instance(f, n), n.Inputs)
	if err != nil {
		return false, fmt.Errorf("in function %s, %s: %w", f.Name, n.Label(), err)
	}
	return true, in.finish(n, results, nil)
}
