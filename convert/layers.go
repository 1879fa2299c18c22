package convert

import (
	"math"

	"lethe/graph"
	"lethe/model"
)

// A layer adds its nodes to a network that is being built and checks the
// tensors that it needs. Sizes that are not fixed by the architecture are read
// from those tensors.
type layer func(*builder)

// epsilon is the default of torch.nn.BatchNorm2d. A state dict does not record
// it, and models that change it are rare.
const epsilon = 1e-5

// conv is torch.nn.Conv2d(in, out, k): stride 1, no padding, with a bias.
func conv(name string, k int) layer {
	return func(b *builder) {
		weight := b.take(name+".weight", free, b.channels, k, k)
		out := size(weight, 0)
		b.take(name+".bias", out)
		if len(b.nodes) == 0 {
			b.inputChannels = size(weight, 1)
		}
		b.channels = out
		b.window(k, 1)
		b.node(name, "Conv", graph.Attrs{
			"kernel_shape": graph.Ints(int64(k), int64(k)),
			"strides":      graph.Ints(1, 1),
			"pads":         graph.Ints(0, 0, 0, 0),
		}, name+".weight", name+".bias")
	}
}

// batchNorm is torch.nn.BatchNorm2d in evaluation mode.
func batchNorm(name string) layer {
	return func(b *builder) {
		var params []string
		for _, suffix := range []string{".weight", ".bias", ".running_mean", ".running_var"} {
			b.take(name+suffix, b.channels)
			params = append(params, name+suffix)
		}
		b.ignore(name + ".num_batches_tracked") // counts training steps; inference does not read it
		b.node(name, "BatchNormalization", graph.Attrs{"epsilon": graph.Float(epsilon)}, params...)
	}
}

func relu(name string) layer {
	return func(b *builder) { b.node(name, "Relu", nil) }
}

// maxPool is torch.nn.MaxPool2d(k): stride k, no padding, sizes rounded down.
func maxPool(name string, k int) layer {
	return func(b *builder) {
		b.window(k, k)
		b.node(name, "MaxPool", graph.Attrs{
			"kernel_shape": graph.Ints(int64(k), int64(k)),
			"strides":      graph.Ints(int64(k), int64(k)),
			"pads":         graph.Ints(0, 0, 0, 0),
		})
	}
}

// flatten is torch.flatten(x, 1). The linear layer after it tells how many
// features an image has at this point, and so how large the image was.
func flatten(name string) layer {
	return func(b *builder) {
		b.flattened = b.channels
		b.channels = free
		b.node(name, "Flatten", graph.Attrs{"axis": graph.Int(1)})
	}
}

// linear is torch.nn.Linear with a bias. Gemm with transB takes torch's layout
// of the weight, [out, in], as it is.
func linear(name string) layer {
	return func(b *builder) {
		weight := b.take(name+".weight", free, b.channels)
		if b.flattened != free {
			b.solve(name+".weight", size(weight, 1))
			b.flattened = free
		}
		b.channels = size(weight, 0)
		b.take(name+".bias", b.channels)
		b.node(name, "Gemm", graph.Attrs{"transB": graph.Int(1)}, name+".weight", name+".bias")
	}
}

// window is what an unpadded sliding window does to a size: n becomes
// (n-k)/stride + 1, rounded down.
type window struct{ k, stride int }

// before returns the sizes that the window turns into lo to hi; rounding down
// makes several sizes equal.
func (w window) before(lo, hi int) (int, int) {
	return (lo-1)*w.stride + w.k, (hi-1)*w.stride + w.k + w.stride - 1
}

// inputSizes returns the smallest and the largest square image that the
// windows turn into channels x s x s = features; ok is false if none does.
func inputSizes(windows []window, channels, features int) (lo, hi int, ok bool) {
	s := int(math.Sqrt(float64(features / channels)))
	if s == 0 || s > math.MaxInt32 || s*s*channels != features {
		return 0, 0, false
	}
	lo, hi = s, s
	for i := len(windows) - 1; i >= 0; i-- {
		lo, hi = windows[i].before(lo, hi)
	}
	return lo, hi, true
}

// size returns dimension i of a shape, or free if the tensor was not there.
func size(shape []int, i int) int {
	if i < len(shape) {
		return shape[i]
	}
	return free
}

// builder collects the nodes of one architecture and everything in which a
// state dict differs from it.
type builder struct {
	sd     *model.StateDict
	prefix string // stands before every name of the state dict
	usual  int    // preferred size of the image

	nodes    []graph.Node
	value    string          // what the last node made
	known    map[string]bool // names that belong to the architecture, with prefix
	missing  []string
	deviates []string // shapes and element types

	channels      int // of the last node's output; free if not known
	inputChannels int
	flattened     int // channels before flatten, until the linear layer after it
	windows       []window
	imageSize     int
}

func (b *builder) window(k, stride int) { b.windows = append(b.windows, window{k, stride}) }

func (b *builder) ignore(name string) { b.known[b.prefix+name] = true }

// node appends a node that reads the last node's output and the named weights.
func (b *builder) node(name, op string, attrs graph.Attrs, weights ...string) {
	inputs := []string{b.value}
	for _, w := range weights {
		inputs = append(inputs, b.prefix+w)
	}
	b.nodes = append(b.nodes, graph.Node{Name: name, Op: op, Inputs: inputs, Outputs: []string{name}, Attrs: attrs})
	b.value = name
}
