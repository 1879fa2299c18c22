package nn

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"lethe/graph"
	"lethe/internal/oracle"
	"lethe/model"
	"lethe/ops"
)

// graphs exercise every operator with every attribute that nn honours in graphs
// with branches. Those of chains are in networks.
func graphs() map[string]*network {
	all := map[string]*network{}
	for _, op := range []string{"Sigmoid", "Tanh", "Gelu", "Erf", "Softplus", "Exp", "HardSwish", "HardSigmoid", "LeakyRelu", "Elu", "Relu", "Neg", "Abs", "Identity", "Dropout"} {
		all[op] = tokens(func(n *network, x string) (string, int) { return n.op(op, nil, x), 60 })
	}
	all["Gelu tanh"] = tokens(func(n *network, x string) (string, int) {
		return n.op("Gelu", graph.Attrs{"approximate": graph.String("tanh")}, x), 60
	})
	all["LeakyRelu alpha"] = tokens(func(n *network, x string) (string, int) {
		return n.op("LeakyRelu", graph.Attrs{"alpha": graph.Float(0.3)}, x), 60
	})
	for _, op := range []string{"Log", "Sqrt", "Reciprocal"} {
		all[op] = tokens(func(n *network, x string) (string, int) {
			return n.op(op, nil, n.op("Add", nil, n.op("Exp", nil, x), n.number(0.5))), 60
		})
	}
	all["Clip"] = tokens(func(n *network, x string) (string, int) {
		return n.op("Clip", nil, x, n.number(-0.4), n.number(0.7)), 60
	})
	all["Silu"] = tokens(func(n *network, x string) (string, int) { return n.op("Mul", nil, x, n.op("Sigmoid", nil, x)), 60 })
	for _, op := range []string{"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "PRelu"} {
		shaped := func(n *network, x string, dims ...int) string {
			y := n.positive(dims...)
			if op == "Pow" {
				return n.op(op, nil, n.op("Add", nil, n.op("Sigmoid", nil, x), n.number(0.5)), y)
			}
			return n.op(op, nil, x, y)
		}
		for _, dims := range [][]int{{10}, {6, 10}, {1, 6, 1}, {1}, {6, 1}} {
			all[fmt.Sprint(op, dims)] = tokens(func(n *network, x string) (string, int) { return shaped(n, x, dims...), 60 })
		}
		all[op+" data"] = tokens(func(n *network, x string) (string, int) {
			y := n.op("Exp", nil, n.op("ReduceMean", nil, x, n.ints(-1)))
			return n.op(op, nil, n.op("Add", nil, n.op("Sigmoid", nil, x), n.number(0.5)), y), 60
		})
	}
	all["Pow constant"] = tokens(func(n *network, x string) (string, int) { return n.op("Pow", nil, x, n.number(3)), 60 })
	all["twice the same"] = tokens(func(n *network, x string) (string, int) { return n.op("Mul", nil, x, x), 60 })
	for name, attrs := range map[string]graph.Attrs{
		"groups": {"group": graph.Int(2)}, "depthwise": {"group": graph.Int(8), "pads": graph.Ints(1, 1, 1, 1)},
		"depthwise stride": {"group": graph.Int(8), "pads": graph.Ints(0, 1, 1, 0), "strides": graph.Ints(2, 2)},
		"same upper":       {"auto_pad": graph.String("SAME_UPPER"), "strides": graph.Ints(2, 2)},
		"same lower":       {"auto_pad": graph.String("SAME_LOWER"), "strides": graph.Ints(2, 3)},
	} {
		group := max(int(attrs["group"].Int()), 1)
		all["Conv "+name] = image(8, func(n *network, x string) (string, int) {
			y := n.op("Conv", attrs, x, n.weight(16, 8/group, 3, 3), n.weight(16))
			return n.op("GlobalAveragePool", nil, n.op("Relu", nil, y)), 16
		})
	}
	all["Conv shared"] = image(4, func(n *network, x string) (string, int) {
		w := n.weight(4, 4, 3, 3)
		a := graph.Attrs{"pads": graph.Ints(1, 1, 1, 1)}
		return n.op("Conv", a, n.op("Relu", nil, n.op("Conv", a, x, w)), w), 4 * 63
	})
	all["Conv of one dimension"] = tokens(func(n *network, x string) (string, int) {
		return n.op("Conv", graph.Attrs{"pads": graph.Ints(2, 1), "strides": graph.Ints(2)}, x, n.weight(7, 6, 4), n.weight(7)), 7 * 5
	})
	all["Conv large"] = image(24, func(n *network, x string) (string, int) { // whose gradient is that of the whole batch
		return n.op("Conv", graph.Attrs{"strides": graph.Ints(7, 5)}, n.conv(x, 40, 24, 7, nil), n.weight(200, 40, 3, 1)), 200
	})
	// Gradients as products of matrices: 20 and 11 features are not whole vectors.
	for name, attrs := range map[string]graph.Attrs{
		"wide":         {"pads": graph.Ints(1, 1, 1, 1)},
		"wide stride":  {"pads": graph.Ints(2, 0, 1, 1), "strides": graph.Ints(2, 3)},
		"wide dilated": {"pads": graph.Ints(2, 1, 2, 1), "dilations": graph.Ints(2, 1)},
	} {
		all["Conv "+name] = image(20, func(n *network, x string) (string, int) {
			c := n.op("Conv", attrs, x, n.weight(11, 20, 3, 3), n.weight(11))
			return n.op("GlobalAveragePool", nil, c), 11
		})
	}
	for name, size := range map[string][]int{"odd": {11, 9}, "even": {4, 6}, "wide": {4, 25}} { // strips of patches with and without an edge
		n := newNetwork(2, size[0], size[1])
		same := graph.Attrs{"pads": graph.Ints(1, 1, 1, 1)}
		x := n.norm(n.conv("x", 10, 2, 3, same), 10)
		x = n.op("Conv", same, x, n.weight(13, 10, 3, 3), n.weight(13))
		x = n.op("Conv", same, n.norm(x, 13), n.weight(8, 13, 3, 3))
		all["Conv 3x3 "+name] = n.end(n.op("GlobalAveragePool", nil, x), 8)
	}
	for name, size := range map[string][]int{"wide": {4, 18}, "high": {20, 2}, "small": {4, 4}} { // several blocks; the batch at once
		n := newNetwork(2, size[0], size[1])
		same := graph.Attrs{"pads": graph.Ints(1, 1, 1, 1)}
		x := n.op("Relu", nil, n.norm(n.conv("x", 70, 2, 3, same), 70)) // two units, of which one has a vector that overlaps
		x = n.op("Conv", same, x, n.weight(71, 70, 3, 3), n.weight(71)) // two blocks of panels
		all["Conv 3x3 gradient "+name] = n.end(n.op("GlobalAveragePool", nil, x), 71)
	}
	all["Conv wide groups"] = image(40, func(n *network, x string) (string, int) {
		c := n.op("Conv", graph.Attrs{"group": graph.Int(2), "pads": graph.Ints(1, 1, 0, 0)}, x, n.weight(18, 20, 2, 2), n.weight(18))
		return n.op("GlobalAveragePool", nil, c), 18
	})
	all["Conv wide 1x1"] = image(70, func(n *network, x string) (string, int) { // two units of vectors
		c := n.op("Conv", graph.Attrs{"strides": graph.Ints(2, 2)}, x, n.weight(9, 70, 1, 1))
		return n.op("GlobalAveragePool", nil, c), 9
	})
	for name, stride := range map[string]int64{"": 1, " stride": 2} { // the output has the vectors
		all["Conv 1x1 to many"+name] = image(17, func(n *network, x string) (string, int) {
			y := n.op("Conv", graph.Attrs{"strides": graph.Ints(stride, stride)}, x, n.weight(70, 17, 1, 1))
			return n.op("GlobalAveragePool", nil, n.op("Add", nil, n.op("Relu", nil, y), n.op("Conv", graph.Attrs{"strides": graph.Ints(stride, stride)}, x, n.weight(70, 17, 1, 1)))), 70
		})
	}
	for name, attrs := range map[string]graph.Attrs{
		"":               {"kernel_shape": graph.Ints(3, 2), "strides": graph.Ints(2, 2)},
		"pads":           {"kernel_shape": graph.Ints(3, 3), "strides": graph.Ints(2, 2), "pads": graph.Ints(1, 1, 0, 1)},
		"pads counted":   {"kernel_shape": graph.Ints(3, 3), "strides": graph.Ints(2, 2), "pads": graph.Ints(1, 1, 0, 1), "count_include_pad": graph.Int(1)},
		"ceil":           {"kernel_shape": graph.Ints(2, 2), "strides": graph.Ints(2, 3), "ceil_mode": graph.Int(1)},
		"ceil, counted":  {"kernel_shape": graph.Ints(2, 2), "strides": graph.Ints(2, 2), "pads": graph.Ints(1, 0, 0, 0), "ceil_mode": graph.Int(1), "count_include_pad": graph.Int(1)},
		"auto, all same": {"kernel_shape": graph.Ints(3, 3), "strides": graph.Ints(2, 2), "auto_pad": graph.String("SAME_UPPER")},
	} {
		for _, op := range []string{"AveragePool", "MaxPool"} {
			if attrs["count_include_pad"].Int() != 0 && op == "MaxPool" {
				continue
			}
			n := newNetwork(2, 9, 7)
			x := n.op(op, attrs, n.conv("x", 3, 2, 1, nil))
			w, err := inferWindow(&n.graph.Nodes[1], shape{dims: []int{1, 3, 9, 7}, batch: 0}, n.graph.Nodes[1].Ints("kernel_shape"))
			if err != nil {
				panic(err)
			}
			all[op+" "+name] = n.end(x, 3*w.y.out*w.x.out)
		}
	}
	computedWeights(all)
	more(all)
	moves(all)
	joins(all)
	normalizations(all)
	return all
}

