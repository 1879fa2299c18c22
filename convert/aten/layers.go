package aten

import (
	"fmt"
	"math"
	"slices"

	"lethe/graph"
	"lethe/model"
)

var layerRows = map[string]row{
	"aten.conv1d": convRow, "aten.conv2d": convRow, "aten.conv3d": convRow,
	"aten.conv1d.padding": convRow, "aten.conv2d.padding": convRow, "aten.conv3d.padding": convRow,
	"aten._convolution_mode": convRow,
	"aten.conv_transpose1d":  convTransposeRow, "aten.conv_transpose2d": convTransposeRow, "aten.conv_transpose3d": convTransposeRow,
	"aten.convolution":                          {schema: "input, weight, bias, stride, padding, dilation, transposed, output_padding, groups", lower: convolution},
	"aten._convolution":                         {schema: "input, weight, bias, stride, padding, dilation, transposed, output_padding, groups, benchmark=None, deterministic=None, cudnn_enabled=None, allow_tf32=None", lower: convolution},
	"aten.batch_norm":                           {schema: "input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled=None", lower: batchNorm},
	"aten.native_batch_norm":                    {schema: "input, weight, bias, running_mean, running_var, training, momentum, eps", lower: batchNorm},
	"aten._batch_norm_impl_index":               {schema: "input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled=None", lower: batchNorm},
	"aten._native_batch_norm_legit":             {schema: "input, weight, bias, running_mean, running_var, training, momentum, eps", lower: batchNorm},
	"aten._native_batch_norm_legit.no_stats":    {schema: "input, weight, bias, training, momentum, eps, running_mean=None, running_var=None", lower: batchNorm},
	"aten._native_batch_norm_legit_functional":  {schema: "input, weight, bias, running_mean, running_var, training, momentum, eps", lower: batchNorm},
	"aten._native_batch_norm_legit_no_training": {schema: "input, weight, bias, running_mean, running_var, momentum, eps, training=False", lower: batchNorm},
	"aten._batch_norm_no_update":                {schema: "input, weight, bias, running_mean, running_var, momentum, eps, training=False", lower: batchNorm},
	"aten._batch_norm_with_update":              {schema: "input, weight, bias, running_mean, running_var, momentum, eps, training=True", lower: batchNorm},
	"aten._batch_norm_with_update_functional":   {schema: "input, weight, bias, running_mean, running_var, momentum, eps, training=True", lower: batchNorm},
	"aten.instance_norm": {schema: "input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps, cudnn_enabled=None", lower: func(c *call) {
		if !c.bool("use_input_stats") {
			c.args["training"] = false
			batchNorm(c)
			return
		}
		c.ret(c.instanceNorm())
	}},
	"aten.layer_norm":        {schema: "input, normalized_shape, weight=None, bias=None, eps=1e-5, cudnn_enable=None", lower: layerNorm},
	"aten.native_layer_norm": {schema: "input, normalized_shape, weight, bias, eps", lower: layerNorm},
	"aten.rms_norm":          {schema: "input, normalized_shape, weight=None, eps=None", lower: rmsNorm},
	"aten._fused_rms_norm":   {schema: "input, normalized_shape, weight=None, eps=None", lower: rmsNorm},
	"aten.group_norm":        {schema: "input, num_groups, weight=None, bias=None, eps=1e-5, cudnn_enabled=None", lower: func(c *call) { groupNorm(c, c.int("num_groups")) }},
	"aten.native_group_norm": {schema: "input, weight, bias, N, C, HxW, group, eps", lower: func(c *call) { groupNorm(c, c.int("group")) }},
}

var (
	convRow          = row{schema: "input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1", lower: convolution}
	convTransposeRow = row{schema: "input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1", lower: func(c *call) {
		c.args["transposed"] = true
		convolution(c)
	}}
)

// perAxis repeats a list of one element for every spatial axis.
func perAxis(list []int, axes int) []int {
	if len(list) == 1 {
		return slices.Repeat(list, axes)
	}
	if len(list) != axes {
		panic(refusal{what: fmt.Sprintf("a list of %d numbers for %d axes", len(list), axes)})
	}
	return list
}

// fixed returns sizes that must be known.
func fixed(shape graph.Shape, what string) []int {
	n, ok := shape.Ints()
	if !ok {
		panic(refusal{what: fmt.Sprintf("%s of shape %v, which is not fixed", what, shape)})
	}
	return n
}

