package arch

import (
	"slices"
	"strconv"
	"strings"
)

// resNet is torchvision's ResNet, ResNeXt and Wide ResNet, and timm's members
// with the same names, also with timm's deep stem and averaging shortcuts
// ("ResNet-D"). Width, groups and depth are read from the weights.
var resNet = family{
	name:  "ResNet",
	marks: []string{"bn1.weight", "layer1.0.conv1.weight", "layer4.0.conv1.weight", "fc.weight"},
	build: func(b *builder) value {
		size := 224
		if b.smallStem() {
			size = 32
		}
		x := b.image(3, size, size)
		switch {
		case b.has("conv1.0.weight"): // timm's deep stem
			x = b.relu(b.convBN(x, "conv1.0", "conv1.1", 2, 1e-5))
			x = b.relu(b.convBN(x, "conv1.3", "conv1.4", 1, 1e-5))
			x = b.conv(x, "conv1.6", 1)
		case b.smallStem():
			if b.modulesTree == nil {
				b.note("the first convolution is 3x3: stride 1 without pooling is assumed, as networks for small images have it")
			}
			x = b.relu(b.convBN(x, "conv1", "bn1", 1, 1e-5))
			if m := b.at("maxpool"); m != nil {
				x = b.module(x, m, "maxpool")
			}
			return b.resNetBody(x, "fc", "downsample")
		default:
			x = b.conv(x, "conv1", 2)
		}
		x = b.relu(b.batchNorm(x, "bn1", 1e-5))
		if m := b.at("maxpool"); m != nil && strings.HasPrefix(m.Class, "torch.nn.modules.") && !isSequence(m) {
			x = b.module(x, m, "maxpool")
		} else {
			x = b.maxPool(x, 3, 2, 1, false)
		}
		return b.resNetBody(x, "fc", "downsample")
	},
	notes: []string{"strides, ReLU and pooling are torchvision's: a bottleneck halves the image in its 3x3 convolution", "the epsilon of batch normalization is taken to be 1e-5"},
}

// smallStem reports whether the first convolution is one of 3x3.
func (b *builder) smallStem() bool {
	return b.has("conv1.weight") && slices.Equal(b.shape("conv1.weight")[2:], []int{3, 3})
}

// resNetBody is the four stages, the average and the last layer.
func (b *builder) resNetBody(x value, last, shortcut string) value {
	for stage := 1; b.under("layer" + strconv.Itoa(stage)); stage++ {
		b.each("layer"+strconv.Itoa(stage)+".", 0, func(i int, name string) {
			x = b.resNetBlock(x, name, shortcut, strided(i == 0, stage > 1))
		})
	}
	return b.linear(b.globalAvg(x), last)
}

// resNetBlock is a BasicBlock or, if it has a third convolution, a Bottleneck.
func (b *builder) resNetBlock(x value, name, shortcut string, stride int) value {
	var y value
	if b.has(name + ".conv3.weight") {
		y = b.bottleneck(x, name, stride)
	} else {
		y = b.relu(b.convBN(x, name+".conv1", name+".bn1", stride, 1e-5))
		y = b.convBN(y, name+".conv2", name+".bn2", 1, 1e-5)
	}
	short := name + "." + shortcut
	switch {
	case b.has(short + ".0.weight"):
		x = b.convBN(x, short+".0", short+".1", stride, 1e-5)
	case b.has(short + ".1.weight"): // timm's averaging shortcut
		if stride > 1 {
			d := dims(x)
			x = b.call(short, "avg_pool2d", []int{d[0], (d[1] + 1) / 2, (d[2] + 1) / 2}, x, []int{2, 2}, []int{2, 2}, []int{0, 0}, true, false)
		}
		x = b.convBN(x, short+".1", short+".2", 1, 1e-5)
	}
	return b.relu(b.add(y, x))
}

// bottleneck is the three convolutions of a block, of which the second has the stride,
// each with its normalization, and ReLU between them.
func (b *builder) bottleneck(x value, name string, stride int) value {
	y := b.relu(b.convBN(x, name+".conv1", name+".bn1", 1, 1e-5))
	y = b.relu(b.convBN(y, name+".conv2", name+".bn2", stride, 1e-5))
	return b.convBN(y, name+".conv3", name+".bn3", 1, 1e-5)
}

// cifarResNet is the ResNet for images of 32x32: of kuangliu/pytorch-cifar with
// four stages, and of akamaster/pytorch_resnet_cifar10 with three, whose
// shortcuts have no weights (option A of the paper: every second row and
// column, and channels of zeros on both sides).
var cifarResNet = family{
	name:  "ResNet for CIFAR",
	marks: []string{"conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer3.0.conv1.weight", "linear.weight"},
	build: func(b *builder) value {
		x := b.image(3, 32, 32)
		x = b.relu(b.convBN(x, "conv1", "bn1", 1, 1e-5))
		for stage := 1; b.under("layer" + strconv.Itoa(stage)); stage++ {
			b.each("layer"+strconv.Itoa(stage)+".", 0, func(i int, name string) {
				stride := strided(i == 0, stage > 1)
				if stride > 1 && !b.under(name+".shortcut") && !b.has(name+".conv3.weight") {
					x = b.optionA(x, name)
					return
				}
				x = b.resNetBlock(x, name, "shortcut", stride)
			})
		}
		return b.linear(b.globalAvg(x), "linear")
	},
	notes: []string{"strides and ReLU are those of the published network: 2 in the first block of each stage but the first", "the epsilon of batch normalization is taken to be 1e-5"},
}

// optionA is a BasicBlock that halves the image, with a shortcut without
// weights.
func (b *builder) optionA(x value, name string) value {
	b.note("shortcuts without weights take every second row and column and add channels of zeros on both sides (option A)")
	y := b.relu(b.convBN(x, name+".conv1", name+".bn1", 2, 1e-5))
	y = b.convBN(y, name+".conv2", name+".bn2", 1, 1e-5)
	d, want := dims(x), dims(y)
	short := b.slice(b.slice(x, 2, 0, d[1], 2), 3, 0, d[2], 2)
	if more := want[0] - d[0]; more > 0 {
		before := more / 2
		short = b.call(name+".shortcut", "constant_pad_nd", want, short, []int{0, 0, 0, 0, before, more - before}, 0.0)
	}
	return b.relu(b.add(y, short))
}
