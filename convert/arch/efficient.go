package arch

import "strconv"

// efficientNet is torchvision's EfficientNet, B0 to B7, and its V2.
var efficientNet = family{
	name:  "EfficientNet",
	marks: []string{"features.0.0.weight", "features.1.0.block.0.0.weight", "features.6.0.block.0.0.weight", "classifier.1.weight"},
	build: func(b *builder) value {
		x := b.image(3, 224, 224)
		silu := func(x value) value { return b.unary(x, "silu") }
		strides := []int{1, 2, 2, 2, 1, 2, 1}
		epsilon := 1e-5
		switch {
		case !b.has("features.1.0.block.1.fc1.weight"):
			b.name, epsilon = "EfficientNet V2", 1e-3
		case b.shape("features.0.0.weight")[0] > 48 || b.shape("features.0.0.weight")[0] == 48 && b.under("features.1.2"):
			epsilon = 1e-3 // B5 to B7
		}
		b.note("the epsilon of batch normalization is taken to be %g, as torchvision has it for this size", epsilon)
		x = silu(b.convBN(x, "features.0.0", "features.0.1", 2, epsilon))
		stage := 1
		for ; b.under("features." + strconv.Itoa(stage) + ".0.block"); stage++ {
			if stage > len(strides) {
				b.fail("it has more than %d stages", len(strides))
			}
			b.each("features."+strconv.Itoa(stage)+".", 0, func(i int, name string) {
				stride := 1
				if i == 0 {
					stride = strides[stage-1]
				}
				x = b.residual(x, b.mbConv(x, name+".block.", stride, epsilon), stride)
			})
		}
		last := "features." + strconv.Itoa(stage)
		x = silu(b.convBN(x, last+".0", last+".1", 1, epsilon))
		return b.linear(b.globalAvg(x), "classifier.1")
	},
	notes: []string{"strides and activations are torchvision's"},
}

// mbConv is a block of EfficientNet: an expansion, a convolution (of each
// channel alone, or in a fused block of all), squeeze and excitation, and a
// projection. What is not in the weights is left out.
func (b *builder) mbConv(x value, name string, stride int, epsilon float64) value {
	k := func(n int) []int { return b.shape(name + strconv.Itoa(n) + ".0.weight") }
	n := 0
	for ; b.has(name + strconv.Itoa(n) + ".0.weight"); n++ {
		part := name + strconv.Itoa(n)
		s := 1
		if k(n)[len(k(n))-1] > 1 { // the one convolution that is not 1x1
			s = stride
		}
		x = b.convBN(x, part+".0", part+".1", s, epsilon)
		se := name + strconv.Itoa(n+1)
		if b.has(se+".fc1.weight") || b.has(se+".0.weight") || n == 0 {
			x = b.unary(x, "silu")
		}
		if b.has(se + ".fc1.weight") {
			x = b.squeezeExcite(x, se+".fc1", se+".fc2", "silu", "sigmoid")
			n++
		}
	}
	return x
}

// regNet is torchvision's RegNet, X and Y.
var regNet = family{
	name:  "RegNet",
	marks: []string{"stem.0.weight", "trunk_output.block1.block1-0.f.a.0.weight", "trunk_output.block4.block4-0.proj.0.weight", "fc.weight"},
	build: func(b *builder) value {
		x := b.image(3, 224, 224)
		x = b.relu(b.convBN(x, "stem.0", "stem.1", 2, 1e-5))
		for stage := 1; b.under("trunk_output.block" + strconv.Itoa(stage)); stage++ {
			n := strconv.Itoa(stage)
			b.each("trunk_output.block"+n+".block"+n+"-", 0, func(i int, name string) {
				stride := strided(i == 0, true)
				y := b.relu(b.convBN(x, name+".f.a.0", name+".f.a.1", 1, 1e-5))
				y = b.relu(b.convBN(y, name+".f.b.0", name+".f.b.1", stride, 1e-5))
				if b.under(name + ".f.se") {
					y = b.squeezeExcite(y, name+".f.se.fc1", name+".f.se.fc2", "relu", "sigmoid")
				}
				y = b.convBN(y, name+".f.c.0", name+".f.c.1", 1, 1e-5)
				if b.under(name + ".proj") {
					x = b.convBN(x, name+".proj.0", name+".proj.1", stride, 1e-5)
				}
				x = b.relu(b.add(x, y))
			})
		}
		return b.linear(b.globalAvg(x), "fc")
	},
	notes: []string{"strides and activations are torchvision's", "the epsilon of batch normalization is taken to be 1e-5"},
}
