package nn

import (
	"slices"

	"lethe/graph"
	"lethe/model"
)

// modern are the networks of issue 13 that came after ResNet, as thin as keeps
// their structure.
func modern() map[string]*network {
	return map[string]*network{
		"MobileNetV3":         mobileNetV3(),
		"EfficientNet-B0":     efficientNet(),
		"DenseNet-121":        denseNet(4),
		"ShuffleNetV2":        shuffleNet(),
		"ConvNeXt":            convNeXt(8),
		"Swin":                swin(8),
		"transformer encoder": encoder(),
		"LSTM":                sequence("LSTM", 4),
		"GRU":                 sequence("GRU", 3),
		"SqueezeNet":          squeezeNet(),
	}
}

// activation adds an activation by name, or none.
func (n *network) activation(name, x string) string {
	switch name {
	case "":
		return x
	case "Silu":
		return n.op("Mul", nil, x, n.op("Sigmoid", nil, x))
	}
	return n.op(name, nil, x)
}

// depthwise is a convolution of each channel alone.
func (n *network) depthwise(x string, channels, k, stride int) string {
	a := same(int64(k))
	a["group"], a["strides"] = graph.Int(int64(channels)), graph.Ints(int64(stride), int64(stride))
	return n.op("Conv", a, x, n.weight(channels, 1, k, k))
}

// squeeze scales channels by what their means say.
func (n *network) squeeze(x string, channels, inner int, activation, gate string) string {
	conv := func(x string, m, c int) string { return n.op("Conv", nil, x, n.weight(m, c, 1, 1), n.weight(m)) }
	s := n.activation(activation, conv(n.op("GlobalAveragePool", nil, x), inner, channels))
	return n.op("Mul", nil, x, n.op(gate, nil, conv(s, channels, inner)))
}

// inverted is a block that widens, filters each channel, and narrows.
func (n *network) inverted(x string, in, wide, out, k, stride int, activation, gate string) string {
	y := x
	if wide != in {
		y = n.activation(activation, n.norm(n.conv(y, wide, in, 1, nil), wide))
	}
	y = n.activation(activation, n.norm(n.depthwise(y, wide, k, stride), wide))
	if gate != "" {
		inner := "Relu"
		if gate == "Sigmoid" {
			inner = "Silu"
		}
		y = n.squeeze(y, wide, max(wide/4, 2), inner, gate)
	}
	y = n.norm(n.conv(y, out, wide, 1, nil), out)
	if in == out && stride == 1 {
		y = n.op("Add", nil, y, x)
	}
	return y
}

func (n *network) strided(x string, m, c, k int, stride int64) string {
	a := same(int64(k))
	a["strides"] = graph.Ints(stride, stride)
	return n.conv(x, m, c, k, a)
}

func mobileNetV3() *network {
	n := newNetwork(3, 32, 32)
	x := n.op("HardSwish", nil, n.norm(n.strided("x", 8, 3, 3, 2), 8))
	x = n.inverted(x, 8, 8, 8, 3, 2, "Relu", "HardSigmoid")
	x = n.inverted(x, 8, 24, 12, 3, 2, "Relu", "")
	x = n.inverted(x, 12, 32, 12, 5, 1, "HardSwish", "HardSigmoid")
	x = n.op("HardSwish", nil, n.norm(n.conv(x, 24, 12, 1, nil), 24))
	x = n.op("Flatten", nil, n.op("GlobalAveragePool", nil, x))
	x = n.op("HardSwish", nil, n.op("Gemm", graph.Attrs{"transB": graph.Int(1)}, x, n.weight(32, 24), n.weight(32)))
	return n.end(x, 32)
}

func efficientNet() *network {
	n := newNetwork(3, 32, 32)
	x := n.activation("Silu", n.norm(n.strided("x", 8, 3, 3, 2), 8))
	x = n.inverted(x, 8, 8, 6, 3, 1, "Silu", "Sigmoid")
	x = n.inverted(x, 6, 36, 8, 3, 2, "Silu", "Sigmoid")
	x = n.inverted(x, 8, 48, 8, 5, 1, "Silu", "Sigmoid")
	x = n.activation("Silu", n.norm(n.conv(x, 32, 8, 1, nil), 32))
	return n.end(n.op("GlobalAveragePool", nil, x), 32)
}

