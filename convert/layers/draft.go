package layers

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"lethe/model"
)

// usualSizes are heights and widths of images that networks are made for, in the
// order in which they are tried where nothing tells the size.
var usualSizes = []int{28, 32, 224, 64, 96, 128, 299, 16, 48, 256, 227, 8}

// Draft returns a description of a network of convolutions and linear layers in
// a row with these weights. What names and shapes do not tell is open: every
// choice has the alternatives that lead to the number of features that the first
// linear layer takes, the likely ones first. Input is the shape of a sample, or nil
// for the first usual size that fits.
//
// The numbers in paths such as "features.4" tell how many layers without weights
// stand between two with weights, and what contradicts them is left out.
//
// A state dict that is not one of such a network is a [model.UnsupportedError].
func Draft(sd *model.StateDict, input []int) (*Net, error) {
	d := &drafter{sd: sd}
	if err := d.read(); err != nil {
		return nil, err
	}
	if err := d.chain(); err != nil {
		return nil, err
	}
	d.count()
	inputs := [][]int{input}
	if input == nil {
		inputs = d.inputs()
	}
	var first error
	for _, in := range inputs {
		n := d.net(in)
		err := n.narrow(ShapesOf(sd))
		if err == nil {
			return n, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, refuse("no padding, stride and pooling that is usual fits the shapes: %v", first)
}

func refuse(format string, args ...any) error {
	return &model.UnsupportedError{What: "the weights are not those of a network whose layers follow one another: " + fmt.Sprintf(format, args...),
		Advice: "export the network with torch.export.save or torch.jit.save, which record the wiring, or describe it in a file for --layers"}
}

// blocksMax is more than the networks have whose layers follow one another.
const blocksMax = 256

// drafter finds out which layers a state dict has.
type drafter struct {
	sd      *model.StateDict
	blocks  []*block          // convolutions, then linear layers, in the order in which they run
	between []*weightedModule // normalizations and PReLUs
}

// weightedModule is a module with weights, such as a normalization.
type weightedModule struct {
	path, op string
	shape    []int // of the weight
	place    int   // in the file
}

// block is a convolution or a linear layer and what follows it until the next.
type block struct {
	weightedModule
	norm, prelu   *weightedModule
	before, after int // layers without weights before and after the normalization; -1: not known
}

// read sorts the entries of the state dict into modules.
func (d *drafter) read() error {
	suffixes := map[string]map[string][]int{}
	var order []string
	for name, t := range d.sd.All() {
		i := strings.LastIndexByte(name, '.')
		if i < 0 {
			return refuse("the entry %.100q has no module, which would be what stands before a dot in its name", name)
		}
		path, suffix := name[:i], name[i+1:]
		if suffixes[path] == nil {
			suffixes[path] = map[string][]int{}
			order = append(order, path)
		}
		if suffix != "num_batches_tracked" && !t.DType().IsFloat() {
			return refuse("the entry %.100q holds %v, and a weight holds floating-point numbers", name, t.DType())
		}
		suffixes[path][suffix] = t.Shape()
	}
	for place, path := range order {
		f := weightedModule{path: path, place: place, shape: suffixes[path]["weight"]}
		have := slices.Sorted(maps.Keys(suffixes[path]))
		_, statistics := suffixes[path]["running_mean"]
		has := func(names ...string) bool {
			return !slices.ContainsFunc(have, func(name string) bool { return !slices.Contains(names, name) })
		}
		switch {
		case statistics && has("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
			f.op, f.shape = "batch_norm", suffixes[path]["running_mean"]
		case len(f.shape) == 4 && has("weight", "bias"):
			f.op = "conv"
		case len(f.shape) == 2 && has("weight", "bias"):
			f.op = "linear"
		case len(f.shape) == 1 && has("weight"):
			f.op = "prelu"
		default:
			return refuse("the entries %.100q of %.100q are of no convolution, linear layer, batch normalization or PReLU", have, path)
		}
		if f.op == "conv" || f.op == "linear" {
			d.blocks = append(d.blocks, &block{weightedModule: f, before: -1, after: -1})
		} else {
			d.between = append(d.between, &f)
		}
	}
	if len(d.blocks) > blocksMax {
		return refuse("there are %d convolutions and linear layers, and a draft has at most %d", len(d.blocks), blocksMax)
	}
	if len(d.blocks) == 0 {
		return refuse("there are no convolutions and no linear layers")
	}
	return nil
}

// chain puts convolutions before linear layers, each behind the one whose output
// it takes, and normalizations to theirs.
func (d *drafter) chain() error {
	slices.SortStableFunc(d.blocks, func(a, b *block) int { return strings.Compare(a.op, b.op) })
	err := d.connected()
	if err != nil {
		first := slices.Clone(d.blocks)
		slices.SortStableFunc(d.blocks, func(a, b *block) int {
			if c := strings.Compare(a.op, b.op); c != 0 {
				return c
			}
			return natural(a.path, b.path)
		})
		if d.connected() != nil {
			d.blocks = first
			return err
		}
	}
	for _, f := range d.between {
		if b := d.owner(f); b == nil {
			return refuse("%s %.100q of shape %v follows no layer of that width", f.op, f.path, f.shape)
		} else if f.op == "prelu" {
			b.prelu = f
		} else {
			b.norm = f
		}
	}
	return nil
}

// connected reports whether every layer takes what the one before it makes.
func (d *drafter) connected() error {
	for i, b := range d.blocks[:len(d.blocks)-1] {
		next := d.blocks[i+1]
		out, in := b.shape[0], next.shape[1]
		fits := out == in
		switch {
		case min(out, in) < 1:
			fits = false
		case next.op == "linear" && b.op == "conv":
			fits = in%out == 0
		case next.op == "conv":
			fits = fits || in == 1 && next.shape[0]%out == 0 // each channel by itself
		}
		if !fits {
			return refuse("%.100q of shape %v does not take what %.100q of shape %v makes", next.path, next.shape, b.path, b.shape)
		}
	}
	return nil
}

// owner returns the layer that a normalization or a PReLU belongs to: the one
// before it in the file, or else the one with the same number in its name, or the
// first of its width that has none.
func (d *drafter) owner(f *weightedModule) *block {
	free := func(b *block) bool {
		if len(f.shape) != 1 {
			return false
		}
		return f.op == "batch_norm" && b.norm == nil && f.shape[0] == b.shape[0] ||
			f.op == "prelu" && b.prelu == nil && (f.shape[0] == b.shape[0] || f.shape[0] == 1)
	}
	var before, numbered, first *block
	for _, b := range d.blocks {
		if b.place < f.place && (before == nil || b.place > before.place) {
			before = b
		}
		if !free(b) {
			continue
		}
		if first == nil {
			first = b
		}
		if numbered == nil && lastNumber(b.path) == lastNumber(f.path) && lastNumber(f.path) != "" && b.op == "conv" {
			numbered = b
		}
	}
	beside := before != nil && free(before)
	switch {
	case beside && parent(before.path) == parent(f.path) && (parent(f.path) != "" || numbered == nil):
		return before
	case numbered != nil:
		return numbered
	case first != nil && beside && first.place < before.place && d.first(f.op) == f:
		return first // convolutions before normalizations
	case beside:
		return before
	}
	return first
}

// first returns the first normalization or PReLU in the file.
func (d *drafter) first(op string) *weightedModule {
	for _, f := range d.between {
		if f.op == op {
			return f
		}
	}
	return nil
}

func parent(path string) string { return path[:max(strings.LastIndexByte(path, '.'), 0)] }

func lastNumber(path string) string {
	return path[len(strings.TrimRight(path, "0123456789")):]
}

// natural compares paths with the numbers in them as numbers.
func natural(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, y := lastNumber(as[i]), lastNumber(bs[i])
		if as[i][:len(as[i])-len(x)] == bs[i][:len(bs[i])-len(y)] && len(x) != len(y) {
			return len(x) - len(y)
		}
		if c := strings.Compare(as[i], bs[i]); c != 0 {
			return c
		}
	}
	return len(as) - len(bs)
}

// count reads off the numbers in paths how many layers without weights stand
// between two with weights of one Sequential. A list whose numbers have no gaps
// tells nothing: what is between may be written in forward.
func (d *drafter) count() {
	type member struct{ parent, number string }
	split := func(f *weightedModule) (m member, n int, ok bool) {
		i := strings.LastIndexByte(f.path, '.')
		m.parent, m.number = f.path[:max(i, 0)], f.path[i+1:]
		n, err := strconv.Atoi(m.number)
		return m, n, err == nil && len(m.number) < 6
	}
	gap := func(a, b *weightedModule) int {
		am, an, aok := split(a)
		bm, bn, bok := split(b)
		if !aok || !bok || am.parent != bm.parent || bn <= an {
			return -1
		}
		return bn - an - 1
	}
	gapped := map[string]bool{}
	for i, b := range d.blocks {
		last := &b.weightedModule
		if b.norm != nil {
			b.before = gap(last, b.norm)
			last = b.norm
		}
		if b.prelu != nil { // its place is known; the rest is as if nothing were
			b.before, b.after = -1, -1
			continue
		}
		if i+1 < len(d.blocks) {
			b.after = gap(last, &d.blocks[i+1].weightedModule)
			if b.op != d.blocks[i+1].op && b.after > 0 {
				b.after-- // flattens
			}
		}
		if max(b.before, b.after) > 0 {
			m, _, _ := split(last)
			gapped[m.parent] = true
		}
	}
	for _, b := range d.blocks {
		if m, _, _ := split(&b.weightedModule); !gapped[m.parent] {
			if b.after == 0 {
				b.after = -1
			}
			if b.before == 0 && b.after < 0 && b.norm != nil {
				// A normalization right behind its convolution in a Sequential: nothing
				// is between them, as nothing else can be written there.
				continue
			}
		}
	}
}

// inputs returns the shapes that a sample may have.
func (d *drafter) inputs() [][]int {
	first := d.blocks[0]
	if first.op == "linear" {
		return [][]int{{first.shape[1]}}
	}
	var out [][]int
	for _, size := range usualSizes {
		out = append(out, []int{first.shape[1], size, size})
	}
	return out
}

// Activations are those that a draft leaves to choose from.
func Activations() []Layer {
	var out []Layer
	for _, name := range []string{"relu", "tanh", "sigmoid", "leaky_relu", "gelu", "elu", "silu"} {
		out = append(out, Of(name, ""))
	}
	for _, slope := range []float64{0.1, 0.2} {
		l := Of("leaky_relu", "")
		l.Number = slope
		out = append(out, l)
	}
	for _, name := range []string{"selu", "relu6", "hardswish", "mish", "softplus", "softsign"} {
		out = append(out, Of(name, ""))
	}
	return out
}

// net writes the description.
func (d *drafter) net(input []int) *Net {
	n := &Net{Input: input, Activations: Activations(), Poolings: []string{"max_pool", "avg_pool"}}
	add := func(alternatives ...[]Layer) {
		n.Slots = append(n.Slots, Slot{Alternatives: alternatives})
	}
	if d.blocks[0].op == "linear" && len(input) == 3 {
		add(flattened())
	}
	for i, b := range d.blocks {
		last := i == len(d.blocks)-1
		if b.op == "linear" {
			add([]Layer{Of("linear", b.path)})
			if !last {
				add(b.follow(nil)...)
			}
			continue
		}
		add(b.convs()...)
		if last {
			add(append([][]Layer{nil}, b.follow(nil)...)...)
			add(join(target1("adaptive_avg_pool", 1), flattened()), join(target1("adaptive_max_pool", 1), flattened()))
			continue
		}
		add(b.follow(poolings)...)
		if next := d.blocks[i+1]; next.op == "linear" {
			add(d.flatten(next.shape[1], b.shape[0])...)
		}
	}
	return n
}

// poolings are the windows that are usual.
var poolings = []Layer{
	pool("pool", 2, 2, 0), pool("pool", 3, 2, 0), pool("pool", 3, 2, 1), pool("pool", 3, 3, 0), pool("pool", 2, 1, 0), pool("pool", 4, 4, 0), pool("pool", 2, 2, 1), ceiled(2, 2), ceiled(3, 2),
}

func ceiled(size, stride int) Layer {
	l := pool("pool", size, stride, 0)
	l.Ceil = true
	return l
}

func flattened() []Layer { return []Layer{Of("flatten", "")} }

func target1(name string, size int) []Layer {
	l := Of(name, "")
	l.Size = both(size)
	return []Layer{l}
}

func join(parts ...[]Layer) []Layer { return slices.Concat(parts...) }

// flatten returns how an image becomes the features of a linear layer.
func (d *drafter) flatten(features, channels int) [][]Layer {
	out := [][]Layer{flattened()}
	area := features / channels
	if area > 1 && channels > 1 {
		last := Of("flatten", "")
		last.Last = true
		out = append(out, []Layer{last})
	}
	if side := int(math.Sqrt(float64(area))); side*side == area {
		out = append(out, join(target1("adaptive_avg_pool", side), flattened()), join(target1("adaptive_max_pool", side), flattened()))
	}
	return out
}

// convs returns the paddings and strides of a convolution: those that keep the
// size, none, and others that occur.
func (b *block) convs() [][]Layer {
	k := max(b.shape[2], b.shape[3])
	var out [][]Layer
	for _, stride := range []int{1, 2, 4} {
		if stride > max(k, 2) || stride == 4 && k < 7 {
			continue
		}
		for _, padding := range []int{k / 2, 0, 1, 2} {
			if padding > max(k/2, k-2) {
				continue
			}
			l := Of("conv", b.path)
			l.Stride = both(stride)
			if l.Padding = both(padding); padding == k/2 {
				l.Padding = [2]int{b.shape[2] / 2, b.shape[3] / 2}
			}
			if !slices.ContainsFunc(out, func(o []Layer) bool { return o[0] == l }) {
				out = append(out, []Layer{l})
			}
		}
	}
	return out
}

// gapMax is how many layers without weights a draft writes into a gap.
const gapMax = 4

// follow returns what can stand between this block and the next: activation, one
// of the poolings or none, and the normalization in its place.
func (b *block) follow(poolings []Layer) [][]Layer {
	act := Of("activation", "")
	if b.prelu != nil {
		act = Of("prelu", b.prelu.path)
	}
	var norm []Layer
	if b.norm != nil {
		norm = []Layer{Of("batch_norm", b.norm.path)}
	}
	var out [][]Layer
	try := func(before, after []Layer) {
		if b.norm == nil && len(before) > 0 || b.before >= 0 && len(before) > b.before || b.after >= 0 && len(after) > b.after {
			return
		}
		// A place that the numbers leave is that of a dropout.
		drop := func(list []Layer, count int) []Layer {
			for len(list) < min(count, gapMax) {
				list = append(slices.Clone(list), Of("dropout", ""))
			}
			return list
		}
		out = append(out, join(drop(before, b.before), norm, drop(after, b.after)))
	}
	a := []Layer{act}
	try(nil, a)
	for _, p := range poolings {
		try(nil, []Layer{act, p})
	}
	try(a, nil)
	for _, p := range poolings {
		p := []Layer{p}
		try(nil, join(p, a))
		try(a, p)
		try(p, a)
		try(join(a, p), nil)
		try(join(p, a), nil)
	}
	if b.before == 0 && b.after == 0 || b.norm == nil && b.after == 0 {
		try(nil, nil)
	}
	if b.after == 1 || b.before == 1 {
		for _, p := range poolings {
			try(nil, []Layer{p})
			try([]Layer{p}, nil)
		}
	}
	if len(out) == 0 {
		try(nil, nil)
	}
	return out
}
