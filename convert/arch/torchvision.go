package arch

import (
	"strings"

	"lethe/file"
)

// torchvision's networks that were saved whole are converted module by module, as
// their forward calls them, so that whatever was put in the place of a module
// counts: another activation or pooling, another head, an Identity.

// unwrap returns the network inside modules that only call it, and its path.
func unwrap(o *file.Object) (network *file.Object, path string) {
	for range deepest {
		name := map[string]string{
			"torch.nn.parallel.data_parallel.DataParallel": "module", "torch.nn.parallel.distributed.DistributedDataParallel": "module",
			"torch.optim.swa_utils.AveragedModel": "module", "torch._dynamo.eval_frame.OptimizedModule": "_orig_mod",
		}[o.Class]
		inside := childOf(o, name)
		if inside == nil {
			break
		}
		o, path = inside, join(path, name)
	}
	return o, path
}

func join(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }

// childOf returns a module inside another, or nil.
func childOf(m *file.Object, name string) *file.Object {
	names, modules := inner(m)
	for i, n := range names {
		if n == name {
			return modules[i]
		}
	}
	return nil
}

// torchvisionForwards are the networks whose forward is known module by module: the
// names of the modules that it calls, and between them what it does itself.
var torchvisionForwards = map[string]string{
	"resnet.ResNet": "conv1 bn1 relu maxpool layer1 layer2 layer3 layer4 avgpool (flatten) fc",
	"vgg.VGG":       "features avgpool (flatten) classifier", "alexnet.AlexNet": "features avgpool (flatten) classifier",
	"squeezenet.SqueezeNet": "features classifier (flatten)", "densenet.DenseNet": "features (relu) (pool) (flatten) classifier",
	"mobilenetv2.MobileNetV2": "features (pool) (flatten) classifier", "mobilenet.MobileNetV2": "features (pool) (flatten) classifier",
	"mobilenetv3.MobileNetV3": "features avgpool (flatten) classifier", "efficientnet.EfficientNet": "features avgpool (flatten) classifier",
	"convnext.ConvNeXt": "features avgpool classifier", "regnet.RegNet": "stem trunk_output avgpool (flatten) fc",
	"shufflenetv2.ShuffleNetV2": "conv1 maxpool stage2 stage3 stage4 conv5 (mean) fc", "mnasnet.MNASNet": "layers (mean) classifier",
}

// torchvisionBlocks are blocks that call modules in a row, and what they do with the
// result: "+" adds what they got where the attribute says so.
var torchvisionBlocks = map[string]string{
	"mobilenetv2.InvertedResidual": "conv + use_res_connect", "mobilenet.InvertedResidual": "conv + use_res_connect",
	"mobilenetv3.InvertedResidual": "block + use_res_connect", "efficientnet.MBConv": "block + use_res_connect",
	"efficientnet.FusedMBConv": "block + use_res_connect", "mnasnet._InvertedResidual": "layers + apply_residual",
}

// isTorchvision reports whether a module is a network that is converted module by
// module.
func isTorchvision(o *file.Object) bool {
	kind, ok := strings.CutPrefix(o.Class, "torchvision.models.")
	return ok && torchvisionForwards[kind] != ""
}

