package nn

import (
	"slices"

	"lethe/graph"
	"lethe/model"
)

// more are operators that are run as others, that only move elements, and that
// compare.
func more(all map[string]*network) {
	for _, op := range []string{"Celu", "Selu", "Mish", "Swish", "Shrink", "Sin", "Cos", "Tan", "Sinh", "Cosh", "Atan", "Asinh", "Softsign", "ThresholdedRelu"} {
		all[op] = tokens(func(n *network, x string) (string, int) {
			if op == "Tan" {
				x = n.op("Tanh", nil, x)
			}
			return n.op(op, nil, x), 60
		})
	}
	for op, attrs := range map[string]graph.Attrs{
		"Celu": {"alpha": graph.Float(0.7)}, "Selu": {"alpha": graph.Float(1.2), "gamma": graph.Float(0.9)}, "Swish": {"alpha": graph.Float(1.7)},
		"Shrink": {"lambd": graph.Float(0.3), "bias": graph.Float(0.1)}, "ThresholdedRelu": {"alpha": graph.Float(0.2)},
	} {
		all[op+" otherwise"] = tokens(func(n *network, x string) (string, int) { return n.op(op, attrs, x), 60 })
	}
	for _, op := range []string{"Asin", "Acos", "Atanh"} {
		all[op] = tokens(func(n *network, x string) (string, int) {
			return n.op(op, nil, n.op("Mul", nil, n.op("Tanh", nil, x), n.number(0.9))), 60
		})
	}
	all["Acosh"] = tokens(func(n *network, x string) (string, int) {
		return n.op("Acosh", nil, n.op("Add", nil, n.op("Exp", nil, x), n.number(1.1))), 60
	})
	for _, op := range []string{"Ceil", "Floor", "Round", "Sign"} {
		all[op] = tokens(func(n *network, x string) (string, int) {
			return n.op("Mul", nil, x, n.op(op, nil, n.op("Mul", nil, x, n.number(2.3)))), 60
		})
	}
	compared(all)
	reductions(all)
	volumes(all)
	placed(all)
	products(all)
	rare(all)
}