// denseNet reads in each layer what all layers of the block before it made.
func denseNet(growth int) *network {
	n := newNetwork(3, 32, 32)
	in := 2 * growth
	x := n.op("Relu", nil, n.norm(n.strided("x", in, 3, 7, 2), in))
	x = n.op("MaxPool", graph.Attrs{"kernel_shape": graph.Ints(3, 3), "strides": graph.Ints(2, 2), "pads": graph.Ints(1, 1, 1, 1)}, x)
	for block := range 2 {
		for range 3 {
			y := n.conv(n.op("Relu", nil, n.norm(x, in)), 4*growth, in, 1, nil)
			y = n.conv(n.op("Relu", nil, n.norm(y, 4*growth)), growth, 4*growth, 3, same(3))
			x, in = n.op("Concat", graph.Attrs{"axis": graph.Int(1)}, x, y), in+growth
		}
		x = n.op("Relu", nil, n.norm(x, in))
		if block == 0 {
			x = n.op("AveragePool", graph.Attrs{"kernel_shape": graph.Ints(2, 2), "strides": graph.Ints(2, 2)}, n.conv(x, in/2, in, 1, nil))
			in /= 2
		}
	}
	return n.end(n.op("GlobalAveragePool", nil, x), in)
}

// shuffleNet mixes the channels of two branches.
func shuffleNet() *network {
	n := newNetwork(3, 32, 32)
	x := n.op("Relu", nil, n.norm(n.strided("x", 8, 3, 3, 2), 8))
	shuffle := func(x string, c, side int) string {
		x = n.op("Reshape", nil, x, n.ints(-1, 2, int64(c/2), int64(side), int64(side)))
		return n.op("Reshape", nil, n.op("Transpose", graph.Attrs{"perm": graph.Ints(0, 2, 1, 3, 4)}, x), n.ints(-1, int64(c), int64(side), int64(side)))
	}
	branch := func(x string, in, out, stride int) string {
		x = n.op("Relu", nil, n.norm(n.conv(x, out, in, 1, nil), out))
		x = n.norm(n.depthwise(x, out, 3, stride), out)
		return n.op("Relu", nil, n.norm(n.conv(x, out, out, 1, nil), out))
	}
	left := n.norm(n.depthwise(x, 8, 3, 2), 8)
	left = n.op("Relu", nil, n.norm(n.conv(left, 8, 8, 1, nil), 8))
	x = shuffle(n.op("Concat", graph.Attrs{"axis": graph.Int(1)}, left, branch(x, 8, 8, 2)), 16, 8)
	parts := n.ops("Split", graph.Attrs{"axis": graph.Int(1)}, 2, x, n.ints(8, 8))
	x = shuffle(n.op("Concat", graph.Attrs{"axis": graph.Int(1)}, parts[0], branch(parts[1], 8, 8, 1)), 16, 8)
	return n.end(n.op("ReduceMean", graph.Attrs{"keepdims": graph.Int(0)}, x, n.ints(2, 3)), 16)
}

// convNeXt normalizes over channels, which it puts last for that.
func convNeXt(width int) *network {
	n := newNetwork(3, 32, 32)
	last := func(x string) string { return n.op("Transpose", graph.Attrs{"perm": graph.Ints(0, 2, 3, 1)}, x) }
	first := func(x string) string { return n.op("Transpose", graph.Attrs{"perm": graph.Ints(0, 3, 1, 2)}, x) }
	patch := func(x string, m, c int, k int64) string {
		return n.op("Conv", graph.Attrs{"strides": graph.Ints(k, k)}, x, n.weight(m, c, int(k), int(k)), n.weight(m))
	}
	x := first(n.layerNorm(last(patch("x", width, 3, 4)), width))
	for stage := range 2 {
		c := width << stage
		if stage > 0 {
			x = patch(first(n.layerNorm(last(x), c/2)), c, c/2, 2)
		}
		y := n.layerNorm(last(n.depthwise(x, c, 7, 1)), c)
		y = n.linear(n.op("Gelu", nil, n.linear(y, c, 4*c)), 4*c, c)
		x = n.op("Add", nil, x, n.op("Mul", nil, first(y), n.positive(c, 1, 1)))
	}
	return n.end(n.layerNorm(n.op("Flatten", nil, n.op("GlobalAveragePool", nil, x)), 2*width), 2*width)
}

