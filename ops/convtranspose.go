package ops

import (
	"slices"

	"lethe/graph"
)

// convtransposeOp is the gradient of a convolution with respect to its input.
var convtransposeOp = &Operator{
	Name:   "ConvTranspose",
	inputs: []input{data("X", floats), weight("W", floats), weight("B", floats).opt()},
	attrs:  windowAttrs(intAttr("group", 1), intsAttr("output_padding"), intsAttr("output_shape")),
	infer: func(f *inference) {
		x, w := f.input(0).shape, f.input(1).shape
		if x == nil || w == nil {
			f.set(0, f.input(0).dtype, nil)
			return
		}
		if len(x) < 3 || len(w) != len(x) {
			f.clash(x, w)
		}
		kernel, ok := w[2:].Ints()
		image, fixed := x[2:].Ints()
		if !ok {
			f.set(0, f.input(0).dtype, f.unknowns(0, len(x)))
			return
		}
		out := graph.Shape{x[0], w[1].Mul(graph.Size(f.int("group")))}
		g := f.settings(len(kernel), kernel)
		if fixed {
			f.spreadOut(&g, image)
			f.set(0, f.input(0).dtype, append(out, graph.Sizes(g.out...)...))
			return
		}
		auto := f.text("auto_pad")
		extra := f.ints("output_padding")
		for i, size := range x[2:] {
			stride := graph.Size(g.strides[i])
			d := size.Sub(graph.Size(1)).Mul(stride).Add(graph.Size(g.span(i)))
			switch {
			case f.has("output_shape"):
				d = graph.Size(f.ints("output_shape")[i])
			case auto == "SAME_UPPER" || auto == "SAME_LOWER":
				d = size.Mul(stride)
			case auto == "NOTSET":
				d = d.Sub(graph.Size(g.before[i] + g.after[i]))
			}
			if !f.has("output_shape") && i < len(extra) && auto == "NOTSET" {
				d = d.Add(graph.Size(extra[i]))
			}
			out = append(out, d)
		}
		f.set(0, f.input(0).dtype, out)
	},
	eval: func(c *call) {
		x, w, bias := c.input(0), c.input(1), c.input(2)
		groups := c.int("group")
		if len(x.shape) < 3 || len(w.shape) != len(x.shape) || groups < 1 || w.shape[0] != x.shape[1] || x.shape[1]%groups != 0 || w.dtype != x.dtype {
			c.fail("the weights are %v of shape %v, which do not fit data %v of shape %v in %d groups", w.dtype, w.shape, x.dtype, x.shape, groups)
		}
		g := c.settings(len(x.shape)-2, w.shape[2:])
		c.spreadOut(&g, x.shape[2:])
		if bias != nil && (bias.Len() != w.shape[1]*groups || bias.dtype != x.dtype) {
			c.fail("the bias is %v of shape %v, and there are %d channels", bias.dtype, bias.shape, w.shape[1]*groups)
		}
		out := c.make(x.dtype, append([]int{x.shape[0], w.shape[1] * groups}, g.out...))
		if d, ok := x.data.(vec[float64]); ok {
			convolveBack(c, &g, groups, x, w, bias, d, out.data.(vec[float64]))
		} else {
			convolveBack(c, &g, groups, x, w, bias, x.data.(vec[float32]), out.data.(vec[float32]))
		}
		c.set(0, out.round(rounding{}))
	},
}

// spreadOut finds the size of the output and the padding. In the window the
// input and the output are swapped: its image is what comes out.
func (n *node) spreadOut(g *window, image []int) {
	extra, shape := n.ints("output_padding"), n.ints("output_shape")
	if len(extra) == 0 {
		extra = make([]int, len(image))
	}
	if len(extra) != len(image) || len(shape) != 0 && len(shape) != len(image) {
		n.fail("output_padding %v and output_shape %v for %d axes", extra, shape, len(image))
	}
	auto := n.text("auto_pad")
	g.in, g.out = image, make([]int, len(image))
	for i, size := range image {
		full := (size-1)*g.strides[i] + extra[i] + g.span(i)
		target := -1
		switch {
		case len(shape) > 0:
			target = shape[i]
		case auto == "SAME_UPPER" || auto == "SAME_LOWER":
			target = size * g.strides[i]
		}
		if auto == "VALID" {
			g.before[i], g.after[i] = 0, 0
		}
		if target >= 0 {
			total := max(0, full-target)
			g.before[i] = total - total/2
			if auto == "SAME_UPPER" {
				g.before[i] = total / 2
			}
			g.after[i] = total - g.before[i]
			g.out[i] = target
			continue
		}
		if g.out[i] = full - g.before[i] - g.after[i]; g.out[i] < 0 {
			n.fail("pads %v and %v take more than there is of %v", g.before, g.after, image)
		}
	}
}

func convolveBack[T real](c *call, g *window, groups int, x, w, bias *Tensor, image, out vec[T]) {
	weights := w.data.(vec[T])
	channels, filters := x.shape[1]/groups, w.shape[1]
	inSize, outSize, taps := product(g.in), product(g.out), product(g.kernel)
	if bias != nil && outSize > 0 {
		for i, b := range slices.Repeat(bias.data.(vec[T]), x.shape[0]) {
			for j := range outSize {
				out[i*outSize+j] = b
			}
		}
	}
	back := *g // a convolution from the output to the input
	back.in, back.out = g.out, g.in
	columns := make([]T, c.size([]int{filters * taps, inSize}))
	for n := range x.shape[0] {
		for group := range groups {
			left := transposed(weights[group*channels*filters*taps:(group+1)*channels*filters*taps], channels, filters*taps)
			at := (n*groups + group) * channels * inSize
			clear(columns)
			if inSize > 0 && channels > 0 {
				multiply(columns, left, image[at:at+channels*inSize], filters*taps, inSize, channels)
			}
			to := (n*groups + group) * filters * outSize
			raise(out[to:to+filters*outSize], columns, &back, filters)
		}
	}
}

// raise is the transpose of [lower]: it adds what every element of the kernel
// gives to the image.
func raise[T real](image, columns []T, g *window, channels int) {
	inSize, outSize, taps := product(g.in), product(g.out), product(g.kernel)
	parallel(channels, func(channel int) {
		to := image[channel*inSize : (channel+1)*inSize]
		positions(g.out, func(i int, pos []int) {
			g.taps(pos, func(at, tap int) {
				to[at] += columns[(channel*taps+tap)*outSize+i]
			})
		})
	})
}
