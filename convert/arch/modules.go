package arch

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lethe/convert/aten"
	"lethe/file"
	"lethe/graph"
	"lethe/model"
)

// Sequential returns the network of a whole module that is an nn.Sequential of
// modules of torch.nn, also nested, or a classifier of torchvision or Ultralytics: what
// they compute is known, and their strides, paddings and epsilons are attributes. Input is the shape of one
// sample; without it the first usual one that fits is taken, and said. The error
// for another module is [ErrNoFamily].
func Sequential(sd *model.StateDict, root *file.Object, input []int) (*Network, error) {
	whole := root
	root, path := unwrap(root)
	if !isSequence(root) && !isUltralytics(root) && !isTorchvision(root) {
		return nil, ErrNoFamily
	}
	name := root.Class[strings.LastIndexByte(root.Class, '.')+1:]
	var reason string
	for _, shape := range samples(sd, root, input) {
		f := family{name: name, build: func(b *builder) value {
			b.known["n_averaged"] = root != whole // the count of torch.optim.swa_utils.AveragedModel

			dtype := model.Float32
			if leaf := firstLeaf(root); leaf != nil && leaf.Class == "torch.nn.modules.sparse.Embedding" {
				dtype = model.Int64
			}
			x := b.inputOf("input", dtype, graph.Batch(shape...))
			if isUltralytics(root) {
				b.name = "Ultralytics classifier"
				return b.ultralytics(x, root, path)
			}
			b.unhooked(root, path)
			if y, ok := b.torchvision(x, root, path); ok {
				return y
			}
			return b.sequence(x, root, path, 0)
		}}
		n, why := f.try(sd, "", modulesOf(sd.Names()), Options{Input: shape})
		if n != nil {
			if input == nil {
				n.Program.Notes = append(n.Program.Notes, fmt.Sprintf("the file does not say the shape of a sample: %v fits its layers (--input changes it)", shape))
			}
			return n, nil
		}
		if reason == "" {
			reason = why
		}
	}
	return nil, &model.UnsupportedError{What: "the " + name + " cannot be converted: " + reason, Advice: "give the shape of one sample with --input, if that is the cause, or export the network with torch.export.save"}
}

// isSequence reports whether a module calls those inside it one after the other.
func isSequence(o *file.Object) bool {
	switch o.Class {
	case "torch.nn.modules.container.Sequential", "torchvision.ops.misc.Conv2dNormActivation", "torchvision.ops.misc.ConvNormActivation",
		"torchvision.models.mobilenetv2.ConvBNReLU", "torchvision.models.mobilenet.ConvBNReLU", "torchvision.models.densenet._Transition",
		"torchvision.models.regnet.SimpleStemIN", "torchvision.models.regnet.AnyStage", "torchvision.models.regnet.BottleneckTransform":
		return true
	}
	return false
}

// inner returns the modules in a module, by their names.
func inner(o *file.Object) (names []string, modules []*file.Object) {
	d, _ := o.Attrs["_modules"].(*file.Dict)
	if d == nil {
		return nil, nil
	}
	for i, k := range d.Keys {
		name, isText := k.(string)
		m, isModule := d.Values[i].(*file.Object)
		if isText && isModule {
			names, modules = append(names, name), append(modules, m)
		}
	}
	return names, modules
}

func firstLeaf(o *file.Object) *file.Object {
	for range deepest {
		_, modules := inner(o)
		if len(modules) == 0 {
			return o
		}
		o = modules[0]
	}
	return nil
}

