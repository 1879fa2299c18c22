package aten

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"lethe/graph"
	"lethe/model"
)

var negativeInfinity = math.Inf(-1)

func sqrt(n int) float64 { return math.Sqrt(float64(n)) }

// isComplex reports whether elements are complex numbers that are written out as pairs.
func isComplex(d model.DType) bool { return d == model.Complex64 || d == model.Complex128 }

// realOf returns the type of the parts of complex numbers; other types are their own.
func realOf(d model.DType) model.DType {
	switch d {
	case model.Complex64:
		return model.Float32
	case model.Complex128:
		return model.Float64
	}
	return d
}

// complexOf returns the type of complex numbers with parts of a type.
func complexOf(d model.DType) model.DType {
	if d == model.Float64 || d == model.Complex128 {
		return model.Complex128
	}
	return model.Complex64
}

// complexSchemas are the arguments of operators that make complex numbers, or take them
// apart.
var complexSchemas = map[string]string{
	"fft_fft": "self, n=None, dim=-1, norm=None", "fft_ifft": "self, n=None, dim=-1, norm=None",
	"fft_rfft": "self, n=None, dim=-1, norm=None", "fft_irfft": "self, n=None, dim=-1, norm=None",
	"fft_fft2": "self, s=None, dim=last2, norm=None", "fft_ifft2": "self, s=None, dim=last2, norm=None",
	"fft_rfft2": "self, s=None, dim=last2, norm=None", "fft_irfft2": "self, s=None, dim=last2, norm=None",
	"fft_fftn": "self, s=None, dim=None, norm=None", "fft_ifftn": "self, s=None, dim=None, norm=None",
	"fft_rfftn": "self, s=None, dim=None, norm=None", "fft_irfftn": "self, s=None, dim=None, norm=None",
	"_fft_r2c": "self, dim, normalization, onesided", "_fft_c2c": "self, dim, normalization, forward", "_fft_c2r": "self, dim, normalization, last_dim_size",
	"stft":            "self, n_fft, hop_length=None, win_length=None, window=None, normalized=False, onesided=None, return_complex=None, align_to_window=None",
	"view_as_complex": "self", "view_as_real": "self", "real": "self", "imag": "self", "conj": "self", "_conj": "self", "conj_physical": "self",
	"_conj_physical": "self", "resolve_conj": "self", "angle": "self", "complex": "real, imag", "polar": "abs, angle",
}

// transform is one Fourier transform along an axis: of n elements, of which the input
// may have fewer or more.
type transform struct {
	axis, n int
	scale   float64
	kind    byte // 'r' takes real numbers and leaves half of the spectrum, 'i' is its inverse, 'f' forward, 'b' backward
}

// fourier returns the transforms of a node, in their order, or nil. It panics with a
// refusal for arguments that do not fit.
func fourier(n *Node) func(c *call) []transform {
	name, isFFT := strings.CutPrefix(n.Op, "aten.fft_")
	switch {
	case n.Op == "aten._fft_r2c" || n.Op == "aten._fft_c2c" || n.Op == "aten._fft_c2r":
		return coreTransforms
	case !isFFT || complexSchemas["fft_"+name] == "":
		return nil
	}
	return func(c *call) []transform { return namedTransforms(c, name) }
}

// fixedAxis returns the size of an axis that is transformed.
func fixedAxis(shape graph.Shape, axis int) int {
	n, ok := shape[axis].Int()
	if !ok || n < 1 {
		panic(refusal{what: fmt.Sprintf("a Fourier transform of an axis of %v", shape[axis]), advice: "export the network with a fixed size there"})
	}
	return n
}

// namedTransforms are those of torch.fft.
func namedTransforms(c *call, name string) []transform {
	shape := c.tensor("self").Shape
	var axes, sizes []int
	if _, one := c.args["n"]; one {
		axes = []int{c.axis("dim", len(shape))}
		if c.has("n") {
			sizes = []int{c.int("n")}
		}
	} else {
		sizes = c.ints("s")
		switch {
		case c.args["dim"] == "last2":
			axes = []int{len(shape) - 2, len(shape) - 1}
		case c.has("dim"):
			axes = c.axes("dim", len(shape))
		case sizes != nil:
			axes = upTo(len(shape))[len(shape)-len(sizes):]
		default:
			axes = upTo(len(shape))
		}
	}
	if sizes != nil && len(sizes) != len(axes) || len(axes) == 0 {
		panic(refusal{what: fmt.Sprintf("%d sizes for %d axes", len(sizes), len(axes))})
	}
	inverse, half := strings.HasPrefix(name, "i"), strings.Contains(name, "rfft")
	var out []transform
	for i, axis := range axes {
		t := transform{axis: axis, n: fixedAxis(shape, axis), scale: 1, kind: 'f'}
		last := i == len(axes)-1
		if inverse {
			t.kind = 'b'
		}
		if half && last {
			t.kind = 'r'
			if inverse {
				t.kind, t.n = 'i', 2*(t.n-1)
			}
		}
		if sizes != nil && sizes[i] != -1 {
			t.n = sizes[i]
		}
		if t.n < 1 {
			panic(refusal{what: fmt.Sprintf("a Fourier transform of %d elements", t.n)})
		}
		norm, _ := c.args["norm"].(string)
		switch {
		case norm == "ortho":
			t.scale = 1 / sqrt(t.n)
		case (norm == "forward") != inverse:
			t.scale = 1 / float64(t.n)
		}
		out = append(out, t)
	}
	if half && !inverse { // real numbers come first
		slices.Reverse(out)
	}
	return out
}

