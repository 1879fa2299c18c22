package aten

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"lethe/graph"
	"lethe/model"
)

func reducedShape(x *Value, axes []int, keep bool) graph.Shape {
	shape := graph.Shape{}
	for i, d := range x.Shape {
		if !slices.Contains(axes, i) {
			shape = append(shape, d)
		} else if keep {
			shape = append(shape, graph.Size(1))
		}
	}
	return shape
}

// reducedBy is a reduction whose type follows from that of the input.
//
//go:noinline
func reducedBy(kind func(model.DType) model.DType) inferRule {
	return func(c *call) []*Value {
		x := c.tensor("self")
		keep, _ := c.args["keepdim"].(bool)
		return made1(c.typeOr("dtype", kind(x.DType)), reducedShape(x, c.axes("dim", len(x.Shape)), keep))
	}
}

func summed(d model.DType) model.DType {
	if category(d) < 2 {
		return model.Int64
	}
	return d
}

func asItIs(d model.DType) model.DType { return d }

func extremes(c *call) []*Value {
	x := c.tensor("self")
	shape := reducedShape(x, []int{c.axis("dim", len(x.Shape))}, c.bool("keepdim"))
	return append(made1(x.DType, shape), made1(model.Int64, shape)...)
}

func argued(c *call) []*Value {
	x := c.tensor("self")
	if !c.has("dim") {
		return made1(model.Int64, graph.Shape{})
	}
	return made1(model.Int64, reducedShape(x, []int{c.axis("dim", len(x.Shape))}, c.bool("keepdim")))
}

func softmaxed(c *call) []*Value {
	x := c.tensor("self")
	d, _ := c.args["dtype"].(model.DType)
	if d == model.Invalid {
		d = floatOf(x.DType)
	}
	return made1(d, slices.Clone(x.Shape))
}

//go:noinline
func twice(rule inferRule) inferRule {
	return func(c *call) []*Value { return append(rule(c), rule(c)...) }
}

func cumulated(c *call) []*Value {
	x := c.tensor("self")
	return made1(c.typeOr("dtype", summed(x.DType)), slices.Clone(x.Shape))
}

func inferReductions() map[string]inferRule {
	return map[string]inferRule{
		"mean": reducedBy(floatOf), "sum prod": reducedBy(summed), "amax amin max min": reducedBy(asItIs),
		"logsumexp std var linalg_vector_norm norm frobenius_norm": reducedBy(floatOf), "var_mean std_mean": twice(reducedBy(floatOf)),
		"max.dim min.dim": extremes, "argmax argmin": argued,
		"any all": func(c *call) []*Value { out := reducedBy(asItIs)(c); out[0].DType = model.Bool; return out },
		"softmax log_softmax special_softmax softmin _softmax _log_softmax _safe_softmax": softmaxed,
		"cumsum": cumulated,
	}
}

// windows returns how many windows fit an axis.
func windows(size graph.Dim, kernel, stride, padding, dilation int, ceil bool) graph.Dim {
	if stride < 1 || kernel < 1 || dilation < 1 || padding < 0 {
		panic(refusal{what: fmt.Sprintf("a kernel of %d, a stride of %d, a dilation of %d", kernel, stride, dilation)})
	}
	free := size.Add(graph.Size(2*padding - dilation*(kernel-1) - 1))
	n, fixed := free.Int()
	if fixed && n < 0 {
		panic(refusal{what: fmt.Sprintf("a kernel of %d for an axis of %v", kernel, size)})
	}
	if !ceil {
		return free.Div(graph.Size(stride)).Add(graph.Size(1))
	}
	if !fixed {
		return free.CeilDiv(graph.Size(stride)).Add(graph.Size(1))
	}
	count := (n+stride-1)/stride + 1
	if whole, _ := size.Int(); (count-1)*stride >= whole+padding { // a window must begin in the input or in front of it
		count--
	}
	return graph.Size(count)
}

