package ops

import (
	"slices"

	"lethe/graph"
	"lethe/model"
)

// unary is a function of one element. Real numbers are computed in float64 and
// rounded to the element type.
type unary struct {
	real     func(float64) float64
	signed   func(int64) int64
	unsigned func(uint64) uint64
}

func (u unary) eval(c *call) { c.set(0, u.apply(c, c.input(0))) }

func (u unary) apply(c *call, x *Tensor) *Tensor {
	out := c.like(x, x.shape)
	switch d := x.data.(type) {
	case vec[float32]:
		mapTo(c, d, out, u.real)
		out.round(rounding{})
	case vec[float64]:
		mapTo(c, d, out, u.real)
	case vec[int8]:
		mapTo(c, d, out, u.signed)
	case vec[int16]:
		mapTo(c, d, out, u.signed)
	case vec[int32]:
		mapTo(c, d, out, u.signed)
	case vec[int64]:
		mapTo(c, d, out, u.signed)
	case vec[uint8]:
		mapTo(c, d, out, u.unsigned)
	case vec[uint16]:
		mapTo(c, d, out, u.unsigned)
	case vec[uint32]:
		mapTo(c, d, out, u.unsigned)
	case vec[uint64]:
		mapTo(c, d, out, u.unsigned)
	default:
		c.unsupported("elements of %v", x.dtype)
	}
	return out
}

func mapTo[T number, W float64 | int64 | uint64](c *call, x vec[T], out *Tensor, f func(W) W) {
	if f == nil {
		c.unsupported("elements of %v", out.dtype)
	}
	d := out.data.(vec[T])
	const block = 1 << 14
	parallel((len(x)+block-1)/block, func(b int) {
		for i := b * block; i < min(len(x), (b+1)*block); i++ {
			d[i] = T(f(W(x[i])))
		}
	})
}

// realOp returns an operator that is a function of one real element without
// attributes.
func realOp(name string, since int, f func(float64) float64) *Operator {
	return &Operator{
		Name: name, Since: since,
		inputs: []input{data("X", floats)},
		infer:  sameAsFirst,
		eval:   unary{real: f}.eval,
	}
}

// broadcastShape returns the shape of tensors that are broadcast to each other.
func (c *call) broadcastShape(shapes ...[]int) []int {
	var out []int
	for _, s := range shapes {
		if len(s) > len(out) {
			out = append(slices.Repeat([]int{1}, len(s)-len(out)), out...)
		}
		for i, d := range s {
			at := len(out) - len(s) + i
			switch {
			case out[at] == 1:
				out[at] = d
			case d != 1 && d != out[at]:
				c.fail("the shapes %v cannot be broadcast to each other", shapes)
			}
		}
	}
	return out
}

// spread returns the strides with which a tensor is read as one of a larger
// shape that it can be broadcast to.
func spread(from, to []int) []int {
	s := make([]int, len(to))
	own := strides(from)
	shift := len(to) - len(from)
	for i, d := range from {
		if d != 1 {
			s[shift+i] = own[i]
		}
	}
	return s
}

// expand returns a tensor broadcast to a shape.
func (c *call) expand(t *Tensor, shape []int) *Tensor {
	if slices.Equal(t.shape, shape) {
		return t
	}
	out := c.like(t, shape)
	t.data.read(out.data, view{shape, spread(t.shape, shape), 0})
	return out
}

// pairs calls f for every pair of rows of two tensors that are broadcast to a
// shape: the indices of their first elements and the steps between elements.
func pairs(shape, a, b []int, f func(out, ia, ib, n, sa, sb int)) {
	sa, sb := spread(a, shape), spread(b, shape)
	n, shape, sa, sb := mergeAxes(shape, sa, sb)
	if n == 0 || product(shape) == 0 {
		return
	}
	last := len(shape)
	lastA, lastB := sa[last], sb[last]
	pos := make([]int, last)
	ia, ib := 0, 0
	for out := 0; ; out += n {
		f(out, ia, ib, n, lastA, lastB)
		d := last - 1
		for ; d >= 0; d-- {
			pos[d]++
			ia += sa[d]
			ib += sb[d]
			if pos[d] < shape[d] {
				break
			}
			ia -= sa[d] * shape[d]
			ib -= sb[d] * shape[d]
			pos[d] = 0
		}
		if d < 0 {
			return
		}
	}
}

