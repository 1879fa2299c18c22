package ops

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"lethe/graph"
	"lethe/model"
)

// chooser makes choices from bytes; there are no more when they are used up.
type chooser []byte

func (c *chooser) next() int {
	if len(*c) == 0 {
		return 0
	}
	b := (*c)[0]
	*c = (*c)[1:]
	return int(b)
}

func (c *chooser) of(n int) int { return c.next() % n }

func pick[T any](c *chooser, list ...T) T { return list[c.of(len(list))] }

// tensor returns a tensor of a type that an input takes.
func (c *chooser) tensor(allowed types) *Tensor {
	var dtypes []model.DType
	for _, d := range []model.DType{model.Float32, model.Int64, model.Bool, model.Float64, model.Int32, model.Uint8, model.Int8, model.Float16, model.Uint64, model.String} {
		if allowed.has(d) {
			dtypes = append(dtypes, d)
		}
	}
	if len(dtypes) == 0 {
		dtypes = []model.DType{model.Float32}
	}
	dtype := dtypes[c.of(min(len(dtypes), 1+c.of(3)))]
	shape := make([]int, c.of(5))
	for i := range shape {
		shape[i] = pick(c, 1, 2, 3, 4, 0)
	}
	if dtype == model.String {
		return Strings(shape, make([]string, product(shape)))
	}
	v := make([]float64, product(shape))
	for i := range v {
		v[i] = pick(c, 0, 1, -1, 2, 3, -2, 4, 100, -1000, math.MaxInt32, 1e18, -1e18, 0.5)
		if floats.has(dtype) && c.of(50) == 0 {
			v[i] = math.NaN()
		}
	}
	k := &call{node: &node{n: &graph.Node{}}, limits: &limits{elements: 1 << 20}}
	return k.from(dtype, shape, v)
}

func (c *chooser) attr(a attr) graph.Attr {
	number := func() int64 { return pick[int64](c, 0, 1, 2, -1, 3, 4, -2, 7, 1<<40, math.MinInt64, math.MaxInt64) }
	switch a.kind {
	case graph.IntAttr:
		return graph.Int(number())
	case graph.FloatAttr:
		return graph.Float(pick[float32](c, 0, 1, -1, 0.5, 1e30, float32(math.NaN())))
	case graph.StringAttr:
		if len(a.values) > 0 {
			return graph.String(pick(c, a.values...))
		}
		return graph.String(pick(c, "ij,jk->ik", "...i->i...", "ii", "a,b", "->", "...", "ij->", "abc,cd->"))
	case graph.IntsAttr:
		list := make([]int64, c.of(5))
		for i := range list {
			list[i] = number()
		}
		return graph.Ints(list...)
	case graph.FloatsAttr:
		return graph.Floats(pick[float32](c, 0, 1, 2, 0.5), 1)
	case graph.StringsAttr:
		return graph.Strings(pick(c, "Tanh", "Relu", "Affine", "none"), "Sigmoid")
	case graph.GraphAttr:
		return graph.Subgraph(&graph.Graph{
			Inputs:  []graph.Value{{Name: "s0"}, {Name: "s1"}, {Name: "s2"}}[:c.of(4)],
			Nodes:   []graph.Node{{Op: "Identity", Inputs: []string{pick(c, "in0", "s0", "s1")}, Outputs: []string{"s3"}}},
			Outputs: []graph.Value{{Name: pick(c, "s3", "in0", "s1")}, {Name: "s3"}}[:1+c.of(2)],
		})
	case graph.TensorAttr:
		m, err := c.tensor(numbers | bools).Model()
		if err != nil {
			panic(err)
		}
		return graph.Tensor(m)
	}
	return graph.Int(number())
}