// samples returns the shapes of a sample to try: the one that is given, or those
// that the first layer with weights leaves.
func samples(sd *model.StateDict, root *file.Object, input []int) [][]int {
	if input != nil {
		return [][]int{input}
	}
	for _, t := range sd.All() {
		shape := t.Shape()
		leaf := firstLeaf(root)
		grouped := 1
		if leaf != nil {
			grouped = max(int(number(leaf.Attrs["groups"])), 1)
		}
		switch {
		case len(shape) == 2 && leaf != nil && strings.HasSuffix(leaf.Class, ".Embedding"):
			return [][]int{{16}}
		case len(shape) == 4:
			c := shape[1] * grouped
			sizes := []int{28, 32, 224, 64, 96, 128, 256, 299}
			if c != 1 {
				sizes = []int{224, 32, 28, 64, 96, 128, 256, 299}
			}
			var out [][]int
			for _, s := range sizes {
				out = append(out, []int{c, s, s})
			}
			return out
		case len(shape) == 2:
			if leaf != nil && strings.HasSuffix(leaf.Class, ".Flatten") { // of images
				for _, c := range []int{1, 3} {
					for _, s := range []int{28, 32, 8, 64, 224} {
						if c*s*s == shape[1] {
							return [][]int{{c, s, s}}
						}
					}
				}
			}
			return [][]int{{shape[1]}}
		}
		break
	}
	return [][]int{nil}
}

// sequence applies the modules in a module one after the other.
func (b *builder) sequence(x value, o *file.Object, path string, depth int) value {
	if depth > deepest {
		b.fail("modules are nested more than %d deep", deepest)
	}
	names, modules := inner(o)
	for i, m := range modules {
		name := names[i]
		if path != "" {
			name = path + "." + name
		}
		b.count++
		if b.count > modulesMax {
			b.fail("it has more than %d modules", modulesMax)
		}
		b.unhooked(m, name)
		if isSequence(m) {
			x = b.sequence(x, m, name, depth+1)
		} else {
			x = b.module(x, m, name)
		}
	}
	return x
}

// modulesMax is how many modules a network may have.
const modulesMax = 1 << 14

// unhooked refuses modules that call functions which are not in the file.
func (b *builder) unhooked(m *file.Object, name string) {
	for _, key := range []string{"_forward_hooks", "_forward_pre_hooks", "parametrizations"} {
		if d, ok := m.Attrs[key].(*file.Dict); ok && slices.ContainsFunc(d.Values, func(v any) bool { return !b.knownHook(v) }) {
			b.fail("module %.100q has %s, which the file does not describe", name, strings.TrimLeft(key, "_"))
		}
	}
	for _, key := range []string{"forward"} {
		if m.Attrs[key] != nil {
			b.fail("module %.100q has a forward of its own", name)
		}
	}
}

// knownHook reports whether a hook computes a weight of its module, which the caller
// has done if the state dict has that weight.
func (b *builder) knownHook(v any) bool {
	o, ok := v.(*file.Object)
	return ok && (strings.HasPrefix(o.Class, "torch.nn.utils.prune.") || o.Class == "torch.nn.utils.weight_norm.WeightNorm" || o.Class == "torch.nn.utils.spectral_norm.SpectralNorm")
}

// infer adds a node whose result follows from its arguments, which may have names.
func (b *builder) infer(module, op string, args ...any) value {
	n := &aten.Node{Op: "aten." + op, Module: module}
	for _, a := range args {
		named, ok := a.(aten.Arg)
		if !ok {
			named.Value = argument(a)
		}
		n.Args = append(n.Args, named)
	}
	if name, overload, ok := strings.Cut(op, "."); ok {
		n.Op, n.Overload = "aten."+name, overload
	}
	if err := aten.Infer(n); err != nil {
		var u *model.UnsupportedError
		if errors.As(err, &u) {
			b.fail("module %.100q: %s", module, u.What)
		}
		b.fail("module %.100q: %v", module, err)
	}
	b.count++
	n.Outputs[0].Name = fmt.Sprintf("%s_%d", op, b.count)
	b.program.Nodes = append(b.program.Nodes, n)
	return n.Outputs[0]
}

// number returns an attribute that is a number, or 0.
func number(v any) float64 {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case float64:
		return v
	case bool:
		if v {
			return 1
		}
	}
	return 0
}

