// Package nn runs graphs without cycles: the forward pass, and the gradient of a
// loss with respect to the parameters. Values are gorgonia tensors whose
// arithmetic is internal/kernel.
//
// # Layout
//
// A value that has shape [N, C, H, W] in the graph is held as [N/16, C, H, W,
// 16]: sixteen samples, a group, travel in the innermost dimension (see
// [kernel.Lanes]). Nobody outside sees that: batches are given and taken sample
// by sample. Up to four groups, a chunk, are computed at a time by one goroutine
// from the input to the loss and back, so that activations stay in its cache;
// networks whose activations are large take one group for a chunk. What is summed
// over the batch is summed chunk by chunk in a fixed order: results do not depend
// on the number of threads.
package nn

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"lethe/graph"
	"lethe/internal/kernel"
	"lethe/model"
	"lethe/ops"
)

// Lanes is the number of samples in a group.
const Lanes = kernel.Lanes

// Net is a graph bound to the weights of a state dict: every name is there,
// every shape is known and every number is finite. It is immutable.
type Net struct {
	graph     *graph.Graph
	shapes    map[string]shape         // of every value that depends on the samples
	nodes     []graph.Node             // those of the graph that are left to compute, recurrent ones written out
	weights   map[string][]float32     // of every parameter and buffer
	dims      map[string][]int         // of every parameter and buffer, and of what is computed from them alone
	constants map[string]*model.Tensor // what belongs to the structure, and what is computed from it
	sizes     map[string]shape         // of values that are made of the sizes of others: only a shape can come of them
	whole     map[string]bool          // values that are whole numbers
	moves     map[string]movement      // of nodes that package nn made
	sums      map[string][][]weighted  // likewise
	batch     graph.Dim                // the number of samples
	chunk     int                      // groups that are computed together
	classes   int
}

// ErrOneNumber is what is said of a network with one number for each sample.
var ErrOneNumber = &model.UnsupportedError{
	What:   "the network makes one number for each sample, as a regression does, or a classifier of two classes with a sigmoid: no class has an output of its own",
	Advice: "export such a classifier with two outputs and without the sigmoid, which is the same by softmax: two = nn.Linear(n, 2); two.weight.data = torch.cat([0 * one.weight, one.weight]); two.bias.data = torch.cat([0 * one.bias, one.bias])",
}

// BindLogits is [Bind] for a graph as far as its logits, see [ops.Logits]: what
// learns, and what judges a classifier, begins with these.
func BindLogits(g *graph.Graph, sd *model.StateDict) (*Net, error) { return Bind(ops.Logits(g), sd) }

// Bind checks a graph against a state dict and returns the two as one. A name
// that the state dict lacks, a shape that does not fit or a number that is not
// finite is a [model.FormatError]; operators, attributes or a wiring that nn
// cannot run are a [model.UnsupportedError]. Branches, loops and functions are
// written out as [ops.Inline] does; what of them depends on data is refused.
func Bind(g *graph.Graph, sd *model.StateDict) (*Net, error) {
	if len(g.Inputs) == 0 || len(g.Outputs) != 1 {
		return nil, unsupported("the graph has %d inputs and %d outputs, one output is supported", len(g.Inputs), len(g.Outputs))
	}
	g, err := ops.Inline(g, sd)
	if err != nil {
		return nil, err
	}
	n := &Net{graph: g, shapes: map[string]shape{}, sizes: map[string]shape{}, weights: map[string][]float32{}, dims: map[string][]int{}, constants: maps.Clone(g.Constants), whole: map[string]bool{}, moves: map[string]movement{}, sums: map[string][][]weighted{}}
	if n.constants == nil {
		n.constants = map[string]*model.Tensor{}
	}
	for _, in := range g.Inputs {
		if len(in.Shape) > 0 && !in.Shape[0].Fixed() && n.batch.Is(0) {
			n.batch = in.Shape[0]
		}
		sample, ok := sampleShape(in.Shape, n.batch)
		if !ok || len(sample.dims) < 2 || sample.batch != 0 || sample.dims[0] != 1 || slices.Contains(sample.dims, 0) || !in.DType.IsFloat() && in.DType != model.Int64 && in.DType != model.Int32 {
			return nil, &model.UnsupportedError{
				What:   fmt.Sprintf("the input %q is %v of shape %v, not numbers with a dynamic batch and fixed other dimensions", in.Name, in.DType, in.Shape),
				Advice: "export the network with a fixed size in the place of each but the batch",
			}
		}
		n.shapes[in.Name], n.whole[in.Name] = sample, isWhole(in.DType)
	}
	for _, name := range append(ops.Parameters(g), ops.Buffers(g)...) {
		if err := n.load(name, sd.Get(name)); err != nil {
			return nil, err
		}
	}
	facts, err := ops.Infer(g, sd)
	if err != nil {
		return nil, err
	}
	if err := n.fold(facts); err != nil {
		return nil, err
	}
	if err := n.takeGraph(facts); err != nil {
		return nil, err
	}
	out, ok := n.shapes[g.Outputs[0].Name]
	if ok && out.batch == 0 && len(out.dims) == 1 {
		if n.whole[g.Outputs[0].Name] {
			return nil, &model.UnsupportedError{What: "the output of the network is a whole number for each sample", Advice: "export it without argmax: a number for each class is needed"}
		}
		return nil, ErrOneNumber
	}
	if !ok || out.batch != 0 || out.dims[0] != 1 || len(out.dims) < 2 || out.elements() != out.dims[1] {
		return nil, unsupported("the output %q of shape %v is not one vector a sample", g.Outputs[0].Name, out)
	}
	n.classes = out.elements()
	n.chunk = largestChunk
	total := 0
	for _, s := range n.shapes {
		total += s.elements() * Lanes
	}
	if total > largeNet {
		n.chunk = 1
	}
	return n, nil
}

