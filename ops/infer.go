package ops

import (
	"errors"
	"fmt"

	"lethe/graph"
	"lethe/model"
)

// Facts are what is known of the values of a graph before it runs.
type Facts struct{ facts map[string]fact }

// Type returns the type of a value. Its element type is [model.Invalid] and its
// shape nil where they are not known.
func (f *Facts) Type(name string) graph.Type {
	return graph.Type{DType: f.facts[name].dtype, Shape: f.facts[name].shape}
}

// Value returns a value that is the same whatever the inputs are, or nil.
func (f *Facts) Value(name string) *Tensor {
	v := f.facts[name].value
	if v == nil {
		return nil
	}
	if d, ok := v.data.(vec[graph.Dim]); ok {
		ints, fixed := graph.Shape(d).Ints()
		if !fixed {
			return nil
		}
		t := &Tensor{v.dtype, v.shape, newStorage(v.dtype, len(ints))}
		switch d := t.data.(type) {
		case vec[int64]:
			for i, x := range ints {
				d[i] = int64(x)
			}
		case vec[int32]:
			for i, x := range ints {
				d[i] = int32(x)
			}
		}
		return t
	}
	return v
}

// Dims returns the elements of an integer value that depends on nothing but
// the shapes of the inputs, or nil.
func (f *Facts) Dims(name string) []graph.Dim {
	if v := f.facts[name].value; v != nil {
		d, _ := v.dims()
		return d
	}
	return nil
}

// Limits of what [Infer] computes: elements of values that hold expressions,
// and of others.
const (
	foldExpressions = 1 << 10
	foldNumbers     = 1 << 16
)

// Infer finds the types of all values of a graph whose weights are those of sd,
// with sizes as expressions in the symbols of the inputs' shapes. Values that
// depend on nothing but weights of integers, constants and shapes are computed,
// such as the target of a Reshape. Where a shape depends on data, it stays
// unknown, or its sizes get symbols of their own. Types that the file states
// for values inside fill what is not known.
//
// Shapes that contradict each other are a [model.FormatError] with the node and
// both shapes. A network whose functions call each other so that they have more than
// 1,048,576 nodes is a [model.LimitError]. An operator that is not known is an
// [model.UnsupportedError], as in [Check].
func Infer(g *graph.Graph, sd *model.StateDict) (*Facts, error) {
	if err := Check(g); err != nil {
		return nil, err
	}
	i, inputs := newInferrer(g, sd)
	s, err := i.graph(g, inputs, nil)
	if err != nil {
		return nil, err
	}
	return &Facts{s.own}, nil
}

// newInferrer returns the inferrer of a graph and what its inputs are known to be.
func newInferrer(g *graph.Graph, sd *model.StateDict) (*inferrer, []fact) {
	if sd == nil {
		sd = &model.StateDict{}
	}
	inputs := make([]fact, len(g.Inputs))
	for k, v := range g.Inputs {
		if v.Kind == graph.TensorKind {
			inputs[k] = fact{dtype: v.DType, shape: v.Shape}
		}
	}
	return &inferrer{sd: sd, opsets: opsetsOf(g), functions: functionsOf(g), limits: &limits{elements: foldNumbers},
		left: &budget{1 << 20, 1 << 25}}, inputs
}

type inferrer struct {
	sd        *model.StateDict
	opsets    opsets
	functions map[string]*graph.Function
	limits    *limits
	inside    int
	left      *budget
}

// budget bounds the work of one [Infer]: functions can call each other more
// often than a file has bytes.
type budget struct{ nodes, elements int }

// known are the facts of a graph, inside those of the graphs around it.
type known struct {
	own    map[string]fact
	around *known
}

func (k *known) get(name string) (fact, bool) {
	for ; k != nil; k = k.around {
		if f, ok := k.own[name]; ok {
			return f, true
		}
	}
	return fact{}, false
}

func (i *inferrer) graph(g *graph.Graph, inputs []fact, around *known) (*known, error) {
	k := i.given(g, inputs, around)
	for j := range g.Nodes {
		if err := i.node(&g.Nodes[j], k); err != nil {
			return nil, err
		}
		k.state(g, &g.Nodes[j])
	}
	return k, nil
}

// given returns what is known of a graph before its nodes are looked at.
func (i *inferrer) given(g *graph.Graph, inputs []fact, around *known) *known {
	k := &known{map[string]fact{}, around}
	for j, v := range g.Inputs {
		if j < len(inputs) {
			k.own[v.Name] = inputs[j]
		}
	}
	for name, t := range g.Constants {
		k.own[name] = i.stored(t, true)
	}
	if around == nil {
		for _, name := range g.Weights() {
			if t := i.sd.Get(name); t != nil {
				k.own[name] = i.stored(t, false)
			}
		}
	}
	return k
}

// state fills in what the graph states of the outputs of a node and what is not known.
func (k *known) state(g *graph.Graph, n *graph.Node) {
	for _, out := range n.Outputs {
		if stated, ok := g.Types[out]; ok && stated.Kind == graph.TensorKind {
			f := k.own[out]
			if f.dtype == model.Invalid {
				f.dtype = stated.DType
			}
			if f.shape == nil {
				f.shape = stated.Shape
			}
			k.own[out] = f
		}
	}
}

