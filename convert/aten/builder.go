package aten

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"

	"lethe/graph"
	"lethe/model"
)

// Short forms of the attributes, which the table uses everywhere.
type attrs = graph.Attrs

var (
	num  = graph.Int
	nums = func(v []int) graph.Attr {
		out := make([]int64, len(v))
		for i, x := range v {
			out[i] = int64(x)
		}
		return graph.Ints(out...)
	}
	real = func(x float64) graph.Attr { return graph.Float(float32(x)) }
	text = graph.String
)

// builder collects the nodes of an ONNX graph.
type builder struct {
	g      *graph.Graph
	opset  int
	weight map[string]*model.Tensor // entries of the state dict that are in use, by name
	taken  map[string]bool          // names of values
	maker  map[string]int           // node that makes a value
	known  map[string]string        // constants by type, shape and bytes
	sizes  map[string]string        // values that hold a size, by its expression
	source map[string]axis          // where a symbol can be read off
	data   map[string]bool          // values that depend on an input
	prefix string                   // of the names of new nodes and values
	made   int                      // bytes of constants
}

// axis is an axis of an input.
type axis struct {
	input string
	index int
}

// unique returns the name, or a variation of it that is not taken, and takes it.
func (b *builder) unique(name string) string {
	free := name
	for i := 1; b.taken[free]; i++ {
		free = name + "_" + strconv.Itoa(i)
	}
	b.taken[free] = true
	return free
}

// op adds a node with one output and returns the name of that.
func (b *builder) op(op string, a attrs, inputs ...string) string {
	return b.ops(op, 1, a, inputs...)[0]
}

// ops adds a node with n outputs. Inputs that are left out at the end are
// dropped.
func (b *builder) ops(op string, n int, a attrs, inputs ...string) []string {
	for len(inputs) > 0 && inputs[len(inputs)-1] == "" {
		inputs = inputs[:len(inputs)-1]
	}
	outputs := make([]string, n)
	fromData := slices.ContainsFunc(inputs, func(in string) bool { return b.data[in] })
	for i := range outputs {
		outputs[i] = b.unique(b.prefix + "/" + op)
		b.maker[outputs[i]] = len(b.g.Nodes)
		b.data[outputs[i]] = fromData
	}
	if len(a) == 0 {
		a = nil
	}
	b.g.Nodes = append(b.g.Nodes, graph.Node{Op: op, Inputs: slices.Clone(inputs), Outputs: outputs, Attrs: a, Name: b.prefix})
	return slices.Clone(outputs)
}

// constant returns the name of a tensor that belongs to the graph. Equal
// tensors are one.
func (b *builder) constant(dtype model.DType, shape []int, bytes []byte) string {
	key := fmt.Sprint(dtype, shape, ":", string(bytes))
	if name, ok := b.known[key]; ok {
		return name
	}
	t, err := model.NewTensor(dtype, shape, nil, 0, model.BytesStorage(bytes))
	if err != nil {
		panic(refusal{what: err.Error()})
	}
	if b.made += len(bytes); b.made > constantsMax {
		panic(refusal{what: fmt.Sprintf("constants of more than %d MiB that the program makes without weights", constantsMax>>20)})
	}
	name := b.unique("const_" + strconv.Itoa(len(b.known)))
	b.known[key] = name
	b.g.Constants[name] = t
	return name
}

// ints returns a constant vector of int64.
func (b *builder) ints(v ...int) string {
	bytes := make([]byte, 0, 8*len(v))
	for _, x := range v {
		bytes = binary.LittleEndian.AppendUint64(bytes, uint64(x))
	}
	return b.constant(model.Int64, []int{len(v)}, bytes)
}

// index returns a constant int64 without axes.
func (b *builder) index(i int) string {
	return b.constant(model.Int64, []int{}, binary.LittleEndian.AppendUint64(nil, uint64(i)))
}

// scalar returns a constant without axes: v is a bool, int64 or float64.
func (b *builder) scalar(dtype model.DType, v any) string {
	bytes, ok := encodeScalar(dtype, v)
	if !ok {
		panic(refusal{what: fmt.Sprintf("the number %v as %v", v, dtype)})
	}
	return b.constant(dtype, []int{}, bytes)
}

// filled returns a constant vector of n equal numbers.
func (b *builder) filled(dtype model.DType, n int, v float64) string {
	bytes, _ := encodeScalar(dtype, v)
	if n < 0 || n > elementsMax {
		panic(refusal{what: fmt.Sprintf("a constant of %d elements", n)})
	}
	return b.constant(dtype, []int{n}, slices.Repeat(bytes, n))
}