// torchvision applies a network or a block of torchvision; ok is false if it is none
// that is known.
func (b *builder) torchvision(x value, m *file.Object, path string) (y value, ok bool) {
	if kind, ok := strings.CutPrefix(m.Class, "torchvision.ops."); ok {
		return b.torchvisionPart(x, m, path, kind)
	}
	kind, ok := strings.CutPrefix(m.Class, "torchvision.models.")
	if !ok {
		return nil, false
	}
	if how := torchvisionForwards[kind]; how != "" {
		return b.steps(x, m, path, how), true
	}
	if how, ok := torchvisionBlocks[kind]; ok {
		names, condition, _ := strings.Cut(how, " + ")
		y := b.steps(x, m, path, names)
		if flag(m, condition) {
			y = b.add(y, x)
		}
		return y, true
	}
	switch kind {
	case "resnet.BasicBlock":
		y = b.steps(x, m, path, "conv1 bn1 relu conv2 bn2")
		return b.within(b.add(y, b.shortcut(x, m, path, "downsample")), m, "relu", path), true
	case "resnet.Bottleneck":
		y = b.steps(x, m, path, "conv1 bn1 relu conv2 bn2 relu conv3 bn3")
		return b.within(b.add(y, b.shortcut(x, m, path, "downsample")), m, "relu", path), true
	case "regnet.ResBottleneckBlock":
		short := b.shortcut(x, m, path, "proj")
		return b.within(b.add(short, b.within(x, m, "f", path)), m, "activation", path), true
	case "densenet._DenseBlock":
		parts := []value{x}
		names, _ := inner(m)
		for _, name := range names {
			parts = append(parts, b.within(b.cat(1, parts...), m, name, path))
		}
		return b.cat(1, parts...), true
	case "densenet._DenseLayer":
		return b.steps(x, m, path, "norm1 relu1 conv1 norm2 relu2 conv2"), true
	case "squeezenet.Fire":
		s := b.steps(x, m, path, "squeeze squeeze_activation")
		return b.cat(1, b.steps(s, m, path, "expand1x1 expand1x1_activation"), b.steps(s, m, path, "expand3x3 expand3x3_activation")), true
	case "shufflenetv2.InvertedResidual":
		one, two := x, x
		if b.integers(m, "stride")[0] == 1 {
			c := dims(x)[0]
			one, two = b.slice(x, 1, 0, c/2, 1), b.slice(x, 1, c/2, c, 1)
		} else {
			one = b.within(x, m, "branch1", path)
		}
		return b.shuffle(b.cat(1, one, b.within(two, m, "branch2", path)), 2), true
	case "convnext.CNBlock":
		y = b.within(x, m, "block", path)
		return b.add(b.scale(y, b.weight(path+".layer_scale", dims(y)[0], 1, 1)), x), true
	case "convnext.LayerNorm2d":
		y = b.permute(x, 0, 2, 3, 1)
		y = b.infer(path, "layer_norm", y, b.integers(m, "normalized_shape"), b.optional(path+".weight"), b.optional(path+".bias"), number(m.Attrs["eps"]))
		return b.permute(y, 0, 3, 1, 2), true
	}
	return nil, false
}

// torchvisionPart applies a module that several networks of torchvision have.
func (b *builder) torchvisionPart(x value, m *file.Object, path, kind string) (y value, ok bool) {
	switch kind {
	case "misc.SqueezeExcitation":
		return b.infer(path, "mul", b.steps(x, m, path, "avgpool fc1 activation fc2 scale_activation"), x), true
	case "misc.Permute":
		order := b.integers(m, "dims")
		if len(order) != len(x.Shape) || order[0] != 0 {
			b.fail("module %.100q puts axes into the order %v", path, order)
		}
		return b.infer(path, "permute", x, order), true
	case "stochastic_depth.StochasticDepth":
		return x, true
	}
	return nil, false
}

// shortcut applies a module that a block may not have.
func (b *builder) shortcut(x value, m *file.Object, path, name string) value {
	if childOf(m, name) == nil {
		return x
	}
	return b.within(x, m, name, path)
}

// steps applies modules inside a module in a row, and between them what the forward
// of the network does itself, in parentheses.
func (b *builder) steps(x value, m *file.Object, path, names string) value {
	for _, name := range strings.Fields(names) {
		switch name {
		case "(flatten)":
			x = b.infer(path, "flatten", x, 1)
		case "(relu)":
			x = b.infer(path, "relu", x)
		case "(pool)":
			x = b.infer(path, "adaptive_avg_pool2d", x, []int{1, 1})
		case "(mean)":
			x = b.infer(path, "mean", x, []int{2, 3})
		default:
			x = b.within(x, m, name, path)
		}
	}
	return x
}
