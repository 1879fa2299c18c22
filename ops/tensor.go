package ops

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// Tensor is a dense value: its elements in C order. It is not changed once it
// is made. Floating-point types that are narrower than float32 are held as
// float32 of the same value, types of less than a byte as bytes.
type Tensor struct {
	dtype model.DType
	shape []int
	data  storage
}

// number is a Go type that holds numbers.
type number interface {
	float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64
}

// storage holds the elements of a tensor, as a vec of one of the types of
// number, of bool, of string, or of [graph.Dim]: integers that are known only as
// expressions, which [Infer] computes with.
type storage interface {
	size() int
	alloc(n int) storage
	// copyFrom sets n elements from index at on to those of src from index from on.
	copyFrom(at int, src storage, from, n int)
	// read sets all elements of dst, in order, to those of a view of this storage.
	read(dst storage, v view)
	// write sets the elements of a view of this storage to those of src in order.
	write(src storage, v view)
	// fill sets all elements to element at of src.
	fill(src storage, at int)
	slice(from, to int) storage
}

// view is a strided part of a storage.
type view struct {
	shape, strides []int
	offset         int
}

type vec[T any] []T

func (v vec[T]) size() int                  { return len(v) }
func (v vec[T]) alloc(n int) storage        { return make(vec[T], n) }
func (v vec[T]) slice(from, to int) storage { return v[from:to] }

func (v vec[T]) copyFrom(at int, src storage, from, n int) {
	copy(v[at:at+n], src.(vec[T])[from:from+n])
}

func (v vec[T]) fill(src storage, at int) {
	x := src.(vec[T])[at]
	for i := range v {
		v[i] = x
	}
}

func (v vec[T]) read(dst storage, w view) {
	d := dst.(vec[T])
	w.rows(func(out, at, n, stride int) {
		if stride == 1 {
			copy(d[out:out+n], v[at:at+n])
			return
		}
		for i := range n {
			d[out+i] = v[at+i*stride]
		}
	})
}

func (v vec[T]) write(src storage, w view) {
	s := src.(vec[T])
	w.rows(func(in, at, n, stride int) {
		if stride == 1 {
			copy(v[at:at+n], s[in:in+n])
			return
		}
		for i := range n {
			v[at+i*stride] = s[in+i]
		}
	})
}

// rows calls f for every row along the last axis: the index of its first
// element among all elements of the view, that in the storage, the number of
// elements and the step between them in the storage.
func (w view) rows(f func(i, at, n, stride int)) {
	total := product(w.shape)
	if total == 0 {
		return
	}
	if len(w.shape) == 0 {
		f(0, w.offset, 1, 1)
		return
	}
	last := len(w.shape) - 1
	n, stride := w.shape[last], w.strides[last]
	pos := make([]int, last)
	at := w.offset
	for i := 0; i < total; i += n {
		f(i, at, n, stride)
		for d := last - 1; d >= 0; d-- {
			pos[d]++
			at += w.strides[d]
			if pos[d] < w.shape[d] {
				break
			}
			at -= w.strides[d] * w.shape[d]
			pos[d] = 0
		}
	}
}

// newStorage returns a storage of n zeros for a type, or nil if there is none.
func newStorage(dtype model.DType, n int) storage {
	switch dtype {
	case model.Float32, model.Float16, model.BFloat16:
		return make(vec[float32], n)
	case model.Float64:
		return make(vec[float64], n)
	case model.Int8, model.Int4, model.Int2:
		return make(vec[int8], n)
	case model.Int16:
		return make(vec[int16], n)
	case model.Int32:
		return make(vec[int32], n)
	case model.Int64:
		return make(vec[int64], n)
	case model.Uint8, model.Uint4, model.Uint2:
		return make(vec[uint8], n)
	case model.Uint16:
		return make(vec[uint16], n)
	case model.Uint32:
		return make(vec[uint32], n)
	case model.Uint64:
		return make(vec[uint64], n)
	case model.Bool:
		return make(vec[bool], n)
	case model.String:
		return make(vec[string], n)
	}
	if _, narrow := formats[dtype]; narrow {
		return make(vec[float32], n)
	}
	return nil
}

