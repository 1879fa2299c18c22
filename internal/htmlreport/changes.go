package htmlreport

import (
	"math"
	"strconv"
	"strings"

	"lethe/verify"
)

// bar is a layer and its share of the change.
type bar struct {
	Name  string
	L2    float64
	Share float64 // 0 to 1
	Wide  float64 // in percent of the largest
}

// tensor is one entry of the state dict.
type tensor struct {
	verify.Change
	Heat  float64 // 0 to 100, of the L2 for each element beside the largest
	Dark  bool
	Dims  string
	Each  float64 // root mean square of the change of an element
	Moved bool
}

// moduleNames returns the names of layers without what a converter put behind that of
// the module, as in layer1.0.conv1/conv2d_4, if that leaves each its own name.
func moduleNames(layers []verify.Layer) []string {
	var whole, short []string
	seen := map[string]bool{"": true}
	for _, l := range layers {
		module, _, _ := strings.Cut(l.Name, "/")
		if whole, short = append(whole, l.Name), append(short, module); seen[module] {
			short = nil
		}
		seen[module] = true
	}
	if len(short) < len(whole) {
		return whole
	}
	return short
}

func (v *view) changes() {
	top := 0.0
	for _, l := range v.Comparison.Layers {
		top = max(top, l.Share)
	}
	names := moduleNames(v.Comparison.Layers)
	for i, l := range v.Comparison.Layers {
		b := bar{Name: names[i], L2: l.L2, Share: l.Share}
		if top > 0 {
			b.Wide = 100 * l.Share / top
		}
		v.Layers = append(v.Layers, b)
	}
	most := 0.0
	for _, c := range v.Comparison.Changes {
		n, dims := 1, []string{}
		for _, d := range c.Shape {
			n *= d
			dims = append(dims, strconv.Itoa(d))
		}
		t := tensor{Change: c, Moved: c.Changed(), Dims: strings.Join(dims, " × ")}
		if n > 0 {
			t.Each = c.L2 / math.Sqrt(float64(n))
		}
		most = max(most, t.Each)
		v.Tensors = append(v.Tensors, t)
	}
	for i := range v.Tensors {
		if t := &v.Tensors[i]; most > 0 {
			t.Heat = 100 * t.Each / most
			t.Dark = t.Heat > 55
		}
	}
}