// mergeAxes joins neighbouring axes that both tensors walk through evenly. It
// returns the length of the innermost axis and the outer ones; the strides of
// the innermost are at the end.
func mergeAxes(shape, sa, sb []int) (int, []int, []int, []int) {
	var s, a, b []int
	for i, d := range shape {
		if d == 1 {
			continue
		}
		k := len(s) - 1
		if k >= 0 && a[k] == sa[i]*d && b[k] == sb[i]*d {
			s[k], a[k], b[k] = s[k]*d, sa[i], sb[i]
			continue
		}
		s, a, b = append(s, d), append(a, sa[i]), append(b, sb[i])
	}
	if len(s) == 0 {
		return 1, nil, []int{0}, []int{0}
	}
	return s[len(s)-1], s[:len(s)-1], a, b
}

// pairwise is a function of two elements of one type.
type pairwise struct {
	real     func(a, b float64) float64
	signed   func(a, b int64) int64
	unsigned func(a, b uint64) uint64
	truth    func(a, b bool) bool
	size     func(a, b graph.Dim) graph.Dim // of integers that are expressions
}

func (o pairwise) eval(c *call) {
	c.align()
	c.set(0, o.apply(c, c.input(0), c.input(1)))
}

// legacyBroadcast are the attributes with which, up to opset 6, the second input
// is broadcast to the first from an axis on.
var legacyBroadcast = []attr{intAttr("broadcast", 0).until(6), noDefault("axis", graph.IntAttr).until(6)}

// align gives input 1 the axes that [legacyBroadcast] say.
func (c *call) align() {
	if !c.flag("broadcast") {
		return
	}
	a, b := c.input(0), c.input(1)
	if !c.has("axis") {
		c.mustSpread(b, a)
		return
	}
	after := len(a.shape) - c.axis(c.int("axis"), len(a.shape)) - len(b.shape)
	if after < 0 {
		c.fail("shape %v cannot be broadcast to %v from axis %d on", b.shape, a.shape, c.int("axis"))
	}
	b = c.reshaped(b, append(slices.Clone(b.shape), slices.Repeat([]int{1}, after)...))
	c.mustSpread(b, a)
	c.in = []*Tensor{a, b}
}

func (o pairwise) apply(c *call, a, b *Tensor) *Tensor {
	if a.dtype != b.dtype {
		c.fail("the inputs are %v and %v, not of one type", a.dtype, b.dtype)
	}
	a, b = sameStorage(a, b)
	out := c.like(a, c.broadcastShape(a.shape, b.shape))
	switch x := a.data.(type) {
	case vec[float32]:
		zipTo(c, x, a, b, out, o.real)
		out.round(rounding{})
	case vec[float64]:
		zipTo(c, x, a, b, out, o.real)
	case vec[int8]:
		zipTo(c, x, a, b, out, o.signed)
	case vec[int16]:
		zipTo(c, x, a, b, out, o.signed)
	case vec[int32]:
		zipTo(c, x, a, b, out, o.signed)
	case vec[int64]:
		zipTo(c, x, a, b, out, o.signed)
	case vec[uint8]:
		zipTo(c, x, a, b, out, o.unsigned)
	case vec[uint16]:
		zipTo(c, x, a, b, out, o.unsigned)
	case vec[uint32]:
		zipTo(c, x, a, b, out, o.unsigned)
	case vec[uint64]:
		zipTo(c, x, a, b, out, o.unsigned)
	case vec[bool]:
		zipSame(c, x, a, b, out, o.truth)
	case vec[graph.Dim]:
		zipSame(c, x, a, b, out, o.size)
	default:
		c.unsupported("elements of %v", a.dtype)
	}
	return out
}

// sameStorage returns two tensors of one element type, both of expressions if
// one is.
func sameStorage(a, b *Tensor) (*Tensor, *Tensor) {
	_, x := a.data.(vec[graph.Dim])
	_, y := b.data.(vec[graph.Dim])
	if x == y {
		return a, b
	}
	return asDims(a), asDims(b)
}

// asDims returns an integer tensor whose elements are held as expressions.
func asDims(t *Tensor) *Tensor {
	if d, ok := t.dims(); ok {
		return &Tensor{t.dtype, t.shape, vec[graph.Dim](d)}
	}
	return t
}

func zipTo[T number, W float64 | int64 | uint64](c *call, x vec[T], a, b, out *Tensor, f func(a, b W) W) {
	if f == nil {
		c.unsupported("elements of %v", a.dtype)
	}
	y, d := b.data.(vec[T]), out.data.(vec[T])
	pairs(out.shape, a.shape, b.shape, func(at, ia, ib, n, sa, sb int) {
		for i := range n {
			d[at+i] = T(f(W(x[ia]), W(y[ib])))
			ia += sa
			ib += sb
		}
	})
}

