// Package layers describes networks whose layers follow one another: which there
// are, in which order, and what their weights do not tell, such as paddings and
// activations. A description can leave choices open. It is read from YAML and
// written to it ([Parse], [Net.Encode]), drafted from the names and shapes of a
// state dict ([Draft]), and its open choices can be gone through ([Net.Wirings]).
package layers

import (
	"fmt"
	"slices"

	"lethe/model"
)

// Net is a network of layers in a row.
type Net struct {
	// Input is the shape of one sample, channels x height x width or a number of
	// features; nil if it is open.
	Input []int

	Activations []Layer  // that a layer "activation" can stand for
	Poolings    []string // that a layer "pool" can stand for: "max_pool", "avg_pool"

	Slots []Slot
}

// Slot is a place in the row: one list of layers, or several to choose from.
type Slot struct {
	Alternatives [][]Layer
	Line         int // in the file; 0 if it is from none
}

// Layer is one step of a network.
type Layer struct {
	Op       string // a word of the table, such as "conv"
	Module   string // the path of its weights in the state dict: "conv1" for "conv1.weight"
	Size     [2]int // of the window of a pooling, or of what an adaptive one leaves
	Stride   [2]int
	Padding  [2]int
	Dilation [2]int
	Ceil     bool    // sizes are rounded up
	Number   float64 // epsilon, slope or alpha
	Last     bool    // flatten puts the channels last
	Line     int     // in the file; 0 if it is from none
}

// kind says what a layer needs.
type kind uint8

const (
	plain      kind = iota // a function of each element
	weighted               // has weights
	window                 // slides over the image
	target                 // leaves an image of a given size
	flattening             // makes a vector of an image
	open                   // stands for one of several
	openWindow
)

// op is a row of the table of layers.
type op struct {
	kind   kind
	params []string // of a layer, beside its name
	number float64  // by default, if number is a parameter
	aten   string   // the operator of PyTorch; "" if there is none of that name
}

// ops is the table of layers. The parameter of a plain function is the value of
// its name: leaky_relu: 0.01.
var ops = map[string]op{
	"conv":              {weighted, []string{"stride", "padding", "dilation"}, 0, ""},
	"linear":            {weighted, nil, 0, ""},
	"batch_norm":        {weighted, []string{"epsilon"}, 1e-5, ""},
	"prelu":             {weighted, nil, 0, ""},
	"relu":              {plain, nil, 0, "relu"},
	"relu6":             {plain, nil, 0, "relu6"},
	"tanh":              {plain, nil, 0, "tanh"},
	"sigmoid":           {plain, nil, 0, "sigmoid"},
	"gelu":              {plain, nil, 0, "gelu"},
	"silu":              {plain, nil, 0, "silu"},
	"selu":              {plain, nil, 0, "selu"},
	"mish":              {plain, nil, 0, "mish"},
	"softplus":          {plain, nil, 0, "softplus"},
	"softsign":          {plain, nil, 0, "softsign"},
	"hardswish":         {plain, nil, 0, "hardswish"},
	"leaky_relu":        {plain, []string{""}, 0.01, "leaky_relu"},
	"elu":               {plain, []string{""}, 1, "elu"},
	"dropout":           {plain, nil, 0, ""},
	"max_pool":          {window, []string{"", "stride", "padding", "ceil"}, 0, "max_pool2d"},
	"avg_pool":          {window, []string{"", "stride", "padding", "ceil"}, 0, "avg_pool2d"},
	"adaptive_avg_pool": {target, []string{""}, 0, "adaptive_avg_pool2d"},
	"adaptive_max_pool": {target, []string{""}, 0, "adaptive_max_pool2d"},
	"flatten":           {flattening, []string{""}, 0, ""},
	"activation":        {open, nil, 0, ""},
	"pool":              {openWindow, []string{"", "stride", "padding", "ceil"}, 0, ""},
}

// Aten returns the operator of PyTorch that a layer without weights is, or "" if
// it is not one alone.
func (l *Layer) Aten() string { return ops[l.Op].aten }

// IsWindow reports whether the layer is a pooling with a window.
func (l *Layer) IsWindow() bool { return ops[l.Op].kind == window }

// IsTarget reports whether the layer is an adaptive pooling.
func (l *Layer) IsTarget() bool { return ops[l.Op].kind == target }

// HasNumber reports whether the layer is a function with a parameter.
func (l *Layer) HasNumber() bool { return ops[l.Op].kind == plain && ops[l.Op].number != 0 }

// Of returns a layer of the table with its defaults.
func Of(name, module string) Layer {
	one := [2]int{1, 1}
	return Layer{Op: name, Module: module, Stride: one, Dilation: one, Number: ops[name].number}
}

// pool returns a pooling.
func pool(name string, size, stride, padding int) Layer {
	l := Of(name, "")
	l.Size, l.Stride, l.Padding = both(size), both(stride), both(padding)
	return l
}

func both(n int) [2]int { return [2]int{n, n} }

// Shapes returns the shape of an entry of a state dict, or nil if there is none.
type Shapes func(name string) []int

// ShapesOf returns the shapes of a state dict.
func ShapesOf(sd *model.StateDict) Shapes {
	return func(name string) []int {
		t := sd.Get(name)
		if t == nil {
			return nil
		}
		return t.Shape()
	}
}

