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
	batch     graph.Dim                // the number of samples
	chunk     int                      // groups that are computed together
	classes   int
}

// operator is one row of the table of operators.
type operator struct {
	// infer returns the shapes of the outputs. It refuses attributes that build
	// does not honour.
	infer func(s *site) ([]shape, error)
	// build makes the node ready to run, or returns nil if the outputs are the
	// inputs under other shapes.
	build func(b *builder) layer
}

// operators is the table of everything that nn can run: to add one, write its
// file and its line.
var operators map[string]operator

// internal are the operators that a graph cannot name.
var internal map[string]bool

func init() { // the functions of the table refer to the table
	operators = map[string]operator{
		"AveragePool":           {inferAveragePool, buildAveragePool},
		"BatchNormalization":    {inferBatchNorm, buildBatchNorm},
		"Cast":                  {inferCast, nil},
		"Clip":                  {inferClip, buildClip},
		"Concat":                {inferConcat, buildConcat},
		"ConstantOfShape":       {inferFilled, buildFilled},
		"Conv":                  {inferConv, buildConv},
		"Dropout":               {inferDropout, nil},
		"Expand":                {inferExpand, buildExpand},
		"Flatten":               {inferFlatten, nil},
		"Gather":                {inferGather, buildGather},
		"Gemm":                  {inferGemm, buildGemm},
		"GlobalAveragePool":     {inferReduce, buildReduce},
		"GroupNormalization":    {inferGroupNorm, buildGroupNorm},
		"Identity":              {inferSame, nil},
		"InstanceNormalization": {inferGroupNorm, buildGroupNorm},
		"LayerNormalization":    {inferLayerNorm, buildLayerNorm},
		"LogSoftmax":            {inferSoftmax, buildSoftmax},
		"MatMul":                {inferMatMul, buildMatMul},
		"MaxPool":               {inferMaxPool, buildMaxPool},
		"Pad":                   {inferPad, buildPad},
		"RMSNormalization":      {inferLayerNorm, buildLayerNorm},
		"ReduceMean":            {inferReduce, buildReduce},
		"ReduceSum":             {inferReduce, buildReduce},
		"Relu":                  {inferRelu, buildRelu},
		"Reshape":               {inferReshape, nil},
		"Slice":                 {inferSlice, buildSlice},
		"Softmax":               {inferSoftmax, buildSoftmax},
		"Split":                 {inferSplit, buildSplit},
		"Squeeze":               {inferSqueeze, nil},
		"Transpose":             {inferTranspose, buildTranspose},
		"Unsqueeze":             {inferUnsqueeze, nil},
		"Where":                 {inferWhere, buildWhere},
	}
	internal = map[string]bool{"Dense": true, "Zeros": true, "Piece": true}
	operators["Dense"] = operator{inferDense, buildDense}
	operators["Piece"] = operator{inferPiece, nil}
	operators["Zeros"] = operator{inferZeros, buildFilled}
	for name := range functions {
		operators[name] = operator{inferUnary, buildUnary}
	}
	for name := range singles {
		operators[name] = operator{inferUnary, buildUnary}
	}
	for name := range operations {
		operators[name] = operator{inferBinary, buildBinary}
	}
}

