package arch

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lethe/convert/aten"
	"lethe/file"
	"lethe/graph"
	"lethe/model"
)

// value is a tensor of the program; axis 0 is the batch.
type value = *aten.Value

// builder writes the program of one network. Its methods are named after the
// modules of PyTorch and take the module's path for the names of the weights.
type builder struct {
	output      string // what the result is called, if not logits
	sd          *model.StateDict
	prefix      string // before every name of the state dict
	name        string // of the family, which a build may make more precise
	input       []int  // channels, height and width of a sample; from the caller, or the usual
	usual       bool   // input is the usual: its channels are those of the first convolution
	config      *Config
	modulesTree *file.Object // of a network that was saved whole; nil for a state dict
	program     *aten.Program
	weights     map[string]value
	modules     map[string]bool // paths of modules with entries
	known       map[string]bool // entries of the state dict that belong to the network
	applied     map[string]bool // paths of modules of a network that was saved whole that were applied as they are
	notes       []string
	count       int
}

func (b *builder) fail(format string, args ...any) {
	panic(mismatch(fmt.Sprintf(format, args...)))
}

func (b *builder) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(b.notes, text) {
		b.notes = append(b.notes, text)
	}
}

// has reports whether the state dict has an entry.
func (b *builder) has(name string) bool { return b.sd.Get(b.prefix+name) != nil }

// under reports whether the state dict has entries in a module.
func (b *builder) under(module string) bool { return b.modules[b.prefix+module] }

// modulesOf returns the paths of all modules that have entries.
func modulesOf(names []string) map[string]bool {
	modules := map[string]bool{}
	for _, name := range names {
		for range deepest {
			i := strings.LastIndexByte(name, '.')
			if i < 0 || modules[name[:i]] {
				break
			}
			name = name[:i]
			modules[name] = true
		}
	}
	return modules
}

// deepest is more than the modules of any known network are nested.
const deepest = 32

// ignore marks the entries of modules as parts of the network that inference
// does not read.
func (b *builder) ignore(modules ...string) {
	for _, name := range b.sd.Names() {
		for _, module := range modules {
			if rest, ok := strings.CutPrefix(name, b.prefix+module); ok && (rest == "" || rest[0] == '.') {
				b.known[name] = true
			}
		}
	}
}

// shape returns the shape of an entry.
func (b *builder) shape(name string) []int {
	t := b.sd.Get(b.prefix + name)
	if t == nil {
		b.fail("%q is missing", b.prefix+name)
	}
	return t.Shape()
}

// weight returns an entry of the state dict, of the given shape if there is
// one, as float32: narrower types are widened.
func (b *builder) weight(name string, shape ...int) value {
	full := b.prefix + name
	t := b.sd.Get(full)
	switch {
	case t == nil:
		b.fail("%q is missing", full)
	case !t.DType().IsFloat() && t.DType() != model.Int64:
		b.fail("%q is %v", full, t.DType())
	case len(shape) > 0 && !slices.Equal(shape, t.Shape()):
		b.fail("%q has shape %v, not %v", full, t.Shape(), shape)
	case t.Len() == 0:
		b.fail("%q of shape %v is empty", full, t.Shape())
	}
	if v, ok := b.weights[full]; ok {
		return v
	}
	if t.DType().IsFloat() && t.DType() != model.Float32 {
		wide, err := t.Float32s()
		if err != nil {
			b.fail("%q cannot be read: %v", full, err)
		}
		t = model.Float32Tensor(t.Shape(), wide)
	}
	v := &aten.Value{Name: full, DType: t.DType(), Shape: graph.Sizes(t.Shape()...)}
	b.known[full] = true
	b.weights[full] = v
	b.program.Weights = append(b.program.Weights, aten.Weight{Value: v, Name: full, Tensor: t})
	return v
}

// optional returns an entry, or nil if the state dict does not have it.
func (b *builder) optional(name string, shape ...int) any {
	if !b.has(name) {
		return nil
	}
	return b.weight(name, shape...)
}

// call adds a node with one result, whose axes after the batch have the sizes.
func (b *builder) call(module, op string, sizes []int, args ...any) value {
	return b.shaped(module, op, graph.Batch(sizes...), args...)
}

// shaped is call for results whose first axis may be another than the batch.
func (b *builder) shaped(module, op string, shape graph.Shape, args ...any) value {
	return b.shapedAs(module, op, model.Float32, shape, args...)
}

func (b *builder) shapedAs(module, op string, dtype model.DType, shape graph.Shape, args ...any) value {
	b.count++
	out := &aten.Value{Name: op + "_" + strconv.Itoa(b.count), DType: dtype, Shape: shape}
	n := &aten.Node{Op: "aten." + op, Module: module, Outputs: []value{out}}
	for _, a := range args {
		n.Args = append(n.Args, aten.Arg{Value: argument(a)})
	}
	b.program.Nodes = append(b.program.Nodes, n)
	return out
}

// argument returns a Go value as the program has it.
func argument(a any) any {
	switch a := a.(type) {
	case int:
		return int64(a)
	case []int:
		out := make([]int64, len(a))
		for i, n := range a {
			out[i] = int64(n)
		}
		return out
	}
	return a
}

