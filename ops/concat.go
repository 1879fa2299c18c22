package ops

import (
	"slices"

	"lethe/graph"
)

// concatOp joins tensors along an axis.
var concatOp = &Operator{
	Name: "Concat", Since: 4,
	inputs: []input{data("inputs", anything).many()},
	attrs:  []attr{intAttr("axis", 0).must()},
	infer: func(f *inference) {
		first := f.input(0)
		for _, x := range f.in {
			if x.shape == nil {
				f.set(0, first.dtype, nil)
				return
			}
		}
		shape := slices.Clone(first.shape)
		axis := f.axis(f.int("axis"), len(shape))
		for _, x := range f.in[1:] {
			if len(x.shape) != len(shape) {
				f.clash(first.shape, x.shape)
			}
			for i, d := range x.shape {
				switch {
				case i == axis:
					shape[i] = shape[i].Add(d)
				case !shape[i].Fixed():
					shape[i] = d
				case d.Fixed() && !d.Equal(shape[i]):
					f.clash(first.shape, x.shape)
				}
			}
		}
		f.set(0, first.dtype, shape)
	},
	eval: func(c *call) {
		for i, t := range c.in {
			if t == nil {
				c.fail("input %d is left out", i)
			}
		}
		c.set(0, c.concat(c.in, c.axis(c.int("axis"), len(c.input(0).shape))))
	},
}

func (c *call) concat(list []*Tensor, axis int) *Tensor {
	first := list[0]
	dims := slices.ContainsFunc(list, func(t *Tensor) bool { _, ok := t.data.(vec[graph.Dim]); return ok })
	shape := slices.Clone(first.shape)
	shape[axis] = 0
	for _, t := range list {
		same := len(t.shape) == len(shape) && t.dtype == first.dtype
		for i := range shape {
			same = same && (i == axis || t.shape[i] == shape[i])
		}
		if !same {
			c.fail("%v of shape %v and %v of shape %v cannot be joined along axis %d", first.dtype, first.shape, t.dtype, t.shape, axis)
		}
		shape[axis] += t.shape[axis]
	}
	if dims {
		first = asDims(first)
	}
	out := c.like(first, shape)
	at := 0
	for _, t := range list {
		if dims {
			t = asDims(t)
		}
		c.place(out, t, axis, at)
		at += t.shape[axis]
	}
	return out
}

// place writes a tensor into a larger one, from an index along one axis on.
func (c *call) place(out, t *Tensor, axis, at int) {
	s := strides(out.shape)
	out.data.write(t.data, view{t.shape, s, at * s[axis]})
}