// elementsMax is more than an activation of one sample of any network has.
const elementsMax = 1 << 28

// After returns the shape of a sample after the layer, channels x height x width
// or a number of features, from that before it.
func (l *Layer) After(in []int, shapes Shapes) ([]int, error) {
	out, err := l.after(in, shapes)
	if err != nil {
		return nil, err
	}
	n, ok := model.Elements(out)
	if !ok || n > elementsMax || n < 1 {
		return nil, fmt.Errorf("%s makes an output of shape %v of an input of shape %v, which is empty or too large", l, out, in)
	}
	return out, nil
}

func (l *Layer) after(in []int, shapes Shapes) ([]int, error) {
	o := ops[l.Op]
	image := len(in) == 3
	switch {
	case o.kind == weighted:
		return l.afterWeights(in, shapes)
	case o.kind == window || o.kind == target || o.kind == openWindow:
		if !image {
			return nil, fmt.Errorf("%s needs an image, and the layer before it gives %d features", l, in[0])
		}
		if o.kind == target {
			return []int{in[0], l.Size[0], l.Size[1]}, nil
		}
		return l.slide(in, in[0], l.Size)
	case o.kind == flattening:
		n := 1
		for _, d := range in {
			n *= d
		}
		return []int{n}, nil
	}
	return in, nil
}

// slide returns the shape that a window leaves of an image.
func (l *Layer) slide(in []int, channels int, size [2]int) ([]int, error) {
	out := []int{channels, 0, 0}
	for i := range 2 {
		n, k, s, p := in[1+i], size[i], l.Stride[i], l.Padding[i]
		if ops[l.Op].kind != weighted && 2*p > k {
			return nil, fmt.Errorf("%s has a padding of %v, more than half of its window of %v", l, l.Padding, size)
		}
		room := n + 2*p - l.Dilation[i]*(k-1) - 1
		if room < 0 {
			return nil, fmt.Errorf("%s gets an image of %d x %d, which is too small for its window", l, in[1], in[2])
		}
		out[1+i] = room/s + 1
		if l.Ceil && room%s != 0 && out[1+i]*s < n+p {
			out[1+i]++
		}
	}
	return out, nil
}

// afterWeights is After for layers with weights, which must be there and fit.
func (l *Layer) afterWeights(in []int, shapes Shapes) ([]int, error) {
	get := func(suffix string, optional bool, want ...int) error {
		name := l.Module + suffix
		s := shapes(name)
		if s == nil && optional {
			return nil
		}
		if s == nil {
			return fmt.Errorf("%s: the state dict has no %q", l, name)
		}
		if !slices.Equal(s, want) {
			return fmt.Errorf("%s: %q has shape %v, not %v", l, name, s, want)
		}
		return nil
	}
	w := shapes(l.Module + ".weight")
	if w == nil && l.Op != "batch_norm" {
		return nil, fmt.Errorf("%s: the state dict has no %q", l, l.Module+".weight")
	}
	switch l.Op {
	case "conv":
		if len(w) != 4 || slices.Min(w) < 1 || len(in) != 3 {
			return nil, fmt.Errorf("%s: its weight of shape %v does not fit an input of shape %v", l, w, in)
		}
		if in[0]%w[1] != 0 || w[0]%(in[0]/w[1]) != 0 {
			return nil, fmt.Errorf("%s: its weight of shape %v does not fit %d channels", l, w, in[0])
		}
		if err := get(".bias", true, w[0]); err != nil {
			return nil, err
		}
		return l.slide(in, w[0], [2]int{w[2], w[3]})
	case "linear":
		if len(w) != 2 || slices.Min(w) < 1 || len(in) != 1 || w[1] != in[0] {
			return nil, fmt.Errorf("%s: its weight of shape %v does not fit an input of shape %v", l, w, in)
		}
		return []int{w[0]}, get(".bias", true, w[0])
	case "prelu":
		if len(w) != 1 || w[0] != 1 && w[0] != in[0] {
			return nil, fmt.Errorf("%s: its weight of shape %v does not fit %d channels", l, w, in[0])
		}
		return in, nil
	}
	for _, suffix := range []string{".weight", ".bias", ".running_mean", ".running_var"} {
		if err := get(suffix, suffix == ".weight" || suffix == ".bias", in[0]); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// Fixed returns the layers in order if no choice is open, or says which is.
func (n *Net) Fixed() ([]Layer, error) {
	var out []Layer
	for _, s := range n.Slots {
		if len(s.Alternatives) != 1 {
			return nil, fmt.Errorf("%s%d alternatives are left, choose one of them", at(s.Line), len(s.Alternatives))
		}
		for _, l := range s.Alternatives[0] {
			switch ops[l.Op].kind {
			case open:
				if len(n.Activations) != 1 {
					return nil, fmt.Errorf("%sthe activation is open: the file lists %d, choose one of them", at(l.Line), len(n.Activations))
				}
				l = n.Activations[0]
			case openWindow:
				if len(n.Poolings) != 1 {
					return nil, fmt.Errorf("%sthe kind of pooling is open: the file lists %d, choose one of them", at(l.Line), len(n.Poolings))
				}
				l.Op = n.Poolings[0]
			}
			out = append(out, l)
		}
	}
	return out, nil
}

func at(line int) string {
	if line == 0 {
		return ""
	}
	return fmt.Sprintf("line %d: ", line)
}
