package nn

import (
	"slices"

	"lethe/graph"
)

// What convolutions and poolings of three dimensions, and transposed
// convolutions, are run as: convolutions and poolings of two.

// spatialAxes returns the axes behind the channels, with the pads that auto_pad
// asks for.
func (e *expansion) spatialAxes(kernel []int) ([]axis, error) {
	in := e.in[0]
	n := len(in.dims) - 2
	ones := slices.Repeat([]int{1}, max(n, 0))
	strides, dilations, pads := e.Ints("strides", ones...), e.Ints("dilations", ones...), e.Ints("pads", make([]int, 2*len(ones))...)
	if in.batch != 0 || in.dims[0] != 1 || len(kernel) != n || len(strides) != n || len(dilations) != n || len(pads) != 2*n {
		return nil, misfit("%s of shape %v has kernel %v, strides %v, dilations %v and pads %v: of each there must be one for each axis behind the channels, and two of pads", e.Op, in, kernel, strides, dilations, pads)
	}
	var all []axis
	for i := range n {
		a := axis{in: in.dims[2+i], kernel: kernel[i], stride: strides[i], dilat: dilations[i], pad: pads[i], after: pads[n+i]}
		if a.kernel < 1 || a.stride < 1 || a.dilat < 1 || a.pad < 0 || a.after < 0 || max(a.kernel, a.stride, a.dilat, a.pad, a.after) > maxElements {
			return nil, misfit("%s has kernel %v, strides %v, dilations %v and pads %v, which must be positive", e.Op, kernel, strides, dilations, pads)
		}
		all = append(all, a)
	}
	return all, nil
}

// expandConv is for three dimensions: the elements of the kernel along the first
// become channels, and the planes that it gives lie one below the other, each
// with its pads.
func expandConv(e *expansion) (string, error) {
	if len(e.in[0].dims) != 5 || !e.fixed(1) || len(e.in[1].dims) != 5 {
		return "", nil
	}
	w := e.in[1].dims
	axes, err := e.spatialAxes(w[2:])
	if err != nil {
		return "", err
	}
	for i := range axes {
		if err := axes[i].fit(e.Op, e.String("auto_pad", "NOTSET"), false); err != nil {
			return "", err
		}
	}
	d, h, x := axes[0], axes[1], axes[2]
	channels := e.in[0].dims[1]
	slab := (h.in + h.pad + h.after + h.stride - 1) / h.stride * h.stride
	if tooMany(channels, d.kernel, d.out, slab, x.in) {
		return "", unsupported("Conv of shape %v with a weight of shape %v is too large", e.in[0], e.in[1])
	}
	from := slices.Repeat([]int32{-1}, channels*d.kernel*d.out*slab*x.in)
	for c := range channels {
		for k := range d.kernel {
			for o := range d.out {
				z, ok := d.meets(o, k)
				for y := 0; ok && y < h.in; y++ {
					to, at := (((c*d.kernel+k)*d.out+o)*slab+h.pad+y)*x.in, ((c*d.in+z)*h.in+y)*x.in
					for i := range x.in {
						from[to+i] = int32(at + i)
					}
				}
			}
		}
	}
	planes := e.moved(e.input(0), from, shape{dims: []int{1, channels * d.kernel, d.out * slab, x.in}})
	weight := e.view(e.input(1), -1, w[0], w[1]*w[2], w[3], w[4])
	y := e.op("Conv", graph.Attrs{
		"group": graph.Int(int64(e.Int("group", 1))), "strides": graph.Ints(int64(h.stride), int64(x.stride)),
		"dilations": graph.Ints(int64(h.dilat), int64(x.dilat)), "pads": graph.Ints(0, int64(x.pad), 0, int64(x.after)),
	}, planes, weight, e.input(2))
	rows := (d.out*slab-(h.kernel-1)*h.dilat-1)/h.stride + 1
	var kept []int32
	for c := range w[0] {
		for o := range d.out {
			for y := range h.out {
				for i := range x.out {
					kept = append(kept, int32((c*rows+o*slab/h.stride+y)*x.out+i))
				}
			}
		}
	}
	return e.moved(y, kept, shape{dims: []int{1, w[0], d.out, h.out, x.out}}), nil
}

// tooMany reports whether a product is more than a value may have.
func tooMany(factors ...int) bool {
	p := 1
	for _, f := range factors {
		if f > maxElements || f < 0 {
			return true
		}
		if p *= f; p > maxElements {
			return true
		}
	}
	return false
}