func convolution(c *call) {
	x, w := c.in("input"), c.in("weight")
	kernel := fixed(w.shape, "a weight")
	axes := len(kernel) - 2
	if axes < 1 || len(x.shape) != axes+2 && len(x.shape) != axes+1 {
		panic(refusal{what: fmt.Sprintf("a weight of shape %v for an input of shape %v", w.shape, x.shape)})
	}
	kernel = kernel[2:]
	dilation := perAxis(c.ints("dilation"), axes)
	a := attrs{"kernel_shape": nums(kernel), "strides": nums(perAxis(c.ints("stride"), axes)), "group": num(int64(c.int("groups")))}
	if slices.ContainsFunc(dilation, func(d int) bool { return d != 1 }) {
		a["dilations"] = nums(dilation)
	}
	if c.int("groups") == 1 {
		delete(a, "group")
	}
	var pads []int
	if mode, ok := c.args["padding"].(string); ok && mode == "same" { // the odd element goes to the end
		ends := make([]int, axes)
		for i, k := range kernel {
			total := dilation[i] * (k - 1)
			pads, ends[i] = append(pads, total/2), total-total/2
		}
		pads = append(pads, ends...)
	} else if ok {
		pads = make([]int, 2*axes)
	} else {
		p := perAxis(c.ints("padding"), axes)
		pads = slices.Concat(p, p)
	}
	a["pads"] = nums(pads)
	op := "Conv"
	if on, _ := c.args["transposed"].(bool); on {
		op = "ConvTranspose"
		if extra := perAxis(c.ints("output_padding"), axes); slices.ContainsFunc(extra, func(n int) bool { return n != 0 }) {
			a["output_padding"] = nums(extra)
		}
	}
	c.batched(x, axes, func(x string) string { return c.op(op, a, x, w.name, c.opt("bias")) })
}

// batched calls f with an input that has a batch axis, and takes it away again
// if there was none.
func (c *call) batched(x operand, axes int, f func(x string) string) {
	if len(x.shape) == axes+2 {
		c.ret(f(x.name))
		return
	}
	if len(x.shape) != axes+1 {
		panic(refusal{what: fmt.Sprintf("an input of shape %v for %d axes", x.shape, axes)})
	}
	c.ret(c.squeeze(f(c.unsqueeze(x.name, 0)), 0))
}

// channels returns the number of channels, which is the size of axis 1.
func channels(x operand) graph.Dim {
	if len(x.shape) < 2 {
		panic(refusal{what: fmt.Sprintf("normalization of channels for shape %v", x.shape)})
	}
	return x.shape[1]
}

// perChannel returns a weight of the layer or, where it has none, a vector of
// one number for every channel.
func (c *call) perChannel(name string, dtype model.DType, n graph.Dim, otherwise float64) string {
	if w := c.opt(name); w != "" {
		return w
	}
	if n, ok := n.Int(); ok {
		return c.filled(dtype, n, otherwise)
	}
	return c.expand(operand{c.scalar(dtype, otherwise), dtype, graph.Shape{}}, graph.Shape{n})
}

func batchNorm(c *call) {
	x := c.in("input")
	training, _ := c.args["training"].(bool)
	if !c.has("running_mean") || !c.has("running_var") {
		c.ret(c.ownStatistics(x))
		return
	}
	if training && !c.conv.opts.ForceEval {
		panic(trainingMode("batch normalization"))
	}
	mean, variance := c.in("running_mean"), c.in("running_var")
	weight, bias := c.perChannel("weight", mean.dtype, channels(x), 1), c.perChannel("bias", mean.dtype, channels(x), 0)
	c.ret(c.op("BatchNormalization", attrs{"epsilon": real(c.float("eps"))}, x.name, weight, bias, mean.name, variance.name))
}

// ownStatistics normalizes with the statistics of the input itself, for layers
// that keep no running ones.
func (c *call) ownStatistics(x operand) string {
	axes := []int{0}
	shape := graph.Shape{channels(x)}
	for i := 2; i < len(x.shape); i++ {
		axes, shape = append(axes, i), append(shape, graph.Size(1))
	}
	mean := c.reduce("ReduceMean", x.name, axes, true)
	centered := c.op("Sub", nil, x.name, mean)
	variance := c.reduce("ReduceMean", c.op("Mul", nil, centered, centered), axes, true)
	y := c.op("Div", nil, centered, c.op("Sqrt", nil, c.op("Add", nil, variance, c.scalar(x.dtype, c.float("eps")))))
	return c.affine(y, len(shape) > 1, shape)
}

