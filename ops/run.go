package ops

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"lethe/graph"
	"lethe/model"
)

// Options bound what [Run] may take; zero values are the defaults. To go beyond a bound
// is a [model.LimitError].
type Options struct {
	Elements int // elements of one value, whatever their type; default 2^28
	Live     int // elements of all values that nodes made and that are held at once; default 2^30
	Nodes    int // evaluations of nodes, which loops repeat; default 2^22

	// StopAtNaN ends the evaluation with a [NaNError] at the first node that
	// makes a NaN out of inputs that have none.
	StopAtNaN bool

	// Each, if not nil, is called after the evaluation of every node with its
	// outputs, nil for those that nobody wants.
	Each func(n *graph.Node, outputs []*Tensor)
}

func (o Options) orDefault() Options {
	if o.Elements == 0 {
		o.Elements = 1 << 28
	}
	if o.Live == 0 {
		o.Live = 1 << 30
	}
	if o.Nodes == 0 {
		o.Nodes = 1 << 22
	}
	return o
}

// NaNError names the node at which NaN began.
type NaNError struct{ Node, Op string }

func (e *NaNError) Error() string {
	return fmt.Sprintf("node %s (%s) makes a NaN out of inputs that have none", e.Node, e.Op)
}

// Run evaluates a graph: the outputs by name for the given inputs and the
// weights of sd. A value is let go after its last use. Every input of the graph
// must be there, of the type and a shape that the graph says.
//
// The graph may come from a hostile file: what cannot be evaluated is an error,
// sizes are checked before they are allocated. Unknown operators are an
// [model.UnsupportedError] that lists all of them; see [Check].
func Run(ctx context.Context, g *graph.Graph, sd *model.StateDict, inputs map[string]*Tensor, opts Options) (map[string]*Tensor, error) {
	if err := Check(g); err != nil {
		return nil, err
	}
	if err := checkInputs(g, inputs); err != nil {
		return nil, err
	}
	if sd == nil {
		sd = &model.StateDict{}
	}
	r := newRunner(ctx, g, sd, opts)
	given := make([]*Tensor, len(g.Inputs))
	for i, v := range g.Inputs {
		given[i] = inputs[v.Name]
	}
	results, err := r.graph(g, given, nil)
	if err != nil {
		return nil, err
	}
	out := map[string]*Tensor{}
	for i, v := range g.Outputs {
		out[v.Name] = results[i]
	}
	return out, nil
}

func checkInputs(g *graph.Graph, inputs map[string]*Tensor) error {
	symbols := map[string]int{}
	for _, v := range g.Inputs {
		t := inputs[v.Name]
		if t == nil {
			return &model.FormatError{Format: "network", Member: "input " + v.Name, Offset: -1, Reason: "no value is given for it"}
		}
		fits := v.DType == t.dtype && (v.Shape == nil || len(v.Shape) == len(t.shape))
		for i, d := range v.Shape {
			if !fits {
				break
			}
			if name, ok := d.Symbol(); ok {
				if _, seen := symbols[name]; !seen {
					symbols[name] = t.shape[i]
				}
			}
			if n, ok := d.Eval(symbols); ok && n != t.shape[i] {
				fits = false
			}
		}
		if !fits {
			return &model.FormatError{Format: "network", Member: "input " + v.Name, Offset: -1,
				Reason: fmt.Sprintf("it is %v of shape %v, but the network takes %v of shape %v", t.dtype, t.shape, v.DType, v.Shape)}
		}
	}
	return nil
}

// runner is an evaluation.
type runner struct {
	ctx       context.Context
	opts      Options
	sd        *model.StateDict
	opsets    opsets
	functions map[string]*graph.Function
	limits    *limits
	nodes     int // evaluated
	live      int // elements of values that nodes made and that are still needed
	inside    int // functions that are being evaluated
}

func newRunner(ctx context.Context, g *graph.Graph, sd *model.StateDict, opts Options) *runner {
	opts = opts.orDefault()
	return &runner{ctx: ctx, opts: opts, sd: sd, opsets: opsetsOf(g), functions: functionsOf(g),
		limits: &limits{elements: opts.Elements, spent: ctx.Err}}
}

func functionKey(domain, name, overload string) string {
	if domain == "ai.onnx" {
		domain = ""
	}
	return domain + "\x00" + name + "\x00" + overload
}

func functionsOf(g *graph.Graph) map[string]*graph.Function {
	all := map[string]*graph.Function{}
	for i := range g.Functions {
		f := &g.Functions[i]
		all[functionKey(f.Domain, f.Name, f.Overload)] = f
	}
	return all
}

