package arch

import (
	"slices"
	"strconv"
	"strings"
)

// vgg is VGG with and without batch normalization, as torchvision writes it for
// images of 224x224 and as networks for images of 32x32 have it, with a single
// linear layer. Where the pooling stands follows from the gaps in the numbers
// of the layers.
var vgg = family{
	name:  "VGG",
	marks: []string{"features.0.weight", "features.0.bias"},
	build: func(b *builder) value {
		size := 224
		if b.has("classifier.weight") || b.has("classifier.0.weight") && b.shape("classifier.0.weight")[1] == 512 {
			size = 32
		}
		x := b.image(3, size, size)
		numbers := b.numbers("features")
		for i := 0; i < len(numbers); i++ {
			name := "features." + strconv.Itoa(numbers[i])
			if k := b.shape(name + ".weight"); len(k) != 4 || k[2] != 3 || k[3] != 3 {
				b.fail("%q has shape %v, not a 3x3 convolution", b.prefix+name+".weight", k)
			}
			x = b.conv(x, name, 1)
			after := numbers[i] + 2
			if norm := "features." + strconv.Itoa(numbers[i]+1); b.has(norm + ".running_mean") {
				x = b.batchNorm(x, norm, 1e-5)
				after++
				i++
			}
			x = b.relu(x)
			if i+1 == len(numbers) || numbers[i+1] == after+1 {
				x = b.maxPool(x, 2, 2, 0, false)
			} else if numbers[i+1] != after {
				b.fail("between features.%d and features.%d is more than an activation and pooling", after-2, numbers[i+1])
			}
		}
		if b.has("classifier.weight") {
			return b.linear(b.flatten(x), "classifier")
		}
		return b.classifier(b.flatten(b.toFeatures(x, "classifier")))
	},
	notes: []string{"3x3 convolutions with padding 1, ReLU and 2x2 max pooling are those of the published network", "the epsilon of batch normalization is taken to be 1e-5"},
}

// numbers returns the numbers of a Sequential's members that have a weight, in
// order.
func (b *builder) numbers(module string) []int {
	var out []int
	for _, name := range b.sd.Names() {
		rest, ok := strings.CutPrefix(name, b.prefix+module+".")
		if number, last, _ := strings.Cut(rest, "."); ok && last == "weight" {
			if n, err := strconv.Atoi(number); err == nil && n >= 0 {
				out = append(out, n)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// toFeatures averages the image so that it has as many features as the first
// linear layer of a Sequential takes.
func (b *builder) toFeatures(x value, classifier string) value {
	numbers := b.numbers(classifier)
	if len(numbers) == 0 {
		b.fail("it has no %s", classifier)
	}
	w := b.shape(classifier + "." + strconv.Itoa(numbers[0]) + ".weight")
	c := dims(x)[0]
	for side := 1; len(w) == 2 && side*side*c <= w[1]; side++ {
		if side*side*c == w[1] {
			return b.adaptiveAvgPool(x, side, side)
		}
	}
	b.fail("%s takes %v features, which is not a square image of %d channels", classifier, w, c)
	return nil
}

// classifier is a Sequential of linear layers with ReLU between them; dropout
// has no effect.
func (b *builder) classifier(x value) value {
	numbers := b.numbers("classifier")
	for i, n := range numbers {
		x = b.linear(x, "classifier."+strconv.Itoa(n))
		if i+1 < len(numbers) {
			x = b.relu(x)
		}
	}
	return x
}

// alexNet is torchvision's AlexNet.
var alexNet = family{
	name:  "AlexNet",
	marks: []string{"features.0.weight", "features.3.weight", "features.6.weight", "features.8.weight", "features.10.weight", "classifier.6.weight"},
	build: func(b *builder) value {
		x := b.image(3, 224, 224)
		if k := b.shape("features.0.weight"); len(k) != 4 || k[2] != 11 {
			b.fail("the first convolution has shape %v, not 11x11", k)
		}
		x = b.maxPool(b.relu(b.convPad(x, "features.0", 4, 2, 2)), 3, 2, 0, false)
		x = b.maxPool(b.relu(b.conv(x, "features.3", 1)), 3, 2, 0, false)
		x = b.relu(b.conv(x, "features.6", 1))
		x = b.relu(b.conv(x, "features.8", 1))
		x = b.maxPool(b.relu(b.conv(x, "features.10", 1)), 3, 2, 0, false)
		return b.classifier(b.flatten(b.toFeatures(x, "classifier")))
	},
	notes: []string{"strides, padding, ReLU and pooling are torchvision's"},
}

// squeezeNet is torchvision's SqueezeNet 1.0 and 1.1.
var squeezeNet = family{
	name:  "SqueezeNet",
	marks: []string{"features.0.weight", "features.3.squeeze.weight", "features.12.squeeze.weight", "classifier.1.weight"},
	build: func(b *builder) value {
		x := b.image(3, 224, 224)
		x = b.relu(b.convPad(x, "features.0", 2, 0, 0))
		pooled := 1 // the last number that was a layer, an activation or pooling
		for n := 3; n <= 12; n++ {
			name := "features." + strconv.Itoa(n)
			if !b.under(name) {
				continue
			}
			if n > pooled+1 {
				x = b.maxPool(x, 3, 2, 0, true)
			}
			s := b.relu(b.conv(x, name+".squeeze", 1))
			x = b.cat(1, b.relu(b.conv(s, name+".expand1x1", 1)), b.relu(b.conv(s, name+".expand3x3", 1)))
			pooled = n
		}
		return b.globalAvg(b.relu(b.conv(x, "classifier.1", 1)))
	},
	notes: []string{"strides, ReLU and pooling are torchvision's"},
}