// coreTransforms are those of the core operators.
func coreTransforms(c *call) []transform {
	shape := c.tensor("self").Shape
	axes := c.axes("dim", len(shape))
	var out []transform
	for i, axis := range axes {
		t := transform{axis: axis, n: fixedAxis(shape, axis), scale: 1, kind: 'f'}
		last := i == len(axes)-1
		switch c.node.Op {
		case "aten._fft_c2c":
			if !c.bool("forward") {
				t.kind = 'b'
			}
		case "aten._fft_r2c":
			if last && c.bool("onesided") {
				t.kind = 'r'
			}
		default:
			if t.kind = 'b'; last {
				t.kind, t.n = 'i', c.int("last_dim_size")
			}
		}
		if t.n < 1 {
			panic(refusal{what: fmt.Sprintf("a Fourier transform of %d elements", t.n)})
		}
		switch c.int("normalization") {
		case 1:
			t.scale = 1 / sqrt(t.n)
		case 2:
			t.scale = 1 / float64(t.n)
		}
		out = append(out, t)
	}
	if c.node.Op == "aten._fft_r2c" {
		slices.Reverse(out)
	}
	return out
}

// out is how many elements a transform leaves.
func (t transform) out() int {
	if t.kind == 'r' {
		return t.n/2 + 1
	}
	return t.n
}

// along multiplies the elements of an axis by a matrix, [size of the axis, result].
func (x *expander) along(v *Value, axis int, matrix *Value) *Value {
	last := len(v.Shape) - 1
	if axis == last {
		return x.call("matmul", v, matrix)
	}
	return x.call("transpose", x.call("matmul", x.call("transpose", v, axis, last), matrix), axis, last)
}

// apply is a transform as products with constant cosines and sines. The imaginary part
// may be nil, for zero.
func (x *expander) apply(z pair, t transform) pair {
	m, columns := fixedAxis(z[0].Shape, t.axis), t.out()
	rows := min(m, t.n) // what is beyond is cut off, what is missing is zero
	if t.kind == 'i' {
		rows = min(m, t.n/2+1)
	}
	for i, v := range z {
		if v != nil && rows < m {
			z[i] = x.call("slice", v, t.axis, 0, rows)
		}
	}
	if rows > elementsMax/4/columns {
		panic(refusal{what: fmt.Sprintf("a Fourier transform of %d elements", t.n)})
	}
	c, s := x.waves(t, rows, columns, z[0].DType)
	product := func(v, matrix *Value) *Value { return x.along(v, t.axis, matrix) }
	switch {
	case t.kind == 'i':
		return pair{x.call("sub", product(z[0], c), product(z[1], s)), nil}
	case z[1] == nil:
		re, im := product(z[0], c), product(z[0], s)
		if t.kind != 'b' {
			im = x.call("neg", im)
		}
		return pair{re, im}
	case t.kind == 'b':
		return pair{x.call("sub", product(z[0], c), product(z[1], s)), x.call("add", product(z[0], s), product(z[1], c))}
	}
	return pair{x.call("add", product(z[0], c), product(z[1], s)), x.call("sub", product(z[1], c), product(z[0], s))}
}

// waves returns the cosines and the sines of a transform, each rows x columns.
func (x *expander) waves(t transform, rows, columns int, d model.DType) (c, s *Value) {
	name := fmt.Sprintf("dft_%c_%dx%d_%d_%g_%v", t.kind, rows, columns, t.n, t.scale, d)
	if c, s = x.known[name+".cos"], x.known[name+".sin"]; s != nil {
		return c, s
	}
	if x.size += 2 * rows * columns; x.size > 4*elementsMax {
		panic(refusal{what: fmt.Sprintf("%d elements of cosines and sines", x.size)})
	}
	cos, sin := make([]float32, rows*columns), make([]float32, rows*columns)
	for j := range rows {
		scale := t.scale
		if t.kind == 'i' && j > 0 && 2*j != t.n {
			scale *= 2 // the other half of the spectrum
		}
		for k := range columns {
			s, c := math.Sincos(2 * math.Pi * float64(j*k%t.n) / float64(t.n))
			cos[j*columns+k], sin[j*columns+k] = float32(scale*c), float32(scale*s)
		}
	}
	return x.constant(name+".cos", d, []int{rows, columns}, cos), x.constant(name+".sin", d, []int{rows, columns}, sin)
}