// values are those of a graph that is being evaluated, inside those of the
// graphs around it.
type values struct {
	own    map[string]*Tensor
	uses   map[string]int // left to come, of own values
	made   map[string]int // elements of own values that nodes made
	around *values
	sd     *model.StateDict // of the outermost graph
}

func (v *values) get(name string) (*Tensor, error) {
	for s := v; s != nil; s = s.around {
		if t := s.own[name]; t != nil {
			return t, nil
		}
		if s.sd == nil {
			continue
		}
		w := s.sd.Get(name)
		if w == nil {
			break
		}
		t, err := FromModel(w)
		if err != nil {
			return nil, fmt.Errorf("weight %q: %w", name, err)
		}
		s.own[name] = t
		return t, nil
	}
	return nil, &model.FormatError{Format: "network", Offset: -1, Reason: fmt.Sprintf("%q is neither made by an earlier node nor a weight", name)}
}

// used counts one use of a name less and lets the value go after the last.
func (r *runner) used(v *values, name string) {
	if _, own := v.uses[name]; !own {
		return
	}
	if v.uses[name]--; v.uses[name] == 0 {
		r.live -= v.made[name]
		delete(v.own, name)
		delete(v.made, name)
	}
}

// graph evaluates a graph inside others. Inputs are in the graph's order; a nil
// one is not there.
func (r *runner) graph(g *graph.Graph, inputs []*Tensor, around *values) ([]*Tensor, error) {
	v := &values{own: map[string]*Tensor{}, uses: countUses(g), made: map[string]int{}, around: around}
	defer func() {
		for _, n := range v.made {
			r.live -= n
		}
	}()
	if around == nil {
		v.sd = r.sd
	}
	for i, in := range g.Inputs {
		if i < len(inputs) && inputs[i] != nil {
			v.own[in.Name] = inputs[i]
		}
	}
	for name, t := range g.Constants {
		c, err := FromModel(t)
		if err != nil {
			return nil, fmt.Errorf("constant %q: %w", name, err)
		}
		v.own[name] = c
	}
	for i := range g.Nodes {
		if err := r.eval(&g.Nodes[i], v); err != nil {
			return nil, err
		}
	}
	out := make([]*Tensor, len(g.Outputs))
	for i, o := range g.Outputs {
		var err error
		if out[i], err = v.get(o.Name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// countUses returns how often the nodes of a graph, and its outputs, read each
// name.
func countUses(g *graph.Graph) map[string]int {
	uses := map[string]int{}
	for i := range g.Nodes {
		for _, name := range readsOf(&g.Nodes[i]) {
			uses[name]++
		}
	}
	for _, o := range g.Outputs {
		uses[o.Name]++
	}
	return uses
}

// readsOf returns the names that a node reads, each once, those that its
// subgraphs read included.
func readsOf(n *graph.Node) []string {
	names := slices.Clone(n.Inputs)
	for sub := range n.Subgraphs() {
		names = append(names, sub.Weights()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// count counts an evaluation of a node or of a subgraph.
func (r *runner) count() error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if r.nodes++; r.nodes > r.opts.Nodes {
		return &model.LimitError{What: "evaluations of nodes", Got: uint64(r.nodes), Limit: uint64(r.opts.Nodes)}
	}
	return nil
}

// eval evaluates one node.
func (r *runner) eval(n *graph.Node, v *values) error {
	if err := r.count(); err != nil {
		return err
	}
	in := make([]*Tensor, len(n.Inputs))
	for i, name := range n.Inputs {
		if name == "" {
			continue
		}
		var err error
		if in[i], err = v.get(name); err != nil {
			return fmt.Errorf("%s: %w", n.Label(), err)
		}
	}
	out, err := r.apply(n, in, v)
	if err != nil {
		return err
	}
	for i, name := range n.Outputs {
		if name == "" {
			continue
		}
		if i >= len(out) || out[i] == nil {
			return &model.UnsupportedError{What: fmt.Sprintf("%s: output %d", n.Label(), i)}
		}
		if v.uses[name] == 0 {
			continue
		}
		v.own[name], v.made[name] = out[i], out[i].Len()
		if r.live += out[i].Len(); r.live > r.opts.Live {
			return &model.LimitError{What: "elements of all values that are held at " + n.Label(), Got: uint64(r.live), Limit: uint64(r.opts.Live)}
		}
	}
	if r.opts.StopAtNaN && slices.ContainsFunc(out, hasNaN) && !slices.ContainsFunc(in, hasNaN) {
		return &NaNError{n.Name, n.Op}
	}
	if r.opts.Each != nil {
		r.opts.Each(n, out)
	}
	for _, name := range readsOf(n) {
		r.used(v, name)
	}
	return nil
}

// apply returns the outputs of a node.
func (r *runner) apply(n *graph.Node, in []*Tensor, v *values) ([]*Tensor, error) {
	if f := r.functions[functionKey(n.Domain, n.Op, n.Overload)]; f != nil {
		return r.call(f, n, in)
	}
	found := find(r.opsets, n)
	if found == nil {
		return nil, &model.UnsupportedError{What: fmt.Sprintf("%s: the operator is not known", n.Label())}
	}
	c := &call{node: found, in: in, limits: r.limits}
	err := guard(n, func() {
		c.checkTypes()
		if found.op.body != nil {
			found.op.body(c, &scoped{r, v})
			return
		}
		found.op.eval(c)
	})
	return c.out, err
}

// checkTypes reports inputs of types that the operator does not take.
func (c *call) checkTypes() {
	for i, t := range c.in {
		if spec := c.inputSpec(i); t != nil && spec != nil && !spec.types.has(t.dtype) {
			c.unsupported("input %s of %v", spec.name, t.dtype)
		}
	}
}

// call evaluates a function that the file defines.
func (r *runner) call(f *graph.Function, n *graph.Node, in []*Tensor) ([]*Tensor, error) {
	if r.inside++; r.inside > maxCalls {
		return nil, &model.LimitError{What: "depth of functions", Got: uint64(r.inside), Limit: maxCalls}
	}
	defer func() { r.inside-- }()
	inner := *r
	inner.opsets = opsets(f.Opsets)
	body := instance(f, n)
	out, err := inner.graph(body, in, &values{sd: &model.StateDict{}})
	r.nodes = inner.nodes
	if err != nil {
		return nil, fmt.Errorf("in function %s, %s: %w", f.Name, n.Label(), err)
	}
	return out, nil
}

const maxCalls = 32

// instance returns the body of a function as a graph, with the attributes that
// a node gives.
func instance(f *graph.Function, n *graph.Node) *graph.Graph {
	g := &graph.Graph{Name: f.Name, Opsets: f.Opsets, Nodes: f.Nodes}
	for _, name := range f.Inputs {
		g.Inputs = append(g.Inputs, graph.Value{Name: name})
	}
	for _, name := range f.Outputs {
		g.Outputs = append(g.Outputs, graph.Value{Name: name})
	}
	g = g.Clone()
	settle(g, f, n)
	return g
}

// settle replaces references to a function's attributes.
func settle(g *graph.Graph, f *graph.Function, n *graph.Node) {
	for i := range g.Nodes {
		inner := &g.Nodes[i]
		for name, a := range inner.Attrs {
			if a.Ref() == "" {
				continue
			}
			value, ok := n.Attrs[a.Ref()]
			if !ok {
				value, ok = f.Defaults[a.Ref()]
			}
			if ok {
				inner.Attrs[name] = value
			} else {
				delete(inner.Attrs, name)
			}
		}
		for sub := range inner.Subgraphs() {
			settle(sub, f, n)
		}
	}
}

func hasNaN(t *Tensor) bool {
	if t == nil {
		return false
	}
	switch d := t.data.(type) {
	case vec[float32]:
		return slices.ContainsFunc(d, func(x float32) bool { return x != x })
	case vec[float64]:
		return slices.ContainsFunc(d, func(x float64) bool { return x != x })
	}
	return false
}

// parallel calls f for 0 to n-1, some at the same time. What f panics with goes
// to the caller.
func parallel(n int, f func(i int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	if workers <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var group sync.WaitGroup
	panics := make([]any, workers)
	for w := range workers {
		group.Go(func() {
			defer func() { panics[w] = recover() }()
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				f(i)
			}
		})
	}
	group.Wait()
	for _, p := range panics {
		if p != nil {
			panic(p)
		}
	}
}

// scoped evaluates the subgraphs of a node.
type scoped struct {
	*runner
	around *values
}

// run evaluates a subgraph. What goes wrong there ends the node.
func (s *scoped) run(g *graph.Graph, inputs ...*Tensor) []*Tensor {
	if err := s.count(); err != nil {
		panic(fault{err})
	}
	out, err := s.graph(g, inputs, s.around)
	if err != nil {
		panic(fault{err})
	}
	return out
}
