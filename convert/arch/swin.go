package arch

import (
	"math"
	"slices"
	"strconv"

	"lethe/convert/aten"
	"lethe/graph"
	"lethe/model"
)

// swin is torchvision's Swin transformer, versions 1 and 2. Heads and windows
// are read from the tables of relative positions.
var swin = family{
	name:  "Swin",
	marks: []string{"features.0.0.weight", "features.0.2.weight", "features.1.0.attn.qkv.weight", "norm.weight", "head.weight"},
	build: func(b *builder) value {
		size := 224
		if b.swinV2() {
			b.name, size = "Swin v2", 256
		}
		x := b.image(3, size, size)
		x = b.permute(b.convPad(x, "features.0.0", b.shape("features.0.0.weight")[2], 0, 0), 0, 2, 3, 1)
		x = b.layerNorm(x, "features.0.2", swinEpsilon)
		for stage := 1; b.under("features." + strconv.Itoa(stage)); stage += 2 {
			if stage > 1 {
				x = b.mergePatches(x, "features."+strconv.Itoa(stage-1))
			}
			b.each("features."+strconv.Itoa(stage)+".", 0, func(i int, name string) {
				x = b.swinBlock(x, name, i%2 == 1)
			})
		}
		x = b.permute(b.layerNorm(x, "norm", swinEpsilon), 0, 3, 1, 2)
		return b.head(b.globalAvg(x), "head", "")
	},
	notes: []string{"GELU and the order of layers are those of the published network", "every second block shifts its windows by half of their size, as in the published network", "the epsilon of layer normalization is taken to be 1e-5"},
}

const swinEpsilon = 1e-5

func (b *builder) swinV2() bool {
	return b.has("features.1.0.attn.logit_scale") || b.has("swinv2.embeddings.norm.weight")
}

// mergePatches joins four neighbours and halves the number of their features.
func (b *builder) mergePatches(x value, name string) value {
	d := dims(x)
	if d[0]%2 != 0 || d[1]%2 != 0 {
		b.fail("samples of %v lead to an odd number of patches, %dx%d; sizes must be multiples", b.input, d[0], d[1])
	}
	part := func(row, column int) value {
		return b.slice(b.slice(x, 1, row, d[0], 2), 2, column, d[1], 2)
	}
	x = b.cat(3, part(0, 0), part(1, 0), part(0, 1), part(1, 1))
	if b.swinV2() {
		return b.layerNorm(b.linear(x, name+".reduction"), name+".norm", swinEpsilon)
	}
	return b.linear(b.layerNorm(x, name+".norm", swinEpsilon), name+".reduction")
}

// swinBlock is attention inside windows and a perceptron, each with a shortcut.
func (b *builder) swinBlock(x value, name string, shifted bool) value {
	attention := func(x value) value { return b.swinAttention(x, name+".attn", shifted) }
	perceptron := func(x value) value {
		return b.linear(b.unary(b.linear(x, name+".mlp.0"), "gelu"), name+".mlp.3")
	}
	if b.swinV2() {
		x = b.add(x, b.layerNorm(attention(x), name+".norm1", swinEpsilon))
		return b.add(x, b.layerNorm(perceptron(x), name+".norm2", swinEpsilon))
	}
	x = b.add(x, attention(b.layerNorm(x, name+".norm1", swinEpsilon)))
	return b.add(x, perceptron(b.layerNorm(x, name+".norm2", swinEpsilon)))
}

// windowAttention is self-attention among the patches of each window, which
// attend computes: it gets the axes batch, window, patch, feature, and what to
// add to scores, or nil. x has the axes batch, row, column, feature.
func (b *builder) windowAttention(x value, side int, shifted bool, attend func(x, mask value) value) value {
	d := dims(x)
	h, w, c := d[0], d[1], d[2]
	if side < 1 || side > widest || h%side != 0 || w%side != 0 {
		b.fail("samples of %v lead to %dx%d patches, which are not whole windows of %dx%d", b.input, h, w, side, side)
	}
	shift := func(size int) int { // a window as large as the image has nowhere to go
		if shifted && size > side {
			return side / 2
		}
		return 0
	}
	down, right := shift(h), shift(w)
	var mask value
	if down > 0 || right > 0 {
		mask = b.windowMask(down, right, h, w, side)
	}
	x = b.roll(x, -down, -right)
	x = b.permute(b.reshape(x, h/side, side, w/side, side, c), 0, 1, 3, 2, 4, 5)
	x = attend(b.reshape(x, h/side*(w/side), side*side, c), mask)
	x = b.permute(b.reshape(x, h/side, w/side, side, side, c), 0, 1, 3, 2, 4, 5)
	return b.roll(b.reshape(x, h, w, c), down, right)
}