// computedWeights are weights that are made of others.
func computedWeights(all map[string]*network) {
	all["weight transposed"] = tokens(func(n *network, x string) (string, int) {
		w := n.weight(7, 10)
		y := n.op("MatMul", nil, x, n.op("Transpose", graph.Attrs{"perm": graph.Ints(1, 0)}, w))
		return n.op("MatMul", nil, n.op("Tanh", nil, y), w), 60
	})
	all["weight moved"] = tokens(func(n *network, x string) (string, int) {
		w := n.weight(12, 10)
		parts := n.ops("Split", graph.Attrs{"axis": graph.Int(0)}, 3, w, n.ints(2, 3, 7))
		last := n.op("Slice", nil, w, n.ints(11), n.ints(0), n.ints(0), n.ints(-4))
		w = n.op("Concat", graph.Attrs{"axis": graph.Int(0)}, parts[2], last, parts[0], n.weight(1, 10))
		w = n.op("Reshape", nil, n.op("Transpose", nil, w), n.ints(10, 13))
		return n.op("MatMul", nil, x, w), 6 * 13
	})
	all["weight read as a value and as a weight"] = tokens(func(n *network, x string) (string, int) {
		w := n.op("Tanh", nil, n.op("Gather", graph.Attrs{"axis": graph.Int(1)}, n.weight(10, 5), n.ints(0, 4, 2, 2, 1, 0, 3, 1, 4, 2)))
		return n.op("Add", nil, n.op("MatMul", nil, x, w), n.op("Slice", nil, w, n.ints(3), n.ints(9), n.ints(0))), 60
	})
	all["weight normalized"] = image(4, func(n *network, x string) (string, int) {
		w := n.weight(6, 4, 3, 3)
		centred := n.op("Sub", nil, w, n.op("ReduceMean", nil, w, n.ints(1, 2, 3)))
		w = n.op("Mul", nil, n.positive(6, 1, 1, 1), n.op("Div", nil, centred, n.op("ReduceL2", nil, centred, n.ints(1, 2, 3))))
		return n.op("Conv", nil, n.op("Tanh", nil, x), w), 6 * 35
	})
}