// transformed applies all transforms of a node.
func (x *expander) transformed(z pair, all []transform) pair {
	for _, t := range all {
		if t.kind == 'i' && z[1] == nil {
			z[1] = x.call("mul", z[0], 0.0)
		}
		z = x.apply(z, t)
	}
	return z
}

// stft are the spectra of windows: each is multiplied by the weights of a window, and
// transformed.
func (x *expander) stft(c *call) {
	v, size := c.tensor("self"), c.int("n_fft")
	hop := max(size/4, 1)
	if c.has("hop_length") {
		hop = c.int("hop_length")
	}
	y := x.call("unfold", v, -1, size, hop)
	width := size
	if c.has("win_length") {
		width = c.int("win_length")
	}
	var window *Value
	if w, ok := c.args["window"].(*Value); ok {
		window = w
	} else if width < size {
		window = x.call("ones", []int{width})
	}
	if window != nil {
		if left := (size - width) / 2; width < size {
			window = x.call("constant_pad_nd", window, []int{left, size - width - left}, 0.0)
		}
		y = x.call("mul", y, window)
	}
	axis := len(y.Shape) - 1
	t := transform{axis: axis, n: size, scale: 1, kind: 'r'}
	if c.args["onesided"] == false {
		t.kind = 'f'
	}
	if c.args["normalized"] == true {
		t.scale = 1 / sqrt(size)
	}
	z := x.apply(pair{y, nil}, t)
	for i := range z {
		z[i] = x.call("transpose", z[i], axis-1, axis)
	}
	if isComplex(x.node.Outputs[0].DType) {
		x.parts[x.node.Outputs[0]] = z
		return
	}
	x.result(0, x.call("stack", []*Value{z[0], z[1]}, -1))
}

// inferComplex are the types and shapes of what makes complex numbers, and of what takes
// them apart.
func inferComplex() map[string]inferRule {
	transformed := func(c *call) []*Value {
		v := c.tensor("self")
		d, shape := complexOf(v.DType), slices.Clone(v.Shape)
		for _, t := range fourier(c.node)(c) {
			shape[t.axis] = graph.Size(t.out())
			if t.kind == 'i' {
				d = realOf(d)
			}
		}
		return made1(d, shape)
	}
	part := func(c *call) []*Value {
		out := likeFirst(c)
		out[0].DType = realOf(out[0].DType)
		return out
	}
	rules := map[string]inferRule{
		"real imag angle abs": part,
		"conj _conj conj_physical _conj_physical resolve_conj": likeFirst,
		"complex polar": func(c *call) []*Value {
			out := promotedBroadcast(c.rowParams()...)(c)
			out[0].DType = complexOf(out[0].DType)
			return out
		},
		"view_as_complex": func(c *call) []*Value {
			v := c.tensor("self")
			last := len(v.Shape) - 1
			if last < 0 || !v.Shape[last].Is(2) {
				panic(refusal{what: fmt.Sprintf("pairs of shape %v", v.Shape)})
			}
			return made1(complexOf(v.DType), slices.Clone(v.Shape[:last]))
		},
		"view_as_real": func(c *call) []*Value {
			v := c.tensor("self")
			return made1(realOf(v.DType), append(slices.Clone(v.Shape), graph.Size(2)))
		},
		"stft": func(c *call) []*Value {
			v, size := c.tensor("self"), c.int("n_fft")
			hop := max(size/4, 1)
			if c.has("hop_length") {
				hop = c.int("hop_length")
			}
			last := len(v.Shape) - 1
			rows := size/2 + 1
			if c.args["onesided"] == false {
				rows = size
			}
			shape := append(slices.Clone(v.Shape[:last]), graph.Size(rows), windows(v.Shape[last], size, hop, 0, 1, false))
			if c.args["return_complex"] == true {
				return made1(complexOf(v.DType), shape)
			}
			return made1(realOf(v.DType), append(shape, graph.Size(2)))
		},
	}
	var names []string
	for name := range complexSchemas {
		if fourier(&Node{Op: "aten." + name}) != nil {
			names = append(names, name)
		}
	}
	rules[strings.Join(names, " ")] = transformed
	return rules
}

// rowParams returns the names of the arguments.
func (c *call) rowParams() []string {
	r, _ := lookUp(c.node)
	var names []string
	for _, p := range r.params {
		names = append(names, p.name)
	}
	return names
}