// widest is more than the windows of any known network: the tables of a window
// have an entry for each pair of its patches.
const widest = 32

// swinAttention is the attention of a block of torchvision's Swin.
func (b *builder) swinAttention(x value, name string, shifted bool) value {
	n := 1 // patches of a window, squared
	for _, size := range b.shape(name + ".relative_position_index") {
		n *= size
	}
	n = int(math.Round(math.Sqrt(float64(n))))
	side := int(math.Round(math.Sqrt(float64(n))))
	if side*side != n || side > widest {
		b.fail("%q is not a table of square windows", b.prefix+name+".relative_position_index")
	}
	return b.windowAttention(x, side, shifted, func(x, mask value) value {
		d := dims(x)
		windows, c := d[0], d[2]
		bias, heads := b.relativeBias(name, n)
		if heads < 1 || c%heads != 0 {
			b.fail("%d features are none of %d heads", c, heads)
		}
		qkv := b.permute(b.reshape(b.qkv(x, name), windows, n, 3, heads, c/heads), 3, 0, 1, 4, 2, 5)
		part := func(i int) value {
			return b.shaped(name, "select", graph.Batch(windows, heads, n, c/heads), qkv, 0, i)
		}
		q, k := part(0), part(1)
		var scale any = 1 / math.Sqrt(float64(c/heads))
		if b.swinV2() {
			q, k = b.normalize(q), b.normalize(k)
			s := b.weight(name+".logit_scale", heads, 1, 1)
			scale = b.shaped(name, "exp", s.Shape, b.shaped(name, "clamp", s.Shape, s, nil, math.Log(100)))
		}
		return b.linear(b.attendWindows(q, k, part(2), scale, bias, mask), name+".proj")
	})
}

// attendWindows computes attention from queries, keys and values with the axes
// batch, window, head, patch, feature.
func (b *builder) attendWindows(q, k, v value, scale any, bias, mask value) value {
	d := dims(q)
	windows, heads, n, size := d[0], d[1], d[2], d[3]
	scores := graph.Batch(windows, heads, n, n)
	a := b.shaped("", "matmul", scores, q, b.permute(k, 0, 1, 2, 4, 3))
	a = b.shaped("", "add", scores, b.shaped("", "mul", scores, a, scale), bias)
	if mask != nil {
		a = b.shaped("", "add", scores, a, mask)
	}
	y := b.shaped("", "matmul", q.Shape, b.shaped("", "softmax", scores, a, -1), v)
	return b.reshape(b.permute(y, 0, 1, 3, 2, 4), windows, n, heads*size)
}

// qkv is the joined product for queries, keys and values. In version 2 the keys
// have no bias, whatever the file says.
func (b *builder) qkv(x value, name string) value {
	if !b.swinV2() {
		return b.linear(x, name+".qkv")
	}
	bias := b.weight(name + ".qkv.bias")
	size, _ := bias.Shape[0].Int()
	third := size / 3
	zero := b.constant(name+".zero", []int{third}, make([]float32, third))
	bias = b.cat(0, b.slice(bias, 0, 0, third, 1), zero, b.slice(bias, 0, 2*third, size, 1))
	shape := slices.Clone(x.Shape)
	w := b.weight(name+".qkv.weight", size, dims(x)[2])
	shape[3] = graph.Size(size)
	return b.shaped(name+".qkv", "linear", shape, x, w, bias)
}