// integers returns an attribute that is an integer or a tuple of them.
func (b *builder) integers(m *file.Object, key string) []int {
	var out []int
	list := []any{m.Attrs[key]}
	switch v := list[0].(type) {
	case file.Tuple:
		list = v
	case *file.List:
		list = v.Values
	}
	for _, v := range list {
		n, ok := v.(int64)
		if !ok || n < -1<<20 || n > 1<<20 {
			b.fail("%s of a %s is %v", key, m.Class, v)
		}
		out = append(out, int(n))
	}
	return out
}

// flag returns an attribute that is true or false.
func flag(m *file.Object, key string) bool { return number(m.Attrs[key]) != 0 }

// activations of torch.nn by their operators, with the attributes that are their
// arguments.
var moduleActivations = map[string]string{
	"ReLU": "relu", "ReLU6": "relu6", "LeakyReLU": "leaky_relu negative_slope", "ELU": "elu alpha", "SELU": "selu", "CELU": "celu alpha", "SiLU": "silu", "Mish": "mish",
	"Tanh": "tanh", "Sigmoid": "sigmoid", "Hardswish": "hardswish", "Hardsigmoid": "hardsigmoid", "Hardtanh": "hardtanh min_val max_val", "Softplus": "softplus beta threshold",
	"Softsign": "softsign", "LogSigmoid": "log_sigmoid", "Threshold": "threshold threshold value", "GLU": "glu dim", "Hardshrink": "hardshrink lambd", "Softshrink": "softshrink lambd",
}

// module applies a module of torch.nn.
func (b *builder) module(x value, m *file.Object, path string) value {
	b.applied[path] = true
	if y, ok := b.block(x, m, path); ok {
		return y
	}
	kind, known := strings.CutPrefix(m.Class, "torch.nn.modules.")
	_, kind, ok := strings.Cut(kind, ".")
	if !known || !ok {
		b.fail("module %.100q is a %.100s, which is not a module of torch.nn", path, m.Class)
	}
	if how, ok := moduleActivations[kind]; ok {
		words := strings.Fields(how)
		args := []any{x}
		for _, key := range words[1:] {
			if key == "dim" {
				args = append(args, b.integers(m, key)[0])
			} else {
				args = append(args, number(m.Attrs[key]))
			}
		}
		return b.infer(path, words[0], args...)
	}
	switch kind {
	case "Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout":
		return x
	case "Linear":
		return b.infer(path, "linear", x, b.weight(path+".weight"), b.optional(path+".bias"))
	case "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d":
		return b.moduleConv(x, m, path, kind)
	case "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm":
		b.known[path+".num_batches_tracked"] = true // counts training steps
		if !b.has(path + ".running_mean") {
			b.fail("module %.100q has no running statistics", path)
		}
		return b.infer(path, "batch_norm", x, b.optional(path+".weight"), b.optional(path+".bias"), b.weight(path+".running_mean"), b.weight(path+".running_var"), false, 0.1, number(m.Attrs["eps"]), true)
	case "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d":
		var mean, variance any
		if b.known[path+".num_batches_tracked"] = true; flag(m, "track_running_stats") {
			mean, variance = b.weight(path+".running_mean"), b.weight(path+".running_var")
		}
		return b.infer(path, "instance_norm", x, b.optional(path+".weight"), b.optional(path+".bias"), mean, variance, mean == nil, 0.1, number(m.Attrs["eps"]), true)
	case "LayerNorm":
		return b.infer(path, "layer_norm", x, b.integers(m, "normalized_shape"), b.optional(path+".weight"), b.optional(path+".bias"), number(m.Attrs["eps"]))
	case "RMSNorm":
		var epsilon any
		if e, ok := m.Attrs["eps"].(float64); ok {
			epsilon = e
		}
		return b.infer(path, "rms_norm", x, b.integers(m, "normalized_shape"), b.optional(path+".weight"), epsilon)
	case "GroupNorm":
		return b.infer(path, "group_norm", x, b.integers(m, "num_groups")[0], b.optional(path+".weight"), b.optional(path+".bias"), number(m.Attrs["eps"]))
	case "PReLU":
		return b.infer(path, "prelu", x, b.weight(path+".weight"))
	case "GELU":
		approximate, _ := m.Attrs["approximate"].(string)
		if approximate == "" {
			approximate = "none"
		}
		return b.infer(path, "gelu", x, approximate)
	case "RReLU":
		return b.infer(path, "leaky_relu", x, (number(m.Attrs["lower"])+number(m.Attrs["upper"]))/2)
	case "Tanhshrink":
		return b.infer(path, "sub", x, b.infer(path, "tanh", x))
	case "Softmax2d":
		return b.infer(path, "softmax", x, -3)
	case "Softmin", "Softmax", "LogSoftmax":
		dim := 1
		if m.Attrs["dim"] != nil {
			dim = b.integers(m, "dim")[0]
		} else if n := len(x.Shape); n == 3 || n < 2 {
			dim = 0
		}
		return b.infer(path, map[string]string{"Softmin": "softmin", "Softmax": "softmax", "LogSoftmax": "log_softmax"}[kind], x, dim)
	case "MaxPool1d", "MaxPool2d", "MaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d",
		"AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d":
		return b.modulePool(x, m, path, kind)
	}
	return b.rearranging(x, m, path, kind)
}

