package nn

import (
	"maps"
	"slices"
	"testing"

	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// rare are operators that few networks have.
func rare(all map[string]*network) {
	sampled(all)
	chosen(all)
	unpooled(all)
	for reverse := range int64(2) {
		all["CumProd"+string(rune('0'+reverse))] = tokens(func(n *network, x string) (string, int) {
			n.graph.Opsets[""] = 26
			return n.op("CumProd", graph.Attrs{"reverse": graph.Int(reverse), "exclusive": graph.Int(1 - reverse)}, x, n.int(1)), 60
		})
	}
	all["CastLike"] = tokens(func(n *network, x string) (string, int) { return n.op("CastLike", nil, x, n.number(3)), 60 })
	all["Col2Im"] = tokens(func(n *network, x string) (string, int) {
		return n.op("Col2Im", nil, x, n.ints(3, 7), n.ints(2, 3)), 21
	})
	all["Col2Im with pads"] = tokens(func(n *network, x string) (string, int) {
		x = n.op("Transpose", graph.Attrs{"perm": graph.Ints(0, 2, 1)}, x)
		return n.op("Col2Im", graph.Attrs{"strides": graph.Ints(1, 2), "pads": graph.Ints(0, 1, 0, 1)}, x, n.ints(2, 7), n.ints(1, 5)), 28
	})
	for size, count := range map[int64]int64{2: 15, 3: 6} {
		all["Det of "+string(rune('0'+size))] = tokens(func(n *network, x string) (string, int) {
			x = n.op("Slice", nil, n.op("Reshape", nil, x, n.ints(0, 60)), n.ints(0), n.ints(size*size*count), n.ints(1))
			return n.op("Det", nil, n.op("Reshape", nil, x, n.ints(0, count, size, size))), int(count)
		})
	}
	all["GlobalLpPool"] = image(3, func(n *network, x string) (string, int) {
		return n.op("GlobalLpPool", graph.Attrs{"p": graph.Int(3)}, x), 3
	})
	for _, op := range []string{"SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"} {
		all[op] = tokens(func(n *network, x string) (string, int) {
			at := n.op("ArgMax", graph.Attrs{"axis": graph.Int(1), "keepdims": graph.Int(0)}, n.op("Sin", nil, n.op("Mul", nil, x, n.number(9))))
			n.graph.Constants["class weights"] = model.Float32Tensor([]int{6}, []float32{0.5, 1, 2, 1.5, 0.7, 1})
			return n.op(op, graph.Attrs{"reduction": graph.String("none"), "ignore_index": graph.Int(2)}, x, at, "class weights"), 10
		})
	}
	all["SwiGLU"] = tokens(func(n *network, x string) (string, int) {
		n.graph.Opsets[""] = 28
		return n.op("SwiGLU", graph.Attrs{"alpha": graph.Float(1.3)}, x, n.op("Tanh", nil, x)), 60
	})
	for _, reduction := range []string{"add", "mul", "max", "min"} {
		all["ScatterND, "+reduction] = tokens(func(n *network, x string) (string, int) {
			n.graph.Constants["at"] = int64Tensor([]int{3, 1}, 1, 4, 1)
			y := n.op("Transpose", graph.Attrs{"perm": graph.Ints(1, 2, 0)}, x)
			parts := n.op("Slice", nil, n.op("Sin", nil, y), n.ints(2), n.ints(5))
			y = n.op("ScatterND", graph.Attrs{"reduction": graph.String(reduction)}, y, "at", parts)
			return n.op("Transpose", graph.Attrs{"perm": graph.Ints(2, 0, 1)}, y), 60
		})
	}
	all["ScatterElements, add"] = tokens(func(n *network, x string) (string, int) {
		n.graph.Constants["at"] = int64Tensor([]int{2, 3}, 1, 4, 1, 5, 9, 5)
		w := n.op("ScatterElements", graph.Attrs{"axis": graph.Int(1), "reduction": graph.String("add")}, n.weight(4, 10), "at", n.weight(2, 3))
		return n.op("MatMul", nil, x, n.op("Transpose", graph.Attrs{"perm": graph.Ints(1, 0)}, w)), 24
	})
	all["TensorScatter"] = tokens(func(n *network, x string) (string, int) {
		parts := n.op("Slice", nil, n.op("Sin", nil, x), n.ints(2), n.ints(5), n.ints(1))
		return n.op("TensorScatter", graph.Attrs{"axis": graph.Int(1)}, x, parts), 60
	})
}

// choosing are the operators that are written out before a network is bound.
var choosing = []string{"If", "Loop", "Scan"}

// body is a graph in another one.
func body(inputs, outputs []string, nodes ...graph.Node) graph.Attr {
	g := &graph.Graph{Nodes: nodes}
	for _, name := range inputs {
		g.Inputs = append(g.Inputs, graph.Value{Name: name})
	}
	for _, name := range outputs {
		g.Outputs = append(g.Outputs, graph.Value{Name: name})
	}
	return graph.Subgraph(g)
}

// chosen are networks whose branches and numbers of rounds are known.
func chosen(all map[string]*network) {
	node := func(op, out string, inputs ...string) graph.Node {
		return graph.Node{Name: op, Op: op, Inputs: inputs, Outputs: []string{out}}
	}
	for holds, name := range map[float32]string{0: "else", 1: "then"} {
		all["If, "+name] = tokens(func(n *network, x string) (string, int) {
			w, c := n.weight(10, 10), n.op("Cast", graph.Attrs{"to": graph.Int(onnxBool)}, n.number(holds))
			return n.op("If", graph.Attrs{
				"then_branch": body(nil, []string{"b"}, node("MatMul", "p", x, w), node("Tanh", "b", "p")),
				"else_branch": body(nil, []string{"b"}, node("Sigmoid", "p", w), node("Mul", "q", "p", "p"), node("MatMul", "b", x, "q")),
			}, c), 60
		})
	}
	all["Loop"] = tokens(func(n *network, x string) (string, int) {
		w, rounds := n.weight(10, 10), n.int(4)
		out := n.ops("Loop", graph.Attrs{"body": body([]string{"i", "c", "h"}, []string{"c", "g", "s"},
			node("MatMul", "p", "h", w), node("Tanh", "g", "p"), node("Mul", "s", "g", "p"))}, 2, rounds, "", x)
		return n.op("Add", nil, out[0], n.op("ReduceMean", graph.Attrs{"keepdims": graph.Int(0)}, out[1], n.ints(0))), 60
	})
	for direction := range int64(2) {
		all["Scan, direction "+string(rune('0'+direction))] = tokens(func(n *network, x string) (string, int) {
			w := n.weight(10, 10)
			start := n.op("ReduceMean", graph.Attrs{"keepdims": graph.Int(0)}, x, n.ints(1))
			out := n.ops("Scan", graph.Attrs{"num_scan_inputs": graph.Int(1), "scan_input_axes": graph.Ints(1), "scan_output_axes": graph.Ints(1),
				"scan_input_directions": graph.Ints(direction), "scan_output_directions": graph.Ints(1 - direction),
				"body": body([]string{"h", "v"}, []string{"g", "o"},
					node("MatMul", "p", "h", w), node("Add", "q", "p", "v"), node("Tanh", "g", "q"), node("Mul", "o", "g", "v"))}, 2, start, x)
			return n.op("Add", nil, out[1], n.op("Unsqueeze", nil, out[0], n.ints(1))), 60
		})
	}
}

// unpooled are images whose largest elements go back to where they were.
func unpooled(all map[string]*network) {
	for name, c := range map[string]struct {
		size  []int
		attrs graph.Attrs
		to    []int64 // nil: as large as before
	}{
		"":                     {[]int{8, 6}, graph.Attrs{"kernel_shape": graph.Ints(2, 2), "strides": graph.Ints(2, 2)}, nil},
		" of one dimension":    {[]int{12}, graph.Attrs{"kernel_shape": graph.Ints(3), "strides": graph.Ints(3)}, nil},
		" with pads and gaps":  {[]int{6, 9}, graph.Attrs{"kernel_shape": graph.Ints(2, 2), "strides": graph.Ints(3, 3), "pads": graph.Ints(1, 1, 1, 1)}, nil},
		" to another size":     {[]int{8, 6}, graph.Attrs{"kernel_shape": graph.Ints(4, 2), "strides": graph.Ints(4, 2)}, []int64{9, 8}},
		" of three dimensions": {[]int{4, 2, 6}, graph.Attrs{"kernel_shape": graph.Ints(2, 1, 3), "strides": graph.Ints(2, 1, 3)}, nil},
	} {
		n := newNetwork(append([]int{2}, c.size...)...)
		kernel := slices.Repeat([]int{1}, len(c.size))
		x := n.op("Relu", nil, n.op("Conv", nil, "x", n.weight(append([]int{3, 2}, kernel...)...), n.weight(3)))
		pooled := n.ops("MaxPool", c.attrs, 2, x)
		inputs, size := []string{n.op("Sin", nil, n.op("Add", nil, pooled[0], n.number(1))), pooled[1]}, 3*product(c.size)
		if c.to != nil {
			samples := n.op("Slice", nil, n.op("Shape", nil, x), n.ints(0), n.ints(1))
			inputs = append(inputs, n.op("Concat", graph.Attrs{"axis": graph.Int(0)}, samples, n.ints(3), n.ints(c.to...)))
			size = 3 * int(c.to[0]*c.to[1])
		}
		all["MaxUnpool"+name] = n.end(n.op("MaxUnpool", c.attrs, inputs...), size)
	}
}

// sampled are images that are looked at where the network says.
func sampled(all map[string]*network) {
	moved := func(n *network, x string, features int, size []int64, attrs graph.Attrs) string {
		axes := len(size)
		theta := n.linear(n.op("Flatten", nil, n.op("GlobalAveragePool", nil, x)), features, axes*(axes+1))
		theta = n.op("Reshape", nil, n.op("Mul", nil, theta, n.number(0.4)), n.ints(0, int64(axes), int64(axes)+1))
		still := make([]float32, axes*(axes+1))
		for i := range axes {
			still[i*(axes+2)] = 0.9
		}
		n.graph.Constants["still"] = model.Float32Tensor([]int{1, axes, axes + 1}, still)
		samples := n.op("Slice", nil, n.op("Shape", nil, x), n.ints(0), n.ints(1))
		shape := n.op("Concat", graph.Attrs{"axis": graph.Int(0)}, samples, n.ints(int64(features)), n.ints(size...))
		corners := graph.Attrs{"align_corners": graph.Int(int64(attrs["align_corners"].Int()))}
		return n.op("GridSample", attrs, x, n.op("AffineGrid", corners, n.op("Add", nil, theta, "still"), shape))
	}
	for name, attrs := range map[string]graph.Attrs{
		"linear": {}, "linear, border": {"padding_mode": graph.String("border"), "align_corners": graph.Int(1)},
		"linear, reflection": {"padding_mode": graph.String("reflection")}, "nearest": {"mode": graph.String("nearest")},
		"linear, reflection, corners": {"padding_mode": graph.String("reflection"), "align_corners": graph.Int(1)},
		"cubic":                       {"mode": graph.String("cubic"), "align_corners": graph.Int(1)},
	} {
		all["GridSample "+name] = image(3, func(n *network, x string) (string, int) { return moved(n, x, 3, []int64{5, 4}, attrs), 60 })
	}
	n := newNetwork(2, 4, 5, 6)
	x := n.op("Tanh", nil, n.op("Conv", nil, "x", n.weight(2, 2, 1, 1, 1), n.weight(2)))
	all["GridSample of three dimensions"] = n.end(moved(n, x, 2, []int64{3, 2, 4}, graph.Attrs{}), 48)
}

// untrained are the operators of package ops that no gradient flows through here, and why.
var untrained = map[string]string{
	"ArrayFeatureExtractor": "it is of scikit-learn's models, which have no parameter before it",
	"Binarizer":             "its results are 0 and 1",
	"BitCast":               "bits are no numbers",
	"BitShift":              "it is of whole numbers", "BitwiseAnd": "it is of whole numbers", "BitwiseNot": "it is of whole numbers",
	"BitwiseOr": "it is of whole numbers", "BitwiseXor": "it is of whole numbers",
	"BlackmanWindow": "it makes constants of a size, which are folded", "HammingWindow": "it makes constants of a size, which are folded", "HannWindow": "it makes constants of a size, which are folded",
	"Constant":              "it has no input, and is folded",
	"ConvInteger":           "it is of whole numbers",
	"DequantizeLinear":      "it reads whole numbers of 8 bits, which are no parameters",
	"DynamicQuantizeLinear": "it rounds", "QuantizeLinear": "it rounds",
	"EyeLike":           "its results do not depend on the values of its input",
	"Hardmax":           "its results are 0 and 1",
	"LabelEncoder":      "it looks numbers and texts up",
	"LinearClassifier":  "its coefficients are attributes, and it is of scikit-learn's models, which have no parameter before it",
	"MatMulInteger":     "it is of whole numbers",
	"NonMaxSuppression": "its results are indices",
	"NonZero":           "its results are indices, and how many there are depends on the sample",
	"Normalizer":        "it is of scikit-learn's models, which have no parameter before it",
	"QLinearConv":       "it is of whole numbers", "QLinearMatMul": "it is of whole numbers",
	"Range":  "how many results there are depends on its inputs; of sizes it is folded",
	"Scaler": "it is of scikit-learn's models, which have no parameter before it",
	"Shape":  "its results are sizes", "Size": "its results are sizes",
	"StringConcat": "it is of texts", "StringNormalizer": "it is of texts",
	"Unique": "how many results there are depends on the sample",
}

// Every operator that package ops knows is trained here, or stands in a list that says why
// it is not; the list is exact.
func TestOperatorsWithoutGradientAreListed(t *testing.T) {
	trained := map[string]bool{}
	for name := range operators {
		trained[name] = !internal[name]
	}
	for name := range cells {
		trained[name] = true
	}
	for name := range expansions {
		trained[name] = true
	}
	for _, name := range choosing {
		trained[name] = true
	}
	listed := maps.Clone(untrained)
	for _, op := range ops.Operators() {
		switch reason, is := listed[op.Name]; {
		case trained[op.Name] && is:
			t.Errorf("%s is trained, and is listed: %s", op.Name, reason)
		case !trained[op.Name] && !is:
			t.Errorf("no gradient flows through %s, and nothing says why", op.Name)
		}
		delete(listed, op.Name)
	}
	if len(listed) > 0 {
		t.Errorf("listed, and no operators: %v", slices.Sorted(maps.Keys(listed)))
	}
}