func convolved(c *call) []*Value {
	x, w := c.first(), c.tensor("weight")
	axes := len(w.Shape) - 2
	kernel, ok := w.Shape.Ints()
	if axes < 1 || !ok || len(x.Shape) != axes+2 && len(x.Shape) != axes+1 {
		panic(refusal{what: fmt.Sprintf("a weight of shape %v for an input of shape %v", w.Shape, x.Shape)})
	}
	lead := len(x.Shape) - axes
	stride, dilation := perAxis(c.ints("stride"), axes), perAxis(c.ints("dilation"), axes)
	mode, isMode := c.args["padding"].(string)
	padding := make([]int, axes)
	if !isMode {
		padding = perAxis(c.ints("padding"), axes)
	}
	transposed, _ := c.args["transposed"].(bool)
	transposed = transposed || strings.Contains(c.node.Op, "conv_transpose")
	groups := c.int("groups")
	inner, outer := kernel[1]*groups, kernel[0]
	if transposed {
		inner, outer = kernel[0], kernel[1]*groups
	}
	if groups < 1 || !x.Shape[lead-1].Is(inner) {
		panic(refusal{what: fmt.Sprintf("a weight of shape %v for an input of shape %v", w.Shape, x.Shape)})
	}
	shape := slices.Clone(x.Shape)
	shape[lead-1] = graph.Size(outer)
	for i := range axes {
		k, at := kernel[2+i], lead+i
		switch {
		case transposed:
			extra := perAxis(c.ints("output_padding"), axes)[i]
			shape[at] = shape[at].Sub(graph.Size(1)).Mul(graph.Size(stride[i])).Add(graph.Size(dilation[i]*(k-1) + 1 + extra - 2*padding[i]))
		case isMode && mode == "same":
		default:
			shape[at] = windows(shape[at], k, stride[i], padding[i], dilation[i], false)
		}
	}
	return made1(x.DType, shape)
}

//go:noinline
func pooledBy(axes int, indices bool) inferRule {
	return func(c *call) []*Value {
		x := c.tensor("self")
		if len(x.Shape) != axes+1 && len(x.Shape) != axes+2 {
			panic(refusal{what: fmt.Sprintf("pooling of shape %v", x.Shape)})
		}
		kernel := perAxis(c.ints("kernel_size"), axes)
		stride := kernel
		if s := c.ints("stride"); len(s) > 0 {
			stride = perAxis(s, axes)
		}
		padding, dilation := perAxis(c.ints("padding"), axes), slices.Repeat([]int{1}, axes)
		if c.has("dilation") {
			dilation = perAxis(c.ints("dilation"), axes)
		}
		shape := slices.Clone(x.Shape)
		for i := range axes {
			at := len(shape) - axes + i
			shape[at] = windows(shape[at], kernel[i], stride[i], padding[i], dilation[i], c.bool("ceil_mode"))
		}
		out := made1(x.DType, shape)
		if indices {
			out = append(out, made1(model.Int64, shape)...)
		}
		return out
	}
}

//go:noinline
func adaptedBy(axes int, indices bool) inferRule {
	return func(c *call) []*Value {
		x := c.tensor("self")
		to := c.asDims("output_size")
		if len(to) == 1 {
			to = slices.Repeat(to, axes)
		}
		if len(to) != axes || len(x.Shape) < axes+1 || len(x.Shape) > axes+2 {
			panic(refusal{what: fmt.Sprintf("pooling of shape %v to %v", x.Shape, to)})
		}
		out := made1(x.DType, slices.Concat(x.Shape[:len(x.Shape)-axes], to))
		if indices {
			out = append(out, made1(model.Int64, out[0].Shape)...)
		}
		return out
	}
}

func resized(c *call) []*Value {
	x := c.first()
	axes := len(x.Shape) - 2
	if axes < 1 {
		panic(refusal{what: fmt.Sprintf("resizing of shape %v", x.Shape)})
	}
	shape := slices.Clone(x.Shape)
	if c.has("output_size") {
		sizes := c.asDims("output_size")
		if len(sizes) != axes {
			panic(refusal{what: fmt.Sprintf("resizing of shape %v to %v", x.Shape, sizes)})
		}
		copy(shape[2:], sizes)
		return made1(x.DType, shape)
	}
	factors := c.floats("scale_factors")
	if len(factors) != axes {
		panic(refusal{what: "resizing without a size"})
	}
	for i, f := range factors {
		n, ok := shape[2+i].Int()
		if !ok || !(f > 0 && f < 1<<20) {
			panic(refusal{what: fmt.Sprintf("resizing %v by %v", shape[2+i], f)})
		}
		shape[2+i] = graph.Size(int(math.Floor(float64(n) * f)))
	}
	return made1(x.DType, shape)
}

func linearShape(c *call) []*Value {
	x, w := c.tensor("input"), c.tensor("weight")
	if len(x.Shape) == 0 || len(w.Shape) != 2 || !x.Shape[len(x.Shape)-1].Equal(w.Shape[1]) {
		panic(refusal{what: fmt.Sprintf("a weight of shape %v for an input of shape %v", w.Shape, x.Shape)})
	}
	shape := slices.Clone(x.Shape)
	shape[len(shape)-1] = w.Shape[0]
	return made1(x.DType, shape)
}

