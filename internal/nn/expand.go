package nn

import (
	"fmt"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// expansions are the operators that are run as others, always or for what their
// own layer does not do: each returns the value that takes the place of the
// node's first output, or "" if the node runs as it is.
var expansions map[string]func(e *expansion) (string, error)

func init() {
	expansions = map[string]func(e *expansion) (string, error){
		"AffineGrid":                expandAffineGrid,
		"Attention":                 expandAttention,
		"AveragePool":               expandPool,
		"Cast":                      expandCast,
		"CastLike":                  expandCastLike,
		"Clip":                      expandClip,
		"Col2Im":                    expandCol2Im,
		"Conv":                      expandConv,
		"ConvTranspose":             expandConvTranspose,
		"CumProd":                   expandCumProd,
		"CumSum":                    expandCumSum,
		"Det":                       expandDet,
		"Einsum":                    expandEinsum,
		"Gemm":                      expandGemm,
		"GlobalLpPool":              expandGlobalLpPool,
		"GlobalMaxPool":             expandGlobalMaxPool,
		"LRN":                       expandLRN,
		"LpNormalization":           expandLpNormalization,
		"LpPool":                    expandLpPool,
		"MatMul":                    expandMatMul,
		"Max":                       fold("Max"),
		"MaxPool":                   expandPool,
		"MaxUnpool":                 expandMaxUnpool,
		"Mean":                      expandMean,
		"Min":                       fold("Min"),
		"NegativeLogLikelihoodLoss": expandLoss,
		"OneHot":                    expandOneHot,
		"ReduceL1":                  func(e *expansion) (string, error) { return e.reduce("ReduceSum", e.op("Abs", nil, e.input(0))), nil },
		"ReduceL2":                  func(e *expansion) (string, error) { return e.op("Sqrt", nil, e.reduce("ReduceSum", e.squares())), nil },
		"ReduceLogSum":              func(e *expansion) (string, error) { return e.op("Log", nil, e.reduce("ReduceSum", e.input(0))), nil },
		"ReduceLogSumExp":           expandLogSumExp,
		"ReduceSumSquare":           func(e *expansion) (string, error) { return e.reduce("ReduceSum", e.squares()), nil },
		"Resize":                    expandResize,
		"RotaryEmbedding":           expandRotary,
		"ScatterElements":           expandScatter,
		"ScatterND":                 expandScatter,
		"SoftmaxCrossEntropyLoss":   expandLoss,
		"Sum":                       fold("Add"),
		"SwiGLU":                    expandSwiGLU,
		"Tile":                      expandTile,
		"Upsample":                  expandResize,
		"ThresholdedRelu":           expandThreshold,
		"MeanVarianceNormalization": expandMeanVariance,
	}
}

// expansion writes out one node.
type expansion struct {
	*site
	net   *Net
	nodes []graph.Node
}

func (e *expansion) input(i int) string { return e.Node.Input(i) }

func (e *expansion) squares() string { return e.op("Mul", nil, e.input(0), e.input(0)) }

// op adds a node of one output. Inputs that are left out at the end are dropped.
func (e *expansion) op(op string, attrs graph.Attrs, inputs ...string) string {
	for len(inputs) > 0 && inputs[len(inputs)-1] == "" {
		inputs = inputs[:len(inputs)-1]
	}
	name := e.name()
	e.nodes = append(e.nodes, graph.Node{Name: e.Node.Name, Op: op, Attrs: attrs, Inputs: inputs, Outputs: []string{name}})
	return name
}

// name returns a name that no file can have: names of values are UTF-8.
func (e *expansion) name() string {
	return fmt.Sprintf("\xff%s.%d", e.Node.Outputs[0], len(e.nodes)+len(e.net.constants))
}

// reduce adds a reduction over the axes of the node.
func (e *expansion) reduce(op, x string) string {
	return e.op(op, e.Node.Attrs, append([]string{x}, e.Node.Inputs[1:]...)...)
}

func (e *expansion) ints(v ...int) string {
	name := fmt.Sprintf("\xff%v", v)
	e.net.constants[name] = int64Tensor([]int{len(v)}, widened(v)...)
	return name
}

func (e *expansion) number(v float32) string {
	name := fmt.Sprintf("\xff%x", v)
	e.net.constants[name] = model.Float32Tensor([]int{}, []float32{v})
	return name
}

// view gives a value other dimensions. batch is the axis of the samples, if the
// value has any.
func (e *expansion) view(x string, batch int, dims ...int) string {
	return e.op("View", graph.Attrs{"dims": graph.Ints(widened(dims)...), "batch": graph.Int(int64(batch))}, x)
}

func (e *expansion) transpose(x string, perm ...int) string {
	return e.op("Transpose", graph.Attrs{"perm": graph.Ints(widened(perm)...)}, x)
}

// moved gives a value whose element i is element from[i] of x, 0 where that is
// negative.
func (e *expansion) moved(x string, from []int32, s shape) string {
	name := e.op("Move", nil, x)
	e.net.moves[name] = movement{from, s}
	return name
}

// movement is what a Move does.
type movement struct {
	from []int32
	to   shape
}

func inferMove(n *site) ([]shape, error) { return []shape{n.net.moves[n.Outputs[0]].to}, nil }

func buildMovement(b *builder) layer {
	return newMove(b, []int{0}, [][]int32{b.net.moves[b.node.Outputs[0]].from}, 0)
}

func inferView(n *site) ([]shape, error) {
	batch := n.Int("batch", -1)
	if n.in[0].batch < 0 {
		batch = -1
	}
	out, ok := n.in[0].reshaped(n.Ints("dims"), batch)
	if !ok {
		return nil, unsupported("%s of shape %v would mix samples", n.Op, n.in[0])
	}
	return []shape{out}, nil
}

// expand returns the nodes that a node stands for, or nil if it runs as it is.
func (n *Net) expand(s *site) ([]graph.Node, error) {
	e := &expansion{site: s, net: n}
	if len(s.Outputs) > 1 && slices.ContainsFunc(s.Outputs[1:], func(name string) bool { return name != "" }) {
		if s.Op == "MaxPool" {
			return e.expandPlaces()
		}
		return nil, nil
	}
	last, err := expansions[s.Op](e)
	if err != nil || last == "" {
		return nil, err
	}
	return append(e.nodes, graph.Node{Name: s.Name, Op: "Identity", Inputs: []string{last}, Outputs: s.Outputs[:1]}), nil
}

// fold runs an operator of many operands as one of two, from the left.
func fold(op string) func(e *expansion) (string, error) {
	return func(e *expansion) (string, error) {
		if len(e.Node.Inputs) == 2 && op == e.Op {
			return "", nil
		}
		x := e.input(0)
		for _, y := range e.Node.Inputs[1:] {
			x = e.op(op, nil, x, y)
		}
		if len(e.Node.Inputs) == 1 {
			x = e.op("Identity", nil, x)
		}
		return x, nil
	}
}

func expandMean(e *expansion) (string, error) {
	sum, err := fold("Add")(e)
	return e.op("Mul", nil, sum, e.number(1/float32(len(e.Node.Inputs)))), err
}

// expandClip is for limits that are not constants.
func expandClip(e *expansion) (string, error) {
	if !(e.has(1) && e.consts[1] == nil || e.has(2) && e.consts[2] == nil) {
		return "", nil
	}
	x := e.input(0)
	for i, op := range []string{"Max", "Min"} {
		if e.has(1 + i) {
			x = e.op(op, nil, x, e.input(1+i))
		}
	}
	return x, nil
}

// expandLogSumExp takes the largest element out of the sum, so that nothing
// overflows.
func expandLogSumExp(e *expansion) (string, error) {
	attrs := graph.Attrs{}
	for name, a := range e.Attrs {
		attrs[name] = a
	}
	attrs["keepdims"] = graph.Int(1)
	top := e.op("ReduceMax", attrs, e.Node.Inputs...)
	sum := e.reduce("ReduceSum", e.op("Exp", nil, e.op("Sub", nil, e.input(0), top)))
	return e.op("Add", nil, e.op("Log", nil, sum), e.reduce("ReduceMax", e.input(0))), nil
}

// expandThreshold is the element itself where it is above a limit, and else 0.
func expandThreshold(e *expansion) (string, error) {
	x := e.input(0)
	return e.op("Where", nil, e.op("Greater", nil, x, e.number(e.Float("alpha", 1))), x, e.number(0)), nil
}

func expandLpNormalization(e *expansion) (string, error) {
	x := e.input(0)
	op, axes := "ReduceL2", e.ints(e.Int("axis", -1))
	if e.Int("p", 2) == 1 {
		op = "ReduceL1"
	}
	return e.op("Div", nil, x, e.op(op, nil, x, axes)), nil
}

func expandMeanVariance(e *expansion) (string, error) {
	x, axes := e.input(0), e.ints(e.Ints("axes", 0, 2, 3)...)
	if slices.Contains(e.Ints("axes", 0, 2, 3), e.in[0].batch) {
		return "", unsupported("MeanVarianceNormalization over the batch is not supported")
	}
	x = e.op("Sub", nil, x, e.op("ReduceMean", nil, x, axes))
	deviation := e.op("Sqrt", nil, e.op("ReduceMean", nil, e.op("Mul", nil, x, x), axes))
	return e.op("Div", nil, x, e.op("Add", nil, deviation, e.number(1e-9))), nil
}

// expandMatMul is for a factor of one dimension.
func expandMatMul(e *expansion) (string, error) {
	if !e.has(1) || len(e.in[0].dims) == 0 || len(e.in[1].dims) == 0 || len(e.in[0].dims) > 1 && len(e.in[1].dims) > 1 {
		return "", nil
	}
	x, y := e.input(0), e.input(1)
	var drop []int
	if len(e.in[0].dims) == 1 {
		x, drop = e.op("Unsqueeze", nil, x, e.ints(0)), append(drop, -2)
	}
	if len(e.in[1].dims) == 1 {
		y, drop = e.op("Unsqueeze", nil, y, e.ints(1)), append(drop, -1)
	}
	return e.op("Squeeze", nil, e.op("MatMul", nil, x, y), e.ints(drop...)), nil
}

// expandGemm is for what the layer of a weight does not do.
func expandGemm(e *expansion) (string, error) {
	if len(e.in[0].dims) != 2 || !e.has(1) || len(e.in[1].dims) != 2 {
		return "", nil
	}
	alpha, beta := e.Float("alpha", 1), e.Float("beta", 1)
	plain := e.Int("transA", 0) == 0 && alpha == 1 && beta == 1 && e.fixed(1) && e.in[0].batch <= 0
	if plain && (!e.has(2) || e.fixed(2) && len(e.in[2].dims) == 1 && e.in[2].dims[0] != 1) {
		return "", nil
	}
	a, b := e.input(0), e.input(1)
	if e.Int("transA", 0) != 0 {
		a = e.transpose(a, 1, 0)
	}
	if e.Int("transB", 0) != 0 {
		b = e.transpose(b, 1, 0)
	}
	y := e.op("MatMul", nil, a, b)
	if alpha != 1 {
		y = e.op("Mul", nil, y, e.number(alpha))
	}
	if e.has(2) && beta != 0 {
		c := e.input(2)
		if beta != 1 {
			c = e.op("Mul", nil, c, e.number(beta))
		}
		y = e.op("Add", nil, y, c)
	}
	return y, nil
}

// expandOneHot compares with every class.
func expandOneHot(e *expansion) (string, error) {
	if !e.has(2) || e.consts[1] == nil || e.consts[2] == nil {
		return "", unsupported("OneHot of a depth or with values that are computed is not supported")
	}
	depth, err := tensorInts(e.consts[1])
	if err != nil {
		return "", err
	}
	values, err := numbers(e.consts[2])
	if err != nil || len(values) != 2 || len(depth) != 1 || depth[0] < 1 || depth[0] > maxElements {
		return "", misfit("OneHot has a depth of %v and the values %v: it needs one positive depth and two values", depth, values)
	}
	rank := len(e.in[0].dims) + 1
	axis, err := axisOf(e.Int("axis", -1), rank)
	if err != nil {
		return "", err
	}
	dims := slices.Repeat([]int{1}, rank-axis)
	dims[0] = depth[0]
	classes := fmt.Sprintf("\xffclasses%v", dims)
	e.net.constants[classes] = int64Tensor(dims, widened(indices(depth[0]))...)
	x := e.op("Unsqueeze", nil, e.input(0), e.ints(axis))
	x = e.op("Where", nil, e.op("Less", nil, x, e.number(0)), e.op("Add", nil, x, e.number(float32(depth[0]))), x)
	return e.op("Where", nil, e.op("Equal", nil, x, classes), e.number(values[1]), e.number(values[0])), nil
}