// reals returns a constant of numbers.
func (b *builder) reals(dtype model.DType, shape []int, v []float64) string {
	var bytes []byte
	for _, x := range v {
		e, ok := encodeScalar(dtype, x)
		if !ok {
			panic(refusal{what: fmt.Sprintf("a constant of type %v", dtype)})
		}
		bytes = append(bytes, e...)
	}
	return b.constant(dtype, shape, bytes)
}

// constantsMax bounds all of them together, in bytes.
const constantsMax = 1 << 28

// elementsMax bounds the constants that a program can make without weights.
const elementsMax = 1 << 22

// Element returns a bool, an int64 or a float64 as the bytes of an element in a
// file, or false if the type has no such number.
func Element(dtype model.DType, v any) ([]byte, bool) { return encodeScalar(dtype, v) }

// encodeScalar returns a number as little-endian bytes of an element type.
func encodeScalar(dtype model.DType, v any) ([]byte, bool) {
	var x float64
	var n int64
	switch v := v.(type) {
	case bool:
		if v {
			n = 1
		}
		x = float64(n)
	case int64:
		n, x = v, float64(v)
	case float64:
		if !dtype.IsFloat() && dtype != model.Bool && (v != v || math.Abs(v) > 1<<62) {
			return nil, false
		}
		x = v
		n = int64(v)
	default:
		return nil, false
	}
	le := binary.LittleEndian
	switch dtype {
	case model.Bool:
		if n != 0 || x != 0 {
			return []byte{1}, true
		}
		return []byte{0}, true
	case model.Int8, model.Uint8:
		return []byte{byte(n)}, true
	case model.Int16, model.Uint16:
		return le.AppendUint16(nil, uint16(n)), true
	case model.Int32, model.Uint32:
		return le.AppendUint32(nil, uint32(n)), true
	case model.Int64, model.Uint64:
		return le.AppendUint64(nil, uint64(n)), true
	case model.Float64:
		return le.AppendUint64(nil, math.Float64bits(x)), true
	case model.Float32, model.Float16, model.BFloat16:
		t, err := model.FromFloat32s(dtype, []int{1}, []float32{float32(x)})
		if err != nil {
			return nil, false
		}
		bytes, err := t.Bytes()
		return bytes, err == nil
	}
	return nil, false
}

// size returns a vector of one int64 that holds a size.
func (b *builder) size(d graph.Dim) string {
	if n, ok := d.Int(); ok {
		return b.ints(n)
	}
	key := d.String()
	if name, ok := b.sizes[key]; ok {
		return name
	}
	two := func(op string) func(x, y string) string {
		return func(x, y string) string { return b.op(op, nil, x, y) }
	}
	name := graph.Compute(d, graph.Arithmetic[string]{
		Int:    func(n int64) string { return b.ints(int(n)) },
		Symbol: b.symbol,
		Add:    two("Add"), Mul: two("Mul"), Natural: two("Div"), Max: two("Max"), Min: two("Min"),
		Div: func(x, y string) string { // ONNX divides towards zero
			return b.op("Div", nil, b.op("Sub", nil, x, b.op("Mod", nil, x, y)), y)
		},
	})
	b.sizes[key] = name
	return name
}

// symbol returns a vector of one int64 that holds the size of an input.
func (b *builder) symbol(name string) string {
	if known, ok := b.sizes[name]; ok {
		return known
	}
	from, ok := b.source[name]
	if !ok {
		panic(refusal{what: fmt.Sprintf("the size %.100s, which depends on data", name), advice: "export the network with sizes that follow from those of its inputs"})
	}
	var size string
	if b.opset >= 15 {
		size = b.op("Shape", attrs{"start": num(int64(from.index)), "end": num(int64(from.index + 1))}, from.input)
	} else {
		size = b.op("Slice", nil, b.op("Shape", nil, from.input), b.ints(from.index), b.ints(from.index+1), b.ints(0))
	}
	b.sizes[name] = size
	return size
}

// shape returns a vector of int64 that holds sizes.
func (b *builder) shape(s graph.Shape) string {
	if n, ok := s.Ints(); ok {
		return b.ints(n...)
	}
	var parts []string
	var fixed []int
	flush := func() {
		if len(fixed) > 0 {
			parts = append(parts, b.ints(fixed...))
			fixed = nil
		}
	}
	for _, d := range s {
		if n, ok := d.Int(); ok {
			fixed = append(fixed, n)
			continue
		}
		flush()
		parts = append(parts, b.size(d))
	}
	flush()
	if len(parts) == 1 {
		return parts[0]
	}
	return b.op("Concat", attrs{"axis": num(0)}, parts...)
}