// fold takes in what is the same for all samples: constants, and sizes that
// depend on the number of samples alone.
func (n *Net) fold(facts *ops.Facts) error {
	for i := range n.graph.Nodes {
		for _, name := range n.graph.Nodes[i].Outputs {
			if name == "" {
				continue
			}
			if t := facts.Type(name).DType; t != model.Invalid {
				n.whole[name] = isWhole(t)
			}
			if v := facts.Value(name); v != nil {
				t, err := v.Model()
				if err != nil {
					return err
				}
				n.constants[name] = t
			} else if d := facts.Dims(name); d != nil {
				dims, _ := facts.Type(name).Shape.Ints()
				n.sizes[name] = shape{dims: dims, batch: -1}
			}
		}
	}
	return nil
}

// isWhole reports whether elements of a type are whole numbers or truth values.
func isWhole(t model.DType) bool {
	switch t {
	case model.Bool, model.Int8, model.Int16, model.Int32, model.Int64, model.Uint8, model.Uint16, model.Uint32, model.Uint64:
		return true
	}
	return false
}

// folded reports whether nothing is left to compute of a node.
func (n *Net) folded(node *graph.Node) bool {
	for _, name := range node.Outputs {
		if _, size := n.sizes[name]; name != "" && !size && n.constants[name] == nil {
			return false
		}
	}
	return true
}

// takeGraph takes all nodes of the graph that are left to compute. What cannot be
// run is one error, which names all of it.
func (n *Net) takeGraph(facts *ops.Facts) error {
	var refused refusals
	lost := false // a value is missing: of the nodes that follow only the operators can be judged
	for i := range n.graph.Nodes {
		node := &n.graph.Nodes[i]
		if n.folded(node) {
			continue
		}
		if !n.knows(node) {
			refused.add(node, undecided(node))
			lost = !n.assume(node, facts) || lost
			continue
		}
		if lost {
			continue
		}
		err := n.take(node, facts)
		var e *model.UnsupportedError
		switch {
		case err == nil:
		case errors.As(err, &e):
			refused.add(node, err)
			lost = !n.assume(node, facts)
		case len(refused) > 0:
			lost = true
		default:
			return fmt.Errorf("node %q: %w", node.Name, err)
		}
	}
	return refused.err()
}

// opName returns the operator of a node with its domain.
func opName(node *graph.Node) string {
	if node.Domain != "" && node.Domain != "ai.onnx" {
		return node.Domain + "." + node.Op
	}
	return node.Op
}

// knows reports whether there is such an operator.
func (n *Net) knows(node *graph.Node) bool {
	name := opName(node)
	_, known := operators[name]
	_, cell := cells[name]
	_, expanded := expansions[name]
	return (known || cell || expanded) && !internal[name]
}

