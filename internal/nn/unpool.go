package nn

import (
	"math"
	"slices"

	"lethe/graph"
)

// MaxPool's second output says where in the whole batch each element was. MaxUnpool
// alone may read it here, so that it is held as the element of the window instead,
// which no sample, channel or position is part of. Windows must not overlap: then no
// two elements go to the same place.

// windows returns the geometry of a MaxPool whose places are read.
func (e *expansion) windows() ([]axis, error) {
	if len(e.in[0].dims) < 3 {
		return nil, misfit("%s has data of shape %v, which is no image with channels", e.Op, e.in[0])
	}
	axes, err := e.spatialAxes(e.Ints("kernel_shape"))
	if err != nil {
		return nil, err
	}
	for i := range axes {
		a := &axes[i]
		if err := a.fit(e.Op, e.String("auto_pad", "NOTSET"), e.Int("ceil_mode", 0) != 0); err != nil {
			return nil, err
		}
		if a.kernel > a.stride || a.dilat != 1 {
			return nil, unsupported("the places of MaxPool are supported for windows that do not overlap, and these have kernel %v, strides %v and dilations %v", e.Ints("kernel_shape"), e.Ints("strides"), e.Ints("dilations"))
		}
	}
	return axes, nil
}

// expandPlaces writes a MaxPool whose second output is read.
func (e *expansion) expandPlaces() ([]graph.Node, error) {
	for _, use := range graph.NewIndex(e.net.graph).Uses(e.Node.Output(1)) {
		if use.Node == nil || use.Node.Op != "MaxUnpool" || use.Input != 1 {
			return nil, unsupported("the places of MaxPool, its second output, are supported for MaxUnpool only")
		}
	}
	axes, err := e.windows()
	if err != nil {
		return nil, err
	}
	dims := []int{1, e.in[0].dims[1]}
	for _, a := range axes {
		dims = append(dims, a.out)
	}
	if tooMany(append(slices.Clone(dims), e.Ints("kernel_shape")...)...) {
		return nil, unsupported("MaxPool of shape %v with its places is too large", e.in[0])
	}
	taps := product(e.Ints("kernel_shape"))
	dims = append(dims, taps)
	from, inside := make([]int32, product(dims)), make([]float32, product(dims))
	for i := range from {
		tap, window, at, ok := i%taps, i/taps, 0, true
		step := 1
		for _, a := range slices.Backward(axes) {
			p, meets := a.meets(window%a.out, tap%a.kernel)
			at, ok = at+p*step, ok && meets
			window, tap, step = window/a.out, tap/a.kernel, step*a.in
		}
		if from[i] = -1; ok {
			from[i], inside[i] = int32(window*step+at), 1
		}
	}
	x := e.moved(e.input(0), from, shape{dims: dims})
	if slices.Contains(inside, 0) {
		x = e.op("Where", nil, e.floats(dims, inside), x, e.number(-math.MaxFloat32))
	}
	place := e.op("ArgMax", graph.Attrs{"axis": graph.Int(-1), "keepdims": graph.Int(0)}, x)
	for i, name := range []string{e.op(e.Op, e.Attrs, e.Inputs...), place} {
		if e.Outputs[i] != "" {
			e.nodes = append(e.nodes, graph.Node{Name: e.Name, Op: "Identity", Inputs: []string{name}, Outputs: e.Outputs[i : i+1]})
		}
	}
	return e.nodes, nil
}

// expandMaxUnpool puts an element to the place of its window that MaxPool says, and 0
// to all others.
func expandMaxUnpool(e *expansion) (string, error) {
	pool := graph.NewIndex(e.net.graph).Maker(e.input(1))
	if pool == nil || pool.Op != "MaxPool" || pool.Output(1) != e.input(1) {
		return "", unsupported("MaxUnpool is supported for the places that a MaxPool of the network gives only")
	}
	image, err := e.net.operandShape(pool.Input(0))
	if err != nil {
		return "", err
	}
	axes, err := (&expansion{site: &site{Node: pool, in: []shape{image}}, net: e.net}).windows()
	if err != nil {
		return "", err
	}
	in, own := e.in[0], []int{}
	for i, a := range axes {
		own = append(own, (a.out-1)*a.stride-a.pad-a.after+a.kernel)
		if own[i] != a.in {
			return "", unsupported("MaxUnpool is supported for images of the size that MaxPool saw, and axis %d had %d elements and gets %d", 2+i, a.in, own[i])
		}
	}
	list := func(of func(a axis) int) (v []int) {
		for _, a := range axes {
			v = append(v, of(a))
		}
		return v
	}
	kernel, strides := list(func(a axis) int { return a.kernel }), list(func(a axis) int { return a.stride })
	pads := append(list(func(a axis) int { return a.pad }), list(func(a axis) int { return a.after })...)
	ones := slices.Repeat([]int{1}, len(axes))
	if !slices.Equal(e.Ints("kernel_shape"), kernel) || !slices.Equal(e.Ints("strides", ones...), strides) || !slices.Equal(e.Ints("pads", make([]int, 2*len(axes))...), pads) {
		return "", unsupported("MaxUnpool is supported for the windows of the MaxPool that gives the places: kernel %v, strides %v, pads %v", kernel, strides, pads)
	}
	outs := list(func(a axis) int { return a.out })
	if in.batch != 0 || !slices.Equal(in.dims, e.net.shapes[e.input(1)].dims) || e.stated == nil || e.stated.batch != 0 || len(e.stated.dims) != len(in.dims) || e.stated.dims[1] != in.dims[1] || tooMany(e.stated.dims...) {
		return "", unsupported("MaxUnpool of shape %v to a shape that is computed is not supported", in)
	}
	size := e.stated.dims[2:]
	plane := product(size)
	tap, window := make([]float32, plane), make([]int32, plane)
	for p := range plane {
		at, rest := 0, p
		for i, a := range slices.Backward(axes) {
			pos := rest%size[i] + a.pad
			rest /= size[i]
			w, k := pos/a.stride, pos%a.stride
			if tap[p] < 0 || pos-a.pad >= a.in || w >= a.out || k >= a.kernel {
				tap[p] = -1 // no window has it
				continue
			}
			tap[p] += float32(k * product(kernel[i+1:]))
			at += w * product(outs[i+1:])
		}
		window[p] = int32(at)
	}
	from := make([]int32, 0, in.dims[1]*plane)
	for c := range in.dims[1] {
		for p, w := range window {
			at := int32(c*product(outs)) + w
			if tap[p] < 0 {
				at = -1
			}
			from = append(from, at)
		}
	}
	place := e.moved(e.input(1), from, *e.stated)
	return e.op("Where", nil, e.op("Equal", nil, place, e.floats(size, tap)), e.moved(e.input(0), from, *e.stated), e.number(0)), nil
}