// compared are networks with conditions.
func compared(all map[string]*network) {
	choose := func(n *network, c, x string) string { return n.op("Where", nil, c, n.op("Exp", nil, x), n.weight(10)) }
	for _, op := range []string{"Greater", "GreaterOrEqual", "Less", "LessOrEqual"} {
		all[op] = tokens(func(n *network, x string) (string, int) {
			return choose(n, n.op(op, nil, x, n.op("ReduceMean", nil, x, n.ints(1))), x), 60
		})
	}
	for _, op := range []string{"And", "Or", "Xor"} {
		all[op] = tokens(func(n *network, x string) (string, int) {
			a, b := n.op("Greater", nil, x, n.number(-0.3)), n.op("Less", nil, x, n.number(0.4))
			return choose(n, n.op("Not", nil, n.op(op, nil, a, b)), x), 60
		})
	}
	all["Equal"] = tokens(func(n *network, x string) (string, int) {
		return choose(n, n.op("Equal", nil, n.op("Floor", nil, x), n.number(-1)), x), 60
	})
	all["IsNaN"] = tokens(func(n *network, x string) (string, int) {
		y := n.op("Where", nil, n.op("Greater", nil, x, n.number(1)), n.op("Div", nil, n.number(0), n.number(0)), n.op("Where", nil, n.op("Less", nil, x, n.number(-1)), n.op("Div", nil, n.number(1), n.number(0)), x))
		return choose(n, n.op("Or", nil, n.op("IsNaN", nil, y), n.op("IsInf", nil, y)), x), 60
	})
	for _, fmod := range []int64{0, 1} {
		all["Mod"+string(rune('0'+fmod))] = tokens(func(n *network, x string) (string, int) {
			if fmod == 0 {
				at := n.op("Mod", nil, n.op("Cast", graph.Attrs{"to": graph.Int(7)}, n.op("Mul", nil, x, n.number(5))), n.int(3))
				return n.op("Mul", nil, x, n.op("Cast", graph.Attrs{"to": graph.Int(1)}, at)), 60
			}
			return n.op("Mod", graph.Attrs{"fmod": graph.Int(1)}, x, n.positive(10)), 60
		})
	}
	all["Div of whole numbers"] = tokens(func(n *network, x string) (string, int) {
		at := n.op("Div", nil, n.op("Cast", graph.Attrs{"to": graph.Int(7)}, n.op("Mul", nil, x, n.number(9))), n.int(4))
		return n.op("Mul", nil, x, n.op("Cast", graph.Attrs{"to": graph.Int(1)}, at)), 60
	})
	all["Cast to truth values"] = tokens(func(n *network, x string) (string, int) {
		c := n.op("Cast", graph.Attrs{"to": graph.Int(9)}, n.op("Cast", graph.Attrs{"to": graph.Int(6)}, x))
		return choose(n, c, x), 60
	})
	all["Clip by values"] = tokens(func(n *network, x string) (string, int) {
		low := n.op("Squeeze", nil, n.op("Slice", nil, n.weight(3), n.ints(1), n.ints(2)), n.ints(0))
		return n.op("Clip", nil, x, low, n.number(0.9)), 60
	})
	for _, op := range []string{"Max", "Min", "Mean"} {
		all[op+" of three"] = tokens(func(n *network, x string) (string, int) {
			return n.op(op, nil, x, n.op("Neg", nil, x), n.weight(10)), 60
		})
	}
	for _, op := range []string{"ArgMax", "ArgMin"} {
		all[op] = tokens(func(n *network, x string) (string, int) {
			at := n.op(op, graph.Attrs{"axis": graph.Int(2), "keepdims": graph.Int(1)}, x)
			return n.op("GatherElements", graph.Attrs{"axis": graph.Int(2)}, n.op("Tanh", nil, x), at), 6
		})
		all[op+" embedded"] = tokens(func(n *network, x string) (string, int) {
			at := n.op(op, graph.Attrs{"axis": graph.Int(1), "keepdims": graph.Int(0)}, x)
			return n.op("Mul", nil, n.op("Gather", nil, n.weight(6, 2), at), n.op("Unsqueeze", nil, n.op("ReduceMean", graph.Attrs{"keepdims": graph.Int(0)}, x, n.ints(1)), n.ints(2))), 20
		})
	}
	all["OneHot"] = tokens(func(n *network, x string) (string, int) {
		at := n.op("ArgMax", graph.Attrs{"axis": graph.Int(2), "keepdims": graph.Int(0)}, x)
		n.graph.Constants["values"] = model.Float32Tensor([]int{2}, []float32{-0.5, 2})
		return n.op("Mul", nil, n.op("OneHot", graph.Attrs{"axis": graph.Int(-1)}, at, n.int(10), "values"), x), 60
	})
	for name, attrs := range map[string]graph.Attrs{"": {}, " smallest": {"largest": graph.Int(0), "axis": graph.Int(1)}} {
		all["TopK"+name] = tokens(func(n *network, x string) (string, int) {
			outs := n.ops("TopK", attrs, 2, x, n.ints(3))
			size := map[string]int{"": 18, " smallest": 30}[name]
			return n.op("Mul", nil, outs[0], n.op("Cast", graph.Attrs{"to": graph.Int(1)}, outs[1])), size
		})
	}
}

func reductions(all map[string]*network) {
	for _, op := range []string{"ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceLogSumExp"} {
		all[op] = tokens(func(n *network, x string) (string, int) {
			y := n.op(op, graph.Attrs{"keepdims": graph.Int(0)}, x, n.ints(1))
			return n.op("Concat", graph.Attrs{"axis": graph.Int(1)}, n.op("Flatten", nil, y), n.op("Flatten", nil, n.op(op, nil, x, n.ints(2, 1)))), 11
		})
	}
	all["ReduceLogSum"] = tokens(func(n *network, x string) (string, int) {
		return n.op("ReduceLogSum", nil, n.op("Exp", nil, x), n.ints(-1)), 6
	})
	for _, p := range []int64{1, 2} {
		all["LpNormalization"+string(rune('0'+p))] = tokens(func(n *network, x string) (string, int) {
			return n.op("LpNormalization", graph.Attrs{"p": graph.Int(p)}, x), 60
		})
	}
	for _, reverse := range []int64{0, 1} {
		all["CumSum"+string(rune('0'+reverse))] = tokens(func(n *network, x string) (string, int) {
			return n.op("CumSum", graph.Attrs{"reverse": graph.Int(reverse), "exclusive": graph.Int(1 - reverse)}, x, n.int(1)), 60
		})
	}
	all["LRN"] = image(6, func(n *network, x string) (string, int) {
		return n.op("LRN", graph.Attrs{"size": graph.Int(4), "alpha": graph.Float(0.5), "beta": graph.Float(0.6), "bias": graph.Float(1.5)}, x), 6 * 63
	})
	all["MeanVarianceNormalization"] = image(4, func(n *network, x string) (string, int) {
		return n.op("MeanVarianceNormalization", graph.Attrs{"axes": graph.Ints(1, 3)}, x), 4 * 63
	})
}

