package graph

import "slices"

// Shape holds the sizes of a tensor's axes. A scalar's is empty but not nil.
type Shape []Dim

// Sizes returns a shape whose sizes are known.
func Sizes(sizes ...int) Shape {
	s := make(Shape, len(sizes))
	for i, n := range sizes {
		s[i] = Size(n)
	}
	return s
}

// BatchSymbol is the name of the batch in graphs that are made here.
const BatchSymbol = "N"

// Batch returns the shape of a batch of any number of samples, each of the
// given sizes.
func Batch(sizes ...int) Shape { return append(Shape{Symbol(BatchSymbol)}, Sizes(sizes...)...) }

// Ints returns the sizes, if all of them are integers.
func (s Shape) Ints() (sizes []int, ok bool) {
	sizes = make([]int, len(s))
	for i, d := range s {
		if sizes[i], ok = d.Int(); !ok {
			return nil, false
		}
	}
	return sizes, s != nil
}

// Equal reports whether two shapes have the same axes. A shape that is not
// known equals nothing but itself.
func (s Shape) Equal(t Shape) bool {
	return (s == nil) == (t == nil) && slices.EqualFunc(s, t, Dim.Equal)
}

// Elements returns the product of the sizes.
func (s Shape) Elements() Dim {
	n := Size(1)
	for _, d := range s {
		n = n.Mul(d)
	}
	return n
}

// Equal reports whether two types are the same.
func (t Type) Equal(u Type) bool {
	if t.Kind != u.Kind || t.DType != u.DType || !t.Shape.Equal(u.Shape) || (t.Elem == nil) != (u.Elem == nil) {
		return false
	}
	return t.Elem == nil || t.Elem.Equal(*u.Elem)
}