// Bind checks a graph against a state dict and returns the two as one. A name
// that the state dict lacks, a shape that does not fit or a number that is not
// finite is a [model.FormatError]; operators, attributes or a wiring that nn
// cannot run are a [model.UnsupportedError].
func Bind(g *graph.Graph, sd *model.StateDict) (*Net, error) {
	if len(g.Inputs) == 0 || len(g.Outputs) != 1 {
		return nil, unsupported("the graph has %d inputs and %d outputs, one output is supported", len(g.Inputs), len(g.Outputs))
	}
	n := &Net{graph: g, shapes: map[string]shape{}, sizes: map[string]shape{}, weights: map[string][]float32{}, dims: map[string][]int{}, constants: maps.Clone(g.Constants)}
	if n.constants == nil {
		n.constants = map[string]*model.Tensor{}
	}
	for _, in := range g.Inputs {
		if len(in.Shape) > 0 && !in.Shape[0].Fixed() && n.batch.Is(0) {
			n.batch = in.Shape[0]
		}
		sample, ok := sampleShape(in.Shape, n.batch)
		if !ok || len(sample.dims) < 2 || sample.batch != 0 || sample.dims[0] != 1 || slices.Contains(sample.dims, 0) || !in.DType.IsFloat() && in.DType != model.Int64 && in.DType != model.Int32 {
			return nil, unsupported("the input %q is %v of shape %v, not numbers with a dynamic batch and fixed other dimensions", in.Name, in.DType, in.Shape)
		}
		n.shapes[in.Name] = sample
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
	if err := n.checkOperators(); err != nil {
		return nil, err
	}
	for i := range g.Nodes {
		if n.folded(&g.Nodes[i]) {
			continue
		}
		if err := n.take(&g.Nodes[i], facts); err != nil {
			return nil, fmt.Errorf("node %q: %w", g.Nodes[i].Name, err)
		}
	}
	out, ok := n.shapes[g.Outputs[0].Name]
	if !ok || out.batch != 0 || out.dims[0] != 1 || len(out.dims) != 2 {
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

// folded reports whether nothing is left to compute of a node.
func (n *Net) folded(node *graph.Node) bool {
	for _, name := range node.Outputs {
		if _, size := n.sizes[name]; name != "" && !size && n.constants[name] == nil {
			return false
		}
	}
	return true
}

// checkOperators refuses a graph with operators that nn does not have, and names
// all of them.
func (n *Net) checkOperators() error {
	counts, first := map[string]int{}, map[string]string{}
	for i := range n.graph.Nodes {
		node := &n.graph.Nodes[i]
		if n.folded(node) {
			continue
		}
		name := node.Op
		if node.Domain != "" && node.Domain != "ai.onnx" {
			name = node.Domain + "." + name
		}
		_, known := operators[name]
		_, cell := cells[name]
		if _, expanded := expansions[name]; !known && !cell && !expanded || node.Domain == "" && internal[name] {
			if counts[name]++; counts[name] == 1 {
				first[name] = node.Name
			}
		}
	}
	if len(counts) == 0 {
		return nil
	}
	var list []string
	for _, op := range slices.Sorted(maps.Keys(counts)) {
		text := fmt.Sprintf("%s at node %q", op, first[op])
		if counts[op] > 1 {
			text = fmt.Sprintf("%s %d times, first at node %q", op, counts[op], first[op])
		}
		list = append(list, text)
	}
	return unsupported("the network has operators that cannot be run: %s", strings.Join(list, "; "))
}

// take makes a node, or those that it stands for, the next of the net.
func (n *Net) take(node *graph.Node, facts *ops.Facts) error {
	nodes := []graph.Node{*node}
	if _, ok := cells[node.Op]; ok {
		var err error
		if nodes, err = n.unroll(node); err != nil {
			return err
		}
	}
	if _, ok := expansions[node.Op]; ok {
		nodes = expand(node)
	}
	for i := range nodes {
		if err := n.infer(&nodes[i], facts); err != nil {
			return err
		}
	}
	n.nodes = append(n.nodes, nodes...)
	return nil
}

// infer finds the shapes of what a node makes.
func (n *Net) infer(node *graph.Node, facts *ops.Facts) error {
	s := &site{Node: node, opset: n.graph.Opset("")}
	if stated, ok := sampleShape(facts.Type(node.Output(0)).Shape, n.batch); ok {
		s.stated = &stated
	}
	for i, name := range node.Inputs {
		in, err := n.operandShape(name)
		if err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
		s.in, s.given, s.consts = append(s.in, in), append(s.given, name != ""), append(s.consts, n.constants[name])
		s.weights = append(s.weights, n.dims[name] != nil || n.constants[name] != nil)
	}
	if !s.has(0) {
		return misfit("%s has no input", node.Op)
	}
	shapes, err := operators[node.Op].infer(s)
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

// Graph returns the graph that was bound.
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
