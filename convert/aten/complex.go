package aten

import (
	"fmt"
	"slices"
	"strings"

	"lethe/model"
)

// partwise are operators that do the same to the real and to the imaginary part.
const partwise = " view reshape _reshape_alias _unsafe_view flatten unflatten unsqueeze squeeze permute transpose t movedim slice narrow select cat stack expand " +
	"clone contiguous detach alias lift_fresh_copy neg sum mean roll flip index index_select gather split split_with_sizes chunk unbind copy zeros new_zeros zeros_like empty new_empty repeat pad constant_pad_nd expand_as slice_scatter select_scatter full new_full full_like ones ones_like "

// products are operators that multiply two tensors.
const products = " mul matmul mm bmm einsum linear dot "

func among(list, name string) bool { return strings.Contains(list, " "+name+" ") }

// complexWeights splits the weights that are complex numbers.
func (x *expander) complexWeights() {
	for _, w := range slices.Clone(x.program.Weights) {
		if !isComplex(w.Value.DType) {
			continue
		}
		bytes, err := w.Tensor.Bytes()
		if err != nil {
			continue // who reads it says so
		}
		x.program.Weights = slices.DeleteFunc(x.program.Weights, func(o Weight) bool { return o.Value == w.Value })
		d := realOf(w.Value.DType)
		size := d.Size()
		var z pair
		for i := range z {
			part := make([]byte, 0, len(bytes)/2)
			for at := i * size; at < len(bytes); at += 2 * size {
				part = append(part, bytes[at:at+size]...)
			}
			t, err := model.NewTensor(d, w.Tensor.Shape(), nil, 0, model.BytesStorage(part))
			if err != nil {
				return
			}
			z[i] = x.bind(w.Name+[2]string{".real", ".imag"}[i], t)
		}
		x.parts[w.Value] = z
	}
}

// pairOf returns the parts of an argument: a tensor, of which a real one has no second
// part, or a number.
func (x *expander) pairOf(v any) (z [2]any, isComplex bool) {
	if t, ok := v.(*Value); ok {
		if p, ok := x.parts[t]; ok {
			return [2]any{p[0], p[1]}, true
		}
	}
	return [2]any{v, nil}, false
}

// complex writes out a node that has to do with complex numbers.
func (x *expander) complex(n *Node) {
	name := strings.TrimSuffix(strings.TrimPrefix(n.Op, "aten."), "_")
	if other, ok := synonyms["aten."+name]; ok {
		name = strings.TrimPrefix(other, "aten.")
	}
	c := x.arguments(n)
	if name == "stft" {
		x.stft(c)
		return
	}
	first, _ := x.pairOf(c.args[c.rowParams()[0]])
	re, _ := first[0].(*Value)
	im, _ := first[1].(*Value)
	var z pair
	switch {
	case fourier(n) != nil:
		z = x.transformed(pair{re, im}, fourier(n)(c))
	case among(partwise, name):
		x.each(n, c)
		if strings.Contains(name, "full") || strings.Contains(name, "ones") { // real numbers
			z := x.parts[n.Outputs[0]]
			x.parts[n.Outputs[0]] = pair{z[0], x.call("mul", z[1], 0.0)}
		}
		return
	case name == "add" || name == "sub":
		z = x.sum(name, c)
	case among(products, name):
		z = x.product(n, c)
	case name == "div":
		z = x.quotient(c)
	case name == "view_as_complex":
		z = pair{x.call("select", re, -1, 0), x.call("select", re, -1, 1)}
	case name == "complex":
		z = pair{re, c.tensor("imag")}
	case name == "polar":
		angle := c.tensor("angle")
		z = pair{x.call("mul", re, x.call("cos", angle)), x.call("mul", re, x.call("sin", angle))}
	case im == nil && name != "real":
		panic(refusal{what: "complex numbers", advice: Advice("aten.fft")})
	case name == "conj" || name == "_conj" || name == "conj_physical" || name == "_conj_physical":
		z = pair{re, x.call("neg", im)}
	case name == "resolve_conj":
		z = pair{re, im}
	case name == "real":
		x.result(0, re)
		return
	case name == "imag":
		x.result(0, im)
		return
	case name == "view_as_real":
		x.result(0, x.call("stack", []*Value{re, im}, -1))
		return
	case name == "abs":
		x.result(0, x.call("sqrt", x.call("add", x.call("square", re), x.call("square", im))))
		return
	case name == "angle":
		x.result(0, x.call("atan2", im, re))
		return
	default:
		panic(refusal{what: "complex numbers", advice: Advice("aten.fft")})
	}
	x.finish(n, c, z)
}

// finish makes a pair what the node returns, or what it writes into its tensor.
func (x *expander) finish(n *Node, c *call, z pair) {
	out := n.Outputs[0]
	if strings.HasSuffix(n.Op, "_") {
		self, ok := x.parts[c.tensor(c.rowParams()[0])]
		if !ok {
			panic(refusal{what: "complex numbers in the place of real ones"})
		}
		for i := range z {
			z[i] = x.call("copy_", self[i], z[i])
		}
		x.parts[out] = self
		return
	}
	if z[1] == nil {
		x.result(0, z[0])
		return
	}
	x.parts[out] = z
}