// affine multiplies by the weight and adds the bias, where they are given; with
// reshaped they are brought into a shape first.
func (c *call) affine(y string, reshaped bool, shape graph.Shape) string {
	get := func(name string) string {
		w := c.in(name)
		if reshaped {
			return c.reshape(w, shape)
		}
		return w.name
	}
	if c.has("weight") {
		y = c.op("Mul", nil, y, get("weight"))
	}
	if c.has("bias") {
		y = c.op("Add", nil, y, get("bias"))
	}
	return y
}

func (c *call) instanceNorm() string {
	x := c.in("input")
	weight, bias := c.perChannel("weight", x.dtype, channels(x), 1), c.perChannel("bias", x.dtype, channels(x), 0)
	return c.op("InstanceNormalization", attrs{"epsilon": real(c.float("eps"))}, x.name, weight, bias)
}

func layerNorm(c *call) {
	x := c.in("input")
	shape := c.ints("normalized_shape")
	if len(shape) == 0 || len(shape) > len(x.shape) {
		panic(refusal{what: fmt.Sprintf("normalized_shape %v for shape %v", shape, x.shape)})
	}
	eps := c.float("eps")
	if c.opset >= 17 {
		weight := c.opt("weight")
		if weight == "" {
			weight = c.ones(x.dtype, shape)
		}
		c.ret(c.op("LayerNormalization", attrs{"axis": num(int64(-len(shape))), "epsilon": real(eps)}, x.name, weight, c.opt("bias")))
		return
	}
	axes := lastAxes(len(shape), len(x.shape))
	narrow := x.dtype == model.Float16 || x.dtype == model.BFloat16
	d, name := x.dtype, x.name
	if narrow { // the statistics are those of float32
		d, name = model.Float32, c.cast(x.name, x.dtype, model.Float32)
	}
	centered := c.op("Sub", nil, name, c.reduce("ReduceMean", name, axes, true))
	variance := c.reduce("ReduceMean", c.op("Mul", nil, centered, centered), axes, true)
	y := c.op("Div", nil, centered, c.op("Sqrt", nil, c.op("Add", nil, variance, c.scalar(d, eps))))
	c.ret(c.affine(c.cast(y, d, x.dtype), false, nil))
}

// ones returns a constant of ones.
func (b *builder) ones(dtype model.DType, shape []int) string {
	n, ok := model.Elements(shape)
	if !ok || n > elementsMax {
		panic(refusal{what: fmt.Sprintf("a constant of shape %v", shape)})
	}
	return b.reals(dtype, shape, slices.Repeat([]float64{1}, n))
}

func lastAxes(n, rank int) []int {
	var axes []int
	for i := rank - n; i < rank; i++ {
		axes = append(axes, i)
	}
	return axes
}

func rmsNorm(c *call) {
	x := c.in("input")
	n := len(c.ints("normalized_shape"))
	if n == 0 || n > len(x.shape) {
		panic(refusal{what: fmt.Sprintf("normalized_shape for shape %v", x.shape)})
	}
	eps := 0x1p-23 // of float32, PyTorch's default
	switch {
	case c.has("eps"):
		eps = c.float("eps")
	case x.dtype == model.Float64:
		eps = 0x1p-52
	}
	square := c.reduce("ReduceMean", c.op("Mul", nil, x.name, x.name), lastAxes(n, len(x.shape)), true)
	y := c.op("Div", nil, x.name, c.op("Sqrt", nil, c.op("Add", nil, square, c.scalar(x.dtype, eps))))
	c.args["bias"] = nil
	c.ret(c.affine(y, false, nil))
}

func groupNorm(c *call, groups int) {
	x := c.in("input")
	n, ok := channels(x).Int()
	if !ok || groups < 1 || n%groups != 0 {
		panic(refusal{what: fmt.Sprintf("%d groups of %v channels", groups, channels(x))})
	}
	eps := attrs{"epsilon": real(c.float("eps"))}
	if c.opset >= 21 {
		weight, bias := c.perChannel("weight", x.dtype, channels(x), 1), c.perChannel("bias", x.dtype, channels(x), 0)
		eps["num_groups"] = num(int64(groups))
		c.ret(c.op("GroupNormalization", eps, x.name, weight, bias))
		return
	}
	grouped := c.op("Reshape", nil, x.name, c.builder.ints(0, groups, -1))
	y := c.op("InstanceNormalization", eps, grouped, c.filled(x.dtype, groups, 1), c.filled(x.dtype, groups, 0))
	shape := []int{n}
	for range len(x.shape) - 2 {
		shape = append(shape, 1)
	}
	rest := graph.Shape{x.shape[0], graph.Size(groups), x.shape[1:].Elements().Div(graph.Size(groups))}
	c.ret(c.affine(c.reshape(operand{y, x.dtype, rest}, x.shape), true, graph.Sizes(shape...)))
}

