package ops

import (
	"encoding/binary"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// Unstride returns a graph in which elements that are looked up in a whole batch, by
// indices that count its samples, are looked up in each sample: exporters write
// as_strided so, which torch makes of an average over all positions. It is nil if
// the graph has no such node. That the indices take from each sample the same is
// computed, for batches of two and three.
func Unstride(g *graph.Graph, sd *model.StateDict) *graph.Graph {
	if len(g.Inputs) == 0 || len(g.Inputs[0].Shape) == 0 || g.Inputs[0].Shape[0].Fixed() {
		return nil
	}
	var facts [2]*Facts
	for i, size := range []int{2, 3} {
		fixed := g.Clone()
		fixed.Types = nil // they speak of any batch
		for j, in := range fixed.Inputs {
			if len(in.Shape) > 0 && !in.Shape[0].Fixed() {
				fixed.Inputs[j].Shape = slices.Concat(graph.Sizes(size), in.Shape[1:])
			}
		}
		for j := range fixed.Outputs {
			fixed.Outputs[j].Shape = nil
		}
		folded, err := Fold(fixed, sd) // sizes become numbers to count with
		if err != nil {
			return nil
		}
		if facts[i], err = Infer(folded, sd); err != nil {
			return nil
		}
	}
	out, found := g.Clone(), false
	for i := 0; i < len(out.Nodes); i++ {
		n := out.Nodes[i]
		if n.Domain != "" || n.Op != "Gather" || n.Int("axis", 0) != 0 || len(n.Inputs) != 2 {
			continue
		}
		size, from, shape := perSample(n, facts)
		if from == nil {
			continue
		}
		const rows, list = " by sample", " in a sample"
		data := n.Output(0) + rows
		put := func(name string, v []int, shape ...int) string {
			if out.Constants == nil {
				out.Constants = map[string]*model.Tensor{}
			}
			out.Constants[name] = numbersOf(v, shape)
			return name
		}
		target := put(data+" shape", []int{-1, size}, 2)
		indices := put(n.Output(0)+list, from, shape...)
		out.Nodes = slices.Replace(out.Nodes, i, i+1,
			graph.Node{Name: n.Name + rows, Op: "Reshape", Inputs: []string{n.Input(0), target}, Outputs: []string{data}},
			graph.Node{Name: n.Name, Op: "Gather", Inputs: []string{data, indices}, Outputs: n.Outputs, Attrs: graph.Attrs{"axis": graph.Int(1)}})
		found = true
		i++
	}
	if !found {
		return nil
	}
	out.Prune()
	return out
}

// perSample returns which elements of each sample a node takes of a batch that lies
// in a row, the size of a sample, and the shape of what it takes of one;
// from is nil if it does something else.
func perSample(n graph.Node, facts [2]*Facts) (size int, from, shape []int) {
	for i, f := range facts {
		batch := i + 2
		dims, ok := f.Type(n.Input(0)).Shape.Ints()
		indices := f.Value(n.Input(1))
		if !ok || len(dims) != 1 || dims[0]%batch != 0 || indices == nil || len(indices.Shape()) == 0 || indices.Shape()[0] != batch {
			return 0, nil, nil
		}
		v, ok := indices.Ints()
		if !ok || len(v) == 0 {
			return 0, nil, nil
		}
		each := len(v) / batch
		if i == 0 {
			size, from, shape = dims[0]/batch, v[:each], indices.Shape()[1:]
		}
		if dims[0]/batch != size || !slices.Equal(indices.Shape()[1:], shape) {
			return 0, nil, nil
		}
		for j, at := range v {
			if at -= j / each * size; at < 0 || at >= size || at != from[j%each] {
				return 0, nil, nil
			}
		}
	}
	return size, from, shape
}

func numbersOf(v, shape []int) *model.Tensor {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, uint64(x))
	}
	t, err := model.NewTensor(model.Int64, shape, nil, 0, model.BytesStorage(b))
	if err != nil {
		panic(err) // the sizes are those of v
	}
	return t
}
