package arch

import "strconv"

// denseNet is torchvision's DenseNet, and timm's.
var denseNet = family{
	name:  "DenseNet",
	marks: []string{"features.conv0.weight", "features.denseblock1.denselayer1.norm1.weight", "features.norm5.weight", "classifier.weight"},
	build: func(b *builder) value {
		x := b.image(3, 224, 224)
		x = b.relu(b.convBN(x, "features.conv0", "features.norm0", 2, 1e-5))
		x = b.maxPool(x, 3, 2, 1, false)
		for block := 1; b.under("features.denseblock" + strconv.Itoa(block)); block++ {
			parts := []value{x}
			b.each("features.denseblock"+strconv.Itoa(block)+".denselayer", 1, func(_ int, name string) {
				y := b.cat(1, parts...)
				y = b.conv(b.relu(b.batchNorm(y, name+".norm1", 1e-5)), name+".conv1", 1)
				y = b.conv(b.relu(b.batchNorm(y, name+".norm2", 1e-5)), name+".conv2", 1)
				parts = append(parts, y)
			})
			x = b.cat(1, parts...)
			if name := "features.transition" + strconv.Itoa(block); b.under(name) {
				x = b.conv(b.relu(b.batchNorm(x, name+".norm", 1e-5)), name+".conv", 1)
				x = b.avgPool(x, 2, 2, 0)
			}
		}
		return b.linear(b.globalAvg(b.relu(b.batchNorm(x, "features.norm5", 1e-5))), "classifier")
	},
	notes: []string{"strides, ReLU and pooling are torchvision's", "the epsilon of batch normalization is taken to be 1e-5"},
}