// volumes are convolutions and poolings of three dimensions, and transposed ones.
func volumes(all map[string]*network) {
	volume := func(f func(n *network, x string) (string, int)) *network {
		n := newNetwork(2, 4, 5, 6)
		x := n.op("Conv", graph.Attrs{"pads": graph.Ints(1, 0, 1, 1, 1, 1)}, "x", n.weight(4, 2, 3, 2, 3), n.weight(4))
		y, size := f(n, n.op("Tanh", nil, n.norm(x, 4)))
		return n.end(y, size)
	}
	all["Conv of three dimensions"] = volume(func(n *network, x string) (string, int) {
		return n.op("Conv", graph.Attrs{"group": graph.Int(2), "strides": graph.Ints(2, 2, 1), "dilations": graph.Ints(1, 2, 1)}, x, n.weight(6, 2, 2, 2, 3)), 6 * 2 * 2 * 4
	})
	for _, op := range []string{"MaxPool", "AveragePool"} {
		all[op+" of three dimensions"] = volume(func(n *network, x string) (string, int) {
			a := graph.Attrs{"kernel_shape": graph.Ints(2, 3, 2), "strides": graph.Ints(2, 1, 2), "pads": graph.Ints(0, 1, 0, 1, 1, 0)}
			return n.op(op, a, x), 4 * 2 * 5 * 3
		})
	}
	all["ConvTranspose of three dimensions"] = volume(func(n *network, x string) (string, int) {
		return n.op("ConvTranspose", graph.Attrs{"strides": graph.Ints(1, 2, 1)}, x, n.weight(4, 2, 2, 2, 2), n.weight(2)), 2 * 5 * 10 * 7
	})
	all["ConvTranspose"] = image(4, func(n *network, x string) (string, int) {
		a := graph.Attrs{"strides": graph.Ints(2, 3), "pads": graph.Ints(1, 0, 0, 1), "output_padding": graph.Ints(1, 0), "dilations": graph.Ints(2, 1), "group": graph.Int(2)}
		y := n.op("ConvTranspose", a, x, n.weight(4, 3, 3, 2), n.weight(6))
		return n.op("GlobalAveragePool", nil, n.op("Tanh", nil, y)), 6
	})
	all["ConvTranspose of one dimension"] = tokens(func(n *network, x string) (string, int) {
		return n.op("ConvTranspose", graph.Attrs{"strides": graph.Ints(2)}, x, n.weight(6, 4, 3)), 4 * 21
	})
	all["GlobalMaxPool"] = image(6, func(n *network, x string) (string, int) { return n.op("GlobalMaxPool", nil, x), 6 })
	all["LpPool"] = image(3, func(n *network, x string) (string, int) {
		return n.op("LpPool", graph.Attrs{"kernel_shape": graph.Ints(3, 2), "strides": graph.Ints(2, 2), "pads": graph.Ints(1, 0, 1, 1), "p": graph.Int(3)}, x), 3 * 5 * 4
	})
	for mode, attrs := range map[string]graph.Attrs{
		"nearest": {}, "linear": {"coordinate_transformation_mode": graph.String("align_corners")}, "cubic": {},
	} {
		attrs["mode"] = graph.String(mode)
		all["Resize "+mode] = image(2, func(n *network, x string) (string, int) {
			samples := n.op("Slice", nil, n.op("Shape", nil, x), n.ints(0), n.ints(1))
			return n.op("Resize", attrs, x, "", "", n.op("Concat", graph.Attrs{"axis": graph.Int(0)}, samples, n.ints(2, 13, 4))), 2 * 13 * 4
		})
	}
	all["Resize by scales"] = image(2, func(n *network, x string) (string, int) {
		n.graph.Constants["scales"] = model.Float32Tensor([]int{4}, []float32{1, 1, 2, 1.5})
		return n.op("Resize", graph.Attrs{"mode": graph.String("linear")}, x, "", "scales"), 2 * 18 * 10
	})
	all["windows"] = image(4, func(n *network, x string) (string, int) { // several images of a sample
		y := n.op("Reshape", nil, n.op("Slice", nil, x, n.ints(0), n.ints(8), n.ints(2)), n.ints(-1, 2, 8, 7))
		y = n.op("Relu", nil, n.norm(n.op("Conv", same(3), y, n.weight(4, 2, 3, 3), n.weight(4)), 4))
		y = n.op("MaxPool", graph.Attrs{"kernel_shape": graph.Ints(2, 2), "strides": graph.Ints(2, 2)}, y)
		return n.op("Reshape", nil, y, n.ints(-1, 2*4*4*3)), 2 * 4 * 4 * 3
	})
}