// moves are operators that put elements to other places.
func moves(all map[string]*network) {
	for name, perm := range map[string][]int64{"021": {0, 2, 1}, "batch inside": {1, 0, 2}} {
		all["Transpose "+name] = tokens(func(n *network, x string) (string, int) {
			y := n.op("Transpose", graph.Attrs{"perm": graph.Ints(perm...)}, x)
			if name == "batch inside" {
				y = n.op("Transpose", graph.Attrs{"perm": graph.Ints(perm...)}, n.op("Tanh", nil, y))
			}
			return y, 60
		})
	}
	for name, s := range map[string][4][]int64{
		"steps": {{1, 0}, {6, 9}, {1, 2}, {2, 3}}, "negative": {{-1, -2}, {-7, -99}, {1, 2}, {-2, -1}}, "end": {{2}, {math.MaxInt64}, {1}, {1}},
	} {
		size := map[string]int{"steps": 3 * 3, "negative": 3 * 9, "end": 40}[name]
		all["Slice "+name] = tokens(func(n *network, x string) (string, int) {
			return n.op("Slice", nil, x, n.ints(s[0]...), n.ints(s[1]...), n.ints(s[2]...), n.ints(s[3]...)), size
		})
	}
	for _, mode := range []string{"constant", "edge", "reflect"} {
		all["Pad "+mode] = tokens(func(n *network, x string) (string, int) {
			inputs := []string{x, n.ints(0, 2, 1, 0, 0, 3)}
			if mode == "constant" {
				inputs = append(inputs, n.number(1.5))
			}
			return n.op("Pad", graph.Attrs{"mode": graph.String(mode)}, inputs...), 8 * 14
		})
	}
	all["Concat"] = tokens(func(n *network, x string) (string, int) {
		y := n.op("Concat", graph.Attrs{"axis": graph.Int(1)}, x, n.op("Tanh", nil, x), x)
		return n.op("Concat", graph.Attrs{"axis": graph.Int(-1)}, y, y), 2 * 3 * 60
	})
	all["Split"] = tokens(func(n *network, x string) (string, int) {
		parts := n.ops("Split", graph.Attrs{"axis": graph.Int(2)}, 3, x, n.ints(2, 5, 3))
		even := n.ops("Split", graph.Attrs{"axis": graph.Int(1), "num_outputs": graph.Int(2)}, 2, parts[1])
		return n.op("Add", nil, even[0], even[1]), 15 // the other parts lead nowhere
	})
	all["Gather"] = tokens(func(n *network, x string) (string, int) {
		y := n.op("Gather", graph.Attrs{"axis": graph.Int(1)}, x, n.ints(0, -1, 3, 3))
		return n.op("Gather", graph.Attrs{"axis": graph.Int(2)}, y, n.ints(5, 2)), 8
	})
	all["Expand"] = tokens(func(n *network, x string) (string, int) {
		y := n.op("ReduceMean", nil, x, n.ints(1))
		return n.op("Expand", nil, y, n.ints(1, 4, 10)), 40
	})
	all["Reshape"] = tokens(func(n *network, x string) (string, int) {
		y := n.op("Reshape", nil, x, n.ints(0, 3, -1, 5))
		y = n.op("Transpose", graph.Attrs{"perm": graph.Ints(0, 2, 1, 3)}, y)
		y = n.op("Reshape", nil, y, n.ints(-1, 3, 5)) // the batch takes in an axis
		y = n.op("Softmax", graph.Attrs{"axis": graph.Int(-1)}, n.op("MatMul", nil, y, n.weight(5, 4)))
		return n.op("Reshape", nil, y, n.ints(-1, 48)), 48
	})
	all["Reshape, the batch behind"] = tokens(func(n *network, x string) (string, int) {
		y := n.op("Transpose", graph.Attrs{"perm": graph.Ints(1, 0, 2)}, x)
		y = n.op("Gemm", nil, n.op("Reshape", nil, y, n.ints(-1, 10)), n.weight(10, 8), n.weight(8))
		y = n.norm(n.op("Add", nil, y, n.op("Tanh", nil, y)), 8)
		y = n.op("Transpose", graph.Attrs{"perm": graph.Ints(1, 0, 2)}, n.op("Reshape", nil, y, n.ints(6, -1, 8)))
		return n.op("Reshape", nil, y, n.ints(-1, 48)), 48
	})
	all["Squeeze"] = tokens(func(n *network, x string) (string, int) {
		y := n.op("Unsqueeze", nil, x, n.ints(1, -1))
		return n.op("Squeeze", nil, n.op("Sigmoid", nil, y), n.ints(1)), 60
	})
	for _, op := range []string{"ReduceL2", "ReduceSumSquare"} {
		all[op] = tokens(func(n *network, x string) (string, int) { return n.op(op, nil, x, n.ints(-1)), 6 })
	}
	all["Sum"] = tokens(func(n *network, x string) (string, int) { return n.op("Sum", nil, x, n.weight(10), x), 60 })
	all["Where"] = tokens(func(n *network, x string) (string, int) {
		n.graph.Constants["mask"] = bools(true, false, true, true, false, false)
		n.graph.Constants["low"] = model.Float32Tensor([]int{10}, []float32{-1, 2, -3, 0, 0, 0, 1, 1, 1, 4})
		return n.op("Where", nil, n.op("Unsqueeze", nil, "mask", n.ints(1)), n.op("Tanh", nil, x), "low"), 60
	})
	for _, keep := range []int64{0, 1} {
		all[fmt.Sprint("Reduce ", keep)] = tokens(func(n *network, x string) (string, int) {
			y := n.op("ReduceMean", graph.Attrs{"keepdims": graph.Int(keep)}, x, n.ints(2))
			z := n.op("ReduceSum", graph.Attrs{"keepdims": graph.Int(keep)}, x, n.ints(1))
			return n.op("Concat", graph.Attrs{"axis": graph.Int(1)}, n.op("Flatten", nil, y), n.op("Flatten", nil, z)), 16
		})
	}
}

