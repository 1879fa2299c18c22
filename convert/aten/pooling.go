package aten

import (
	"fmt"
	"slices"

	"lethe/graph"
	"lethe/model"
)

func poolRows() map[string]row {
	return map[string]row{
		"aten.max_pool1d": maxPool(1), "aten.max_pool2d": maxPool(2), "aten.max_pool3d": maxPool(3),
		"aten.max_pool2d_with_indices": maxPool(2), "aten.max_pool3d_with_indices": maxPool(3), "aten.max_pool1d_with_indices": maxPool(1),
		"aten.avg_pool1d": averagePool(1), "aten.avg_pool2d": averagePool(2), "aten.avg_pool3d": averagePool(3),
		"aten.adaptive_avg_pool1d": adaptive("AveragePool", 1), "aten.adaptive_avg_pool2d": adaptive("AveragePool", 2), "aten.adaptive_avg_pool3d": adaptive("AveragePool", 3),
		"aten._adaptive_avg_pool2d": adaptive("AveragePool", 2), "aten._adaptive_avg_pool3d": adaptive("AveragePool", 3),
		"aten.adaptive_max_pool1d": adaptive("MaxPool", 1), "aten.adaptive_max_pool2d": adaptive("MaxPool", 2), "aten.adaptive_max_pool3d": adaptive("MaxPool", 3),
		"aten.upsample_nearest1d": resize("nearest", 1), "aten.upsample_nearest2d": resize("nearest", 2), "aten.upsample_nearest3d": resize("nearest", 3),
		"aten.upsample_nearest1d.vec": resize("nearest", 1), "aten.upsample_nearest2d.vec": resize("nearest", 2), "aten.upsample_nearest3d.vec": resize("nearest", 3),
		"aten._upsample_nearest_exact1d": resize("exact", 1), "aten._upsample_nearest_exact2d": resize("exact", 2),
		"aten._upsample_nearest_exact1d.vec": resize("exact", 1), "aten._upsample_nearest_exact2d.vec": resize("exact", 2),
		"aten.upsample_linear1d": resize("linear", 1), "aten.upsample_bilinear2d": resize("linear", 2), "aten.upsample_trilinear3d": resize("linear", 3),
		"aten.upsample_linear1d.vec": resize("linear", 1), "aten.upsample_bilinear2d.vec": resize("linear", 2), "aten.upsample_trilinear3d.vec": resize("linear", 3),
		"aten.upsample_bicubic2d": resize("cubic", 2), "aten.upsample_bicubic2d.vec": resize("cubic", 2),
		"aten._upsample_bilinear2d_aa": resize("linear antialias", 2), "aten._upsample_bilinear2d_aa.vec": resize("linear antialias", 2),
		"aten._upsample_bicubic2d_aa": resize("cubic antialias", 2), "aten._upsample_bicubic2d_aa.vec": resize("cubic antialias", 2),
	}
}

// window is where a pooling looks.
type window struct {
	kernel, stride, dilation []int
	begin, end               []int // padding
	changed                  bool  // ceil_mode gives more than the padding allows for
	ceil                     bool  // it was not possible to write ceil_mode as padding
}

// pooling reads the arguments of a pooling over the last axes of x. Rounding up
// (ceil_mode) is written as more padding at the end, which says the same
// without the corner cases in which runtimes disagree.
func (c *call) pooling(x operand, axes int) window {
	w := window{kernel: perAxis(c.ints("kernel_size"), axes)}
	w.stride = w.kernel
	if s := c.ints("stride"); len(s) > 0 {
		w.stride = perAxis(s, axes)
	}
	w.begin = perAxis(c.ints("padding"), axes)
	w.end = slices.Clone(w.begin)
	w.dilation = slices.Repeat([]int{1}, axes)
	if c.has("dilation") {
		w.dilation = perAxis(c.ints("dilation"), axes)
	}
	if !c.bool("ceil_mode") {
		return w
	}
	for i := range axes {
		at := len(x.shape) - axes + i
		size, ok := x.shape[at].Int()
		made, isFixed := c.out(0).Shape[at].Int()
		if !ok || !isFixed || w.stride[i] < 1 {
			w.ceil = true
			return w
		}
		reach := (made-1)*w.stride[i] + w.dilation[i]*(w.kernel[i]-1) + 1
		if need := reach - size - w.begin[i]; need > w.end[i] {
			w.end[i], w.changed = need, true
		}
	}
	return w
}