// placed are operators that put elements to other places.
func placed(all map[string]*network) {
	all["Tile"] = tokens(func(n *network, x string) (string, int) { return n.op("Tile", nil, x, n.ints(1, 2, 3)), 360 })
	for _, upper := range []int64{0, 1} {
		all["Trilu"+string(rune('0'+upper))] = tokens(func(n *network, x string) (string, int) {
			return n.op("Trilu", graph.Attrs{"upper": graph.Int(upper)}, x, n.int(1)), 60
		})
	}
	for _, mode := range []string{"DCR", "CRD"} {
		all["DepthToSpace "+mode] = image(8, func(n *network, x string) (string, int) {
			return n.op("DepthToSpace", graph.Attrs{"blocksize": graph.Int(2), "mode": graph.String(mode)}, x), 8 * 63
		})
	}
	all["SpaceToDepth"] = image(2, func(n *network, x string) (string, int) {
		y := n.op("CenterCropPad", graph.Attrs{"axes": graph.Ints(2, 3)}, x, n.ints(6, 9))
		return n.op("SpaceToDepth", graph.Attrs{"blocksize": graph.Int(3)}, y), 2 * 54
	})
	all["Pad wrap"] = tokens(func(n *network, x string) (string, int) {
		return n.op("Pad", graph.Attrs{"mode": graph.String("wrap")}, x, n.ints(0, 2, 1, 0, 0, 3)), 8 * 14
	})
	all["GatherElements of constants"] = tokens(func(n *network, x string) (string, int) {
		n.graph.Constants["at"] = int64Tensor([]int{1, 6, 2}, 1, 0, 0, 9, 2, 2, 4, -1, 5, 5, 3, 1)
		at := n.op("Expand", nil, "at", n.op("Concat", graph.Attrs{"axis": graph.Int(0)}, n.op("Slice", nil, n.op("Shape", nil, x), n.ints(0), n.ints(1)), n.ints(6, 2)))
		return n.op("GatherElements", graph.Attrs{"axis": graph.Int(2)}, x, at), 12
	})
	all["GatherND"] = tokens(func(n *network, x string) (string, int) {
		n.graph.Constants["at"] = int64Tensor([]int{3, 2}, 1, 0, 4, 9, 2, 2)
		y := n.op("GatherND", nil, n.op("Transpose", graph.Attrs{"perm": graph.Ints(1, 2, 0)}, x), "at")
		return n.op("Transpose", graph.Attrs{"perm": graph.Ints(1, 0)}, y), 3
	})
	all["ScatterND"] = tokens(func(n *network, x string) (string, int) {
		n.graph.Constants["at"] = int64Tensor([]int{2, 1}, 1, 4)
		y := n.op("Transpose", graph.Attrs{"perm": graph.Ints(1, 2, 0)}, x)
		parts := n.op("Slice", nil, n.op("Tanh", nil, y), n.ints(2), n.ints(4))
		return n.op("Transpose", graph.Attrs{"perm": graph.Ints(2, 0, 1)}, n.op("ScatterND", nil, y, "at", parts)), 60
	})
	all["ScatterElements"] = tokens(func(n *network, x string) (string, int) {
		n.graph.Constants["at"] = int64Tensor([]int{2, 2}, 1, 4, 5, 9)
		w := n.op("ScatterElements", graph.Attrs{"axis": graph.Int(1)}, n.weight(4, 10), "at", n.weight(2, 2))
		return n.op("MatMul", nil, x, n.op("Transpose", graph.Attrs{"perm": graph.Ints(1, 0)}, w)), 24
	})
	all["ReverseSequence"] = tokens(func(n *network, x string) (string, int) {
		n.graph.Constants["lengths"] = int64Tensor([]int{6}, 3, 10, 1, 7, 2, 5)
		y := n.op("Transpose", graph.Attrs{"perm": graph.Ints(1, 2, 0)}, x)
		y = n.op("ReverseSequence", graph.Attrs{"time_axis": graph.Int(1), "batch_axis": graph.Int(0)}, y, "lengths")
		return n.op("Transpose", graph.Attrs{"perm": graph.Ints(2, 0, 1)}, y), 60
	})
	all["Compress"] = tokens(func(n *network, x string) (string, int) {
		n.graph.Constants["which"] = bools(true, false, false, true, true, false)
		return n.op("Compress", graph.Attrs{"axis": graph.Int(1)}, x, "which"), 30
	})
	all["ConstantOfShape"] = tokens(func(n *network, x string) (string, int) {
		samples := n.op("Slice", nil, n.op("Shape", nil, x), n.ints(0), n.ints(1))
		y := n.op("ConstantOfShape", nil, n.op("Concat", graph.Attrs{"axis": graph.Int(0)}, samples, n.ints(2, 10)))
		return n.op("Concat", graph.Attrs{"axis": graph.Int(1)}, y, x), 80
	})
}

