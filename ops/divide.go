package ops

import (
	"math"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// Products returns how many products of two numbers the convolutions and products of
// matrices of a network take for one sample: the elements of each result times those
// that one of them is summed over. Recurrent operators, subgraphs and functions of the
// file count nothing. It is infinite where a shape depends on more than the batch, or
// where [Infer] fails.
func Products(g *graph.Graph, sd *model.StateDict) float64 {
	facts, err := Infer(g, sd)
	if err != nil {
		return math.Inf(1)
	}
	return countProducts(g.Nodes, facts)
}

// countProducts is [Products] of some nodes of a graph.
func countProducts(nodes []graph.Node, facts *Facts) float64 {
	count := func(shape graph.Shape) float64 {
		n, ok := shape.Elements().Eval(map[string]int{graph.BatchSymbol: 1})
		if !ok {
			return math.Inf(1)
		}
		return float64(n)
	}
	var sum float64
	for i := range nodes {
		n := &nodes[i]
		if len(n.Inputs) < 2 {
			continue
		}
		// Every element of the output is a sum over the weights of a row, for the
		// operators that count; for others this is an excess that does not matter.
		weights, out := facts.Type(n.Inputs[1]).Shape, facts.Type(n.Outputs[0]).Shape
		switch n.Op {
		case "Conv", "ConvTranspose", "Gemm":
			if len(weights) > 0 {
				row := 1
				if n, ok := weights[1:].Elements().Int(); ok {
					row = n
				}
				sum += count(out) * float64(row)
			}
		case "MatMul":
			if len(weights) > 1 {
				inner, _ := weights[len(weights)-2].Int()
				sum += count(out) * float64(inner)
			}
		}
	}
	return sum
}

// Division is a graph in two parts, one behind the other.
type Division struct {
	Before, Behind *graph.Graph
	// Products of two numbers that each part takes for one sample, see [Products].
	ProductsBefore, ProductsBehind float64
}

// Divide returns a graph in two: what of it depends on none of the given parameters,
// as far as one value that everything goes through, and the rest, which takes that
// value. The first graph gives the value as one row for each sample. ok is false if
// there is no such value before the parameters, or nothing but layout before it.
func Divide(g *graph.Graph, sd *model.StateDict, parameters []string) (d *Division, ok bool) {
	if len(g.Inputs) != 1 {
		return nil, false
	}
	facts, err := Infer(g, sd)
	if err != nil {
		return nil, false
	}
	first := slices.IndexFunc(g.Nodes, func(n graph.Node) bool {
		return slices.ContainsFunc(n.Inputs, func(name string) bool { return slices.Contains(parameters, name) })
	})
	for i := first - 1; i >= 0; i-- {
		name, ok := passage(g, i)
		if !ok {
			continue
		}
		t := facts.Type(name)
		if !t.DType.IsFloat() || len(t.Shape) < 2 || t.Shape[0].Fixed() || slices.ContainsFunc(t.Shape[1:], func(d graph.Dim) bool { return !d.Fixed() }) {
			continue
		}
		before, behind := g.Clone(), g.Clone()
		row := name + "/row"
		before.Nodes = append(before.Nodes[:i+1], graph.Node{Op: "Flatten", Inputs: []string{name}, Outputs: []string{row}})
		before.Outputs = []graph.Value{graph.TensorValue(row, t.DType, nil)}
		before.Prune()
		behind.Nodes = behind.Nodes[i+1:]
		behind.Inputs = []graph.Value{graph.TensorValue(name, t.DType, append(graph.Batch(), t.Shape[1:]...))}
		d := &Division{Before: before, Behind: behind, ProductsBefore: countProducts(before.Nodes, facts), ProductsBehind: countProducts(behind.Nodes, facts)}
		return d, len(Parameters(before)) > 0
	}
	return nil, false
}

// passage returns the one value that the nodes behind node i take from it and
// those before it.
func passage(g *graph.Graph, i int) (name string, ok bool) {
	made := map[string]bool{g.Inputs[0].Name: true}
	for _, n := range g.Nodes[:i+1] {
		for _, out := range n.Outputs {
			made[out] = true
		}
	}
	for _, n := range g.Nodes[i+1:] {
		for _, in := range n.Inputs {
			if made[in] && in != name {
				if ok {
					return "", false
				}
				name, ok = in, true
			}
		}
	}
	return name, ok
}