// joins are graphs with branches and several inputs.
func joins(all map[string]*network) {
	all["residual"] = image(4, func(n *network, x string) (string, int) {
		for range 2 {
			y := n.op("Relu", nil, n.norm(n.conv(x, 4, 4, 3, graph.Attrs{"pads": graph.Ints(1, 1, 1, 1)}), 4))
			y = n.norm(n.conv(y, 4, 4, 3, graph.Attrs{"pads": graph.Ints(1, 1, 1, 1)}), 4)
			x = n.op("Relu", nil, n.op("Add", nil, y, x))
		}
		return x, 4 * 63
	})
	all["norm and pool, read twice"] = image(3, func(n *network, x string) (string, int) {
		r := n.op("Relu", nil, n.norm(x, 3))
		y := n.op("MaxPool", graph.Attrs{"kernel_shape": graph.Ints(2, 2), "strides": graph.Ints(2, 2)}, r)
		return n.op("Concat", graph.Attrs{"axis": graph.Int(1)}, n.op("Flatten", nil, y), n.op("Flatten", nil, r)), 3*12 + 3*63
	})
	n := newNetwork(6, 5)
	y := n.linear(n.input("y", 4), 4, 5)
	all["two inputs"] = n.end(n.op("Mul", nil, n.op("Unsqueeze", nil, y, n.ints(1)), n.linear("x", 5, 5)), 30)
	all["attention"] = tokens(func(n *network, x string) (string, int) {
		heads := func(x string, perm ...int64) string {
			return n.op("Transpose", graph.Attrs{"perm": graph.Ints(perm...)}, n.op("Reshape", nil, x, n.ints(0, 6, 2, 5)))
		}
		q, k, v := heads(n.linear(x, 10, 10), 0, 2, 1, 3), heads(n.linear(x, 10, 10), 0, 2, 3, 1), heads(n.linear(x, 10, 10), 0, 2, 1, 3)
		a := n.op("Softmax", nil, n.op("Mul", nil, n.op("MatMul", nil, q, k), n.number(0.4)))
		y := n.op("Reshape", nil, n.op("Transpose", graph.Attrs{"perm": graph.Ints(0, 2, 1, 3)}, n.op("MatMul", nil, a, v)), n.ints(0, 6, 10))
		return n.op("Add", nil, x, n.linear(y, 10, 10)), 60
	})
	all["MatMul broadcast"] = tokens(func(n *network, x string) (string, int) {
		a := n.op("Reshape", nil, x, n.ints(0, 2, 3, 10))
		return n.op("MatMul", nil, a, n.op("Reshape", nil, n.op("Tanh", nil, x), n.ints(0, 1, 10, 6))), 36
	})
	all["MatMul from the left"] = tokens(func(n *network, x string) (string, int) {
		return n.op("MatMul", nil, n.weight(7, 6), x), 70
	})
	recurrent(all)
	attentions(all)
	maskedAttentions(all)
	n = newNetwork(6)
	n.graph.Inputs[0].DType = model.Int64
	n.samples = func(i int) float32 { return float32(i * 7 % 11) }
	e := n.op("Gather", nil, n.weight(11, 4), "x")
	all["embedding"] = n.end(n.op("Tanh", nil, e), 24)
	all["shared table"] = image(2, func(n *network, x string) (string, int) {
		w := n.weight(2, 1, 1)
		return n.op("Add", nil, n.op("Mul", nil, x, w), w), 2 * 63
	})
}

