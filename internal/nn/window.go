package nn

import (
	"fmt"
	"slices"

	"lethe/graph"
	"lethe/internal/kernel"
)

// window is the geometry of a convolution or pooling in two dimensions.
type window struct{ y, x axis }

// axis is the geometry along one dimension.
type axis struct {
	in, out               int // sizes
	kernel, stride, dilat int
	pad, after            int // before the first element and behind the last
}

// planes returns an image with channels as [channels, height, width]; one of a
// single dimension has height 1. ok is false for other shapes.
func planes(s shape) (dims []int, ok bool) {
	if s.batch > 0 || len(s.dims) < 3 || len(s.dims) > 4 {
		return nil, false
	}
	if len(s.dims) == 3 {
		return []int{s.dims[1], 1, s.dims[2]}, true
	}
	return s.dims[1:], true
}

// twice returns a list of one number for each dimension, or of the begins and the
// ends of each, for two dimensions, with what a first of size 1 has.
func twice(list []int, first int) []int {
	switch len(list) {
	case 1:
		return []int{first, list[0]}
	case 2:
		return []int{first, list[0], first, list[1]}
	}
	return list
}

// inferWindow reads the attributes that convolutions and poolings share. in is
// the shape of the images, kernelShape that of the window.
func inferWindow(n *graph.Node, in shape, kernelShape []int) (window, error) {
	var w window
	image, ok := planes(in)
	flat := len(in.dims) == 3
	if !ok || len(kernelShape) != len(in.dims)-2 {
		return w, unsupported("%s of shape %v with a kernel of shape %v is not supported, only over one or two dimensions", n.Op, in, kernelShape)
	}
	ones := []int{1, 1}[:len(kernelShape)]
	strides, dilations, pads := n.Ints("strides", ones...), n.Ints("dilations", ones...), n.Ints("pads", make([]int, 2*len(ones))...)
	if len(strides) != len(ones) || len(dilations) != len(ones) || len(pads) != 2*len(ones) {
		return w, misfit("%s has strides %v, dilations %v and pads %v, needs %d, %d and %d of them", n.Op, strides, dilations, pads, len(ones), len(ones), 2*len(ones))
	}
	if flat {
		kernelShape, strides, dilations, pads = twice(kernelShape, 1), twice(strides, 1), twice(dilations, 1), twice(pads, 0)
	}
	auto := n.String("auto_pad", "NOTSET")
	for i, a := range []*axis{&w.y, &w.x} {
		*a = axis{in: image[1+i], kernel: kernelShape[i], stride: strides[i], dilat: dilations[i], pad: pads[i], after: pads[2+i]}
		if a.kernel < 1 || a.stride < 1 || a.dilat < 1 || a.pad < 0 || a.after < 0 || max(a.kernel, a.stride, a.dilat, a.pad, a.after) > maxElements {
			return w, misfit("%s has kernel %v, strides %v, dilations %v and pads %v, which must be positive", n.Op, kernelShape, strides, dilations, pads)
		}
		if err := a.fit(n.Op, auto, n.Int("ceil_mode", 0) != 0); err != nil {
			return w, err
		}
	}
	return w, nil
}

// fit sets the pads that auto_pad asks for, and the size of the output.
func (a *axis) fit(op, auto string, ceil bool) error {
	span := (a.kernel-1)*a.dilat + 1
	switch auto {
	case "NOTSET":
	case "VALID":
		a.pad, a.after = 0, 0
	case "SAME_UPPER", "SAME_LOWER":
		total := max(((a.in+a.stride-1)/a.stride-1)*a.stride+span-a.in, 0)
		if a.pad, a.after = total/2, total-total/2; auto == "SAME_LOWER" {
			a.pad, a.after = a.after, a.pad
		}
	default:
		return unsupported("auto_pad %q is not supported", auto)
	}
	room := a.in + a.pad + a.after - span
	if room < 0 {
		return misfit("%s has a kernel that spans %d elements, and the input has %d with its pads", op, span, a.in+a.pad+a.after)
	}
	a.out = room/a.stride + 1
	if ceil && room%a.stride > 0 && a.out*a.stride < a.in+a.pad { // the window begins inside
		a.out++
	}
	return nil
}