// each does the same to both parts.
func (x *expander) each(n *Node, c *call) {
	parts := [2][]*Value{}
	for i := range parts {
		m := &Node{Op: n.Op, Overload: n.Overload, Module: n.Module}
		part := func(v *Value) *Value {
			if p, ok := x.parts[v]; ok {
				return p[i]
			}
			if v == nil || !v.DType.IsFloat() || i == 0 {
				return v
			}
			return x.call("mul", v, 0.0) // the imaginary part of real numbers
		}
		for _, a := range n.Args {
			switch v := a.Value.(type) {
			case *Value:
				a.Value = part(v)
			case []*Value:
				list := make([]*Value, len(v))
				for j := range v {
					list[j] = part(v[j])
				}
				a.Value = list
			case model.DType:
				a.Value = realOf(v)
			}
			m.Args = append(m.Args, a)
		}
		for _, v := range n.Outputs {
			o := *v
			o.Name, o.DType = v.Name+[2]string{".real", ".imag"}[i], realOf(v.DType)
			m.Outputs = append(m.Outputs, &o)
			parts[i] = append(parts[i], &o)
		}
		x.nodes = append(x.nodes, m)
	}
	for j, v := range n.Outputs {
		x.parts[v] = pair{parts[0][j], parts[1][j]}
	}
	if !strings.HasSuffix(n.Op, "_") {
		return
	}
	if self, ok := x.parts[c.tensor(c.rowParams()[0])]; ok {
		x.parts[n.Outputs[0]] = self
	} else {
		panic(refusal{what: "complex numbers in the place of real ones"})
	}
}

// sum is a + b or a - b, of which one may be real.
func (x *expander) sum(name string, c *call) pair {
	if alpha := c.args["alpha"]; alpha != int64(1) && alpha != 1.0 {
		panic(refusal{what: "complex numbers with alpha", advice: Advice("aten.fft")})
	}
	a, isA := x.pairOf(c.args["self"])
	b, isB := x.pairOf(c.args["other"])
	z := pair{x.call(name, a[0], b[0]), nil}
	zero := func(v any, like any) any {
		if t, ok := v.(*Value); ok && len(t.Shape) > 0 {
			return x.call("mul", t, 0.0)
		}
		return 0.0
	}
	if !isA {
		a[1] = zero(a[0], b[0])
	}
	if !isB {
		b[1] = zero(b[0], a[0])
	}
	if _, ok := a[1].(*Value); !ok { // a number minus a tensor
		a[1] = x.call("mul", b[1], 0.0)
	}
	z[1] = x.call(name, a[1], b[1])
	return z
}

// product is the product of two arguments, of which one may be real.
func (x *expander) product(n *Node, c *call) pair {
	name := strings.TrimSuffix(strings.TrimPrefix(n.Op, "aten."), "_")
	params := c.rowParams()
	a, b := c.args[params[0]], c.args[params[min(1, len(params)-1)]]
	of := func(a, b any) *Value { return x.call(name, a, b) }
	switch name {
	case "multiply":
		of = func(a, b any) *Value { return x.call("mul", a, b) }
	case "einsum":
		list := c.tensors("tensors")
		if len(list) != 2 {
			panic(refusal{what: fmt.Sprintf("einsum of %d complex tensors", len(list)), advice: Advice("aten.fft")})
		}
		a, b = list[0], list[1]
		of = func(a, b any) *Value { return x.call("einsum", c.str("equation"), []*Value{a.(*Value), b.(*Value)}) }
	case "linear":
		if c.has("bias") {
			panic(refusal{what: "a complex bias", advice: Advice("aten.fft")})
		}
	}
	p, isP := x.pairOf(a)
	q, isQ := x.pairOf(b)
	switch {
	case !isQ:
		return pair{of(p[0], b), of(p[1], b)}
	case !isP:
		return pair{of(a, q[0]), of(a, q[1])}
	}
	return pair{x.call("sub", of(p[0], q[0]), of(p[1], q[1])), x.call("add", of(p[0], q[1]), of(p[1], q[0]))}
}

// quotient is a / b: a times the conjugate of b, divided by the square of its length.
func (x *expander) quotient(c *call) pair {
	a, isA := x.pairOf(c.args["self"])
	b, isB := x.pairOf(c.args["other"])
	if !isB {
		return pair{x.call("div", a[0], b[0]), x.call("div", a[1], b[0])}
	}
	length := x.call("add", x.call("square", b[0]), x.call("square", b[1]))
	re, im := x.call("mul", b[0], a[0]), x.call("neg", x.call("mul", b[1], a[0]))
	if isA {
		re, im = x.call("add", re, x.call("mul", a[1], b[1])), x.call("add", im, x.call("mul", a[1], b[0]))
	}
	return pair{x.call("div", re, length), x.call("div", im, length)}
}

// onlyReal refuses inputs and outputs that are complex numbers.
func (v *converter) onlyReal() {
	for _, in := range v.program.Inputs {
		if isComplex(in.DType) {
			v.unsupported(fmt.Sprintf("the input %q of complex numbers", in.Name), "", "give the network pairs of real ones, and use view_as_complex in it")
		}
	}
	for _, out := range v.program.Outputs {
		if isComplex(out.Value.DType) {
			v.unsupported(fmt.Sprintf("the output %q of complex numbers", out.Name), "", "return view_as_real of it")
		}
	}
}