// attention of heads over tokens; windows that belong together are further axes
// of the batch. bias is added to the scores, "" for none.
func (n *network) attention(x string, lead []int64, tokens, width, heads int, bias ...string) string {
	head := int64(width / heads)
	parts := func(x string, perm ...int64) string {
		x = n.op("Reshape", nil, n.linear(x, width, width), n.ints(append(slices.Clone(lead), int64(tokens), int64(heads), head)...))
		return n.op("Transpose", graph.Attrs{"perm": graph.Ints(perm...)}, x)
	}
	q, k, v := parts(x, 0, 2, 1, 3), parts(x, 0, 2, 3, 1), parts(x, 0, 2, 1, 3)
	a := n.op("MatMul", nil, n.op("Mul", nil, q, n.number(0.5)), k)
	for _, b := range bias {
		a = n.op("Add", nil, a, b)
	}
	y := n.op("Transpose", graph.Attrs{"perm": graph.Ints(0, 2, 1, 3)}, n.op("MatMul", nil, n.op("Softmax", nil, a), v))
	return n.linear(n.op("Reshape", nil, y, n.ints(append(slices.Clone(lead), int64(tokens), int64(width))...)), width, width)
}

// swin attends within windows of 4x4 tokens, the second time of shifted ones, with
// a bias by the distance of tokens from a table.
func swin(width int) *network {
	n := newNetwork(3, 32, 32)
	const side, window, heads = 8, 4, 2
	w := int64(width)
	x := n.op("Conv", graph.Attrs{"strides": graph.Ints(4, 4)}, "x", n.weight(width, 3, 4, 4), n.weight(width))
	x = n.op("Transpose", graph.Attrs{"perm": graph.Ints(0, 2, 3, 1)}, x)
	var distance []int64
	for a := range window * window {
		for b := range window * window {
			distance = append(distance, int64((a/window-b/window+window-1)*(2*window-1)+a%window-b%window+window-1))
		}
	}
	shifted := func(x string, by int64) string {
		for _, axis := range []int64{1, 2} {
			a, b := n.op("Slice", nil, x, n.ints(by), n.ints(99), n.ints(axis)), n.op("Slice", nil, x, n.ints(0), n.ints(by), n.ints(axis))
			x = n.op("Concat", graph.Attrs{"axis": graph.Int(axis)}, a, b)
		}
		return x
	}
	for block := range 2 {
		table := n.op("Gather", nil, n.weight((2*window-1)*(2*window-1), heads), n.ints(distance...))
		bias := n.op("Transpose", graph.Attrs{"perm": graph.Ints(2, 0, 1)}, n.op("Reshape", nil, table, n.ints(window*window, window*window, heads)))
		bias = n.op("Unsqueeze", nil, bias, n.ints(0))
		y := n.layerNorm(x, width)
		if block > 0 {
			y = shifted(y, 2)
		}
		y = n.op("Reshape", nil, y, n.ints(-1, side/window, window, side/window, window, w))
		y = n.op("Reshape", nil, n.op("Transpose", graph.Attrs{"perm": graph.Ints(0, 1, 3, 2, 4, 5)}, y), n.ints(-1, window*window, w))
		y = n.attention(y, []int64{-1}, window*window, width, heads, bias)
		y = n.op("Reshape", nil, y, n.ints(-1, side/window, side/window, window, window, w))
		y = n.op("Reshape", nil, n.op("Transpose", graph.Attrs{"perm": graph.Ints(0, 1, 3, 2, 4, 5)}, y), n.ints(-1, side, side, w))
		if block > 0 {
			y = shifted(y, side-2)
		}
		x = n.op("Add", nil, x, y)
		y = n.linear(n.op("Gelu", nil, n.linear(n.layerNorm(x, width), width, 2*width)), 2*width, width)
		x = n.op("Add", nil, x, y)
	}
	return n.end(n.op("ReduceMean", graph.Attrs{"keepdims": graph.Int(0)}, n.layerNorm(x, width), n.ints(1, 2)), width)
}