//go:noinline
func producted(a, b string) inferRule {
	return func(c *call) []*Value {
		x, y := c.tensor(a), c.tensor(b)
		no := refusal{what: fmt.Sprintf("a product of shapes %v and %v", x.Shape, y.Shape)}
		if len(x.Shape) == 0 || len(y.Shape) == 0 {
			panic(no)
		}
		p, q := x.Shape, y.Shape
		if len(p) == 1 {
			p = graph.Shape{graph.Size(1), p[0]}
		}
		if len(q) == 1 {
			q = graph.Shape{q[0], graph.Size(1)}
		}
		if !p[len(p)-1].Equal(q[len(q)-2]) {
			panic(no)
		}
		shape := fitting(p[:len(p)-2], q[:len(q)-2])
		if len(x.Shape) > 1 {
			shape = append(shape, p[len(p)-2])
		}
		if len(y.Shape) > 1 {
			shape = append(shape, q[len(q)-1])
		}
		return made1(widest(x.DType, y.DType), shape)
	}
}

func einsummed(c *call) []*Value {
	equation := strings.ReplaceAll(c.str("equation"), " ", "")
	list := c.tensors("tensors")
	left, right, explicit := strings.Cut(equation, "->")
	terms := strings.Split(left, ",")
	if len(terms) != len(list) || strings.Contains(equation, "...") || len(list) == 0 {
		panic(refusal{what: fmt.Sprintf("the equation %.100q for %d tensors", equation, len(list))})
	}
	sizes, count := map[rune]graph.Dim{}, map[rune]int{}
	d := list[0].DType
	for i, term := range terms {
		if len(term) != len(list[i].Shape) {
			panic(refusal{what: fmt.Sprintf("the equation %.100q", equation)})
		}
		d = widest(d, list[i].DType)
		for j, r := range term {
			size := list[i].Shape[j]
			if have, ok := sizes[r]; ok && !have.Is(1) {
				if !size.Is(1) && !size.Equal(have) {
					panic(refusal{what: fmt.Sprintf("sizes of the equation %.100q cannot be shown to fit", equation)})
				}
			} else {
				sizes[r] = size
			}
			count[r]++
		}
	}
	if !explicit {
		for r := rune('A'); r <= 'z'; r++ {
			if count[r] == 1 {
				right += string(r)
			}
		}
	}
	shape := graph.Shape{}
	for _, r := range right {
		size, ok := sizes[r]
		if !ok {
			panic(refusal{what: fmt.Sprintf("the equation %.100q", equation)})
		}
		shape = append(shape, size)
	}
	return made1(d, shape)
}

func attendedShape(c *call) []*Value {
	q, k, v := c.tensor("query"), c.tensor("key"), c.tensor("value")
	rank := len(q.Shape)
	if rank < 2 || len(k.Shape) != rank || len(v.Shape) != rank || !q.Shape[rank-1].Equal(k.Shape[rank-1]) || !k.Shape[rank-2].Equal(v.Shape[rank-2]) {
		panic(refusal{what: fmt.Sprintf("shapes %v, %v and %v", q.Shape, k.Shape, v.Shape)})
	}
	return made1(q.DType, append(slices.Clone(q.Shape[:rank-1]), v.Shape[rank-1]))
}

func recurrentShapes(c *call) []*Value {
	x, params := c.tensor("input"), c.tensors("params")
	directions := 1
	if c.bool("bidirectional") {
		directions = 2
	}
	if len(x.Shape) != 3 || len(params) < 2 || len(params[1].Shape) != 2 {
		panic(refusal{what: fmt.Sprintf("an input of shape %v", x.Shape), advice: "give it a batch"})
	}
	hidden := params[1].Shape[1]
	y := slices.Clone(x.Shape)
	y[2] = hidden.Mul(graph.Size(directions))
	batch := x.Shape[1]
	if c.bool("batch_first") {
		batch = x.Shape[0]
	}
	state := graph.Shape{graph.Size(c.int("num_layers") * directions), batch, hidden}
	out := append(made1(x.DType, y), made1(x.DType, state)...)
	if c.node.Op == "aten.lstm" {
		out = append(out, made1(x.DType, slices.Clone(state))...)
	}
	return out
}

func threeLikeFirst(c *call) []*Value {
	x := c.first()
	stats := graph.Shape{graph.Size(0)}
	return []*Value{likeFirst(c)[0], {DType: x.DType, Shape: stats}, {DType: x.DType, Shape: stats}}
}