// refusal is what a row of the table panics with if it cannot convert its node.
// It never leaves this package.
type refusal struct{ what, advice string }

// reshape returns x with another shape. Sizes that are not known stay open: one
// is written as -1, those that stay in place as 0, and only what is left is
// computed.
func (b *builder) reshape(x operand, to graph.Shape) string {
	if x.shape.Equal(to) {
		return x.name
	}
	target := make([]int, len(to))
	var open []int
	zero := false
	for i, d := range to {
		n, ok := d.Int()
		if !ok {
			open = append(open, i)
		}
		zero = zero || ok && n == 0
		target[i] = n
	}
	if zero && b.opset < 14 {
		panic(refusal{what: "a tensor without elements in opset 13", advice: "take a later --opset"})
	}
	if len(open) > 1 && !zero {
		open = slices.DeleteFunc(open, func(i int) bool {
			same := i < len(x.shape) && x.shape[i].Equal(to[i])
			if same {
				target[i] = 0
			}
			return same
		})
	}
	switch {
	case zero:
		return b.op("Reshape", attrs{"allowzero": num(1)}, x.name, b.shape(to))
	case len(open) == 0:
		return b.op("Reshape", nil, x.name, b.ints(target...))
	case len(open) == 1:
		target[open[0]] = -1
		return b.op("Reshape", nil, x.name, b.ints(target...))
	}
	return b.op("Reshape", nil, x.name, b.shape(to))
}

// expand returns x repeated along axes of size 1 and new leading axes.
func (b *builder) expand(x operand, to graph.Shape) string {
	if x.shape.Equal(to) {
		return x.name
	}
	sizes := slices.Clone(to)
	lead := len(to) - len(x.shape)
	if lead < 0 {
		panic(refusal{what: fmt.Sprintf("expand of shape %v to %v", x.shape, to)})
	}
	for i, d := range x.shape {
		if d.Equal(to[lead+i]) {
			sizes[lead+i] = graph.Size(1)
		}
	}
	return b.op("Expand", nil, x.name, b.shape(sizes))
}

// cast returns x as another type.
func (b *builder) cast(name string, from, to model.DType) string {
	if from == to {
		return name
	}
	code, ok := onnxTypes[to]
	if !ok {
		panic(refusal{what: fmt.Sprintf("element type %v", to)})
	}
	return b.op("Cast", attrs{"to": num(code)}, name)
}

// onnxTypes are the numbers of element types in ONNX.
var onnxTypes = map[model.DType]int64{
	model.Float32: 1, model.Uint8: 2, model.Int8: 3, model.Uint16: 4, model.Int16: 5, model.Int32: 6, model.Int64: 7,
	model.Bool: 9, model.Float16: 10, model.Float64: 11, model.Uint32: 12, model.Uint64: 13, model.BFloat16: 16,
}

// reduce adds a reduction over axes. Since opset 18 (ReduceSum: 13) the axes
// are an input.
func (b *builder) reduce(op, x string, axes []int, keep bool) string {
	a := attrs{"keepdims": num(0)}
	if keep {
		a["keepdims"] = num(1)
	}
	if op == "ReduceSum" || b.opset >= 18 {
		return b.op(op, a, x, b.ints(axes...))
	}
	a["axes"] = nums(axes)
	return b.op(op, a, x)
}

// slice returns a part of x along one axis; bounds as Python counts them.
func (b *builder) slice(x operand, at int, start, end graph.Dim, step int) string {
	size := x.shape[at]
	n, fixed := end.Int()
	limit, sized := size.Int()
	toEnd := end.Equal(size) || fixed && (n == math.MaxInt64 || sized && n >= limit)
	if start.Is(0) && toEnd && step == 1 {
		return x.name
	}
	if toEnd && !sized {
		end = graph.Size(math.MaxInt64)
	}
	return b.op("Slice", nil, x.name, b.size(start), b.size(end), b.ints(at), b.ints(step))
}

// transpose returns x with its axes in another order.
func (b *builder) transpose(name string, perm []int) string {
	for i, p := range perm {
		if i != p {
			return b.op("Transpose", attrs{"perm": nums(perm)}, name)
		}
	}
	return name
}

func (b *builder) unsqueeze(name string, axes ...int) string {
	return b.op("Unsqueeze", nil, name, b.ints(axes...))
}

func (b *builder) squeeze(name string, axes ...int) string {
	return b.op("Squeeze", nil, name, b.ints(axes...))
}