// dims returns the sizes of the axes after the batch.
func dims(x value) []int {
	n, _ := x.Shape[1:].Ints()
	return n
}

// image is the input of networks for images: usually of the given channels,
// height and width, unless the caller knows better.
func (b *builder) image(sizes ...int) value {
	if b.input == nil {
		b.input, b.usual = sizes, true
	}
	if len(b.input) != 3 || min(b.input[0], b.input[1], b.input[2]) < 1 || max(b.input[1], b.input[2]) > 1<<14 {
		b.fail("samples of %v are not images of channels x height x width", b.input)
	}
	return b.inputOf("input", model.Float32, graph.Batch(b.input...))
}

func (b *builder) inputOf(name string, dtype model.DType, shape graph.Shape) value {
	x := &aten.Value{Name: name, DType: dtype, Shape: shape}
	b.program.Inputs = append(b.program.Inputs, x)
	return x
}

// width returns the size of the last axis.
func width(x value) int {
	n, _ := x.Shape[len(x.Shape)-1].Int()
	return n
}

// conv is a Conv2d whose padding keeps the size at stride 1, which is that of
// nearly all networks: half of the kernel.
func (b *builder) conv(x value, name string, stride int) value {
	k := b.shape(name + ".weight")
	if len(k) != 4 {
		b.fail("%q has shape %v, a convolution has four axes", b.prefix+name+".weight", k)
	}
	return b.convPad(x, name, stride, (k[2]-1)/2, (k[3]-1)/2)
}

// convPad is a Conv2d with the given padding of height and width. The groups
// follow from the channels.
func (b *builder) convPad(x value, name string, stride, padH, padW int) value {
	k := b.shape(name + ".weight")
	d := dims(x)
	if len(k) != 4 || len(d) != 3 || min(k[0], k[1], k[2], k[3]) < 1 {
		b.fail("%q has shape %v for an input of shape %v", b.prefix+name+".weight", k, x.Shape)
	}
	if slices.Contains(b.program.Inputs, x) && d[0] != k[1] { // nobody groups the channels of images
		if !b.usual || len(b.program.Nodes) > 0 {
			b.fail("%q has shape %v for images of %d channels", b.prefix+name+".weight", k, d[0])
		}
		b.note("images have %d channels, as the first convolution has", k[1])
		b.input[0], d[0] = k[1], k[1]
		x.Shape = graph.Batch(b.input...)
	}
	groups := d[0] / k[1]
	if d[0]%k[1] != 0 || k[0]%groups != 0 {
		b.fail("%q has shape %v for %d channels", b.prefix+name+".weight", k, d[0])
	}
	g := b.geometry(name, geometry{[2]int{stride, stride}, [2]int{padH, padW}, [2]int{1, 1}})
	h, w := b.window(d[1], g.dilation[0]*(k[2]-1)+1, g.stride[0], g.padding[0]), b.window(d[2], g.dilation[1]*(k[3]-1)+1, g.stride[1], g.padding[1])
	return b.call(name, "conv2d", []int{k[0], h, w}, x, b.weight(name+".weight"), b.optional(name+".bias", k[0]),
		g.stride[:], g.padding[:], g.dilation[:], groups)
}

// window returns the size that a sliding window leaves of size n.
func (b *builder) window(n, k, stride, pad int) int {
	if n+2*pad < k {
		b.fail("samples of %v are too small for it", b.input)
	}
	return (n+2*pad-k)/stride + 1
}

// batchNorm is a BatchNorm2d in evaluation mode.
func (b *builder) batchNorm(x value, name string, epsilon float64) value {
	c := dims(x)[0]
	epsilon = b.epsilonOf(name, epsilon)
	y := b.shaped(name, "batch_norm", x.Shape, x, b.weight(name+".weight", c), b.weight(name+".bias", c),
		b.weight(name+".running_mean", c), b.weight(name+".running_var", c), false, 0.1, epsilon, true)
	b.known[b.prefix+name+".num_batches_tracked"] = true // counts training steps
	return y
}

// convBN is a convolution, then batch normalization.
func (b *builder) convBN(x value, conv, norm string, stride int, epsilon float64) value {
	return b.batchNorm(b.conv(x, conv, stride), norm, epsilon)
}

func (b *builder) unary(x value, op string) value { return b.shaped("", op, x.Shape, x) }

func (b *builder) relu(x value) value { return b.unary(x, "relu") }

func (b *builder) add(x, y value) value {
	if !x.Shape.Equal(y.Shape) {
		b.fail("shapes %v and %v are added", x.Shape, y.Shape)
	}
	return b.shaped("", "add", x.Shape, x, y)
}

func (b *builder) scale(x, y value) value { return b.shaped("", "mul", x.Shape, x, y) }

// maxPool is a MaxPool2d.
func (b *builder) maxPool(x value, k, stride, pad int, ceil bool) value {
	d := dims(x)
	out := []int{d[0], b.pooled(d[1], k, stride, pad, ceil), b.pooled(d[2], k, stride, pad, ceil)}
	return b.call("", "max_pool2d", out, x, []int{k, k}, []int{stride, stride}, []int{pad, pad}, []int{1, 1}, ceil)
}