// products are products of matrices in every form.
func products(all map[string]*network) {
	for equation, size := range map[string]int{"bij,jk->bik": 24, "bij,bkj->bik": 36, "bij->bji": 60, "...j,jk": 24, "bij,bij->b": 1, "bii->bi": 6, "bij,jk,bl->bkl": 40} {
		all["Einsum "+equation] = tokens(func(n *network, x string) (string, int) {
			inputs := []string{x}
			switch {
			case equation == "bii->bi":
				inputs[0] = n.op("Slice", nil, x, n.ints(0), n.ints(6), n.ints(2))
			case equation == "bij,jk,bl->bkl":
				inputs = append(inputs, n.weight(10, 4), n.op("ReduceMean", graph.Attrs{"keepdims": graph.Int(0)}, x, n.ints(1)))
			case slices.Contains([]string{"bij,jk->bik", "...j,jk"}, equation):
				inputs = append(inputs, n.weight(10, 4))
			case equation != "bij->bji":
				inputs = append(inputs, n.op("Tanh", nil, x))
			}
			return n.op("Einsum", graph.Attrs{"equation": graph.String(equation)}, inputs...), size
		})
	}
	all["Gemm otherwise"] = tokens(func(n *network, x string) (string, int) {
		y := n.op("Transpose", nil, n.op("Flatten", nil, x))
		a := graph.Attrs{"transA": graph.Int(1), "alpha": graph.Float(0.3), "beta": graph.Float(0.7)}
		return n.op("Gemm", a, y, n.weight(60, 5), n.weight(1, 5)), 5
	})
	all["Gemm of weights"] = tokens(func(n *network, x string) (string, int) {
		w := n.op("Gemm", graph.Attrs{"transB": graph.Int(1), "beta": graph.Float(0.5)}, n.weight(10, 3), n.weight(4, 3), n.weight(4))
		return n.op("MatMul", nil, x, w), 24
	})
	all["MatMul of vectors"] = tokens(func(n *network, x string) (string, int) {
		y := n.op("MatMul", nil, x, n.weight(10))
		z := n.op("MatMul", nil, n.weight(6), x)
		return n.op("Concat", graph.Attrs{"axis": graph.Int(1)}, y, z), 16
	})
}