// stored returns what is known of a tensor that is there.
func (i *inferrer) stored(t *model.Tensor, constant bool) fact {
	f := fact{dtype: t.DType(), shape: graph.Sizes(t.Shape()...)}
	if t.Len() <= foldNumbers && (constant || t.Len() <= foldExpressions && !t.DType().IsFloat()) {
		if v, err := FromModel(t); err == nil {
			f.value = v
		}
	}
	return f
}

func (i *inferrer) node(n *graph.Node, k *known) error {
	if i.left.nodes--; i.left.nodes < 0 {
		return &model.LimitError{What: "nodes of a network, with those of its functions", Got: 1<<20 + 1, Limit: 1 << 20}
	}
	in := make([]fact, len(n.Inputs))
	for j, name := range n.Inputs {
		if name != "" {
			in[j], _ = k.get(name)
		}
	}
	out, err := i.outputs(n, in, k)
	if err != nil {
		return err
	}
	for j, name := range n.Outputs {
		if name == "" {
			continue
		}
		if j < len(out) {
			k.own[name] = out[j]
		} else {
			k.own[name] = fact{}
		}
	}
	return nil
}

func (i *inferrer) outputs(n *graph.Node, in []fact, k *known) ([]fact, error) {
	if f := i.functions[functionKey(n.Domain, n.Op, n.Overload)]; f != nil {
		return i.function(f, n, in)
	}
	found := find(i.opsets, n)
	f := &inference{node: found, in: in, fresh: graph.Symbol}
	if found.op.body != nil {
		return i.branches(found, in, k)
	}
	err := guard(n, func() {
		if found.op.infer != nil {
			found.op.infer(f)
		}
	})
	var internal *internalError
	if errors.As(err, &internal) {
		err = nil // an inference that fails inside leaves the type unknown; Run will say more
	}
	if err != nil {
		return nil, err
	}
	i.fold(f)
	return f.out, nil
}

// fold computes the outputs of a node whose inputs are known.
func (i *inferrer) fold(f *inference) {
	if f.op.random || f.op.eval == nil || len(f.out) > 0 && f.out[0].value != nil {
		return
	}
	in := make([]*Tensor, len(f.in))
	symbolic := false
	for j, x := range f.in {
		if f.n.Inputs[j] == "" {
			continue
		}
		if in[j] = x.value; in[j] == nil {
			return
		}
		_, dims := in[j].data.(vec[graph.Dim])
		symbolic = symbolic || dims
	}
	limits := *i.limits
	if symbolic {
		limits.elements = foldExpressions
	}
	if i.left.elements <= 0 {
		return
	}
	c := &call{node: f.node, in: in, limits: &limits}
	if guard(f.n, func() { f.op.eval(c) }) != nil {
		return // too large, or not computable with expressions: it stays unknown
	}
	for j, t := range c.out {
		if t == nil {
			continue
		}
		for len(f.out) <= j {
			f.out = append(f.out, fact{})
		}
		f.out[j] = fact{t.dtype, graph.Sizes(t.shape...), t}
		i.left.elements -= t.Len()
	}
}

// function infers the body of a function that the file defines.
func (i *inferrer) function(f *graph.Function, n *graph.Node, in []fact) ([]fact, error) {
	if i.inside++; i.inside > maxCalls {
		return nil, &model.LimitError{What: "depth of functions", Got: uint64(i.inside), Limit: maxCalls}
	}
	defer func() { i.inside-- }()
	inner := *i
	inner.opsets, inner.sd = opsets(f.Opsets), &model.StateDict{}
	body := instance(f, n)
	k, err := inner.graph(body, in, &known{own: map[string]fact{}})
	if err != nil {
		return nil, fmt.Errorf("in function %s, %s: %w", f.Name, n.Label(), err)
	}
	return outputsOf(body, k), nil
}

func outputsOf(g *graph.Graph, k *known) []fact {
	out := make([]fact, len(g.Outputs))
	for j, v := range g.Outputs {
		out[j], _ = k.get(v.Name)
	}
	return out
}

// branches infers operators with subgraphs: what all graphs that can be run
// agree about is known.
func (i *inferrer) branches(n *node, in []fact, k *known) ([]fact, error) {
	if n.op.Name != "If" {
		return nil, nil
	}
	names := []string{"then_branch", "else_branch"}
	if len(in) > 0 && in[0].value != nil && in[0].value.Len() == 1 {
		if b, ok := in[0].value.data.(vec[bool]); ok && b[0] {
			names = names[:1]
		} else if ok {
			names = names[1:]
		}
	}
	var merged []fact
	for j, name := range names {
		g := n.attr(name).Graph()
		inner, err := i.graph(g, nil, k)
		if err != nil {
			return nil, err
		}
		out := outputsOf(g, inner)
		if j == 0 {
			merged = out
			continue
		}
		for m := range merged {
			if m >= len(out) || merged[m].dtype != out[m].dtype {
				merged[m] = fact{}
				continue
			}
			merged[m].value = nil
			if !merged[m].shape.Equal(out[m].shape) {
				merged[m].shape = nil
			}
		}
	}
	return merged, nil
}
