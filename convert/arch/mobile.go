package arch

import "strconv"

// residual adds the input of a block where shapes allow it, as the networks of
// the MobileNet line do.
func (b *builder) residual(x, y value, stride int) value {
	if stride == 1 && x.Shape.Equal(y.Shape) {
		return b.add(y, x)
	}
	return y
}

// mobileNetV2 is torchvision's MobileNetV2 of any width.
var mobileNetV2 = family{
	name:  "MobileNetV2",
	marks: []string{"features.0.0.weight", "features.1.conv.0.0.weight", "features.18.0.weight", "classifier.1.weight"},
	build: func(b *builder) value {
		x := b.image(3, 224, 224)
		relu6 := func(x value) value { return b.unary(x, "relu6") }
		x = relu6(b.convBN(x, "features.0.0", "features.0.1", 2, 1e-5))
		numbers := []int{1, 2, 3, 4, 3, 3, 1} // blocks of each stage
		strides := []int{1, 2, 2, 2, 1, 2, 1}
		n := 1
		for stage, blocks := range numbers {
			for i := range blocks {
				stride := 1
				if i == 0 {
					stride = strides[stage]
				}
				name := "features." + strconv.Itoa(n) + ".conv."
				y, last := x, 1
				if b.has(name + "3.weight") { // with an expansion
					y = relu6(b.convBN(y, name+"0.0", name+"0.1", 1, 1e-5))
					y = relu6(b.convBN(y, name+"1.0", name+"1.1", stride, 1e-5))
					last = 2
				} else {
					y = relu6(b.convBN(y, name+"0.0", name+"0.1", stride, 1e-5))
				}
				y = b.convBN(y, name+strconv.Itoa(last), name+strconv.Itoa(last+1), 1, 1e-5)
				x = b.residual(x, y, stride)
				n++
			}
		}
		x = relu6(b.convBN(x, "features.18.0", "features.18.1", 1, 1e-5))
		return b.linear(b.globalAvg(x), "classifier.1")
	},
	notes: []string{"strides and activations are torchvision's", "the epsilon of batch normalization is taken to be 1e-5"},
}

// mobileNetV3 is torchvision's MobileNetV3, large and small, of any width.
var mobileNetV3 = family{
	name:  "MobileNetV3",
	marks: []string{"features.0.0.weight", "features.1.block.0.0.weight", "classifier.0.weight", "classifier.3.weight"},
	build: func(b *builder) value {
		x := b.image(3, 224, 224)
		// Strides of the blocks, and the first block with hard swish.
		strides, swish, last := []int{1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1}, 7, "features.16"
		b.name = "MobileNetV3 large"
		if !b.under("features.13") {
			strides, swish, last = []int{2, 2, 1, 2, 1, 1, 1, 1, 2, 1, 1}, 4, "features.12"
			b.name = "MobileNetV3 small"
		}
		const epsilon = 1e-3
		x = b.unary(b.convBN(x, "features.0.0", "features.0.1", 2, epsilon), "hardswish")
		for i, stride := range strides {
			activation := "relu"
			if i+1 >= swish {
				activation = "hardswish"
			}
			name := "features." + strconv.Itoa(i+1) + ".block."
			y := x
			n := 0
			step := func(stride int) {
				k := name + strconv.Itoa(n)
				y = b.convBN(y, k+".0", k+".1", stride, epsilon)
				n++
			}
			depthwise := func() bool {
				k := b.shape(name + strconv.Itoa(n) + ".0.weight")
				return len(k) == 4 && k[1] == 1 && k[2] > 1
			}
			if !depthwise() {
				step(1)
				y = b.unary(y, activation)
			}
			step(stride)
			y = b.unary(y, activation)
			if se := name + strconv.Itoa(n); b.has(se + ".fc1.weight") {
				y = b.squeezeExcite(y, se+".fc1", se+".fc2", "relu", "hardsigmoid")
				n++
			}
			step(1)
			x = b.residual(x, y, stride)
		}
		x = b.unary(b.convBN(x, last+".0", last+".1", 1, epsilon), "hardswish")
		x = b.unary(b.linear(b.globalAvg(x), "classifier.0"), "hardswish")
		return b.linear(x, "classifier.3")
	},
	notes: []string{"strides and activations are torchvision's", "the epsilon of batch normalization is taken to be 1e-3"},
}