// FuzzGraph evaluates small graphs of any operators with any attributes. They may
// fail in any way that is told; they must not panic, and what is inferred of a
// value must be so.
func FuzzGraph(f *testing.F) {
	for i := range operators {
		f.Add([]byte{byte(i), 0, 0, 0, 2, 1, 1, 2, 0, 0, 3, 2, 1, 1, 4, 5, 6})
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := chooser(b)
		g := &graph.Graph{Opsets: map[string]int{"": pick(&c, 17, 28, 7, 11, 13, 18, 21, 10, 6)}}
		inputs := map[string]*Tensor{}
		symbols := map[string]int{}
		var names []string
		for i := range 1 + c.of(3) {
			op := operators[c.of(len(operators))]
			n := graph.Node{Name: fmt.Sprint("n", i), Domain: op.Domain, Op: op.Name, Attrs: graph.Attrs{}}
			if op.Domain != "" {
				g.Opsets[op.Domain] = 5
			}
			at := &node{&n, op, g.Opset(op.Domain)}
			for j := range 8 {
				spec := at.inputSpec(j)
				if spec == nil || (spec.optional || spec.variadic && j > 0) && c.of(3) == 0 {
					break
				}
				switch {
				case spec.optional && c.of(4) == 0:
					n.Inputs = append(n.Inputs, "")
				case len(names) > 0 && c.of(2) == 0:
					n.Inputs = append(n.Inputs, pick(&c, names...))
				default:
					name := fmt.Sprint("in", len(inputs))
					x := c.tensor(spec.types)
					inputs[name] = x
					names = append(names, name)
					n.Inputs = append(n.Inputs, name)
					if m, err := x.Model(); err == nil && (spec.role == Constant || c.of(4) == 0) {
						if g.Constants == nil {
							g.Constants = map[string]*model.Tensor{}
						}
						g.Constants[name] = m
						break
					}
					shape := graph.Sizes(x.shape...)
					for axis, d := range x.shape {
						if d > 0 && c.of(3) == 0 {
							s := fmt.Sprintf("%s_%d", name, axis)
							symbols[s], shape[axis] = d, graph.Symbol(s)
						}
					}
					g.Inputs = append(g.Inputs, graph.TensorValue(name, x.dtype, shape))
				}
			}
			for _, a := range op.attrs {
				if within(at.opset, a.lo, a.hi) && (a.required || c.of(3) == 0) {
					n.Attrs[a.name] = c.attr(a)
				}
			}
			for j := range min(max(op.outputs, 1), 1+c.of(3)) {
				n.Outputs = append(n.Outputs, fmt.Sprintf("out%d_%d", i, j))
			}
			names = append(names, n.Outputs[0])
			g.Nodes = append(g.Nodes, n)
		}
		g.Outputs = []graph.Value{{Name: g.Nodes[len(g.Nodes)-1].Outputs[0]}}
		made := map[string]*Tensor{}
		_, err := Run(context.Background(), g, nil, inputs, Options{Elements: 1 << 16, Nodes: 1000,
			Each: func(n *graph.Node, out []*Tensor) {
				for i, name := range n.Outputs {
					if i < len(out) {
						made[name] = out[i]
					}
				}
			}})
		var internal *internalError
		if errors.As(err, &internal) {
			t.Fatalf("%v\n%+v", err, g.Nodes)
		}
		facts, err := Infer(g, nil)
		if err != nil {
			if last := made[g.Outputs[0].Name]; last != nil {
				t.Fatalf("the graph runs, but: %v\n%+v", err, g.Nodes)
			}
			return
		}
		for name, x := range made {
			compareFact(t, g, facts, name, x, symbols)
		}
		if _, err := Fold(g, nil); err != nil {
			t.Fatal(err)
		}
		flat, failed := Inline(g, nil)
		if failed == nil && err == nil && flat != g {
			_, failed = Run(context.Background(), flat, nil, inputs, Options{Elements: 1 << 16, Nodes: 1000})
		}
		if failed != nil && made[g.Outputs[0].Name] != nil {
			t.Fatalf("the graph runs, but not written out: %v\n%+v", failed, g.Nodes)
		}
	})
}

// compareFact reports what is inferred of a value and is not so.
func compareFact(t *testing.T, g *graph.Graph, facts *Facts, name string, x *Tensor, symbols map[string]int) {
	got := facts.Type(name)
	if x == nil {
		return
	}
	bad := got.DType != model.Invalid && got.DType != x.dtype || got.Shape != nil && len(got.Shape) != len(x.shape)
	for i, d := range got.Shape {
		if n, ok := d.Eval(symbols); !bad && ok && n != x.shape[i] {
			bad = true
		}
	}
	if v := facts.Value(name); v != nil && !bad {
		a, _ := v.Float64s()
		b, _ := x.Float64s()
		bad = !slices.EqualFunc(a, b, func(a, b float64) bool { return a == b || a != a && b != b })
	}
	if bad {
		t.Fatalf("%s is said to be %v %v %v, but is %v of shape %v\nwith %v\n%+v", name, got.DType, got.Shape, facts.Dims(name), x.dtype, x.shape, symbols, g.Nodes)
	}
}
