package aten

import (
	"fmt"
	"math"
	"slices"

	"lethe/graph"
	"lethe/model"
)

func layerRows() map[string]row {
	return map[string]row{
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
			tracked := c.has("running_mean") && c.has("running_var")
			if own := c.bool("use_input_stats"); own && tracked && !c.conv.opts.ForceEval {
				panic(trainingMode("instance normalization that tracks statistics"))
			} else if !own || tracked {
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

// resize is an operator that scales the last axes.
//
//go:noinline
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
		align, _ := c.args["align_corners"].(bool)
		if align {
			a["coordinate_transformation_mode"] = text("align_corners")
		}
		if len(x.shape) != axes+2 {
			panic(refusal{what: fmt.Sprintf("resizing of shape %v", x.shape)})
		}
		// Runtimes disagree on what align_corners means for a scale that gives no whole
		// size; PyTorch takes the size there.
		whole := func(s float64) bool { return s == math.Trunc(s) }
		if scales := c.scales(axes); scales != nil && (!align || !slices.ContainsFunc(scales, func(s float64) bool { return !whole(s) })) {
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
