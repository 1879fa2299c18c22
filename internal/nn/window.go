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
	pad                   int // before the first element; what is behind follows from out
}

// inferWindow reads the attributes that Conv and MaxPool share.
func inferWindow(n *graph.Node, in, kernelShape []int) (window, error) {
	var w window
	if len(in) != 3 || len(kernelShape) != 2 {
		return w, unsupported("%s over %d dimensions with a kernel of shape %v is not supported, only over two", n.Op, len(in)-1, kernelShape)
	}
	if auto := n.String("auto_pad", "NOTSET"); auto != "NOTSET" {
		return w, unsupported("auto_pad %q is not supported", auto)
	}
	strides, dilations, pads := n.Ints("strides", 1, 1), n.Ints("dilations", 1, 1), n.Ints("pads", 0, 0, 0, 0)
	if len(strides) != 2 || len(dilations) != 2 || len(pads) != 4 {
		return w, misfit("%s has strides %v, dilations %v and pads %v, needs 2, 2 and 4 of them", n.Op, strides, dilations, pads)
	}
	for i, a := range []*axis{&w.y, &w.x} {
		*a = axis{in: in[1+i], kernel: kernelShape[i], stride: strides[i], dilat: dilations[i], pad: pads[i]}
		after := pads[2+i]
		if a.kernel < 1 || a.stride < 1 || a.dilat < 1 || a.pad < 0 || after < 0 {
			return w, misfit("%s has kernel %v, strides %v, dilations %v and pads %v, which must be positive", n.Op, kernelShape, strides, dilations, pads)
		}
		span := (a.kernel-1)*a.dilat + 1
		if a.in+a.pad+after < span {
			return w, misfit("%s spans %d elements of an input of %d", n.Op, span, a.in+a.pad+after)
		}
		a.out = (a.in+a.pad+after-span)/a.stride + 1
	}
	return w, nil
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
	return runs(a.out, 1, a.stride, a.meets, a.kernel)
}

func (a axis) backward() []run {
	return runs(a.in, a.stride, 1, func(i, k int) (int, bool) {
		o := i + a.pad - k*a.dilat
		return o / a.stride, o >= 0 && o%a.stride == 0 && o/a.stride < a.out
	}, a.kernel)
}

func runs(targets, step, sourceStep int, meet func(target, k int) (int, bool), size int) []run {
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