// undecided returns why a node with subgraphs is not written out, nil for any other.
func undecided(node *graph.Node) error {
	for range node.Subgraphs() {
		return unsupported("what %s computes depends on the data, or it has more rounds than are written out (%d)", node.Op, ops.MostRounds)
	}
	return nil
}

// assume gives what a node makes the shape that package ops infers, so that the
// nodes that follow can be judged; ok is false if it is not known.
func (n *Net) assume(node *graph.Node, facts *ops.Facts) (ok bool) {
	for _, name := range node.Outputs {
		if name == "" {
			continue
		}
		s, ok := sampleShape(facts.Type(name).Shape, n.batch)
		if !ok {
			return false
		}
		n.shapes[name] = s
	}
	return true
}

// refusals are the nodes that cannot be run.
type refusals []struct {
	node *graph.Node
	err  error // nil: the operator is not known
}

func (r *refusals) add(node *graph.Node, err error) {
	*r = append(*r, struct {
		node *graph.Node
		err  error
	}{node, err})
}

// err names each operator once, with how often it is refused, the first node and
// the reason there.
func (r refusals) err() error {
	if len(r) == 0 {
		return nil
	}
	if len(r) == 1 && r[0].err != nil {
		return fmt.Errorf("node %q: %w", r[0].node.Name, r[0].err)
	}
	counts, list := map[string]int{}, map[string]string{}
	for _, x := range r {
		op := opName(x.node)
		if counts[op]++; counts[op] > 1 {
			continue
		}
		list[op] = fmt.Sprintf("at node %q", x.node.Name)
		var e *model.UnsupportedError
		if errors.As(x.err, &e) {
			list[op] += ": " + e.What
		}
	}
	var parts []string
	for _, op := range slices.Sorted(maps.Keys(list)) {
		text := op + " " + list[op]
		if counts[op] > 1 {
			text = fmt.Sprintf("%s %d times, first %s", op, counts[op], list[op])
		}
		parts = append(parts, text)
	}
	return unsupported("the network has operators that cannot be run: %s", strings.Join(parts, "; "))
}

// take makes a node, or those that it stands for, the next of the net.
func (n *Net) take(node *graph.Node, facts *ops.Facts) error {
	if _, ok := cells[node.Op]; ok {
		nodes, err := n.unroll(node)
		return n.takeAll(nodes, facts, err)
	}
	s, err := n.site(node, facts)
	if err != nil {
		return err
	}
	if _, ok := expansions[node.Op]; ok {
		if nodes, err := n.expand(s); nodes != nil || err != nil {
			return n.takeAll(nodes, facts, err)
		}
	}
	if err := n.infer(s); err != nil {
		return err
	}
	n.nodes = append(n.nodes, *node)
	return nil
}

func (n *Net) takeAll(nodes []graph.Node, facts *ops.Facts, err error) error {
	for i := 0; i < len(nodes) && err == nil; i++ {
		err = n.take(&nodes[i], facts)
	}
	return err
}

// site returns what is known of the inputs of a node.
func (n *Net) site(node *graph.Node, facts *ops.Facts) (*site, error) {
	s := &site{Node: node, net: n, opset: n.graph.Opset("")}
	if stated, ok := sampleShape(facts.Type(node.Output(0)).Shape, n.batch); ok {
		s.stated = &stated
	}
	for i, name := range node.Inputs {
		in, err := n.operandShape(name)
		if err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
		s.in, s.given, s.consts = append(s.in, in), append(s.given, name != ""), append(s.consts, n.constants[name])
		s.weights = append(s.weights, n.dims[name] != nil || n.constants[name] != nil)
	}
	if !s.has(0) {
		return nil, misfit("%s has no input", node.Op)
	}
	return s, nil
}

