package ops

import (
	"slices"

	"lethe/graph"
	"lethe/model"
)

// call is the evaluation of one node.
type call struct {
	*node
	in     []*Tensor // nil where one is left out
	out    []*Tensor
	limits *limits
}

// limits bound what an evaluation may take.
type limits struct {
	elements int // of one tensor
	spent    func() error
}

// input returns input i, or nil if it is left out.
func (c *call) input(i int) *Tensor {
	if i < len(c.in) {
		return c.in[i]
	}
	return nil
}

// wants reports whether anybody reads output i.
func (c *call) wants(i int) bool { return i == 0 || c.n.Output(i) != "" }

// set sets output i.
func (c *call) set(i int, t *Tensor) {
	for len(c.out) <= i {
		c.out = append(c.out, nil)
	}
	c.out[i] = t
}

// size checks a shape against the limits and returns its number of elements.
func (c *call) size(shape []int) int {
	n, ok := model.Elements(shape)
	if !ok {
		c.fail("the shape %v is negative or has more elements than an int can count", shape)
	}
	if n > c.limits.elements {
		panic(fault{&model.LimitError{What: "elements of a value of " + c.n.Label(), Got: uint64(n), Limit: uint64(c.limits.elements)}})
	}
	return n
}

// make returns a tensor of zeros.
func (c *call) make(dtype model.DType, shape []int) *Tensor {
	data := newStorage(dtype, c.size(shape))
	if data == nil {
		c.unsupported("values of %v", dtype)
	}
	return &Tensor{dtype, slices.Clone(shape), data}
}

// like returns a tensor of zeros of the type of t, whatever holds its elements.
func (c *call) like(t *Tensor, shape []int) *Tensor {
	return &Tensor{t.dtype, slices.Clone(shape), t.data.alloc(c.size(shape))}
}

// reshaped returns t with another shape of as many elements.
func (c *call) reshaped(t *Tensor, shape []int) *Tensor {
	if c.size(shape) != t.Len() {
		c.fail("shape %v has %d elements, shape %v has %d", t.shape, t.Len(), shape, product(shape))
	}
	return &Tensor{t.dtype, slices.Clone(shape), t.data}
}

// inInts returns the integers of input i; ok is false if it is left out.
func (c *call) inInts(i int) (v []int, ok bool) {
	t := c.input(i)
	if t == nil {
		return nil, false
	}
	v, ok = t.Ints()
	if !ok {
		c.fail("input %d is %v, not known integers", i, t.dtype)
	}
	return v, true
}

// inFloats returns the numbers of input i; ok is false if it is left out.
func (c *call) inFloats(i int) (v []float64, ok bool) {
	t := c.input(i)
	if t == nil {
		return nil, false
	}
	return c.floats(t), true
}

// floats returns the elements of a tensor of numbers.
func (c *call) floats(t *Tensor) []float64 {
	v, ok := t.Float64s()
	if !ok {
		c.fail("a value of %v, not of numbers", t.dtype)
	}
	return v
}

// scalar returns the only number of input i, or def if it is left out.
func (c *call) scalar(i int, def float64) float64 {
	v, ok := c.inFloats(i)
	if !ok {
		return def
	}
	if len(v) != 1 {
		c.fail("input %d has %d elements, not one", i, len(v))
	}
	return v[0]
}

// from returns a tensor of a type with the numbers v, rounded to the type.
func (c *call) from(dtype model.DType, shape []int, v []float64) *Tensor {
	t := c.make(dtype, shape)
	if len(v) != t.Len() {
		c.fail("there are %d elements, and the shape is %v", len(v), shape)
	}
	switch d := t.data.(type) {
	case vec[float32]:
		if f, narrow := formats[dtype]; narrow {
			for i, x := range v {
				d[i] = float32(f.round(x, rounding{}))
			}
			break
		}
		narrowTo(d, v)
	case vec[float64]:
		copy(d, v)
	case vec[int8]:
		narrowTo(d, v)
	case vec[int16]:
		narrowTo(d, v)
	case vec[int32]:
		narrowTo(d, v)
	case vec[int64]:
		narrowTo(d, v)
	case vec[uint8]:
		narrowTo(d, v)
	case vec[uint16]:
		narrowTo(d, v)
	case vec[uint32]:
		narrowTo(d, v)
	case vec[uint64]:
		narrowTo(d, v)
	case vec[bool]:
		for i, x := range v {
			d[i] = x != 0
		}
	default:
		c.fail("numbers cannot become values of %v", dtype)
	}
	return t
}