func inferLayers() map[string]inferRule {
	return map[string]inferRule{
		"conv1d conv2d conv3d conv1d.padding conv2d.padding conv3d.padding _convolution_mode conv_transpose1d conv_transpose2d conv_transpose3d convolution _convolution":                       convolved,
		"native_batch_norm native_layer_norm native_group_norm native_dropout rrelu_with_noise_functional _native_batch_norm_legit _native_batch_norm_legit_no_training _batch_norm_impl_index": threeLikeFirst,
		"max_pool1d": pooledBy(1, false), "max_pool2d": pooledBy(2, false), "max_pool3d": pooledBy(3, false),
		"max_pool1d_with_indices": pooledBy(1, true), "max_pool2d_with_indices": pooledBy(2, true), "max_pool3d_with_indices": pooledBy(3, true),
		"avg_pool1d": pooledBy(1, false), "avg_pool2d": pooledBy(2, false), "avg_pool3d": pooledBy(3, false),
		"adaptive_avg_pool1d": adaptedBy(1, false), "adaptive_avg_pool2d _adaptive_avg_pool2d": adaptedBy(2, false), "adaptive_avg_pool3d _adaptive_avg_pool3d": adaptedBy(3, false),
		"adaptive_max_pool1d": adaptedBy(1, true), "adaptive_max_pool2d": adaptedBy(2, true), "adaptive_max_pool3d": adaptedBy(3, true),
		"upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d upsample_bilinear2d upsample_trilinear3d upsample_bicubic2d": resized,
		"_upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa":                                     resized,
		"linear": linearShape, "mm bmm": producted("self", "mat2"), "matmul": producted("self", "other"), "dot": producted("self", "tensor"), "mv": producted("self", "vec"),
		"addmm": producted("mat1", "mat2"), "baddbmm": producted("batch1", "batch2"), "einsum": einsummed,
		"cosine_similarity": func(c *call) []*Value {
			shape, _ := c.joined("x1", "x2")
			return made1(c.promoted("x1", "x2"), slices.Delete(slices.Clone(shape), c.place("dim", shape), c.place("dim", shape)+1))
		},
		"scaled_dot_product_attention": attendedShape,
		"lstm gru rnn_tanh rnn_relu":   recurrentShapes,
	}
}

func filledLike(c *call) []*Value {
	x := c.tensor("self")
	return made1(c.typeOr("dtype", x.DType), slices.Clone(x.Shape))
}

func filledNew(c *call) []*Value {
	return made1(c.typeOr("dtype", c.tensor("self").DType), c.asDims("size"))
}

func filledSize(c *call) []*Value { return made1(c.typeOr("dtype", model.Float32), c.asDims("size")) }

func typeOfNumber(v any) model.DType {
	switch v := v.(type) {
	case bool:
		return model.Bool
	case int64, graph.Dim:
		return model.Int64
	case *Value:
		return v.DType
	}
	return model.Float32
}

func arranged(c *call) []*Value {
	d := model.Int64
	number := func(name string, otherwise any) any {
		v, ok := c.args[name]
		if !ok {
			v = otherwise
		}
		if typeOfNumber(v).IsFloat() {
			d = model.Float32
		}
		return v
	}
	start, end, step := number("start", int64(0)), number("end", nil), number("step", int64(1))
	d = c.typeOr("dtype", d)
	real := func(v any) float64 {
		switch v := v.(type) {
		case int64:
			return float64(v)
		case float64:
			return v
		}
		panic(refusal{what: "arange to a number that is not fixed"})
	}
	if e, ok := end.(graph.Dim); ok && start == int64(0) {
		if by, ok := step.(int64); ok && by > 0 {
			return made1(d, graph.Shape{e.CeilDiv(graph.Size(int(by)))})
		}
	}
	if by := real(step); by == 0 {
		panic(refusal{what: "arange with a step of 0"})
	}
	n := math.Ceil((real(end) - real(start)) / real(step))
	if !(n >= 0 && n <= elementsMax) {
		panic(refusal{what: fmt.Sprintf("arange of %v elements", n)})
	}
	return made1(d, graph.Sizes(int(n)))
}

func inferMakers() map[string]inferRule {
	return map[string]inferRule{
		"zeros ones empty": filledSize, "zeros_like ones_like empty_like full_like": filledLike, "new_zeros new_ones new_empty new_full": filledNew,
		"full": func(c *call) []*Value {
			return made1(c.typeOr("dtype", typeOfNumber(c.args["fill_value"])), c.asDims("size"))
		},
		"scalar_tensor":                         func(c *call) []*Value { return made1(c.typeOr("dtype", model.Float32), graph.Shape{}) },
		"arange arange.start arange.start_step": arranged,
		"linspace":                              func(c *call) []*Value { return made1(c.typeOr("dtype", model.Float32), graph.Sizes(c.int("steps"))) },
		"eye": func(c *call) []*Value {
			n := c.dim("n")
			m := n
			if c.has("m") {
				m = c.dim("m")
			}
			return made1(c.typeOr("dtype", model.Float32), graph.Shape{n, m})
		},
	}
}