// infer finds the shapes of what a node makes.
func (n *Net) infer(s *site) error {
	node := s.Node
	op := operators[node.Op]
	if op.infer == nil {
		return unsupported("%s with more than its first output is not supported", node.Op)
	}
	shapes, err := op.infer(s)
	if err != nil {
		return err
	}
	computed := derivable(s, shapes)
	for i, name := range node.Outputs {
		switch {
		case name == "":
		case i >= len(shapes):
			return unsupported("output %d of %s is not supported", i, node.Op)
		default:
			if _, ok := model.Elements(append([]int{Lanes}, shapes[i].dims...)); !ok || shapes[i].elements() > maxElements {
				return &model.LimitError{What: fmt.Sprintf("elements of one sample of %q", name), Got: uint64(shapes[i].elements()), Limit: maxElements}
			}
			if computed {
				n.dims[name] = append([]int{}, shapes[i].dims...)
			} else {
				n.shapes[name] = shapes[i]
			}
		}
	}
	return nil
}

// maxElements is the largest value of one sample: offsets in lanes are 32 bits.
const maxElements = 1 << 26

func (n *Net) operandShape(name string) (shape, error) {
	if name == "" {
		return shape{}, nil
	}
	if s, ok := n.shapes[name]; ok {
		return s, nil
	}
	if d, ok := n.dims[name]; ok {
		return shape{dims: d, batch: -1}, nil
	}
	if t := n.constants[name]; t != nil {
		return shape{dims: t.Shape(), batch: -1}, nil
	}
	if s, ok := n.sizes[name]; ok {
		return s, nil
	}
	return shape{}, misfit("nothing makes %q", name)
}

// load takes in an entry of the state dict: floating-point ones are weights,
// integers belong to the structure.
func (n *Net) load(name string, t *model.Tensor) error {
	if t == nil {
		return &model.FormatError{Format: "state dict", Offset: -1, Reason: fmt.Sprintf("the graph needs %q, which is not there", name)}
	}
	if t.DType() == model.Int64 || t.DType() == model.Int32 || t.DType() == model.Bool {
		n.constants[name] = t
		return nil
	}
	v, err := t.Float32s()
	if err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	for i, x := range v {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return &model.FormatError{Format: "state dict", Offset: -1, Reason: fmt.Sprintf("element %d of %q is %v: the weights are damaged or the training diverged, and a network with such a weight cannot be evaluated", i, name, x)}
		}
	}
	n.weights[name], n.dims[name] = v, t.Shape()
	return nil
}

// sampleShape returns what of a shape belongs to one sample, if batch is the
// number of samples; ok is false if it depends on more than that.
func sampleShape(s graph.Shape, batch graph.Dim) (sample shape, ok bool) {
	sample.batch = -1
	for i, d := range s {
		size, fixed := d.Int()
		if !fixed {
			if sample.batch >= 0 {
				return shape{}, false
			}
			if size, fixed = d.Div(batch).Int(); !fixed || !batch.Mul(graph.Size(size)).Equal(d) {
				return shape{}, false
			}
			sample.batch = i
		}
		sample.dims = append(sample.dims, size)
	}
	return sample, s != nil
}

// InputShape returns the shape of one sample of the first input, without the
// batch dimension.
func (n *Net) InputShape() []int { return slices.Clone(n.shapes[n.graph.Inputs[0].Name].dims[1:]) }

// SampleSize returns the number of elements of one sample, all inputs together.
func (n *Net) SampleSize() int {
	size := 0
	for _, in := range n.graph.Inputs {
		size += n.shapes[in.Name].elements()
	}
	return size
}

// Classes returns the number of outputs of one sample.
func (n *Net) Classes() int { return n.classes }

// Weight returns the elements of a parameter or a buffer, which nobody may change,
// and its shape; nil if the graph computes with no such weight.
func (n *Net) Weight(name string) (elements []float32, shape []int) {
	return n.weights[name], n.dims[name]
}

// Graph returns the graph that was bound, branches and loops written out.
func (n *Net) Graph() *graph.Graph { return n.graph }

func product(shape []int) int {
	p := 1
	for _, d := range shape {
		p *= d
	}
	return p
}

func unsupported(format string, args ...any) error {
	return &model.UnsupportedError{What: fmt.Sprintf(format, args...)}
}

func misfit(format string, args ...any) error {
	return &model.FormatError{Format: "network", Offset: -1, Reason: fmt.Sprintf(format, args...)}
}

// only refuses attributes of a node other than the ones named.
func only(n *site, names ...string) error {
	for _, name := range slices.Sorted(maps.Keys(n.Attrs)) {
		if !slices.Contains(names, name) {
			return unsupported("attribute %q of %s is not supported", name, n.Op)
		}
	}
	return nil
}
