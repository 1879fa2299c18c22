package nn

import (
	"maps"

	"lethe/graph"
)

// architectures are whole networks, as thin as keeps their structure.
func architectures() map[string]*network {
	all := map[string]*network{
		"ResNet-20":   resNet20(16),
		"ResNet-18":   resNet18(8),
		"VGG-11-BN":   vgg11(8),
		"MobileNetV2": mobileNetV2(),
		"ViT":         viT(8, 2, 24, 3),
		"MLP":         mlp(),
	}
	maps.Copy(all, modern())
	return all
}

func same(k int64) graph.Attrs {
	return graph.Attrs{"pads": graph.Ints(k/2, k/2, k/2, k/2)}
}

// resNet20 is that of CIFAR-10 with shortcuts without weights: every second row
// and column, and zeros for the channels that are new.
func resNet20(width int) *network { return resNet(width, 3, 32) }

// resNet is that of so many blocks in each of three stages, for images of side by side.
func resNet(width, blocks, side int) *network {
	n := newNetwork(3, side, side)
	x := n.op("Relu", nil, n.norm(n.conv("x", width, 3, 3, same(3)), width))
	in := width
	for stage := range 3 {
		out := width << stage
		for block := range blocks {
			a := same(3)
			if block == 0 && stage > 0 {
				a["strides"] = graph.Ints(2, 2)
			}
			y := n.op("Relu", nil, n.norm(n.conv(x, out, in, 3, a), out))
			y = n.norm(n.conv(y, out, out, 3, same(3)), out)
			if out != in {
				x = n.op("Slice", nil, x, n.ints(0, 0), n.ints(1<<40, 1<<40), n.ints(2, 3), n.ints(2, 2))
				extra := int64(out-in) / 2
				x = n.op("Pad", nil, x, n.ints(0, extra, 0, 0, 0, extra, 0, 0))
			}
			x, in = n.op("Relu", nil, n.op("Add", nil, y, x)), out
		}
	}
	return n.end(n.op("GlobalAveragePool", nil, x), in)
}

func resNet18(width int) *network {
	n := newNetwork(3, 32, 32)
	x := n.op("Relu", nil, n.norm(n.conv("x", width, 3, 3, same(3)), width))
	in := width
	for stage := range 4 {
		out := width << stage
		for block := range 2 {
			a, down := same(3), graph.Attrs{}
			if block == 0 && stage > 0 {
				a["strides"], down["strides"] = graph.Ints(2, 2), graph.Ints(2, 2)
			}
			y := n.op("Relu", nil, n.norm(n.conv(x, out, in, 3, a), out))
			y = n.norm(n.conv(y, out, out, 3, same(3)), out)
			if out != in {
				x = n.norm(n.conv(x, out, in, 1, down), out)
			}
			x, in = n.op("Relu", nil, n.op("Add", nil, y, x)), out
		}
	}
	return n.end(n.op("GlobalAveragePool", nil, x), in)
}

func vgg11(width int) *network {
	n := newNetwork(3, 32, 32)
	x, in := "x", 3
	for _, out := range []int{1, 0, 2, 0, 4, 4, 0, 8, 8, 0, 8, 8, 0} {
		if out == 0 {
			x = n.op("MaxPool", graph.Attrs{"kernel_shape": graph.Ints(2, 2), "strides": graph.Ints(2, 2)}, x)
			continue
		}
		out *= width
		c := n.op("Conv", same(3), x, n.weight(out, in, 3, 3), n.weight(out))
		x, in = n.op("Relu", nil, n.norm(c, out)), out
	}
	x = n.op("Flatten", nil, x)
	for range 2 {
		x = n.op("Relu", nil, n.op("Gemm", graph.Attrs{"transB": graph.Int(1)}, x, n.weight(32, in), n.weight(32)))
		in = 32
	}
	return n.end(x, in)
}

func mobileNetV2() *network {
	return mobileNet(8, [][4]int{{1, 8, 1, 1}, {6, 12, 2, 2}, {6, 16, 2, 2}, {6, 24, 2, 2}}, 40)
}