// Float32s returns a float32 tensor that holds v, which it takes over. It
// panics if v has not exactly the elements of shape.
func Float32s(shape []int, v []float32) *Tensor { return wrap(model.Float32, shape, vec[float32](v)) }

// Float64s returns a float64 tensor that holds v, which it takes over. It
// panics if v has not exactly the elements of shape.
func Float64s(shape []int, v []float64) *Tensor { return wrap(model.Float64, shape, vec[float64](v)) }

// Int64s returns an int64 tensor that holds v, which it takes over. It panics
// if v has not exactly the elements of shape.
func Int64s(shape []int, v []int64) *Tensor { return wrap(model.Int64, shape, vec[int64](v)) }

// Bools returns a bool tensor that holds v, which it takes over. It panics if v
// has not exactly the elements of shape.
func Bools(shape []int, v []bool) *Tensor { return wrap(model.Bool, shape, vec[bool](v)) }

// Strings returns a string tensor that holds v, which it takes over. It panics
// if v has not exactly the elements of shape.
func Strings(shape []int, v []string) *Tensor { return wrap(model.String, shape, vec[string](v)) }

func wrap(dtype model.DType, shape []int, data storage) *Tensor {
	if n, ok := model.Elements(shape); !ok || n != data.size() {
		panic(fmt.Sprintf("ops: %d elements for shape %v", data.size(), shape))
	}
	return &Tensor{dtype, slices.Clone(shape), data}
}

// DType returns the element type.
func (t *Tensor) DType() model.DType { return t.dtype }

// Shape returns the sizes of the axes, which the caller must not change.
func (t *Tensor) Shape() []int { return t.shape }

// Len returns the number of elements.
func (t *Tensor) Len() int { return t.data.size() }

// Float64s returns the elements as float64, booleans as 0 and 1; ok is false if
// they are not numbers. The slice is the caller's.
func (t *Tensor) Float64s() (v []float64, ok bool) {
	switch d := t.data.(type) {
	case vec[float32]:
		return widen[float64](d), true
	case vec[float64]:
		return widen[float64](d), true
	case vec[int8]:
		return widen[float64](d), true
	case vec[int16]:
		return widen[float64](d), true
	case vec[int32]:
		return widen[float64](d), true
	case vec[int64]:
		return widen[float64](d), true
	case vec[uint8]:
		return widen[float64](d), true
	case vec[uint16]:
		return widen[float64](d), true
	case vec[uint32]:
		return widen[float64](d), true
	case vec[uint64]:
		return widen[float64](d), true
	case vec[bool]:
		v := make([]float64, len(d))
		for i, x := range d {
			if x {
				v[i] = 1
			}
		}
		return v, true
	}
	return nil, false
}

// Ints returns the elements of an integer tensor; ok is false if it is none, or
// if an element is known as an expression only. The slice is the caller's.
func (t *Tensor) Ints() (v []int, ok bool) {
	switch d := t.data.(type) {
	case vec[int8]:
		return widen[int](d), true
	case vec[int16]:
		return widen[int](d), true
	case vec[int32]:
		return widen[int](d), true
	case vec[int64]:
		return widen[int](d), true
	case vec[uint8]:
		return widen[int](d), true
	case vec[uint16]:
		return widen[int](d), true
	case vec[uint32]:
		return widen[int](d), true
	case vec[uint64]:
		return widen[int](d), true
	case vec[graph.Dim]:
		return graph.Shape(d).Ints()
	}
	return nil, false
}

// Texts returns the elements of a string tensor; ok is false if it is none.
func (t *Tensor) Texts() (v []string, ok bool) {
	d, ok := t.data.(vec[string])
	return d, ok
}

func widen[W, T number | int](v []T) []W {
	out := make([]W, len(v))
	for i, x := range v {
		out[i] = W(x)
	}
	return out
}

// dims returns the elements of an integer tensor as sizes.
func (t *Tensor) dims() ([]graph.Dim, bool) {
	if d, ok := t.data.(vec[graph.Dim]); ok {
		return d, true
	}
	v, ok := t.Ints()
	return graph.Sizes(v...), ok
}

// round brings the elements of a type that is held as float32 to values that
// the type has.
func (t *Tensor) round(r rounding) *Tensor {
	if f, narrow := formats[t.dtype]; narrow {
		d := t.data.(vec[float32])
		for i, x := range d {
			d[i] = float32(f.round(float64(x), r))
		}
	}
	return t
}