// mnasnet is torchvision's MNASNet of any depth multiplier.
var mnasnet = family{
	name:  "MNASNet",
	marks: []string{"layers.0.weight", "layers.3.weight", "layers.8.0.layers.0.weight", "layers.14.weight", "classifier.1.weight"},
	build: func(b *builder) value {
		x := b.image(3, 224, 224)
		x = b.relu(b.convBN(x, "layers.0", "layers.1", 2, 1e-5))
		x = b.relu(b.convBN(x, "layers.3", "layers.4", 1, 1e-5))
		x = b.convBN(x, "layers.6", "layers.7", 1, 1e-5)
		for stage, stride := range []int{2, 2, 2, 1, 2, 1} {
			b.each("layers."+strconv.Itoa(8+stage)+".", 0, func(i int, name string) {
				s := 1
				if i == 0 {
					s = stride
				}
				y := b.relu(b.convBN(x, name+".layers.0", name+".layers.1", 1, 1e-5))
				y = b.relu(b.convBN(y, name+".layers.3", name+".layers.4", s, 1e-5))
				y = b.convBN(y, name+".layers.6", name+".layers.7", 1, 1e-5)
				if i > 0 { // the first block of a stage has no shortcut
					y = b.add(y, x)
				}
				x = y
			})
		}
		x = b.relu(b.convBN(x, "layers.14", "layers.15", 1, 1e-5))
		return b.linear(b.globalAvg(x), "classifier.1")
	},
	notes: []string{"strides and activations are torchvision's", "the epsilon of batch normalization is taken to be 1e-5"},
}

// shuffleNet is torchvision's ShuffleNet v2 of any width.
var shuffleNet = family{
	name:  "ShuffleNet v2",
	marks: []string{"conv1.0.weight", "stage2.0.branch1.0.weight", "stage4.0.branch2.0.weight", "conv5.0.weight", "fc.weight"},
	build: func(b *builder) value {
		x := b.image(3, 224, 224)
		x = b.relu(b.convBN(x, "conv1.0", "conv1.1", 2, 1e-5))
		x = b.maxPool(x, 3, 2, 1, false)
		for stage := 2; stage <= 4; stage++ {
			b.each("stage"+strconv.Itoa(stage)+".", 0, func(i int, name string) {
				var one value
				two, stride := x, 1
				if b.under(name + ".branch1") {
					stride = 2
					one = b.convBN(x, name+".branch1.0", name+".branch1.1", stride, 1e-5)
					one = b.relu(b.convBN(one, name+".branch1.2", name+".branch1.3", 1, 1e-5))
				} else {
					c := dims(x)[0]
					one, two = b.slice(x, 1, 0, c/2, 1), b.slice(x, 1, c/2, c, 1)
				}
				two = b.relu(b.convBN(two, name+".branch2.0", name+".branch2.1", 1, 1e-5))
				two = b.convBN(two, name+".branch2.3", name+".branch2.4", stride, 1e-5)
				two = b.relu(b.convBN(two, name+".branch2.5", name+".branch2.6", 1, 1e-5))
				x = b.shuffle(b.cat(1, one, two), 2)
			})
		}
		x = b.relu(b.convBN(x, "conv5.0", "conv5.1", 1, 1e-5))
		return b.linear(b.globalAvg(x), "fc")
	},
	notes: []string{"strides and activations are torchvision's", "the epsilon of batch normalization is taken to be 1e-5"},
}

// shuffle interleaves groups of channels.
func (b *builder) shuffle(x value, groups int) value {
	d := dims(x)
	if d[0]%groups != 0 {
		b.fail("%d channels are no %d groups", d[0], groups)
	}
	y := b.permute(b.reshape(x, groups, d[0]/groups, d[1], d[2]), 0, 2, 1, 3, 4)
	return b.reshape(y, d...)
}
