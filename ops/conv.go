package ops

import (
	"slices"

	"lethe/graph"
)

// convOp is a convolution over any number of axes, with groups.
var convOp = &Operator{
	Name:   "Conv",
	inputs: []input{data("X", floats), weight("W", floats), weight("B", floats).opt()},
	attrs:  windowAttrs(intAttr("group", 1)),
	infer:  func(f *inference) { f.set(0, f.input(0).dtype, f.convShape()) },
	eval: func(c *call) {
		c.set(0, c.conv(c.input(0), c.input(1), c.input(2)).round(rounding{}))
	},
}

// convShape returns the shape of a convolution of inputs 0 and 1.
func (f *inference) convShape() graph.Shape { return f.convOf(f.input(0).shape, f.input(1).shape) }

func (f *inference) convOf(x, w graph.Shape) graph.Shape {
	if x == nil || w == nil {
		return nil
	}
	if len(x) < 3 || len(w) != len(x) {
		f.clash(x, w)
	}
	if each := w[1].Mul(graph.Size(f.int("group"))); each.Fixed() && x[1].Fixed() && !each.Equal(x[1]) {
		f.clash(x, w)
	}
	kernel, ok := w[2:].Ints()
	if !ok {
		return f.unknowns(0, len(x))
	}
	return slices.Concat(graph.Shape{x[0], w[0]}, f.windowShape(f.settings(len(kernel), kernel), x[2:]))
}

// conv returns the convolution of tensors of one type of real numbers.
func (c *call) conv(x, w, bias *Tensor) *Tensor {
	groups := c.int("group")
	if len(x.shape) < 3 || len(w.shape) != len(x.shape) || groups < 1 || w.dtype != x.dtype ||
		w.shape[1]*groups != x.shape[1] || w.shape[0]%groups != 0 {
		c.fail("the weights are %v of shape %v, which do not fit data %v of shape %v in %d groups", w.dtype, w.shape, x.dtype, x.shape, groups)
	}
	if bias != nil && (bias.Len() != w.shape[0] || bias.dtype != x.dtype) {
		c.fail("the bias is %v of shape %v, and there are %d channels", bias.dtype, bias.shape, w.shape[0])
	}
	g := c.settings(len(x.shape)-2, w.shape[2:])
	c.fit(&g, x.shape[2:])
	out := c.make(x.dtype, append([]int{x.shape[0], w.shape[0]}, g.out...))
	if d, ok := x.data.(vec[float64]); ok {
		convolve(c, &g, groups, x, w, bias, d, out.data.(vec[float64]))
	} else {
		convolve(c, &g, groups, x, w, bias, x.data.(vec[float32]), out.data.(vec[float32]))
	}
	return out
}

func convolve[T real](c *call, g *window, groups int, x, w, bias *Tensor, image, out vec[T]) {
	weights := w.data.(vec[T])
	channels, filters := w.shape[1], w.shape[0]/groups
	inSize, outSize, taps := product(g.in), product(g.out), product(g.kernel)
	if bias != nil && outSize > 0 {
		for i, b := range slices.Repeat(bias.data.(vec[T]), x.shape[0]) {
			for j := range outSize {
				out[i*outSize+j] = b
			}
		}
	}
	if outSize == 0 || channels*filters == 0 {
		return
	}
	plain := taps == 1 && inSize == outSize && !slices.ContainsFunc(g.strides, func(s int) bool { return s != 1 }) &&
		!slices.ContainsFunc(g.before, func(p int) bool { return p != 0 })
	var columns []T
	if !plain {
		columns = make([]T, c.size([]int{channels * taps, outSize}))
	}
	for n := range x.shape[0] {
		if err := c.limits.spent(); err != nil {
			panic(fault{err})
		}
		for group := range groups {
			at := (n*groups + group) * channels * inSize
			if plain {
				columns = image[at : at+channels*inSize]
			} else {
				lower(columns, image[at:at+channels*inSize], g, channels)
			}
			to := (n*groups + group) * filters * outSize
			multiply(out[to:to+filters*outSize], weights[group*filters*channels*taps:(group+1)*filters*channels*taps], columns,
				filters, outSize, channels*taps)
		}
	}
}

// lower writes, for every channel and element of the kernel, what the element
// meets at each output: then a convolution is a product of matrices.
func lower[T real](columns, image []T, g *window, channels int) {
	inSize, outSize, taps := product(g.in), product(g.out), product(g.kernel)
	parallel(channels*taps, func(row int) {
		channel, tap := image[row/taps*inSize:(row/taps+1)*inSize], row%taps
		last := len(g.in) - 1
		shift := make([]int, len(g.in)) // of the tap from the start of the window
		for i := last; i >= 0; i-- {
			shift[i] = tap%g.kernel[i]*g.dilation[i] - g.before[i]
			tap /= g.kernel[i]
		}
		to := columns[row*outSize : (row+1)*outSize]
		positions(g.out[:last], func(i int, pos []int) {
			line := to[i*g.out[last] : (i+1)*g.out[last]]
			from, inside := 0, true
			for d, p := range pos {
				at := p*g.strides[d] + shift[d]
				inside = inside && at >= 0 && at < g.in[d]
				from = from*g.in[d] + at
			}
			if !inside {
				clear(line)
				return
			}
			source := channel[from*g.in[last] : (from+1)*g.in[last]]
			at := shift[last]
			for j := range line {
				if at >= 0 && at < len(source) {
					line[j] = source[at]
				} else {
					line[j] = 0
				}
				at += g.strides[last]
			}
		})
	})
}