func narrowTo[T number](d []T, v []float64) {
	for i, x := range v {
		d[i] = T(x)
	}
}

// fromInts returns an int64 tensor.
func (c *call) fromInts(shape []int, v []int) *Tensor {
	t := c.make(model.Int64, shape)
	d := t.data.(vec[int64])
	if len(d) != len(v) {
		c.fail("there are %d elements, and the shape is %v", len(v), shape)
	}
	for i, x := range v {
		d[i] = int64(x)
	}
	return t
}

// strides returns the steps of each axis in C order.
func strides(shape []int) []int {
	s := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = n
		n *= shape[i]
	}
	return s
}

// fact is what [Infer] knows of a value.
type fact struct {
	dtype model.DType
	shape graph.Shape // nil if not known
	value *Tensor     // nil if not known; its elements may be expressions
}

// inference is the inference of one node.
type inference struct {
	*node
	in    []fact
	out   []fact
	fresh func(name string) graph.Dim // a size that nobody knows
}

func (f *inference) input(i int) fact {
	if i < len(f.in) {
		return f.in[i]
	}
	return fact{}
}

// given reports whether the node has input i.
func (f *inference) given(i int) bool { return f.n.Input(i) != "" }

// set sets the type of output i.
func (f *inference) set(i int, dtype model.DType, shape graph.Shape) {
	for len(f.out) <= i {
		f.out = append(f.out, fact{})
	}
	f.out[i] = fact{dtype: dtype, shape: shape}
}

// inInts returns the integers of input i, if they are known.
func (f *inference) inInts(i int) ([]int, bool) {
	if v := f.input(i).value; v != nil {
		return v.Ints()
	}
	return nil, false
}

// inDims returns the integers of input i as sizes, if they are known.
func (f *inference) inDims(i int) ([]graph.Dim, bool) {
	if v := f.input(i).value; v != nil {
		return v.dims()
	}
	return nil, false
}

// unknown returns a size of output i that nobody knows before the graph runs.
func (f *inference) unknown(output, axis int) graph.Dim {
	name := f.n.Output(output)
	if name == "" {
		name = f.n.Name
	}
	return f.fresh(name + "." + graph.Size(axis).String())
}

// unknowns returns a shape of which nothing but the number of axes is known.
func (f *inference) unknowns(output, rank int) graph.Shape {
	s := make(graph.Shape, rank)
	for i := range s {
		s[i] = f.unknown(output, i)
	}
	return s
}

// sameAs sets the type of output 0 to that of input 0.
func sameAsFirst(f *inference) { f.set(0, f.input(0).dtype, f.input(0).shape) }

// clash fails because two shapes contradict each other.
func (f *inference) clash(a, b graph.Shape) { f.fail("the shapes %v and %v do not fit together", a, b) }

// broadcast returns the shape of two tensors that are broadcast to each other.
func (f *inference) broadcast(a, b graph.Shape) graph.Shape {
	if a == nil || b == nil {
		return nil
	}
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	shift := len(a) - len(b)
	for i, y := range b {
		x := a[shift+i]
		switch {
		case x.Equal(y) || y.Is(1):
		case x.Is(1):
			out[shift+i] = y
		case x.Fixed() && y.Fixed():
			f.clash(a, b)
		case x.Fixed(): // a symbol meets a number that is not 1: it must be that number
		case y.Fixed():
			out[shift+i] = y
		default:
			out[shift+i] = x.Max(y)
		}
	}
	return out
}