func (b *builder) pooled(n, k, stride, pad int, ceil bool) int {
	out := b.window(n, k, stride, pad)
	if ceil && (n+2*pad-k)%stride != 0 && out*stride < n+pad {
		out++
	}
	return out
}

func (b *builder) avgPool(x value, k, stride, pad int) value {
	d := dims(x)
	return b.call("", "avg_pool2d", []int{d[0], b.window(d[1], k, stride, pad), b.window(d[2], k, stride, pad)},
		x, []int{k, k}, []int{stride, stride}, []int{pad, pad}, false, true)
}

// adaptiveAvgPool is an AdaptiveAvgPool2d to h x w.
func (b *builder) adaptiveAvgPool(x value, h, w int) value {
	return b.call("", "adaptive_avg_pool2d", []int{dims(x)[0], h, w}, x, []int{h, w})
}

// globalAvg is the average over height and width, flattened.
func (b *builder) globalAvg(x value) value { return b.flatten(b.adaptiveAvgPool(x, 1, 1)) }

// flatten is torch.flatten(x, 1).
func (b *builder) flatten(x value) value {
	n := 1
	for _, d := range dims(x) {
		n *= d
	}
	return b.call("", "flatten", []int{n}, x, 1)
}

// linear is a Linear over the last axis, or the Sequential that was put in its
// place in a network that was saved whole.
func (b *builder) linear(x value, name string) value {
	if m := b.at(name); m != nil && isSequence(m) {
		return b.sequence(x, m, name, 0)
	}
	return b.linearOf(x, name, name+".weight", name+".bias")
}

// head is a module at the end of a network, of which name is the last layer: the
// module itself in a network that was saved whole.
func (b *builder) head(x value, module, name string) value {
	switch m := b.at(module); {
	case m == nil:
		return b.linear(x, module+name)
	case isSequence(m):
		return b.sequence(x, m, module, 0)
	default:
		return b.module(x, m, module)
	}
}

func (b *builder) linearOf(x value, module, weight, bias string) value {
	w := b.shape(weight)
	if len(w) != 2 || w[1] != width(x) {
		b.fail("%q has shape %v for %d features", b.prefix+weight, w, width(x))
	}
	out := slices.Clone(x.Shape)
	out[len(out)-1] = graph.Size(w[0])
	return b.shaped(module, "linear", out, x, b.weight(weight), b.optional(bias, w[0]))
}

// layerNorm is a LayerNorm over the last axis.
func (b *builder) layerNorm(x value, name string, epsilon float64) value {
	c := width(x)
	epsilon = b.epsilonOf(name, epsilon)
	weight, bias := name+".weight", name+".bias"
	if b.has(name + ".gamma") { // as TensorFlow calls them, and early checkpoints of BERT
		weight, bias = name+".gamma", name+".beta"
	}
	return b.shaped(name, "layer_norm", x.Shape, x, []int{c}, b.weight(weight, c), b.weight(bias, c), epsilon)
}

// permute puts the axes, the batch's too, into another order.
func (b *builder) permute(x value, order ...int) value {
	shape := make(graph.Shape, len(order))
	for i, from := range order {
		shape[i] = x.Shape[from]
	}
	return b.shaped("", "permute", shape, x, order)
}

// reshape gives the axes after the batch other sizes.
func (b *builder) reshape(x value, sizes ...int) value {
	shape := graph.Batch(sizes...)
	return b.shaped("", "reshape", shape, x, shape)
}

// cat joins values along an axis.
func (b *builder) cat(axis int, xs ...value) value {
	shape := slices.Clone(xs[0].Shape)
	for _, x := range xs[1:] {
		shape[axis] = shape[axis].Add(x.Shape[axis])
	}
	return b.shaped("", "cat", shape, xs, axis)
}

// slice takes a part of an axis.
func (b *builder) slice(x value, axis, start, end, step int) value {
	shape := slices.Clone(x.Shape)
	shape[axis] = graph.Size((end - start + step - 1) / step)
	return b.shaped("", "slice", shape, x, axis, start, end, step)
}

// squeezeExcite scales the channels by what two 1x1 convolutions make of their
// averages.
func (b *builder) squeezeExcite(x value, first, second, activation, gate string) value {
	s := b.unary(b.conv(b.adaptiveAvgPool(x, 1, 1), first, 1), activation)
	s = b.unary(b.conv(s, second, 1), gate)
	if !s.Shape[1].Equal(x.Shape[1]) {
		b.fail("%q makes %v channels, not %v", b.prefix+second, s.Shape[1], x.Shape[1])
	}
	return b.scale(x, s)
}

// each calls f with name0, name1, ... for as long as the state dict has entries
// in the module, starting from a number.
func (b *builder) each(module string, from int, f func(i int, name string)) int {
	i := from
	for ; b.under(module + strconv.Itoa(i)); i++ {
		f(i, module+strconv.Itoa(i))
	}
	return i - from
}

// strided returns 2 for the first block of a stage that halves the image.
func strided(first, halves bool) int {
	if first && halves {
		return 2
	}
	return 1
}
