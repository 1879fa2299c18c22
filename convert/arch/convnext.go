package arch

import "strconv"

// convNeXt is torchvision's ConvNeXt.
var convNeXt = family{
	name:  "ConvNeXt",
	marks: []string{"features.0.0.weight", "features.0.1.weight", "features.1.0.layer_scale", "features.7.0.layer_scale", "classifier.2.weight"},
	build: func(b *builder) value {
		x := b.image(3, 224, 224)
		const epsilon = 1e-6
		norm := func(x value, name string) value { // over the channels of an image
			return b.permute(b.layerNorm(b.permute(x, 0, 2, 3, 1), name, epsilon), 0, 3, 1, 2)
		}
		patches := func(x value, name string) value { return b.convPad(x, name, b.shape(name + ".weight")[2], 0, 0) }
		x = norm(patches(x, "features.0.0"), "features.0.1")
		for stage := 1; b.under("features." + strconv.Itoa(stage)); stage += 2 {
			if stage > 1 {
				down := "features." + strconv.Itoa(stage-1)
				x = patches(norm(x, down+".0"), down+".1")
			}
			b.each("features."+strconv.Itoa(stage)+".", 0, func(_ int, name string) {
				y := b.permute(b.conv(x, name+".block.0", 1), 0, 2, 3, 1)
				y = b.linear(b.layerNorm(y, name+".block.2", epsilon), name+".block.3")
				y = b.linear(b.unary(y, "gelu"), name+".block.5")
				y = b.permute(y, 0, 3, 1, 2)
				x = b.add(b.scale(y, b.weight(name+".layer_scale", dims(x)[0], 1, 1)), x)
			})
		}
		x = norm(b.adaptiveAvgPool(x, 1, 1), "classifier.0")
		return b.linear(b.flatten(x), "classifier.2")
	},
	notes: []string{"GELU and the order of layers are those of the published network", "the epsilon of layer normalization is taken to be 1e-6"},
}