func (w *window) attrs() attrs {
	a := attrs{"kernel_shape": nums(w.kernel), "strides": nums(w.stride), "pads": nums(slices.Concat(w.begin, w.end))}
	if slices.ContainsFunc(w.dilation, func(d int) bool { return d != 1 }) {
		a["dilations"] = nums(w.dilation)
	}
	if w.ceil {
		a["ceil_mode"] = num(1)
	}
	return a
}

//go:noinline
func maxPool(axes int) row {
	return row{schema: "self, kernel_size, stride=[], padding=0, dilation=1, ceil_mode=False", lower: func(c *call) {
		x := c.in("self")
		w := c.pooling(x, axes)
		c.batched(x, axes, func(x string) string { return c.op("MaxPool", w.attrs(), x) })
	}}
}

//go:noinline
func averagePool(axes int) row {
	return row{schema: "self, kernel_size, stride=[], padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None", lower: func(c *call) {
		x := c.in("self")
		w := c.pooling(x, axes)
		padded := slices.ContainsFunc(w.begin, func(p int) bool { return p != 0 })
		count := c.bool("count_include_pad") && padded
		if count && w.changed { // what ceil_mode adds is not counted, what padding adds is
			w.end, w.ceil = slices.Clone(w.begin), true
		}
		a := w.attrs()
		if count {
			a["count_include_pad"] = num(1)
		}
		var scale float64
		if c.has("divisor_override") {
			if w.changed || padded && !count {
				panic(refusal{what: "divisor_override with padding that is not counted"})
			}
			scale = 1 / c.float("divisor_override")
			for _, k := range w.kernel {
				scale *= float64(k)
			}
		}
		c.batched(x, axes, func(name string) string {
			y := c.op("AveragePool", a, name)
			if scale != 0 {
				y = c.op("Mul", nil, y, c.scalar(x.dtype, scale))
			}
			return y
		})
	}}
}

// adaptive is a pooling that is told the size of its output.
//
//go:noinline
func adaptive(op string, axes int) row {
	return row{schema: "self, output_size", lower: func(c *call) {
		x := c.in("self")
		if len(x.shape) < axes+1 || len(x.shape) > axes+2 {
			panic(refusal{what: fmt.Sprintf("adaptive pooling of shape %v", x.shape)})
		}
		in, out := x.shape[len(x.shape)-axes:], c.out(0).Shape[len(c.out(0).Shape)-axes:]
		if !slices.ContainsFunc(out, func(d graph.Dim) bool { return !d.Is(1) }) {
			c.batched(x, axes, func(x string) string { return c.op("Global"+op, nil, x) })
			return
		}
		from, ok := in.Ints()
		if !ok {
			c.openWindows(op, x, out)
			return
		}
		to := fixed(out, "adaptive pooling")
		if slices.Equal(from, to) {
			c.ret(x.name)
			return
		}
		kernel := make([]int, axes)
		for i := range from {
			if to[i] < 1 || from[i]%to[i] != 0 {
				c.uneven(op, x, from, to)
				return
			}
			kernel[i] = from[i] / to[i]
		}
		c.batched(x, axes, func(x string) string {
			return c.op(op, attrs{"kernel_shape": nums(kernel), "strides": nums(kernel)}, x)
		})
	}}
}