func zipSame[T any](c *call, x vec[T], a, b, out *Tensor, f func(a, b T) T) {
	if f == nil {
		c.unsupported("elements of %v", a.dtype)
	}
	y, d := b.data.(vec[T]), out.data.(vec[T])
	pairs(out.shape, a.shape, b.shape, func(at, ia, ib, n, sa, sb int) {
		for i := range n {
			d[at+i] = f(x[ia], y[ib])
			ia += sa
			ib += sb
		}
	})
}

// inferBroadcast is the inference of operators that broadcast all inputs.
func inferBroadcast(f *inference) {
	if f.flag("broadcast") {
		sameAsFirst(f)
		return
	}
	dtype := model.Invalid
	shape := f.input(0).shape
	for i, x := range f.in {
		if dtype == model.Invalid {
			dtype = x.dtype
		}
		if i > 0 {
			shape = f.broadcast(shape, x.shape)
		}
	}
	f.set(0, dtype, shape)
}

// predicate is a comparison of two elements of one type.
type predicate struct {
	real     func(a, b float64) bool
	signed   func(a, b int64) bool
	unsigned func(a, b uint64) bool
	truth    func(a, b bool) bool
	text     func(a, b string) bool
	size     func(a, b graph.Dim) (value, known bool)
}

func (o predicate) eval(c *call) {
	c.align()
	a, b := c.input(0), c.input(1)
	if a.dtype != b.dtype {
		c.fail("the inputs are %v and %v, not of one type", a.dtype, b.dtype)
	}
	a, b = sameStorage(a, b)
	out := c.make(model.Bool, c.broadcastShape(a.shape, b.shape))
	c.set(0, out)
	switch x := a.data.(type) {
	case vec[float32]:
		test(c, x, a, b, out, o.real)
	case vec[float64]:
		test(c, x, a, b, out, o.real)
	case vec[int8]:
		test(c, x, a, b, out, o.signed)
	case vec[int16]:
		test(c, x, a, b, out, o.signed)
	case vec[int32]:
		test(c, x, a, b, out, o.signed)
	case vec[int64]:
		test(c, x, a, b, out, o.signed)
	case vec[uint8]:
		test(c, x, a, b, out, o.unsigned)
	case vec[uint16]:
		test(c, x, a, b, out, o.unsigned)
	case vec[uint32]:
		test(c, x, a, b, out, o.unsigned)
	case vec[uint64]:
		test(c, x, a, b, out, o.unsigned)
	case vec[bool]:
		testSame(c, x, a, b, out, o.truth)
	case vec[string]:
		testSame(c, x, a, b, out, o.text)
	case vec[graph.Dim]:
		testSame(c, x, a, b, out, func(a, b graph.Dim) bool {
			if o.size == nil {
				c.unsupported("sizes that are not known")
			}
			value, known := o.size(a, b)
			if !known {
				c.unsupported("sizes that are not known")
			}
			return value
		})
	default:
		c.unsupported("elements of %v", a.dtype)
	}
}

func test[T number, W float64 | int64 | uint64](c *call, x vec[T], a, b, out *Tensor, f func(a, b W) bool) {
	if f == nil {
		c.unsupported("elements of %v", a.dtype)
	}
	testSame(c, x, a, b, out, func(a, b T) bool { return f(W(a), W(b)) })
}

func testSame[T any](c *call, x vec[T], a, b, out *Tensor, f func(a, b T) bool) {
	if f == nil {
		c.unsupported("elements of %v", a.dtype)
	}
	y, d := b.data.(vec[T]), out.data.(vec[bool])
	pairs(out.shape, a.shape, b.shape, func(at, ia, ib, n, sa, sb int) {
		for i := range n {
			d[at+i] = f(x[ia], y[ib])
			ia += sa
			ib += sb
		}
	})
}

// inferPredicate is the inference of comparisons.
func inferPredicate(f *inference) {
	inferBroadcast(f)
	f.out[0].dtype = model.Bool
}

// variadic folds any number of inputs with a function of two.
func (o pairwise) variadic(c *call) {
	out := c.input(0)
	for i := range c.in {
		if i == 0 {
			continue
		}
		out = o.apply(c, out, c.input(i))
	}
	c.set(0, out)
}
