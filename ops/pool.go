package ops

import (
	"slices"

	"lethe/graph"
	"lethe/model"
)

// inferPool is the inference of poolings.
func inferPool(f *inference) {
	x := f.input(0)
	if x.shape == nil {
		f.set(0, x.dtype, nil)
	} else {
		if len(x.shape) < 3 {
			f.fail("an image of shape %v has no axes to pool over", x.shape)
		}
		w := f.settings(len(x.shape)-2, nil)
		f.set(0, x.dtype, slices.Concat(x.shape[:2], f.windowShape(w, x.shape[2:])))
	}
	if f.op.outputs > 1 {
		f.set(1, model.Int64, f.out[0].shape)
	}
}

// pool reads the geometry of a pooling of input 0 and makes its output.
func (c *call) pool() (x, out *Tensor, w window) {
	x = c.input(0)
	if len(x.shape) < 3 {
		c.fail("an image of shape %v has no axes to pool over", x.shape)
	}
	w = c.settings(len(x.shape)-2, nil)
	c.fit(&w, x.shape[2:])
	if auto := c.text("auto_pad"); auto == "NOTSET" || auto == "" {
		for i := range w.before {
			if w.before[i] < 0 || w.after[i] < 0 {
				c.fail("the pads %v and %v hold a negative number", w.before, w.after)
			}
		}
	}
	out = c.like(x, slices.Concat(x.shape[:2], w.out))
	return x, out, w
}

// planes calls f for every channel of every sample of an image.
func planes[T number](x, out vec[T], w *window, f func(plane int, in, out vec[T])) {
	in, to := product(w.in), product(w.out)
	if in == 0 || to == 0 {
		return
	}
	parallel(len(x)/in, func(i int) { f(i, x[i*in:(i+1)*in], out[i*to:(i+1)*to]) })
}

// inferGlobal is the inference of poolings over the whole image.
func inferGlobal(f *inference) {
	x := f.input(0)
	if len(x.shape) < 2 {
		f.set(0, x.dtype, nil)
		return
	}
	shape := slices.Clone(x.shape)
	for i := range shape[2:] {
		shape[2+i] = graph.Size(1)
	}
	f.set(0, x.dtype, shape)
}

// globalPool returns an operator that makes one number of each channel.
func globalPool(name string, f func(c *call, row []float64) float64, attrs ...attr) *Operator {
	return &Operator{
		Name:   name,
		inputs: []input{data("X", floats)},
		attrs:  attrs,
		infer:  inferGlobal,
		eval: func(c *call) {
			x := c.input(0)
			if len(x.shape) < 2 {
				c.fail("an image of shape %v has no channels", x.shape)
			}
			shape := slices.Clone(x.shape)
			for i := range shape[2:] {
				shape[2+i] = 1
			}
			n := product(x.shape[2:])
			v := c.floats(x)
			out := make([]float64, product(shape))
			parallel(len(out), func(i int) { out[i] = f(c, v[i*n:(i+1)*n]) })
			c.set(0, c.from(x.dtype, shape, out))
		},
	}
}
