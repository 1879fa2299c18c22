package ops

import (
	"slices"

	"lethe/graph"
)

// window is the geometry of a convolution or pooling.
type window struct {
	in, out           []int // sizes of the image
	kernel            []int
	strides, dilation []int
	before, after     []int // padding
}

// largest is what a stride, a dilation, a pad or a side of a kernel may be: far
// beyond any real one, yet safe to multiply.
const largest = 1 << 24

// windowAttrs are those that convolutions and poolings share.
func windowAttrs(more ...attr) []attr {
	return append(more, stringAttr("auto_pad", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"),
		intsAttr("kernel_shape"), intsAttr("strides"), intsAttr("pads"), intsAttr("dilations"))
}

// settings reads the attributes for an image of some axes.
func (n *node) settings(axes int, kernel []int) window {
	w := window{kernel: kernel, strides: n.ints("strides"), dilation: n.ints("dilations")}
	if given := n.ints("kernel_shape"); len(given) > 0 {
		if kernel != nil && !slices.Equal(kernel, given) {
			n.fail("kernel_shape is %v, but the weights have %v", given, kernel)
		}
		w.kernel = given
	}
	if len(w.strides) == 0 {
		w.strides = slices.Repeat([]int{1}, axes)
	}
	if len(w.dilation) == 0 {
		w.dilation = slices.Repeat([]int{1}, axes)
	}
	pads := n.ints("pads")
	if len(pads) == 0 {
		pads = make([]int, 2*axes)
	}
	if len(w.kernel) != axes || len(w.strides) != axes || len(w.dilation) != axes || len(pads) != 2*axes {
		n.fail("kernel %v, strides %v, dilations %v and pads %v for an image of %d axes", w.kernel, w.strides, w.dilation, pads, axes)
	}
	w.before, w.after = slices.Clone(pads[:axes]), slices.Clone(pads[axes:])
	for _, list := range [][]int{w.kernel, w.strides, w.dilation} {
		for _, x := range list {
			if x < 1 || x > largest {
				n.fail("kernel %v, strides %v and dilations %v must be from 1 to %d", w.kernel, w.strides, w.dilation, largest)
			}
		}
	}
	for _, x := range pads {
		if x < -largest || x > largest {
			n.fail("pads %v", pads)
		}
	}
	return w
}

// span is how far a kernel reaches along an axis.
func (w *window) span(i int) int { return (w.kernel[i]-1)*w.dilation[i] + 1 }

// fit finds the size of the output and the padding for an image.
func (n *node) fit(w *window, image []int) {
	w.in, w.out = image, make([]int, len(image))
	for i, size := range image {
		switch auto := n.text("auto_pad"); auto {
		case "SAME_UPPER", "SAME_LOWER":
			w.out[i] = (size + w.strides[i] - 1) / w.strides[i]
			total := max(0, (w.out[i]-1)*w.strides[i]+w.span(i)-size)
			w.before[i] = total / 2
			if auto == "SAME_LOWER" {
				w.before[i] = (total + 1) / 2
			}
			w.after[i] = total - w.before[i]
			continue
		case "VALID":
			w.before[i], w.after[i] = 0, 0
		}
		room := size + w.before[i] + w.after[i] - w.span(i)
		if room < 0 && n.text("auto_pad") != "VALID" && !n.flag("ceil_mode") {
			n.fail("the kernel %v with dilations %v is larger than the image %v with pads %v and %v", w.kernel, w.dilation, image, w.before, w.after)
		}
		if room < 0 {
			room = -w.strides[i] // no output
			if n.flag("ceil_mode") {
				room = 0 // one window that reaches beyond the image
			}
		}
		w.out[i] = room/w.strides[i] + 1
		if n.flag("ceil_mode") && room%w.strides[i] != 0 && (w.out[i])*w.strides[i] < size+w.before[i] {
			w.out[i]++
		}
	}
}

// windowShape infers the sizes of the output.
func (f *inference) windowShape(w window, image graph.Shape) graph.Shape {
	out := make(graph.Shape, len(image))
	for i, size := range image {
		if n, ok := size.Int(); ok {
			one := window{kernel: w.kernel[i : i+1], strides: w.strides[i : i+1], dilation: w.dilation[i : i+1],
				before: []int{w.before[i]}, after: []int{w.after[i]}}
			f.fit(&one, []int{n})
			out[i] = graph.Size(one.out[0])
			continue
		}
		stride := graph.Size(w.strides[i])
		switch f.text("auto_pad") {
		case "SAME_UPPER", "SAME_LOWER":
			out[i] = size.CeilDiv(stride)
			continue
		case "VALID":
			w.before[i], w.after[i] = 0, 0
		}
		if f.flag("ceil_mode") {
			out[i] = f.unknown(0, i+2)
			continue
		}
		out[i] = size.Add(graph.Size(w.before[i] + w.after[i] - w.span(i))).Div(stride).Add(graph.Size(1))
	}
	return out
}

// start is where in the image, along one axis, the window of an output begins.
func (w *window) start(axis, out int) int { return out*w.strides[axis] - w.before[axis] }

// taps calls f with the index in the image of every element of the window of an
// output that lies inside the image, and its index in the kernel. pos is the
// output's position.
func (w *window) taps(pos []int, f func(image, kernel int)) {
	w.walk(pos, 0, 0, 0, f)
}

func (w *window) walk(pos []int, axis, image, kernel int, f func(image, kernel int)) {
	if axis == len(pos) {
		f(image, kernel)
		return
	}
	at := w.start(axis, pos[axis])
	for k := range w.kernel[axis] {
		if at >= 0 && at < w.in[axis] {
			w.walk(pos, axis+1, image*w.in[axis]+at, kernel*w.kernel[axis]+k, f)
		}
		at += w.dilation[axis]
	}
}

// positions calls f for every position of a shape in C order.
func positions(shape []int, f func(i int, pos []int)) {
	pos := make([]int, len(shape))
	for i := range product(shape) {
		f(i, pos)
		for d := len(pos) - 1; d >= 0; d-- {
			if pos[d]++; pos[d] < shape[d] {
				break
			}
			pos[d] = 0
		}
	}
}
