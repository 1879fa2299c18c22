package nn

import (
	"context"
	"math"
	"slices"

	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// What operators that few networks have are run as.

// expandCastLike is a Cast to the type of another value.
func expandCastLike(e *expansion) (string, error) {
	if !e.has(1) {
		return "", misfit("CastLike needs a value of the type")
	}
	to := onnxFloat
	switch t := e.consts[1]; {
	case t != nil && t.DType() == model.Bool:
		to = onnxBool
	case t != nil && !t.DType().IsFloat():
		to = onnxInt64
	case t == nil && e.net.whole[e.input(1)]:
		return "", unsupported("CastLike to the type of whole numbers or truth values that are computed is not supported")
	}
	return e.op("Cast", graph.Attrs{"to": graph.Int(int64(to))}, e.input(0)), nil
}

// expandCol2Im adds up what blocks have of each element of an image.
func expandCol2Im(e *expansion) (string, error) {
	x := e.in[0]
	image, err := e.site.intsOr(1, "image_shape")
	if err != nil {
		return "", err
	}
	block, err := e.site.intsOr(2, "block_shape")
	if err != nil {
		return "", err
	}
	n := len(image)
	ones := slices.Repeat([]int{1}, n)
	strides, dilations, pads := e.Ints("strides", ones...), e.Ints("dilations", ones...), e.Ints("pads", make([]int, 2*n)...)
	if n == 0 || len(block) != n || len(strides) != n || len(dilations) != n || len(pads) != 2*n || tooMany(image...) || tooMany(block...) {
		return "", misfit("Col2Im has blocks of %v for an image of %v, strides %v, dilations %v and pads %v: of each there must be one for each axis, and two of pads", block, image, strides, dilations, pads)
	}
	outs := make([]int, n)
	axes := make([]axis, n)
	for i := range axes {
		axes[i] = axis{in: image[i], kernel: block[i], stride: strides[i], dilat: dilations[i], pad: pads[i], after: pads[n+i]}
		if a := axes[i]; min(a.in, a.kernel, a.stride, a.dilat) < 1 || a.pad < 0 || a.after < 0 {
			return "", misfit("Col2Im has an image of %v, blocks of %v, strides %v, dilations %v and pads %v, which must be positive", image, block, strides, dilations, pads)
		}
		if err := axes[i].fit(e.Op, "NOTSET", false); err != nil {
			return "", err
		}
		outs[i] = axes[i].out
	}
	taps, places := product(block), product(outs)
	if len(x.dims) != 3 || x.batch != 0 || x.dims[0] != 1 || x.dims[1]%taps != 0 || x.dims[2] != places {
		return "", misfit("Col2Im has data of shape %v for %d blocks of %v of an image of %v", x, places, block, image)
	}
	list := make([][]weighted, product(image))
	for tap := range taps {
		for place := range places {
			at, ok := 0, true
			for i, a := range axes {
				in, inside := a.meets(place/product(outs[i+1:])%a.out, tap/product(block[i+1:])%a.kernel)
				at, ok = at*a.in+in, ok && inside
			}
			if ok {
				list[at] = append(list[at], weighted{tap*places + place, 1})
			}
		}
	}
	channels := x.dims[1] / taps
	name := e.op("Along", graph.Attrs{"axis": graph.Int(2)}, e.view(e.input(0), 0, 1, channels, taps*places))
	e.net.sums[name] = list
	return e.view(name, 0, slices.Concat([]int{1, channels}, image)...), nil
}

// mostFactors is the largest number of elements that CumProd multiplies one after the other.
const mostFactors = 256

// expandCumProd multiplies along an axis, element by element.
func expandCumProd(e *expansion) (string, error) {
	if e.consts == nil || !e.has(1) || e.consts[1] == nil {
		return "", unsupported("CumProd along an axis that is computed is not supported")
	}
	list, err := tensorInts(e.consts[1])
	if err != nil || len(list) != 1 {
		return "", misfit("CumProd needs one axis, and has %v", list)
	}
	axis, err := axisOf(list[0], len(e.in[0].dims))
	if err != nil {
		return "", err
	}
	n := e.in[0].dims[axis]
	if axis == e.in[0].batch || n > mostFactors {
		return "", unsupported("CumProd of shape %v along axis %d is not supported", e.in[0], axis)
	}
	parts := make([]string, n)
	product := ""
	for i := range n {
		at := i
		if e.Int("reverse", 0) != 0 {
			at = n - 1 - i
		}
		own := e.op("Slice", nil, e.input(0), e.ints(at), e.ints(at+1), e.ints(axis))
		before := product
		if product = own; before != "" {
			product = e.op("Mul", nil, before, own)
		}
		switch {
		case e.Int("exclusive", 0) == 0:
			parts[at] = product
		case before == "": // the product of nothing
			parts[at] = e.op("Add", nil, e.op("Mul", nil, own, e.number(0)), e.number(1))
		default:
			parts[at] = before
		}
	}
	return e.op("Concat", graph.Attrs{"axis": graph.Int(int64(axis))}, parts...), nil
}

// largestMatrix is the largest matrix whose determinant is written out: 720 products.
const largestMatrix = 6

// expandDet is the sum over all permutations of products of an element of each row.
func expandDet(e *expansion) (string, error) {
	x := e.in[0]
	rank := len(x.dims)
	if rank < 2 || x.dims[rank-1] != x.dims[rank-2] {
		return "", misfit("Det has data of shape %v, which holds no square matrices", x)
	}
	n, lead := x.dims[rank-1], product(x.dims[:rank-2])
	if x.batch >= rank-2 || n > largestMatrix {
		return "", unsupported("Det of shape %v is not supported", x)
	}
	orders, signs := permutations(n)
	product := ""
	dims := append(slices.Clone(x.dims[:rank-2]), len(orders))
	for row := range n {
		var from []int32
		for matrix := range lead {
			for _, order := range orders {
				from = append(from, int32((matrix*n+row)*n+order[row]))
			}
		}
		own := e.moved(e.input(0), from, x.as(dims))
		if product == "" {
			product = own
		} else {
			product = e.op("Mul", nil, product, own)
		}
	}
	product = e.op("Mul", nil, product, e.floats([]int{len(orders)}, signs))
	return e.op("ReduceSum", graph.Attrs{"keepdims": graph.Int(0)}, product, e.ints(rank-2)), nil
}

// permutations returns all orders of n numbers, and their signs.
func permutations(n int) (orders [][]int, signs []float32) {
	orders, signs = [][]int{{}}, []float32{1}
	for i := range n {
		var longer [][]int
		var signed []float32
		for k, order := range orders {
			for at := range i + 1 { // as many numbers come behind the new one as it is larger than
				longer = append(longer, slices.Insert(slices.Clone(order), at, i))
				signed = append(signed, signs[k]*float32(1-2*((i-at)%2)))
			}
		}
		orders, signs = longer, signed
	}
	return orders, signs
}

// expandGlobalLpPool is the p-norm of each channel.
func expandGlobalLpPool(e *expansion) (string, error) {
	in, p := e.in[0], float32(e.Int("p", 2))
	if len(in.dims) < 3 || in.batch < 0 || in.batch > 1 {
		return "", unsupported("GlobalLpPool of shape %v is not supported", in)
	}
	powers := e.op("Pow", nil, e.op("Abs", nil, e.input(0)), e.number(p))
	return e.op("Pow", nil, e.op("ReduceSum", nil, powers, e.ints(indices(len(in.dims))[2:]...)), e.number(1/p)), nil
}

// expandLoss is the loss of each label, by the logarithms of probabilities.
func expandLoss(e *expansion) (string, error) {
	x := e.in[0]
	if e.String("reduction", "mean") != "none" {
		return "", unsupported("%s of the whole batch is not supported, only of each sample (reduction none)", e.Op)
	}
	if !e.has(1) || len(x.dims) < 2 || x.batch != 0 || x.dims[0] != 1 || e.consts[1] != nil {
		return "", unsupported("%s of scores of shape %v is not supported", e.Op, x)
	}
	logs := e.input(0)
	if e.Op == "SoftmaxCrossEntropyLoss" {
		logs = e.op("LogSoftmax", graph.Attrs{"axis": graph.Int(1)}, logs)
	}
	dims := slices.Repeat([]int{1}, len(x.dims)-1)
	dims[0] = x.dims[1]
	weights := slices.Repeat([]float32{-1}, x.dims[1])
	if i := e.Int("ignore_index", -1); i >= 0 && i < len(weights) {
		weights[i] = 0
	}
	scaled := e.op("Mul", nil, logs, e.floats(dims, weights))
	if e.has(2) {
		if !e.fixed(2) {
			return "", unsupported("%s with weights that are computed is not supported", e.Op)
		}
		scaled = e.op("Mul", nil, scaled, e.view(e.input(2), -1, dims...))
	}
	classes := e.name()
	e.net.constants[classes] = int64Tensor(dims, widened(indices(x.dims[1]))...)
	own := e.op("Equal", nil, e.op("Unsqueeze", nil, e.input(1), e.ints(1)), classes)
	return e.op("ReduceSum", graph.Attrs{"keepdims": graph.Int(0)}, e.op("Where", nil, own, scaled, e.number(0)), e.ints(1)), nil
}

// expandSwiGLU is Swish of a gate, times another value.
func expandSwiGLU(e *expansion) (string, error) {
	if !e.has(1) {
		return "", misfit("SwiGLU needs a gate and a value")
	}
	return e.op("Mul", nil, e.op("Swish", graph.Attrs{"alpha": graph.Float(e.Float("alpha", 1))}, e.input(0)), e.input(1)), nil
}

// expandScatter is for updates that are added to what is there, or multiply it, or compete
// with it: those that meet at an element come one after the other.
func expandScatter(e *expansion) (string, error) {
	reduction := e.String("reduction", "none")
	op := map[string]string{"add": "Add", "mul": "Mul", "max": "Max", "min": "Min"}[reduction]
	if op == "" {
		return "", nil // a mover
	}
	if len(e.in) != 3 || e.consts[1] == nil {
		return "", unsupported("%s with reduction %q at indices that are computed is not supported", e.Op, reduction)
	}
	rounds, err := e.scatterRounds(1)
	if err != nil {
		return "", err
	}
	if e.in[0].batch >= 0 || e.in[2].batch >= 0 {
		both, err := e.scatterRounds(2)
		if err != nil || len(both) != len(rounds) || e.in[0].batch != e.in[2].batch {
			return "", unsupported("%s of shape %v with reduction %q would mix samples", e.Op, e.in[0], reduction)
		}
		inner, own := product(e.in[0].dims[e.in[0].batch:]), product(e.in[2].dims[e.in[2].batch:])
		for r, from := range rounds {
			for i, at := range from {
				for sample := range 2 {
					want := int32(-1)
					if at >= 0 {
						want = int32((int(at)/own*2+sample)*own + int(at)%own)
					}
					if both[r][(i/inner*2+sample)*inner+i%inner] != want {
						return "", unsupported("%s of shape %v with reduction %q would mix samples", e.Op, e.in[0], reduction)
					}
				}
			}
		}
	}
	y := e.input(0)
	for _, from := range rounds {
		meets := make([]float32, len(from))
		for i, at := range from {
			if at >= 0 {
				meets[i] = 1
			}
		}
		updates := e.moved(e.input(2), from, e.in[0])
		here := e.floats(e.in[0].dims, meets)
		y = e.op("Where", nil, e.op("Greater", nil, here, e.number(0.5)), e.op(op, nil, y, updates), y)
	}
	return y, nil
}

// scatterRounds returns, for each element of the data, which update comes to it in each
// round, or -1: of several that come to an element each has a round of its own.
func (e *expansion) scatterRounds(samples int) (rounds [][]int32, err error) {
	sizes := func(s shape) []int {
		dims := slices.Clone(s.dims)
		if s.batch >= 0 {
			dims[s.batch] *= samples
		}
		return dims
	}
	data, updates := sizes(e.in[0]), sizes(e.in[2])
	if tooMany(data...) || tooMany(updates...) {
		return nil, unsupported("%s of shape %v is too large", e.Op, e.in[0])
	}
	numbers := make([]float64, product(updates))
	for i := range numbers {
		numbers[i] = float64(i)
	}
	for {
		out, err := e.scattered(data, updates, numbers)
		if err != nil {
			return nil, err
		}
		from, some := make([]int32, len(out)), false
		for i, v := range out {
			if from[i] = int32(v); v >= 0 {
				some = true
				numbers[int(v)] = -1
			}
		}
		if !some {
			return rounds, nil
		}
		rounds = append(rounds, from)
		if len(rounds) > math.MaxInt8 {
			return nil, unsupported("%s with more than %d updates of an element is not supported", e.Op, math.MaxInt8)
		}
	}
}

// scattered returns where the updates come to: of several that come to an element the one
// with the largest number, and -1 where none does.
func (e *expansion) scattered(data, updates []int, numbers []float64) ([]float64, error) {
	node := graph.Node{Name: e.Name, Op: e.Op, Inputs: []string{"data", "indices", "updates"}, Outputs: []string{"out"}, Attrs: graph.Attrs{"reduction": graph.String("max")}}
	if a, ok := e.Attrs["axis"]; ok {
		node.Attrs["axis"] = a
	}
	g := &graph.Graph{
		Opsets: map[string]int{"": max(e.opset, 18)}, Nodes: []graph.Node{node}, Outputs: []graph.Value{{Name: "out"}},
		Constants: map[string]*model.Tensor{"indices": e.consts[1]},
		Inputs:    []graph.Value{graph.TensorValue("data", model.Float64, graph.Sizes(data...)), graph.TensorValue("updates", model.Float64, graph.Sizes(updates...))},
	}
	given := map[string]*ops.Tensor{
		"data": ops.Float64s(data, slices.Repeat([]float64{-1}, product(data))), "updates": ops.Float64s(updates, slices.Clone(numbers)),
	}
	out, err := ops.Run(context.Background(), g, nil, given, ops.Options{Elements: 2 * maxElements})
	if err != nil {
		return nil, err
	}
	v, ok := out["out"].Float64s()
	if !ok {
		return nil, unsupported("%s does not give numbers", e.Op)
	}
	return v, nil
}
