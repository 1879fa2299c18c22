package arch

import (
	"slices"
	"strconv"
)

// The other networks of kuangliu/pytorch-cifar, for images of 32x32 and a linear layer
// called linear: what differs from the networks of the papers is the first convolution,
// of stride 1 without pooling, and strides that fit small images.

var cifarNotes = []string{"strides and ReLU are those of pytorch-cifar", "the epsilon of batch normalization is taken to be 1e-5"}

// preActResNet is the ResNet whose blocks begin with normalization and ReLU, and SENet
// with such blocks or those of ResNet.
var preActResNet = family{
	name:  "PreAct ResNet for CIFAR",
	marks: []string{"conv1.weight", "layer1.0.bn1.weight", "layer2.0.bn1.weight", "layer4.0.conv2.weight", "linear.weight"},
	build: func(b *builder) value {
		x := b.conv(b.image(3, 32, 32), "conv1", 1)
		if b.has("bn1.weight") {
			b.name = "SENet for CIFAR"
			x = b.relu(b.batchNorm(x, "bn1", 1e-5))
		}
		before := b.shape("layer2.0.bn1.weight")[0] == b.shape("layer2.0.conv1.weight")[1]
		for stage := 1; b.under("layer" + strconv.Itoa(stage)); stage++ {
			b.each("layer"+strconv.Itoa(stage)+".", 0, func(i int, name string) {
				x = b.preActBlock(x, name, strided(i == 0, stage > 1), before)
			})
		}
		return b.linear(b.globalAvg(x), "linear")
	},
	notes: cifarNotes,
}

// preActBlock is a block of a PreAct ResNet or, if before is false, one of SENet that
// normalizes after its convolutions.
func (b *builder) preActBlock(x value, name string, stride int, before bool) value {
	short, y := x, x
	if before {
		y = b.relu(b.batchNorm(x, name+".bn1", 1e-5))
		if b.has(name + ".shortcut.0.weight") {
			short = b.conv(y, name+".shortcut.0", stride)
		}
		three := b.has(name + ".conv3.weight")
		first, second := stride, 1
		if three {
			first, second = 1, stride
		}
		y = b.conv(b.relu(b.batchNorm(b.conv(y, name+".conv1", first), name+".bn2", 1e-5)), name+".conv2", second)
		if three {
			y = b.conv(b.relu(b.batchNorm(y, name+".bn3", 1e-5)), name+".conv3", 1)
		}
	} else {
		y = b.relu(b.convBN(x, name+".conv1", name+".bn1", stride, 1e-5))
		y = b.convBN(y, name+".conv2", name+".bn2", 1, 1e-5)
		short = b.cifarShortcut(x, name, stride)
	}
	if b.has(name + ".fc1.weight") {
		if d := dims(y); d[1] != d[2] {
			b.fail("it averages squares, images are %v", b.input)
		}
		y = b.squeezeExcite(y, name+".fc1", name+".fc2", "relu", "sigmoid")
	}
	if y = b.add(y, short); !before {
		y = b.relu(y)
	}
	return y
}

// cifarShortcut is what a block adds to or joins with its result: a normalized
// convolution of what it gets, or that itself.
func (b *builder) cifarShortcut(x value, name string, stride int) value {
	if !b.has(name + ".shortcut.0.weight") {
		return x
	}
	return b.convBN(x, name+".shortcut.0", name+".shortcut.1", stride, 1e-5)
}

// dualPath is the Dual Path Network: of each block's channels the first are added to
// what it got, and the others join it.
var dualPath = family{
	name:  "DPN for CIFAR",
	marks: []string{"conv1.weight", "bn1.weight", "layer1.0.conv3.weight", "layer1.0.shortcut.0.weight", "layer4.0.conv3.weight", "linear.weight"},
	build: func(b *builder) value {
		x := b.relu(b.convBN(b.image(3, 32, 32), "conv1", "bn1", 1, 1e-5))
		for stage := 1; b.under("layer" + strconv.Itoa(stage)); stage++ {
			layer := "layer" + strconv.Itoa(stage) + "."
			next := b.shape("linear.weight")[1] // channels after the first block
			if name := "layer" + strconv.Itoa(stage+1) + ".0.conv1.weight"; b.has(name) {
				next = b.shape(name)[1]
			}
			if b.has(layer + "1.conv1.weight") {
				next = b.shape(layer + "1.conv1.weight")[1]
			}
			all := b.shape(layer + "0.conv3.weight")[0]
			added := all - (next - all)
			if next <= all || added < 1 {
				b.fail("%q is followed by %d channels", layer+"0.conv3.weight", next)
			}
			b.each(layer, 0, func(i int, name string) {
				stride := strided(i == 0, stage > 1)
				y := b.bottleneck(x, name, stride)
				x = b.cifarShortcut(x, name, stride)
				c, d := dims(x)[0], dims(y)[0]
				sum := b.add(b.slice(x, 1, 0, added, 1), b.slice(y, 1, 0, added, 1))
				x = b.relu(b.cat(1, sum, b.slice(x, 1, added, c, 1), b.slice(y, 1, added, d, 1)))
			})
		}
		return b.linear(b.globalAvg(x), "linear")
	},
	notes: cifarNotes,
}

