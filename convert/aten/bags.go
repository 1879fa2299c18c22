package aten

import (
	"fmt"
	"math"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// bagRows are sums, means and largest elements of the rows of a table that
// belong to a bag. Bags are the rows of a matrix of indices, of which
// nn.EmbeddingBag makes a vector and the places where its rows begin, or pieces
// of a vector that begin at any places.
func bagRows() map[string]row {
	return map[string]row{
		"aten.embedding_bag":               {schema: bagSchema, lower: embeddingBag},
		"aten.embedding_bag.padding_idx":   {schema: bagSchema, lower: embeddingBag},
		"aten._embedding_bag":              {schema: bagSchema, lower: embeddingBag},
		"aten._embedding_bag_forward_only": {schema: bagSchema, lower: embeddingBag},
	}
}

const bagSchema = "weight, indices, offsets, scale_grad_by_freq=False, mode=0, sparse=False, per_sample_weights=None, include_last_offset=False, padding_idx=None"

// The numbers of the modes of embedding_bag.
const (
	bagSum = iota
	bagMean
	bagMax
)

// evenBags returns how many indices each bag has, if bags begin at 0, n, 2n and
// so on, and fill the vector of indices.
func evenBags(p *Program, n *Node) (length int, ok bool) {
	args := argsByName(n, bagSchemaParams)
	indices, _ := args["indices"].(*Value)
	offsets, _ := args["offsets"].(*Value)
	if last, _ := args["include_last_offset"].(bool); last || indices == nil || offsets == nil || len(indices.Shape) != 1 {
		return 0, false
	}
	for range 4 { // conversions of the places
		i := slices.IndexFunc(p.Nodes, func(n *Node) bool { return len(n.Outputs) == 1 && n.Outputs[0] == offsets })
		if i < 0 {
			return 0, false
		}
		from := p.Nodes[i]
		if from.Op == "aten.to" || from.Op == "aten._to_copy" || from.Op == "aten.detach" {
			offsets, _ = from.Args[0].Value.(*Value)
			continue
		}
		if from.Op != "aten.arange" || len(from.Args) < 3 {
			return 0, false
		}
		from = &Node{Op: from.Op, Overload: "start_step", Args: from.Args}
		r, _ := lookUp(from)
		places := argsByName(from, r.params)
		step, isStep := places["step"].(int64)
		count := n.Outputs[0].Shape[0]
		return int(step), places["start"] == int64(0) && isStep && step > 0 && count.Mul(graph.Size(int(step))).Equal(indices.Shape[0])
	}
	return 0, false
}

var bagSchemaParams = parseSchema(bagSchema)

// argsByName returns the arguments of a node by their names.
func argsByName(n *Node, params []param) map[string]any {
	args := map[string]any{}
	for i, a := range n.Args {
		if a.Name == "" && i < len(params) {
			a.Name = params[i].name
		}
		args[a.Name] = a.Value
	}
	return args
}

func embeddingBag(c *call) {
	w, x, mode := c.in("weight"), c.in("indices"), c.int("mode")
	if len(w.shape) != 2 || mode < bagSum || mode > bagMax {
		panic(refusal{what: fmt.Sprintf("embedding_bag of a table of shape %v in mode %d", w.shape, mode)})
	}
	if c.has("per_sample_weights") && mode != bagSum {
		panic(refusal{what: "weights of samples with another mode than sum"})
	}
	// used is 1 for indices that count, and "" if all do.
	used := ""
	if c.has("padding_idx") && c.int("padding_idx") != -1 {
		at := c.int("padding_idx")
		if rows, ok := w.shape[0].Int(); ok && at < 0 {
			at += rows
		}
		used = c.op("Not", nil, c.op("Equal", nil, x.name, c.scalar(x.dtype, int64(at))))
	}
	count := c.out(0).Shape[0]
	length, even := evenBags(c.conv.program, c.node)
	if len(x.shape) == 2 {
		var ok bool
		if length, ok = x.shape[1].Int(); !ok {
			panic(refusal{what: "bags whose size is not fixed"})
		}
		even = true
	}
	if !even {
		c.pieces(w, x, used, mode)
		return
	}
	bags := graph.Shape{count, graph.Size(length)}
	in := func(name string, d model.DType) string { return c.reshape(operand{name, d, x.shape}, bags) }
	rows := c.op("Gather", nil, w.name, in(x.name, x.dtype))
	if c.has("per_sample_weights") {
		s := c.in("per_sample_weights")
		rows = c.op("Mul", nil, rows, c.unsqueeze(in(s.name, s.dtype), 2))
	}
	if used != "" {
		used = c.unsqueeze(in(used, model.Bool), 2)
	}
	if mode == bagMax {
		if used == "" {
			c.ret(c.reduce("ReduceMax", rows, []int{1}, false))
			return
		}
		least := c.scalar(w.dtype, math.Inf(-1))
		y := c.reduce("ReduceMax", c.op("Where", nil, used, rows, least), []int{1}, false)
		c.ret(c.op("Where", nil, c.op("Equal", nil, y, least), c.scalar(w.dtype, 0.0), y)) // an empty bag
		return
	}
	if used == "" {
		c.ret(c.reduce(map[int]string{bagSum: "ReduceSum", bagMean: "ReduceMean"}[mode], rows, []int{1}, false))
		return
	}
	sum := c.reduce("ReduceSum", c.op("Where", nil, used, rows, c.scalar(w.dtype, 0.0)), []int{1}, false)
	if mode == bagMean {
		sum = c.op("Div", nil, sum, c.atLeastOne(c.reduce("ReduceSum", c.cast(used, model.Bool, w.dtype), []int{1}, false), w.dtype))
	}
	c.ret(sum)
}

func (c *call) atLeastOne(x string, d model.DType) string {
	return c.op("Max", nil, x, c.scalar(d, 1.0))
}

// pieces has bags that begin anywhere: a matrix says which index is in which
// bag, and a product sums.
func (c *call) pieces(w, x operand, used string, mode int) {
	if mode == bagMax {
		panic(refusal{what: "the largest elements of bags that begin at places which are not known", advice: "give the indices as a matrix, or take mode sum or mean"})
	}
	at := c.in("offsets")
	if len(x.shape) != 1 || len(at.shape) != 1 {
		panic(refusal{what: fmt.Sprintf("indices of shape %v with places of shape %v", x.shape, at.shape)})
	}
	d := model.Int64
	starts := c.cast(at.name, at.dtype, d)
	all := c.size(x.shape[0])
	next := c.op("Slice", nil, starts, c.builder.ints(1), c.builder.ints(1<<62), c.builder.ints(0))
	if c.bool("include_last_offset") {
		starts = c.op("Slice", nil, starts, c.builder.ints(0), c.builder.ints(-1), c.builder.ints(0))
	} else {
		next = c.op("Concat", attrs{"axis": num(0)}, next, all)
	}
	places := c.op("Range", nil, c.index(0), c.squeeze(all, 0), c.index(1))
	inside := c.op("And", nil, c.op("GreaterOrEqual", nil, places, c.unsqueeze(starts, 1)), c.op("Less", nil, places, c.unsqueeze(next, 1)))
	if used != "" {
		inside = c.op("And", nil, inside, used)
	}
	member := c.cast(inside, model.Bool, w.dtype)
	count := member
	if c.has("per_sample_weights") {
		member = c.op("Mul", nil, member, c.in("per_sample_weights").name)
	}
	y := c.op("MatMul", nil, member, c.op("Gather", nil, w.name, x.name))
	if mode == bagMean {
		y = c.op("Div", nil, y, c.atLeastOne(c.reduce("ReduceSum", count, []int{1}, true), w.dtype))
	}
	c.ret(y)
}

func inferBags() map[string]inferRule {
	return map[string]inferRule{
		"embedding_bag _embedding_bag _embedding_bag_forward_only": func(c *call) []*Value {
			w, x, at := c.tensor("weight"), c.tensor("indices"), c.tensor("offsets")
			if len(w.Shape) != 2 || x.DType.IsFloat() || len(at.Shape) != 1 {
				panic(refusal{what: fmt.Sprintf("a table of shape %v for indices of type %v", w.Shape, x.DType)})
			}
			count := at.Shape[0]
			if len(x.Shape) == 2 {
				count = x.Shape[0]
			} else if c.bool("include_last_offset") {
				count = count.Sub(graph.Size(1))
			}
			out := made1(w.DType, graph.Shape{count, w.Shape[1]})
			for range 3 { // which bag an index is in, and what the gradient needs
				out = append(out, made1(x.DType, graph.Sizes(0))...)
			}
			return out
		},
	}
}

// bagBatch: bags of equal length are samples.
func bagBatch(f *freer, n *Node) {
	out := f.result(n, 0)
	length, ok := evenBags(f.program, n)
	x := f.of(tensors(n)[1])
	if !ok || len(x) != 1 {
		untouched(f, n)
		return
	}
	if f.kind(x[0]) == batchSize {
		if length < 1 || x[0].n%length != 0 || x[0].n/length%f.size != 0 || max(x[0].before, 1) != 1 || out[0].n != x[0].n/length {
			f.fail("the bags are not the samples")
		}
		out[0] = extent{n: out[0].n, kind: batchSize}
	}
	f.set(n, out)
}