// expandPool is for three dimensions: first over the last two, then over the
// first.
func expandPool(e *expansion) (string, error) {
	if len(e.in[0].dims) != 5 {
		return "", nil
	}
	axes, err := e.spatialAxes(e.Ints("kernel_shape"))
	if err != nil {
		return "", err
	}
	attrs := func(a, b axis) graph.Attrs {
		out := graph.Attrs{}
		for _, name := range []string{"ceil_mode", "count_include_pad", "auto_pad"} {
			if v, ok := e.Attrs[name]; ok {
				out[name] = v
			}
		}
		out["kernel_shape"], out["strides"] = graph.Ints(int64(a.kernel), int64(b.kernel)), graph.Ints(int64(a.stride), int64(b.stride))
		out["dilations"], out["pads"] = graph.Ints(int64(a.dilat), int64(b.dilat)), graph.Ints(int64(a.pad), int64(b.pad), int64(a.after), int64(b.after))
		return out
	}
	c, d := e.in[0].dims[1], axes[0]
	plain := attrs(axes[1], axes[2])
	y := e.op(e.Op, plain, e.view(e.input(0), 0, 1, c*d.in, axes[1].in, axes[2].in))
	for i := range axes {
		if err := axes[i].fit(e.Op, e.String("auto_pad", "NOTSET"), e.Int("ceil_mode", 0) != 0); err != nil {
			return "", err
		}
	}
	d.out = axes[0].out
	plane := axes[1].out * axes[2].out
	y = e.op(e.Op, attrs(d, axis{kernel: 1, stride: 1, dilat: 1}), e.view(y, 0, 1, c, d.in, plane))
	return e.view(y, 0, 1, c, d.out, axes[1].out, axes[2].out), nil
}

func expandGlobalMaxPool(e *expansion) (string, error) {
	in := e.in[0]
	if len(in.dims) < 3 || in.batch != 0 || in.dims[0] != 1 {
		return "", unsupported("GlobalMaxPool of shape %v is not supported", in)
	}
	size := product(in.dims[2:])
	y := e.op("MaxPool", graph.Attrs{"kernel_shape": graph.Ints(1, int64(size))}, e.view(e.input(0), 0, 1, in.dims[1], 1, size))
	return e.view(y, 0, append([]int{1, in.dims[1]}, slices.Repeat([]int{1}, len(in.dims)-2)...)...), nil
}

// expandLpPool is the root of order p of the sum of powers of order p.
func expandLpPool(e *expansion) (string, error) {
	if e.Int("ceil_mode", 0) != 0 {
		return "", unsupported("LpPool with ceil_mode is not supported")
	}
	attrs := graph.Attrs{"count_include_pad": graph.Int(1)}
	for _, name := range []string{"auto_pad", "dilations", "kernel_shape", "pads", "strides"} {
		if v, ok := e.Attrs[name]; ok {
			attrs[name] = v
		}
	}
	p, count := float32(e.Int("p", 2)), product(e.Ints("kernel_shape"))
	y := e.op("AveragePool", attrs, e.op("Pow", nil, e.op("Abs", nil, e.input(0)), e.number(p)))
	return e.op("Pow", nil, e.op("Mul", nil, y, e.number(float32(count))), e.number(1/p)), nil
}

// expandLRN divides by a power of the mean of squares over neighbouring channels.
func expandLRN(e *expansion) (string, error) {
	in, size := e.in[0], e.Int("size", 1)
	if len(in.dims) < 3 || in.batch != 0 || in.dims[0] != 1 || size < 1 || size > maxElements {
		return "", unsupported("LRN of shape %v over %d channels is not supported", in, size)
	}
	squares := e.view(e.squares(), 0, 1, 1, in.dims[1], product(in.dims[2:]))
	mean := e.op("AveragePool", graph.Attrs{"kernel_shape": graph.Ints(int64(size), 1), "count_include_pad": graph.Int(1),
		"pads": graph.Ints(int64((size-1)/2), 0, int64(size/2), 0)}, squares)
	mean = e.op("Mul", nil, e.view(mean, 0, in.dims...), e.number(e.Float("alpha", 1e-4)))
	return e.op("Div", nil, e.input(0), e.op("Pow", nil, e.op("Add", nil, mean, e.number(e.Float("bias", 1))), e.number(e.Float("beta", 0.75)))), nil
}

