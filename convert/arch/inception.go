package arch

// The BasicConv2d of GoogLeNet and Inception v3: convolution, batch
// normalization with an epsilon of 1e-3, ReLU.
func (b *builder) basicConv(x value, name string, stride int) value {
	return b.relu(b.batchNorm(b.conv(x, name+".conv", stride), name+".bn", 1e-3))
}

// basicConvValid is a basicConv without padding.
func (b *builder) basicConvValid(x value, name string, stride int) value {
	return b.relu(b.batchNorm(b.convPad(x, name+".conv", stride, 0, 0), name+".bn", 1e-3))
}

// googLeNet is torchvision's GoogLeNet. Its auxiliary classifiers take no part
// in inference.
var googLeNet = family{
	name:  "GoogLeNet",
	marks: []string{"conv1.conv.weight", "inception3a.branch1.conv.weight", "inception5b.branch4.1.conv.weight", "fc.weight"},
	build: func(b *builder) value {
		x := b.image(3, 224, 224)
		x = b.maxPool(b.basicConv(x, "conv1", 2), 3, 2, 0, true)
		x = b.basicConv(b.basicConv(x, "conv2", 1), "conv3", 1)
		x = b.maxPool(x, 3, 2, 0, true)
		for _, name := range []string{"3a", "3b", "", "4a", "4b", "4c", "4d", "4e", " ", "5a", "5b"} {
			switch name {
			case "":
				x = b.maxPool(x, 3, 2, 0, true)
				continue
			case " ":
				x = b.maxPool(x, 2, 2, 0, true)
				continue
			}
			name = "inception" + name
			x = b.cat(1, b.basicConv(x, name+".branch1", 1),
				b.basicConv(b.basicConv(x, name+".branch2.0", 1), name+".branch2.1", 1),
				b.basicConv(b.basicConv(x, name+".branch3.0", 1), name+".branch3.1", 1),
				b.basicConv(b.maxPool(x, 3, 1, 1, true), name+".branch4.1", 1))
		}
		b.ignore("aux1", "aux2")
		return b.head(b.globalAvg(x), "fc", "")
	},
	notes: []string{"the auxiliary classifiers take no part", "torchvision's pretrained weights want transform_input=True, which renormalizes the input; it is not in a state dict and not applied"},
}

// inception is torchvision's Inception v3. Its auxiliary classifier takes no
// part in inference.
var inception = family{
	name:  "Inception v3",
	marks: []string{"Conv2d_1a_3x3.conv.weight", "Mixed_5b.branch1x1.conv.weight", "Mixed_7c.branch_pool.conv.weight", "fc.weight"},
	build: func(b *builder) value {
		x := b.image(3, 299, 299)
		chain := func(x value, prefix string, names ...string) value {
			for _, n := range names {
				x = b.basicConv(x, prefix+n, 1)
			}
			return x
		}
		x = b.basicConvValid(x, "Conv2d_1a_3x3", 2)
		x = b.basicConvValid(x, "Conv2d_2a_3x3", 1)
		x = b.basicConv(x, "Conv2d_2b_3x3", 1)
		x = b.maxPool(x, 3, 2, 0, false)
		x = b.basicConv(x, "Conv2d_3b_1x1", 1)
		x = b.basicConvValid(x, "Conv2d_4a_3x3", 1)
		x = b.maxPool(x, 3, 2, 0, false)
		for _, m := range []string{"Mixed_5b.", "Mixed_5c.", "Mixed_5d."} {
			x = b.cat(1, chain(x, m, "branch1x1"), chain(x, m, "branch5x5_1", "branch5x5_2"),
				chain(x, m, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"), chain(b.avgPool(x, 3, 1, 1), m, "branch_pool"))
		}
		x = b.cat(1, b.basicConvValid(x, "Mixed_6a.branch3x3", 2),
			b.basicConvValid(chain(x, "Mixed_6a.", "branch3x3dbl_1", "branch3x3dbl_2"), "Mixed_6a.branch3x3dbl_3", 2),
			b.maxPool(x, 3, 2, 0, false))
		for _, m := range []string{"Mixed_6b.", "Mixed_6c.", "Mixed_6d.", "Mixed_6e."} {
			x = b.cat(1, chain(x, m, "branch1x1"), chain(x, m, "branch7x7_1", "branch7x7_2", "branch7x7_3"),
				chain(x, m, "branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3", "branch7x7dbl_4", "branch7x7dbl_5"),
				chain(b.avgPool(x, 3, 1, 1), m, "branch_pool"))
		}
		x = b.cat(1, b.basicConvValid(chain(x, "Mixed_7a.", "branch3x3_1"), "Mixed_7a.branch3x3_2", 2),
			b.basicConvValid(chain(x, "Mixed_7a.", "branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3"), "Mixed_7a.branch7x7x3_4", 2),
			b.maxPool(x, 3, 2, 0, false))
		for _, m := range []string{"Mixed_7b.", "Mixed_7c."} {
			three := chain(x, m, "branch3x3_1")
			double := chain(x, m, "branch3x3dbl_1", "branch3x3dbl_2")
			x = b.cat(1, chain(x, m, "branch1x1"),
				b.cat(1, chain(three, m, "branch3x3_2a"), chain(three, m, "branch3x3_2b")),
				b.cat(1, chain(double, m, "branch3x3dbl_3a"), chain(double, m, "branch3x3dbl_3b")),
				chain(b.avgPool(x, 3, 1, 1), m, "branch_pool"))
		}
		b.ignore("AuxLogits")
		return b.head(b.globalAvg(x), "fc", "")
	},
	notes: []string{"the auxiliary classifier takes no part", "torchvision's pretrained weights want transform_input=True, which renormalizes the input; it is not in a state dict and not applied"},
}