// Bits depend neither on the number of threads nor on the batch that a sample is in.
func TestGraphsDoNotDependOnThreads(t *testing.T) {
	for name, n := range graphs() {
		net, _ := n.bind(t)
		x, params := n.draw(net, 150), ops.Parameters(n.graph)
		want := step(t, net, x, 150, 1, params)
		counts := []int{2, 3, 8}
		if testing.Short() {
			counts = counts[1:2]
		}
		for _, threads := range counts {
			if got := step(t, net, x, 150, threads, params); !slices.Equal(got, want) {
				t.Errorf("%s: %d threads give another gradient than one", name, threads)
			}
		}
		whole, err := net.Logits(x, 2)
		if err != nil {
			t.Fatal(err)
		}
		size := net.SampleSize()
		part, err := net.Logits(x[70*size:91*size], 1)
		if err != nil || !slices.Equal(part, whole[70*3:91*3]) {
			t.Errorf("%s: samples have other logits in another batch (%v)", name, err)
		}
	}
}

// relative returns the norm of the difference over the norm of want.
func relative(got []float32, want []float64) float64 {
	var diff, norm float64
	for i, w := range want {
		d := float64(got[i]) - w
		diff, norm = diff+d*d, norm+w*w
	}
	return math.Sqrt(diff / math.Max(norm, 1e-30))
}