// FromModel returns the elements of a tensor of a state dict. Complex numbers
// are a [model.UnsupportedError].
func FromModel(t *model.Tensor) (*Tensor, error) {
	b, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	out := &Tensor{t.DType(), slices.Clone(t.Shape()), newStorage(t.DType(), t.Len())}
	le := binary.LittleEndian
	switch d := out.data.(type) {
	case vec[float32]:
		if t.DType() == model.Float32 {
			for i := range d {
				d[i] = math.Float32frombits(le.Uint32(b[4*i:]))
			}
			break
		}
		f := formats[t.DType()]
		for i := range d {
			code := 0
			if f.bits == 16 {
				code = int(le.Uint16(b[2*i:]))
			} else {
				code = int(b[i]) & (1<<f.bits - 1)
			}
			d[i] = f.decode(code)
		}
	case vec[float64]:
		for i := range d {
			d[i] = math.Float64frombits(le.Uint64(b[8*i:]))
		}
	case vec[int8]:
		for i := range d {
			d[i] = int8(b[i])
		}
	case vec[uint8]:
		copy(d, b)
	case vec[bool]:
		for i := range d {
			d[i] = b[i] != 0
		}
	case vec[int16]:
		for i := range d {
			d[i] = int16(le.Uint16(b[2*i:]))
		}
	case vec[uint16]:
		for i := range d {
			d[i] = le.Uint16(b[2*i:])
		}
	case vec[int32]:
		for i := range d {
			d[i] = int32(le.Uint32(b[4*i:]))
		}
	case vec[uint32]:
		for i := range d {
			d[i] = le.Uint32(b[4*i:])
		}
	case vec[int64]:
		for i := range d {
			d[i] = int64(le.Uint64(b[8*i:]))
		}
	case vec[uint64]:
		for i := range d {
			d[i] = le.Uint64(b[8*i:])
		}
	default:
		return nil, &model.UnsupportedError{What: fmt.Sprintf("a tensor of %v cannot be computed with", t.DType())}
	}
	return out, nil
}

// Model returns the tensor as one of a state dict. Strings are a
// [model.UnsupportedError].
func (t *Tensor) Model() (*model.Tensor, error) {
	le := binary.LittleEndian
	b := make([]byte, 0, t.Len()*t.dtype.Size())
	switch d := t.data.(type) {
	case vec[float32]:
		if t.dtype == model.Float32 {
			for _, x := range d {
				b = le.AppendUint32(b, math.Float32bits(x))
			}
			break
		}
		f := formats[t.dtype]
		for _, x := range d {
			if f.bits == 16 {
				b = le.AppendUint16(b, uint16(f.encode(x)))
			} else {
				b = append(b, byte(f.encode(x)))
			}
		}
	case vec[float64]:
		for _, x := range d {
			b = le.AppendUint64(b, math.Float64bits(x))
		}
	case vec[int8]:
		for _, x := range d {
			b = append(b, byte(x))
		}
	case vec[uint8]:
		b = append(b, d...)
	case vec[bool]:
		for _, x := range d {
			b = append(b, map[bool]byte{true: 1}[x])
		}
	case vec[int16]:
		for _, x := range d {
			b = le.AppendUint16(b, uint16(x))
		}
	case vec[uint16]:
		for _, x := range d {
			b = le.AppendUint16(b, x)
		}
	case vec[int32]:
		for _, x := range d {
			b = le.AppendUint32(b, uint32(x))
		}
	case vec[uint32]:
		for _, x := range d {
			b = le.AppendUint32(b, x)
		}
	case vec[int64]:
		for _, x := range d {
			b = le.AppendUint64(b, uint64(x))
		}
	case vec[uint64]:
		for _, x := range d {
			b = le.AppendUint64(b, x)
		}
	default:
		return nil, &model.UnsupportedError{What: fmt.Sprintf("a tensor of %v cannot be kept in a state dict", t.dtype)}
	}
	return model.NewTensor(t.dtype, t.shape, nil, 0, model.BytesStorage(b))
}

func product(shape []int) int {
	p := 1
	for _, d := range shape {
		p *= d
	}
	return p
}