// uneven pools where the windows have different sizes: window i of n over an
// axis of size m goes from floor(i*m/n) to ceil((i+1)*m/n). It pools one axis
// after the other. Averages over the last two are products with a matrix on
// either side; otherwise the elements of a window are next to each other in an
// axis of their own, the last one again where a window is shorter than others.
func (c *call) uneven(op string, x operand, from, to []int) {
	for i, m := range from {
		if m < 1 || to[i] < 1 || m > elementsMax/to[i] {
			panic(refusal{what: fmt.Sprintf("adaptive pooling from %v to %v", from, to)})
		}
	}
	lead, last := len(x.shape)-len(from), len(from)-1
	y := x.name
	for i, m := range from {
		n := to[i]
		switch {
		case m == n:
		case op == "AveragePool" && i == last:
			y = c.op("MatMul", nil, y, c.averages(x.dtype, m, n, true))
		case op == "AveragePool" && i == last-1:
			y = c.op("MatMul", nil, c.averages(x.dtype, m, n, false), y)
		default:
			y = c.windows(op, y, x.dtype, lead+i, len(x.shape), m, n)
		}
	}
	c.ret(y)
}

// openWindows pools axes whose sizes are open, each window as a slice of its own.
func (c *call) openWindows(op string, x operand, to graph.Shape) {
	reduce := map[string]string{"AveragePool": "ReduceMean", "MaxPool": "ReduceMax"}[op]
	x.shape = slices.Clone(x.shape)
	for i, d := range to {
		at := len(x.shape) - len(to) + i
		size := x.shape[at]
		if size.Equal(d) {
			continue
		}
		n, ok := d.Int()
		if !ok || n < 1 || n > openWindowsMax {
			panic(refusal{what: fmt.Sprintf("adaptive pooling of an axis of %v to %v elements", size, d), advice: "export the network with images of a fixed size"})
		}
		var parts []string
		for k := range n {
			from, end := size.Mul(graph.Size(k)).Div(graph.Size(n)), size.Mul(graph.Size(k+1)).CeilDiv(graph.Size(n))
			if k == 0 {
				from = graph.Size(0)
			}
			if k == n-1 {
				end = size
			}
			parts = append(parts, c.reduce(reduce, c.slice(x, at, from, end, 1), []int{at}, true))
		}
		if x.name = parts[0]; n > 1 {
			x.name = c.op("Concat", attrs{"axis": num(int64(at))}, parts...)
		}
		x.shape[at] = graph.Size(n)
	}
	c.ret(x.name)
}

// openWindowsMax is how many windows one axis of open size may have.
const openWindowsMax = 64

// averages returns a matrix with the shares that m elements have in n windows.
func (c *call) averages(d model.DType, m, n int, transposed bool) string {
	v := make([]float64, m*n)
	for i := range n {
		low, high := i*m/n, ((i+1)*m+n-1)/n
		for j := low; j < high; j++ {
			at := i*m + j
			if transposed {
				at = j*n + i
			}
			v[at] = 1 / float64(high-low)
		}
	}
	if transposed {
		return c.reals(d, []int{m, n}, v)
	}
	return c.reals(d, []int{n, m}, v)
}

// windows pools m elements of an axis of y, which has rank axes, to n.
func (c *call) windows(op, y string, d model.DType, axis, rank, m, n int) string {
	longest := 0
	for i := range n {
		longest = max(longest, ((i+1)*m+n-1)/n-i*m/n)
	}
	var at []int
	var shares []float64
	for i := range n {
		low, high := i*m/n, ((i+1)*m+n-1)/n
		for j := range longest {
			at = append(at, min(low+j, high-1))
			share := 0.0
			if low+j < high {
				share = 1 / float64(high-low)
			}
			shares = append(shares, share)
		}
	}
	y = c.op("Gather", attrs{"axis": num(int64(axis))}, y, c.reshapedInts(at, n, longest))
	if op == "MaxPool" {
		return c.reduce("ReduceMax", y, []int{axis + 1}, false)
	}
	shape := append([]int{n, longest}, slices.Repeat([]int{1}, rank-axis-1)...)
	return c.reduce("ReduceSum", c.op("Mul", nil, y, c.reals(d, shape, shares)), []int{axis + 1}, false)
}