// rearranging applies a module of torch.nn that puts elements to other places.
func (b *builder) rearranging(x value, m *file.Object, path, kind string) value {
	switch kind {
	case "Flatten":
		return b.infer(path, "flatten", x, b.integers(m, "start_dim")[0], b.integers(m, "end_dim")[0])
	case "Unflatten":
		return b.infer(path, "unflatten", x, b.integers(m, "dim")[0], b.integers(m, "unflattened_size"))
	case "ZeroPad1d", "ZeroPad2d", "ZeroPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d":
		return b.infer(path, "pad", x, b.integers(m, "padding"), "constant", number(m.Attrs["value"]))
	case "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d":
		return b.infer(path, "pad", x, b.integers(m, "padding"), "reflect")
	case "CircularPad1d", "CircularPad2d", "CircularPad3d":
		return b.infer(path, "pad", x, b.integers(m, "padding"), "circular")
	case "ReplicationPad1d", "ReplicationPad2d", "ReplicationPad3d":
		return b.infer(path, "pad", x, b.integers(m, "padding"), "replicate")
	case "PixelShuffle":
		return b.infer(path, "pixel_shuffle", x, b.integers(m, "upscale_factor")[0])
	case "PixelUnshuffle":
		return b.infer(path, "pixel_unshuffle", x, b.integers(m, "downscale_factor")[0])
	case "ChannelShuffle":
		return b.infer(path, "channel_shuffle", x, b.integers(m, "groups")[0])
	case "Unfold":
		return b.infer(path, "im2col", x, b.pair(m, "kernel_size"), b.pair(m, "dilation"), b.pair(m, "padding"), b.pair(m, "stride"))
	case "Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d":
		return b.upsample(x, m, path)
	case "Embedding":
		if m.Attrs["max_norm"] != nil {
			b.fail("module %.100q has max_norm", path)
		}
		return b.infer(path, "embedding", b.weight(path+".weight"), x)
	}
	b.fail("module %.100q is a %.100s, whose forward is not known", path, m.Class)
	return nil
}

// modulePool applies a pooling module.
func (b *builder) modulePool(x value, m *file.Object, path, kind string) value {
	switch {
	case strings.HasPrefix(kind, "Adaptive"):
		return b.infer(path, poolOp(kind), x, b.integers(m, "output_size"))
	case strings.HasPrefix(kind, "Max"):
		if flag(m, "return_indices") {
			b.fail("module %.100q returns indices", path)
		}
		return b.infer(path, poolOp(kind), x, b.integers(m, "kernel_size"), b.strideOf(m), b.integers(m, "padding"), b.integers(m, "dilation"), flag(m, "ceil_mode"))
	}
	args := []any{x, b.integers(m, "kernel_size"), b.strideOf(m), b.integers(m, "padding"), flag(m, "ceil_mode"), flag(m, "count_include_pad")}
	if m.Attrs["divisor_override"] != nil {
		args = append(args, b.integers(m, "divisor_override")[0])
	}
	return b.infer(path, poolOp(kind), args...)
}

