package ops

import (
	"slices"

	"lethe/graph"
	"lethe/model"
)

// matmulOp is the product of matrices, with all axes but the last two broadcast.
// A vector counts as a matrix of one row on the left, of one column on the right.
var matmulOp = &Operator{
	Name:   "MatMul",
	inputs: []input{data("A", numbers), data("B", numbers)},
	infer:  func(f *inference) { f.set(0, f.input(0).dtype, f.matmulShape(f.input(0).shape, f.input(1).shape)) },
	eval:   func(c *call) { c.set(0, c.matmul(c.input(0), c.input(1))) },
}

func (f *inference) matmulShape(a, b graph.Shape) graph.Shape {
	if a == nil || b == nil {
		return nil
	}
	if len(a) == 0 || len(b) == 0 {
		f.clash(a, b)
	}
	left, right := a, b
	if len(a) == 1 {
		left = graph.Shape{graph.Size(1), a[0]}
	}
	if len(b) == 1 {
		right = graph.Shape{b[0], graph.Size(1)}
	}
	inner, other := left[len(left)-1], right[len(right)-2]
	if inner.Fixed() && other.Fixed() && !inner.Equal(other) {
		f.clash(a, b)
	}
	out := slices.Clone(f.broadcast(left[:len(left)-2], right[:len(right)-2]))
	if len(a) > 1 {
		out = append(out, left[len(left)-2])
	}
	if len(b) > 1 {
		out = append(out, right[len(right)-1])
	}
	return append(graph.Shape{}, out...)
}

// matmul returns the product of two tensors of one type.
func (c *call) matmul(a, b *Tensor) *Tensor {
	left, right := slices.Clone(a.shape), slices.Clone(b.shape)
	if len(left) == 0 || len(right) == 0 || a.dtype != b.dtype {
		c.fail("%v of shape %v cannot be multiplied by %v of shape %v", a.dtype, a.shape, b.dtype, b.shape)
	}
	if len(left) == 1 {
		left = []int{1, left[0]}
	}
	if len(right) == 1 {
		right = append(right, 1)
	}
	m, k, n := left[len(left)-2], left[len(left)-1], right[len(right)-1]
	if right[len(right)-2] != k {
		c.fail("shape %v cannot be multiplied by shape %v", a.shape, b.shape)
	}
	batch := c.broadcastShape(left[:len(left)-2], right[:len(right)-2])
	shape := slices.Clone(batch)
	if len(a.shape) > 1 {
		shape = append(shape, m)
	}
	if len(b.shape) > 1 {
		shape = append(shape, n)
	}
	out := c.make(a.dtype, shape)
	var ia, ib []int // of the matrices of each product
	pairs(batch, left[:len(left)-2], right[:len(right)-2], func(_, x, y, count, sx, sy int) {
		for i := range count {
			ia, ib = append(ia, x+i*sx), append(ib, y+i*sy)
		}
	})
	for i := range ia {
		x, y, z := a.data.slice(ia[i]*m*k, (ia[i]+1)*m*k), b.data.slice(ib[i]*k*n, (ib[i]+1)*k*n), out.data.slice(i*m*n, (i+1)*m*n)
		c.multiply(z, x, y, m, n, k)
	}
	return out.round(rounding{})
}

// multiply adds the product of two matrices to out, whatever type holds them.
func (c *call) multiply(out, a, b storage, m, n, k int) {
	if m == 0 || n == 0 || k == 0 {
		return
	}
	switch x := a.(type) {
	case vec[float32]:
		multiply(out.(vec[float32]), x, b.(vec[float32]), m, n, k)
	case vec[float64]:
		multiply(out.(vec[float64]), x, b.(vec[float64]), m, n, k)
	case vec[int8]:
		multiplyInts(out.(vec[int8]), x, b.(vec[int8]), m, n, k)
	case vec[int16]:
		multiplyInts(out.(vec[int16]), x, b.(vec[int16]), m, n, k)
	case vec[int32]:
		multiplyInts(out.(vec[int32]), x, b.(vec[int32]), m, n, k)
	case vec[int64]:
		multiplyInts(out.(vec[int64]), x, b.(vec[int64]), m, n, k)
	case vec[uint8]:
		multiplyInts(out.(vec[uint8]), x, b.(vec[uint8]), m, n, k)
	case vec[uint16]:
		multiplyInts(out.(vec[uint16]), x, b.(vec[uint16]), m, n, k)
	case vec[uint32]:
		multiplyInts(out.(vec[uint32]), x, b.(vec[uint32]), m, n, k)
	case vec[uint64]:
		multiplyInts(out.(vec[uint64]), x, b.(vec[uint64]), m, n, k)
	default:
		c.unsupported("products of %T", a)
	}
}

func multiplyInts[T number](out, a, b []T, m, n, k int) {
	parallel(m, func(i int) {
		row := out[i*n : (i+1)*n]
		for p, x := range a[i*k : (i+1)*k] {
			for j, y := range b[p*n : (p+1)*n] {
				row[j] += x * y
			}
		}
	})
}

var bytes8 = set(model.Int8, model.Uint8)

// asInt32 returns whole numbers of float64 as int32.
func (c *call) asInt32(t *Tensor) *Tensor { return c.from(model.Int32, t.shape, t.data.(vec[float64])) }

// lessZero returns a tensor of integers less its zero point, as float64, which
// is exact. A zero point of more than one element is one for each index of an
// axis, counted from the end.
func (c *call) lessZero(t, zero *Tensor, axis int) *Tensor {
	x := c.from64(t)
	if zero == nil {
		return x
	}
	z := c.from64(zero)
	switch {
	case zero.Len() == 1:
		z = c.reshaped(z, nil)
	case len(zero.shape) == 1:
		if axis = c.axis(axis, len(t.shape)); t.shape[axis] != zero.Len() {
			c.fail("there are %d zero points, and shape %v needs one, or one for each element of axis %d", zero.Len(), t.shape, axis)
		}
		shape := slices.Repeat([]int{1}, len(t.shape))
		shape[axis] = zero.Len()
		z = c.reshaped(z, shape)
	}
	c.mustSpread(z, t)
	return pairwise{real: func(a, b float64) float64 { return a - b }}.apply(c, x, z)
}

// mustSpread fails if a tensor cannot be broadcast to the shape of another one.
func (c *call) mustSpread(t, to *Tensor) {
	if !slices.Equal(c.broadcastShape(t.shape, to.shape), to.shape) {
		c.fail("shape %v cannot be broadcast to %v", t.shape, to.shape)
	}
}