var poolRows = map[string]row{
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

func maxPool(axes int) row {
	return row{schema: "self, kernel_size, stride=[], padding=0, dilation=1, ceil_mode=False", lower: func(c *call) {
		x := c.in("self")
		w := c.pooling(x, axes)
		c.batched(x, axes, func(x string) string { return c.op("MaxPool", w.attrs(), x) })
	}}
}

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
		from, to := fixed(in, "adaptive pooling"), fixed(out, "adaptive pooling")
		if slices.Equal(from, to) {
			c.ret(x.name)
			return
		}
		kernel := make([]int, axes)
		for i := range from {
			if to[i] < 1 || from[i]%to[i] != 0 {
				c.averages(op, x, from, to)
				return
			}
			kernel[i] = from[i] / to[i]
		}
		c.batched(x, axes, func(x string) string {
			return c.op(op, attrs{"kernel_shape": nums(kernel), "strides": nums(kernel)}, x)
		})
	}}
}

// averages pools where the windows have different sizes: window i of n over an
// axis of size m goes from floor(i*m/n) to ceil((i+1)*m/n). Averages over two
// axes are products with a matrix on either side.
func (c *call) averages(op string, x operand, from, to []int) {
	if op != "AveragePool" || len(from) > 2 || len(from) == 2 && x.dtype == model.Invalid {
		panic(refusal{what: fmt.Sprintf("adaptive pooling from %v to %v", from, to)})
	}
	matrix := func(m, n int, transposed bool) string {
		if m < 1 || n < 1 || m > elementsMax/n {
			panic(refusal{what: fmt.Sprintf("adaptive pooling from %v to %v", from, to)})
		}
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
			return c.reals(x.dtype, []int{m, n}, v)
		}
		return c.reals(x.dtype, []int{n, m}, v)
	}
	last := len(from) - 1
	y := c.op("MatMul", nil, x.name, matrix(from[last], to[last], true))
	if last == 1 {
		y = c.op("MatMul", nil, matrix(from[0], to[0], false), y)
	}
	c.ret(y)
}

// resize is an operator that scales the last axes.
func resize(kind string, axes int) row {
	schema := "input=None, self=None, output_size=None, scale_factors=None, scales=None, scales_d=None, scales_h=None, scales_w=None"
	if kind != "nearest" && kind != "exact" {
		schema = "input=None, self=None, output_size=None, align_corners=False, scale_factors=None, scales=None, scales_d=None, scales_h=None, scales_w=None"
	}
	return row{schema: schema, lower: func(c *call) {
		name := "self"
		if c.has("input") {
			name = "input"
		}
		x := c.in(name)
		a := attrs{"coordinate_transformation_mode": text("half_pixel")}
		switch kind {
		case "nearest":
			a = attrs{"mode": text("nearest"), "coordinate_transformation_mode": text("asymmetric"), "nearest_mode": text("floor")}
		case "exact":
			a["mode"], a["nearest_mode"] = text("nearest"), text("round_prefer_ceil")
		case "linear", "linear antialias":
			a["mode"] = text("linear")
		default:
			a["mode"], a["cubic_coeff_a"] = text("cubic"), graph.Float(-0.75)
		}
		if kind == "linear antialias" || kind == "cubic antialias" {
			c.since(18, "Resize with antialiasing")
			a["antialias"], a["cubic_coeff_a"] = num(1), graph.Float(-0.5)
		}
		if align, _ := c.args["align_corners"].(bool); align {
			a["coordinate_transformation_mode"] = text("align_corners")
		}
		if len(x.shape) != axes+2 {
			panic(refusal{what: fmt.Sprintf("resizing of shape %v", x.shape)})
		}
		if scales := c.scales(axes); scales != nil {
			c.ret(c.op("Resize", a, x.name, "", c.reals(model.Float32, []int{len(scales)}, scales)))
			return
		}
		c.ret(c.op("Resize", a, x.name, "", "", c.shape(c.out(0).Shape)))
	}}
}

// scales returns the factors of all axes if they are given and exact.
func (c *call) scales(axes int) []float64 {
	factors := c.floats("scale_factors")
	if factors == nil {
		for _, name := range []string{"scales", "scales_d", "scales_h", "scales_w"} {
			if c.has(name) {
				factors = append(factors, c.float(name))
			}
		}
	}
	if len(factors) != axes || slices.ContainsFunc(factors, func(f float64) bool { return !(f > 0) || math.IsInf(f, 0) }) {
		return nil
	}
	return append([]float64{1, 1}, factors...)
}