// relativeBias returns what the distance of two patches adds to their score, of
// shape heads x n x n, and the number of heads.
func (b *builder) relativeBias(name string, n int) (bias value, heads int) {
	index := b.weight(name + ".relative_position_index")
	if index.DType != model.Int64 {
		b.fail("%q is %v", b.prefix+name+".relative_position_index", index.DType)
	}
	flat := graph.Sizes(n * n)
	index = b.shapedAs(name, "reshape", model.Int64, flat, index, flat)
	var table value
	if b.swinV2() {
		coords := b.weight(name + ".relative_coords_table")
		if len(coords.Shape) != 4 {
			b.fail("%q has shape %v", b.prefix+name+".relative_coords_table", coords.Shape)
		}
		heads = b.shape(name + ".cpb_mlp.2.weight")[0]
		hidden := slices.Clone(coords.Shape)
		hidden[3] = graph.Size(b.shape(name + ".cpb_mlp.0.weight")[0])
		t := b.shaped(name, "linear", hidden, coords, b.weight(name+".cpb_mlp.0.weight"), b.weight(name+".cpb_mlp.0.bias"))
		t = b.relu(t)
		out := slices.Clone(hidden)
		out[3] = graph.Size(heads)
		t = b.shaped(name, "linear", out, t, b.weight(name+".cpb_mlp.2.weight"))
		rows := out[1].Mul(out[2])
		table = b.shaped(name, "reshape", graph.Shape{rows, graph.Size(heads)}, t, graph.Shape{rows, graph.Size(heads)})
	} else {
		table = b.weight(name + ".relative_position_bias_table")
		if len(table.Shape) != 2 {
			b.fail("%q has shape %v", b.prefix+name+".relative_position_bias_table", table.Shape)
		}
		heads, _ = table.Shape[1].Int()
	}
	bias = b.biasOf(name, table, index, n, heads)
	if b.swinV2() {
		bias = b.shaped(name, "mul", bias.Shape, b.unary(bias, "sigmoid"), 16.0)
	}
	return bias, heads
}

// biasOf looks the bias of each pair of patches up in a table.
func (b *builder) biasOf(name string, table, index value, n, heads int) value {
	bias := b.shaped(name, "index_select", graph.Sizes(n*n, heads), table, 0, index)
	square := graph.Sizes(n, n, heads)
	return b.permute(b.shaped(name, "reshape", square, bias, square), 2, 0, 1)
}

// normalize scales vectors to length 1.
func (b *builder) normalize(x value) value {
	shape := slices.Clone(x.Shape)
	last := len(shape) - 1
	shape[last] = graph.Size(1)
	length := b.shaped("", "linalg_vector_norm", shape, x, 2.0, []int{last}, true)
	length = b.shaped("", "clamp", shape, length, 1e-12)
	return b.shaped("", "div", x.Shape, x, length)
}

// roll moves rows and columns, those that leave coming in on the other side.
func (b *builder) roll(x value, down, right int) value {
	if down == 0 && right == 0 {
		return x
	}
	return b.shaped("", "roll", x.Shape, x, []int{down, right}, []int{1, 2})
}

// windowMask keeps patches of shifted windows apart that were not neighbours
// before: -100 for each such pair, of shape windows x 1 x n x n.
func (b *builder) windowMask(down, right, h, w, side int) value {
	region := func(i, size, shift int) int { // which part of the image a row was shifted from
		switch {
		case shift == 0 || i < size-side:
			return 0
		case i < size-shift:
			return 1
		}
		return 2
	}
	n := side * side
	windows := h / side * (w / side)
	mask := make([]float32, windows*n*n)
	at := 0
	for window := range windows {
		top, left := window/(w/side)*side, window%(w/side)*side
		part := func(p int) [2]int {
			return [2]int{region(top+p/side, h, down), region(left+p%side, w, right)}
		}
		for p := range n {
			for q := range n {
				if part(p) != part(q) {
					mask[at] = -100
				}
				at++
			}
		}
	}
	key := "mask_" + strconv.Itoa(h) + "x" + strconv.Itoa(w)
	return b.constant(key, []int{windows, 1, n, n}, mask)
}

// constant returns a tensor that belongs to the program, not to the state dict.
func (b *builder) constant(name string, shape []int, elements []float32) value {
	return b.constantTensor(name, model.Float32Tensor(shape, elements))
}

func (b *builder) constantTensor(name string, t *model.Tensor) value {
	key := "\x00" + name
	if v, ok := b.weights[key]; ok {
		return v
	}
	v := &aten.Value{Name: name, DType: t.DType(), Shape: graph.Sizes(t.Shape()...)}
	b.weights[key] = v
	b.program.Weights = append(b.program.Weights, aten.Weight{Value: v, Name: name, Tensor: t, Constant: true})
	return v
}