// Every operator in a graph, and whole networks, compute what PyTorch computes,
// forward and backward.
func TestGraphOracle(t *testing.T) {
	python := oracle.Python(t, "torch")
	all := graphs()
	for name, n := range architectures() {
		all[name] = n
	}
	const count = 35
	examples := map[string]example{}
	args := []string{filepath.Join("testdata", "oracle.py")}
	for name, n := range all {
		net, sd := n.bind(t)
		x := n.draw(net, count)
		if name == "ResNet-20" || name == "Div[1]" {
			// A sum of the first samples lies so near the kink of a ReLU that another
			// order of it takes the other side: scaled by 1 + 1e-6 they have a gradient
			// that differs by 0.1 % of its norm. Of the quotients the gradient of the one
			// divisor is -0.009 with the first samples and 0.845 with the next: scaled by
			// 1 + 1e-6 it changes by 8e-5 of itself.
			x = n.draw(net, 2*count)[len(x):]
		}
		examples[name] = example{net, sd, x, forTorch(t, n.graph, net, sd, x, count, 0)}
		args = append(args, examples[name].dir)
	}
	oracle.Run(t, python, args...)
	for name, e := range examples {
		t.Run(name, func(t *testing.T) {
			logits, err := e.net.Logits(e.x, 2)
			if err != nil {
				t.Fatal(err)
			}
			if d := relative(logits, fromTorch(t, e.dir, "logits.f64")); !(d < 1e-5) {
				t.Errorf("the logits differ by %.2g of their norm", d)
			}
			grad := step(t, e.net, e.x, count, 2, ops.Parameters(e.net.Graph()))
			want := fromTorch(t, e.dir, "grad.f64")
			at := 0
			for _, p := range ops.Parameters(e.net.Graph()) {
				end := at + len(e.net.weights[p])
				if d := relative(grad[at:end], want[at:end]); !(d < 1e-4) && !negligible(want[at:end], want) {
					t.Errorf("the gradient of %s differs by %.2g of its norm", p, d)
				}
				at = end
			}
		})
	}
}

// negligible reports whether a gradient is nothing but rounding beside all.
func negligible(part, all []float64) bool {
	var own, whole float64
	for _, v := range part {
		own += v * v
	}
	for _, v := range all {
		whole += v * v
	}
	return own < 1e-10*whole
}