// outShape returns the shape of channels planes that a window slides over.
func (w window) outShape(in shape, channels int) shape {
	if len(in.dims) == 3 {
		return in.as([]int{in.dims[0], channels, w.x.out})
	}
	return in.as([]int{in.dims[0], channels, w.y.out, w.x.out})
}

// run is a row of target positions, step apart, that all take the same elements
// of the kernel. Element kernel[i] meets source position source[i] at the first
// target position and sourceStep further at each of the next.
type run struct {
	first, step, n int
	kernel, source []int
	sourceStep     int
}

// meets returns the position of the input that element k of the kernel meets at
// an output position; ok is false if it is padding.
func (a axis) meets(out, k int) (in int, ok bool) {
	in = out*a.stride - a.pad + k*a.dilat
	return in, in >= 0 && in < a.in
}

// forward returns the runs that cover the output of the axis; backward those
// that cover its input, as the targets of a gradient. Elements that fall on
// padding are in no run.
func (a axis) forward() []run {
	return runsOf(a.out, 1, a.stride, a.meets, a.kernel)
}

func (a axis) backward() []run {
	return runsOf(a.in, a.stride, 1, func(i, k int) (int, bool) {
		o := i + a.pad - k*a.dilat
		return o / a.stride, o >= 0 && o%a.stride == 0 && o/a.stride < a.out
	}, a.kernel)
}

// runsOf groups the targets of an axis, phase by phase, into runs of those that
// meet the same part of the kernel.
func runsOf(targets, step, sourceStep int, meet func(target, k int) (int, bool), size int) []run {
	var all []run
	for phase := range min(step, targets) {
		var last *run
		for t := phase; t < targets; t += step {
			r := run{first: t, step: step, n: 1, sourceStep: sourceStep}
			for k := range size {
				if s, ok := meet(t, k); ok {
					r.kernel, r.source = append(r.kernel, k), append(r.source, s)
				}
			}
			if last != nil && slices.Equal(last.kernel, r.kernel) {
				last.n++
				continue
			}
			all = append(all, r)
			last = &all[len(all)-1]
		}
	}
	return all
}

// strip is a horizontal row of positions in the target plane with the taps that
// they share, in elements of a plane of vectors.
type strip struct {
	target, targetStep int
	source, sourceStep int
	n                  int
	taps               *kernel.Taps
}

// strips combines the runs of two axes. channels are the planes of the source,
// plane their distance; a tap's A is index(channel, ky, kx).
func strips(ys, xs []run, targetWidth, sourceWidth, channels, plane int, index func(c, ky, kx int) int) []strip {
	shared := map[string]*kernel.Taps{}
	var all []strip
	for _, y := range ys {
		for _, x := range xs {
			key := fmt.Sprint(y.kernel, x.kernel)
			taps := shared[key]
			origin := 0
			if len(y.kernel) > 0 && len(x.kernel) > 0 {
				origin = slices.Min(y.source)*sourceWidth + slices.Min(x.source)
			}
			if taps == nil {
				var list []kernel.Tap
				for c := range channels {
					for i, ky := range y.kernel {
						for j, kx := range x.kernel {
							list = append(list, kernel.Tap{
								A: int32(index(c, ky, kx)),
								B: int32((c*plane + y.source[i]*sourceWidth + x.source[j] - origin) * Lanes),
							})
						}
					}
				}
				taps = kernel.NewTaps(list)
				shared[key] = taps
			}
			for row := range y.n {
				all = append(all, strip{
					target:     ((y.first+row*y.step)*targetWidth + x.first) * Lanes,
					targetStep: x.step * Lanes,
					source:     (origin + row*y.sourceStep*sourceWidth) * Lanes,
					sourceStep: x.sourceStep * Lanes,
					n:          x.n,
					taps:       taps,
				})
			}
		}
	}
	return all
}