// mobileNet is MobileNetV2 of blocks that each say by what they widen, to how
// many channels, how often, and with which stride at first.
func mobileNet(first int, blocks [][4]int, last int) *network {
	n := newNetwork(3, 32, 32)
	relu6 := func(x string) string { return n.op("Clip", nil, x, n.number(0), n.number(6)) }
	x, in := relu6(n.norm(n.conv("x", first, 3, 3, same(3)), first)), first
	for _, b := range blocks {
		for i := range b[2] {
			stride := int64(1)
			if i == 0 {
				stride = int64(b[3])
			}
			y, wide := x, in*b[0]
			if b[0] > 1 {
				y = relu6(n.norm(n.conv(y, wide, in, 1, nil), wide))
			}
			a := same(3)
			a["group"], a["strides"] = graph.Int(int64(wide)), graph.Ints(stride, stride)
			y = relu6(n.norm(n.op("Conv", a, y, n.weight(wide, 1, 3, 3)), wide))
			y = n.norm(n.conv(y, b[1], wide, 1, nil), b[1])
			if stride == 1 && in == b[1] {
				y = n.op("Add", nil, x, y)
			}
			x, in = y, b[1]
		}
	}
	x = relu6(n.norm(n.conv(x, last, in, 1, nil), last))
	return n.end(n.op("ReduceMean", graph.Attrs{"keepdims": graph.Int(0)}, x, n.ints(2, 3)), last)
}

// viT splits images of 32x32 into patches of a size and has a class token.
func viT(patch, depth, width, heads int) *network { return viTOf(32, patch, depth, width, heads) }

// viTOf is viT for images of size x size.
func viTOf(size, patch, depth, width, heads int) *network {
	n := newNetwork(3, size, size)
	side := size / patch
	count, p := side*side, int64(patch)
	x := n.op("Conv", graph.Attrs{"strides": graph.Ints(p, p)}, "x", n.weight(width, 3, patch, patch), n.weight(width))
	x = n.op("Transpose", graph.Attrs{"perm": graph.Ints(0, 2, 1)}, n.op("Reshape", nil, x, n.ints(0, int64(width), -1)))
	// As exporters write it: the number of samples is asked for when it runs.
	samples := n.op("Gather", nil, n.op("Shape", nil, x), n.ints(0))
	token := n.op("Expand", nil, n.weight(1, 1, width), n.op("Concat", graph.Attrs{"axis": graph.Int(0)}, samples, n.ints(1), n.ints(int64(width))))
	x = n.op("Concat", graph.Attrs{"axis": graph.Int(1)}, token, x)
	tokens := count + 1
	x = n.op("Add", nil, x, n.weight(1, tokens, width))
	head := width / heads
	for range depth {
		y := n.linear(n.layerNorm(x, width), width, 3*width)
		y = n.op("Transpose", graph.Attrs{"perm": graph.Ints(2, 0, 3, 1, 4)}, n.op("Reshape", nil, y, n.ints(0, int64(tokens), 3, int64(heads), int64(head))))
		parts := n.ops("Split", graph.Attrs{"axis": graph.Int(0)}, 3, y, n.ints(1, 1, 1))
		var qkv [3]string
		for i, v := range parts {
			qkv[i] = n.op("Squeeze", nil, v, n.ints(0))
		}
		k := n.op("Transpose", graph.Attrs{"perm": graph.Ints(0, 1, 3, 2)}, qkv[1])
		a := n.op("Softmax", nil, n.op("MatMul", nil, n.op("Mul", nil, qkv[0], n.number(0.35)), k))
		y = n.op("Transpose", graph.Attrs{"perm": graph.Ints(0, 2, 1, 3)}, n.op("MatMul", nil, a, qkv[2]))
		x = n.op("Add", nil, x, n.linear(n.op("Reshape", nil, y, n.ints(0, int64(tokens), int64(width))), width, width))
		y = n.op("Gelu", nil, n.linear(n.layerNorm(x, width), width, 4*width))
		x = n.op("Add", nil, x, n.linear(y, 4*width, width))
	}
	first := n.op("Slice", nil, n.layerNorm(x, width), n.ints(0), n.ints(1), n.ints(1))
	return n.end(first, width)
}

func mlp() *network {
	n := newNetwork(30)
	x := "x"
	in := 30
	for _, out := range []int{50, 40, 20} {
		x = n.op("Gemm", graph.Attrs{"transB": graph.Int(1)}, x, n.weight(out, in), n.weight(out))
		x, in = n.op("Dropout", nil, n.op("Relu", nil, x)), out
	}
	return n.end(x, in)
}
