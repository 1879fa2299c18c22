package onnxio

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"lethe/graph"
	"lethe/model"
)

// checked is a graph that keeps every rule of this package.
type checked struct {
	*graph.Graph
	weights []string // the entries of the state dict that it reads, in order of first use
}

// check returns the graph in the form in which this package reads and writes
// it: [operator.attributes] settled, optional inputs and outputs at the end cut
// off. Encode and Decode share it, so that what one writes the other reads.
func check(g *graph.Graph, sd *model.StateDict) (*checked, error) {
	out := *g
	out.Nodes = slices.Clone(g.Nodes)
	if err := checkName("the graph", g.Name); err != nil {
		return nil, err
	}
	values := map[string]bool{} // what may be read so far, except weights
	define := func(name, member string) error {
		if err := checkName(member, name); err != nil {
			return err
		}
		if values[name] || sd.Get(name) != nil {
			return broken(member, "the name %q is already taken", name)
		}
		values[name] = true
		return nil
	}
	for _, v := range g.Inputs {
		member := "input " + v.Name
		if err := checkValue(&v, member); err != nil {
			return nil, err
		}
		if err := define(v.Name, member); err != nil {
			return nil, err
		}
	}

	var weights []string
	read := map[string]bool{}
	nodes := map[string]bool{}
	made := map[string]bool{}
	for i := range out.Nodes {
		n := &out.Nodes[i]
		member := nodeName(n)
		if !utf8.ValidString(n.Name) || n.Name != "" && nodes[n.Name] {
			return nil, broken(member, "the name is taken by another node or is not UTF-8")
		}
		nodes[n.Name] = true
		if !defaultDomain(n.Domain) || n.Overload != "" {
			return nil, &model.UnsupportedError{What: fmt.Sprintf("operator %q of domain %q, overload %q (node %q)", n.Op, n.Domain, n.Overload, n.Name)}
		}
		for _, name := range slices.Sorted(maps.Keys(n.Attrs)) {
			if n.Attrs[name].Ref() != "" {
				return nil, &model.UnsupportedError{What: fmt.Sprintf("attribute %q of node %q refers to a function's attribute", name, n.Name)}
			}
		}
		op, ok := operators[n.Op]
		if !ok {
			return nil, &model.UnsupportedError{
				What:   fmt.Sprintf("operator %q (node %q)", n.Op, n.Name),
				Advice: "supported are " + strings.Join(slices.Sorted(maps.Keys(operators)), ", "),
			}
		}
		n.Inputs, n.Outputs = trim(n.Inputs), trim(n.Outputs)
		if len(n.Inputs) < op.minInputs || len(n.Inputs) > op.maxInputs {
			return nil, broken(member, "%s has %d inputs, not %d to %d", n.Op, len(n.Inputs), op.minInputs, op.maxInputs)
		}
		for _, in := range n.Inputs {
			if values[in] {
				continue
			}
			t := sd.Get(in)
			if t == nil {
				return nil, broken(member, "the input %q is neither made by an earlier node nor a weight", in)
			}
			if err := checkName(member, in); err != nil {
				return nil, err
			}
			if !t.DType().IsFloat() {
				return nil, &model.UnsupportedError{What: fmt.Sprintf("weight %q of type %v", in, t.DType())}
			}
			if !read[in] {
				read[in] = true
				weights = append(weights, in)
			}
		}
		var shape []int
		if len(n.Inputs) > 1 && !values[n.Inputs[1]] {
			shape = sd.Get(n.Inputs[1]).Shape()
		}
		attrs, err := op.attributes(n, shape)
		if err != nil {
			return nil, err
		}
		n.Attrs = attrs
		if len(n.Outputs) > 1 {
			return nil, &model.UnsupportedError{What: fmt.Sprintf("%d outputs of %s %q", len(n.Outputs), n.Op, n.Name)}
		}
		if len(n.Outputs) == 0 {
			return nil, broken(member, "%s has no output", n.Op)
		}
		if err := define(n.Outputs[0], member); err != nil {
			return nil, err
		}
		made[n.Outputs[0]] = true
	}

	if len(g.Outputs) == 0 {
		return nil, broken("the graph", "it has no outputs")
	}
	listed := map[string]bool{}
	for _, v := range g.Outputs {
		member := "output " + v.Name
		if err := checkValue(&v, member); err != nil {
			return nil, err
		}
		if !made[v.Name] || listed[v.Name] {
			return nil, broken(member, "no node makes it, or it is listed twice")
		}
		listed[v.Name] = true
	}
	return &checked{&out, weights}, nil
}

func checkName(member, name string) error {
	if name == "" || !utf8.ValidString(name) {
		return broken(member, "the name %q is empty or not UTF-8", name)
	}
	return nil
}

// checkValue checks the type of an input or output of the graph.
func checkValue(v *graph.Value, member string) error {
	if v.DType != model.Float32 {
		return &model.UnsupportedError{What: fmt.Sprintf("%q of type %v", member, v.DType), Advice: "networks compute in float32"}
	}
	for i, d := range v.Shape {
		size, fixed := d.Int()
		if !fixed && i > 0 {
			return &model.UnsupportedError{
				What:   fmt.Sprintf("%q, whose axis %d has no fixed size", member, i),
				Advice: "export the model with no dynamic axis but the batch",
			}
		}
		if size < 0 {
			return broken(member, "axis %d has the negative size %d", i, size)
		}
	}
	return nil
}

// trim cuts off the optional inputs or outputs that are left out at the end.
func trim(names []string) []string {
	for len(names) > 0 && names[len(names)-1] == "" {
		names = names[:len(names)-1]
	}
	return names
}

func nodeName(n *graph.Node) string { return fmt.Sprintf("node %s (%s)", n.Name, n.Op) }

// broken returns a FormatError about a part of a model.
func broken(member, format string, args ...any) error {
	return &model.FormatError{Format: "onnx", Member: member, Offset: -1, Reason: fmt.Sprintf(format, args...)}
}