// encoder classifies tokens, of which those of number 0 are padding that nobody
// attends to.
func encoder() *network {
	const tokens, words, width = 9, 13, 12
	n := newNetwork(tokens)
	n.graph.Inputs[0].DType = model.Int64
	n.samples = func(i int) float32 { return float32(i * 7 % words) }
	x := n.op("Add", nil, n.op("Gather", nil, n.weight(words, width), "x"), n.weight(1, tokens, width))
	padding := n.op("Equal", nil, "x", n.int(0))
	mask := n.op("Where", nil, n.op("Unsqueeze", nil, padding, n.ints(1, 2)), n.number(-1e9), n.number(0))
	for range 2 {
		x = n.layerNorm(n.op("Add", nil, x, n.attention(x, []int64{0}, tokens, width, 3, mask)), width)
		y := n.linear(n.op("Relu", nil, n.linear(x, width, 2*width)), 2*width, width)
		x = n.layerNorm(n.op("Add", nil, x, y), width)
	}
	weights := n.op("Cast", graph.Attrs{"to": graph.Int(1)}, n.op("Unsqueeze", nil, n.op("Not", nil, padding), n.ints(2)))
	sum := n.op("ReduceSum", graph.Attrs{"keepdims": graph.Int(0)}, n.op("Mul", nil, x, weights), n.ints(1))
	return n.end(n.op("Div", nil, sum, n.op("ReduceSum", graph.Attrs{"keepdims": graph.Int(0)}, weights, n.ints(1))), width)
}

// sequence is a recurrent layer of both directions over tokens, with the gates of
// PyTorch put into ONNX's order.
func sequence(op string, gates int) *network {
	const tokens, words, width, hidden = 7, 11, 6, 8
	n := newNetwork(tokens)
	n.graph.Inputs[0].DType = model.Int64
	n.samples = func(i int) float32 { return float32(i * 5 % words) }
	x := n.op("Transpose", graph.Attrs{"perm": graph.Ints(1, 0, 2)}, n.op("Gather", nil, n.weight(words, width), "x"))
	ordered := func(w string) string {
		var parts, sizes []int64
		for g := range gates {
			parts, sizes = append(parts, int64(gates-1-g)), append(sizes, hidden)
		}
		split := n.ops("Split", graph.Attrs{"axis": graph.Int(0)}, gates, w, n.ints(sizes...))
		var order []string
		for _, p := range parts {
			order = append(order, split[p])
		}
		return n.op("Unsqueeze", nil, n.op("Concat", graph.Attrs{"axis": graph.Int(0)}, order...), n.ints(0))
	}
	both := func(dims ...int) string {
		return n.op("Concat", graph.Attrs{"axis": graph.Int(0)}, ordered(n.weight(dims...)), ordered(n.weight(dims...)))
	}
	w, r := both(gates*hidden, width), both(gates*hidden, hidden)
	bias := n.op("Concat", graph.Attrs{"axis": graph.Int(1)}, both(gates*hidden), both(gates*hidden))
	y := n.ops(op, graph.Attrs{"hidden_size": graph.Int(hidden), "direction": graph.String("bidirectional")}, 2, x, w, r, bias)[0]
	y = n.op("Reshape", nil, n.op("Transpose", graph.Attrs{"perm": graph.Ints(2, 0, 1, 3)}, y), n.ints(-1, tokens, 2*hidden))
	return n.end(n.op("ReduceMax", graph.Attrs{"keepdims": graph.Int(0)}, y, n.ints(1)), 2*hidden)
}

// squeezeNet ends in a convolution of 1x1 to the classes.
func squeezeNet() *network {
	n := newNetwork(3, 32, 32)
	relu := func(x string, m, c, k int, a graph.Attrs) string {
		return n.op("Relu", nil, n.op("Conv", a, x, n.weight(m, c, k, k), n.weight(m)))
	}
	pool := func(x string) string {
		return n.op("MaxPool", graph.Attrs{"kernel_shape": graph.Ints(3, 3), "strides": graph.Ints(2, 2), "ceil_mode": graph.Int(1)}, x)
	}
	x, in := pool(relu("x", 8, 3, 3, graph.Attrs{"strides": graph.Ints(2, 2)})), 8
	for _, out := range []int{8, 12} {
		x = relu(x, 4, in, 1, nil)
		x = n.op("Concat", graph.Attrs{"axis": graph.Int(1)}, relu(x, out, 4, 1, nil), relu(x, out, 4, 3, same(3)))
		in = 2 * out
	}
	x = n.op("GlobalAveragePool", nil, relu(x, 3, in, 1, nil))
	n.graph.Outputs = []graph.Value{{Name: n.op("Flatten", nil, x)}}
	return n
}