// expandConvTranspose spreads the elements of the input, with zeros between them,
// and convolves with the weight turned around.
func expandConvTranspose(e *expansion) (string, error) {
	if !e.fixed(1) || len(e.in[0].dims) < 3 || len(e.in[1].dims) != len(e.in[0].dims) {
		return "", unsupported("ConvTranspose of shape %v with a weight of shape %v that is computed is not supported", e.in[0], e.in[1])
	}
	w, in, group := e.in[1].dims, e.in[0].dims, e.Int("group", 1)
	axes, err := e.spatialAxes(w[2:])
	if err != nil {
		return "", err
	}
	if group < 1 || in[1] != w[0] || w[0]%group != 0 || w[0] == 0 {
		return "", misfit("ConvTranspose in %d groups has a weight of shape %v for an input of shape %v", group, w, e.in[0])
	}
	outs, starts := make([]int, len(axes)), make([]int, len(axes))
	for i := range axes {
		if outs[i], starts[i], err = e.spread(axes, i); err != nil {
			return "", err
		}
	}
	if tooMany(append([]int{in[1]}, outs...)...) {
		return "", unsupported("ConvTranspose of shape %v is too large", e.in[0])
	}
	from := []int32{0}
	steps := cSteps(in)
	for i, d := range append([]int{in[1]}, outs...) {
		next := make([]int32, 0, len(from)*d)
		for _, at := range from {
			for o := range d {
				src := o
				if i > 0 {
					src -= starts[i-1]
					if src < 0 || src%axes[i-1].stride != 0 || src/axes[i-1].stride >= axes[i-1].in {
						src = -1
					} else {
						src /= axes[i-1].stride
					}
				}
				if at < 0 || src < 0 {
					next = append(next, -1)
				} else {
					next = append(next, at+int32(src*steps[1+i]))
				}
			}
		}
		from = next
	}
	x := e.moved(e.input(0), from, shape{dims: append([]int{1, in[1]}, outs...)})
	// The weight [group, in, out, ...] becomes [group, out, in, ...], its kernel turned around.
	v := e.view(e.input(1), -1, append([]int{group, w[0] / group, w[1]}, w[2:]...)...)
	v = e.transpose(v, append([]int{0, 2, 1}, indices(len(w) + 1)[3:]...)...)
	v = e.view(v, -1, append([]int{group * w[1], w[0] / group}, w[2:]...)...)
	back, none := slices.Repeat([]int{-1}, len(axes)), slices.Repeat([]int{-1 << 40}, len(axes))
	v = e.op("Slice", nil, v, e.ints(back...), e.ints(none...), e.ints(indices(len(w))[2:]...), e.ints(back...))
	return e.op("Conv", graph.Attrs{"group": graph.Int(int64(group)), "dilations": graph.Ints(widened(e.Ints("dilations", slices.Repeat([]int{1}, len(axes))...))...)},
		x, v, e.input(2)), nil
}

// spread returns the size of the input of a transposed convolution along an axis
// with zeros between and around its elements, and where the first is.
func (e *expansion) spread(axes []axis, i int) (size, start int, err error) {
	a, n := axes[i], len(axes)
	span := (a.kernel-1)*a.dilat + 1
	extra := 0
	if list := e.Ints("output_padding"); list != nil {
		if len(list) != n || list[i] < 0 || list[i] > maxElements {
			return 0, 0, misfit("ConvTranspose has output_padding %v: it needs a number for each axis behind the channels, from 0 on", list)
		}
		extra = list[i]
	}
	wanted := 0
	auto := e.String("auto_pad", "NOTSET")
	if list := e.Ints("output_shape"); list != nil {
		if len(list) != n || list[i] < 1 || list[i] > maxElements {
			return 0, 0, misfit("ConvTranspose has output_shape %v: it needs a positive number for each axis behind the channels", list)
		}
		wanted = list[i]
	} else if auto == "SAME_UPPER" || auto == "SAME_LOWER" {
		wanted = a.in * a.stride
	}
	if auto == "VALID" {
		a.pad, a.after = 0, 0
	}
	if wanted > 0 {
		total := max(a.stride*(a.in-1)+extra+span-wanted, 0)
		if a.pad, a.after = total-total/2, total/2; auto == "SAME_UPPER" {
			a.pad, a.after = a.after, a.pad
		}
		extra = wanted - (a.stride*(a.in-1) + span - a.pad - a.after)
	}
	start = span - 1 - a.pad
	size = start + (a.in-1)*a.stride + 1 + span - 1 - a.after + extra
	if size < span {
		return 0, 0, misfit("ConvTranspose takes pads of %d and %d away from what %d elements make, which leaves nothing", a.pad, a.after, a.in)
	}
	return size, start, nil
}