// layerAggregation is DLA and its simple form: trees of blocks, whose results a
// convolution joins.
var layerAggregation = family{
	name:  "DLA for CIFAR",
	marks: []string{"base.0.weight", "layer1.0.weight", "layer2.0.weight", "layer3.root.conv.weight", "layer6.root.conv.weight", "linear.weight"},
	build: func(b *builder) value {
		x := b.image(3, 32, 32)
		for _, name := range []string{"base", "layer1", "layer2"} {
			x = b.relu(b.convBN(x, name+".0", name+".1", 1, 1e-5))
		}
		for stage := 3; b.under("layer" + strconv.Itoa(stage)); stage++ {
			x = b.tree(x, "layer"+strconv.Itoa(stage), strided(true, stage > 3), 0)
		}
		return b.linear(b.globalAvg(x), "linear")
	},
	notes: cifarNotes,
}

// tree is a tree of DLA, or a block that stands in the place of one.
func (b *builder) tree(x value, name string, stride, depth int) value {
	if depth > deepest {
		b.fail("trees are nested more than %d deep", deepest)
	}
	if b.has(name + ".conv1.weight") {
		return b.resNetBlock(x, name, "shortcut", stride)
	}
	var parts []value
	side := ".left_tree"
	if b.under(name + ".left_node") {
		side = ".left_node"
		levels := 0
		for b.under(name + ".level_" + strconv.Itoa(levels+1)) {
			levels++
		}
		if b.under(name + ".prev_root") {
			parts = append(parts, b.tree(x, name+".prev_root", stride, depth+1))
		}
		for i := levels; i > 0; i-- {
			x = b.tree(x, name+".level_"+strconv.Itoa(i), stride, depth+1)
			parts = append(parts, x)
		}
		if levels > 0 {
			stride = 1
		}
	}
	x = b.tree(x, name+side, stride, depth+1)
	parts = append(parts, x)
	x = b.tree(x, name+".right"+side[len(".left"):], 1, depth+1)
	parts = append(parts, x)
	return b.relu(b.convBN(b.cat(1, parts...), name+".root.conv", name+".root.bn", 1, 1e-5))
}

// cifarRegNet is RegNet X and Y: its blocks are bottlenecks that are not narrower inside,
// and the second stage does not halve the image.
var cifarRegNet = family{
	name:  "RegNet for CIFAR",
	marks: []string{"conv1.weight", "bn1.weight", "layer1.0.conv3.weight", "layer4.0.conv3.weight", "linear.weight"},
	build: func(b *builder) value {
		x := b.relu(b.convBN(b.image(3, 32, 32), "conv1", "bn1", 1, 1e-5))
		for stage := 1; b.under("layer" + strconv.Itoa(stage)); stage++ {
			b.each("layer"+strconv.Itoa(stage)+".", 0, func(i int, name string) {
				if first, last := b.shape(name+".conv1.weight"), b.shape(name+".conv3.weight"); first[0] != last[0] {
					b.fail("%q has another width than the block", b.prefix+name+".conv1.weight")
				}
				stride := strided(i == 0, stage > 2)
				y := b.relu(b.convBN(x, name+".conv1", name+".bn1", 1, 1e-5))
				y = b.relu(b.convBN(y, name+".conv2", name+".bn2", stride, 1e-5))
				if b.has(name + ".se.se1.weight") {
					y = b.squeezeExcite(y, name+".se.se1", name+".se.se2", "relu", "sigmoid")
				}
				y = b.convBN(y, name+".conv3", name+".bn3", 1, 1e-5)
				x = b.relu(b.add(y, b.cifarShortcut(x, name, stride)))
			})
		}
		return b.linear(b.globalAvg(x), "linear")
	},
	notes: cifarNotes,
}

// cifarMobileNet is MobileNet and MobileNetV2.
var cifarMobileNet = family{
	name:  "MobileNet for CIFAR",
	marks: []string{"conv1.weight", "bn1.weight", "layers.0.conv1.weight", "layers.12.conv2.weight", "linear.weight"},
	build: func(b *builder) value {
		x := b.relu(b.convBN(b.image(3, 32, 32), "conv1", "bn1", 1, 1e-5))
		halves := []int{1, 3, 5, 11}
		second := b.has("layers.0.conv3.weight")
		if second {
			b.name, halves = "MobileNetV2 for CIFAR", []int{3, 6, 13}
		}
		b.each("layers.", 0, func(i int, name string) {
			stride := strided(slices.Contains(halves, i), true)
			if !second {
				x = b.relu(b.convBN(x, name+".conv1", name+".bn1", stride, 1e-5))
				x = b.relu(b.convBN(x, name+".conv2", name+".bn2", 1, 1e-5))
				return
			}
			y := b.bottleneck(x, name, stride)
			x = b.cifarShortcut(x, name, 1)
			if stride == 1 {
				y = b.add(y, x)
			}
			x = y
		})
		if second {
			x = b.relu(b.convBN(x, "conv2", "bn2", 1, 1e-5))
		}
		return b.linear(b.globalAvg(x), "linear")
	},
	notes: cifarNotes,
}