// poolOp is the operator of a pooling module: max_pool2d of MaxPool2d.
func poolOp(kind string) string {
	var out []byte
	for i, c := range []byte(kind) {
		if c >= 'A' && c <= 'Z' {
			if i > 0 {
				out = append(out, '_')
			}
			c += 'a' - 'A'
		}
		out = append(out, c)
	}
	return string(out)
}

// strideOf returns the stride of a pooling module, which is its kernel if it has
// none.
func (b *builder) strideOf(m *file.Object) []int {
	if m.Attrs["stride"] == nil {
		return b.integers(m, "kernel_size")
	}
	return b.integers(m, "stride")
}

func (b *builder) moduleConv(x value, m *file.Object, path, kind string) value {
	mode, _ := m.Attrs["padding_mode"].(string)
	stride, dilation, groups := b.integers(m, "stride"), b.integers(m, "dilation"), b.integers(m, "groups")[0]
	w, bias := b.weight(path+".weight"), b.optional(path+".bias")
	axes := kind[len(kind)-2:]
	padded := mode != "zeros" && mode != ""
	if text, ok := m.Attrs["padding"].(string); ok && !(padded && text == "same") {
		return b.infer(path, "conv"+axes+".padding", x, w, bias, stride, text, dilation, groups)
	}
	if padded && !strings.HasPrefix(kind, "ConvTranspose") { // the sides as F.pad takes them, the last axis first
		x = b.infer(path, "pad", x, b.integers(m, "_reversed_padding_repeated_twice"), mode)
		return b.infer(path, "conv"+axes, x, w, bias, stride, []int{0}, dilation, groups)
	}
	padding := b.integers(m, "padding")
	if strings.HasPrefix(kind, "ConvTranspose") {
		return b.infer(path, "conv_transpose"+axes, x, w, bias, stride, padding, b.integers(m, "output_padding"), groups, dilation)
	}
	return b.infer(path, "conv"+axes, x, w, bias, stride, padding, dilation, groups)
}

// pair returns an attribute of two integers, or of one for both.
func (b *builder) pair(m *file.Object, key string) []int {
	v := b.integers(m, key)
	if len(v) == 1 {
		v = []int{v[0], v[0]}
	}
	return v
}

// upsample applies an Upsample of one to three axes.
func (b *builder) upsample(x value, m *file.Object, path string) value {
	mode, _ := m.Attrs["mode"].(string)
	axes := len(x.Shape) - 2
	op := map[string]string{"nearest": "upsample_nearest%dd", "nearest-exact": "_upsample_nearest_exact%dd", "linear": "upsample_linear%dd",
		"bilinear": "upsample_bilinear%dd", "trilinear": "upsample_trilinear%dd", "bicubic": "upsample_bicubic%dd"}[mode]
	if op == "" || axes < 1 || axes > 3 {
		b.fail("module %.100q scales a value of shape %v by %.20q", path, x.Shape, mode)
	}
	args := []any{x}
	if m.Attrs["size"] != nil {
		v := b.integers(m, "size")
		for len(v) < axes {
			v = append(v, v[0])
		}
		args = append(args, aten.Arg{Name: "output_size", Value: argument(v)})
	} else {
		list := []any{m.Attrs["scale_factor"]}
		if t, ok := list[0].(file.Tuple); ok && len(t) > 0 {
			list = t
		}
		v := make([]float64, axes)
		for i := range v {
			v[i] = number(list[min(i, len(list)-1)])
		}
		args = append(args, aten.Arg{Name: "scale_factors", Value: v})
	}
	if !strings.HasPrefix(mode, "nearest") {
		args = append(args, aten.Arg{Name: "align_corners", Value: flag(m, "align_corners")})
	}
	return b.infer(path, fmt.Sprintf(op, axes)+".vec", args...)
}
