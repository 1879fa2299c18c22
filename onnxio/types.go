package onnxio

import (
	"cmp"
	"fmt"
	"math"

	"lethe/graph"
	"lethe/model"
)

// value reads an input, an output or a value inside a graph.
func (d *decoder) value(x field, to *[]graph.Value) error {
	var v graph.Value
	var at *field
	err := d.walk(x, func(x field) error {
		switch {
		case is(1, x):
			return d.take(&v.Name, x)
		case is(2, x):
			at = &x
		case is(3, x):
			return d.take(&v.Doc, x)
		}
		return nil
	})
	if err == nil && at != nil {
		v.Type, err = d.typeProto(*at, v.Name)
	}
	*to = append(*to, v)
	return err
}

// typeProto reads a type. Sizes that have no name get one from the value's.
func (d *decoder) typeProto(x field, value string) (t graph.Type, err error) {
	elem := func(x field, number int) (e *graph.Type, err error) {
		err = d.walk(x, func(x field) (err error) {
			switch {
			case is(number, x):
				e = new(graph.Type)
				*e, err = d.typeProto(x, value)
			case number == 2 && x.number == 1 && x.wire == wireVarint: // the keys of a map
				t.DType, err = dtypeOf(x.bits, value)
			}
			return err
		})
		return e, err
	}
	err = d.walk(x, func(x field) (err error) {
		switch {
		case is(1, x), is(8, x):
			if x.number == 8 {
				t.Kind = graph.SparseKind
			}
			return d.walk(x, func(x field) (err error) {
				switch {
				case x.number == 1 && x.wire == wireVarint:
					t.DType, err = dtypeOf(x.bits, value)
				case is(2, x):
					t.Shape, err = d.shape(x, value)
				}
				return err
			})
		case is(4, x):
			t.Kind = graph.SequenceKind
			t.Elem, err = elem(x, 1)
		case is(5, x):
			t.Kind = graph.MapKind
			t.Elem, err = elem(x, 2)
		case is(9, x):
			t.Kind = graph.OptionalKind
			t.Elem, err = elem(x, 1)
		case is(7, x):
			err = &model.UnsupportedError{What: fmt.Sprintf("%q is of an opaque type", value)}
		}
		return err
	})
	return t, err
}

// dtypeOf returns the element type of a value, Invalid for strings and for one
// that the file leaves open.
func dtypeOf(number uint64, value string) (model.DType, error) {
	if number == 0 {
		return model.Invalid, nil
	}
	t, err := typeOf(number, value)
	if err != nil {
		return model.Invalid, err
	}
	return t.dtype, nil
}

func (d *decoder) shape(x field, value string) (graph.Shape, error) {
	shape := graph.Shape{}
	err := d.walk(x, func(x field) error {
		if !is(1, x) {
			return nil
		}
		size := int64(-1)
		var symbol string
		err := d.walk(x, func(x field) error {
			switch {
			case x.number == 1 && x.wire == wireVarint:
				size = int64(x.bits)
			case is(2, x):
				return d.take(&symbol, x)
			}
			return nil
		})
		if size > math.MaxInt32 {
			return broken("value "+value, "axis %d has the size %d, outside 0 to %d", len(shape), size, math.MaxInt32)
		}
		if size >= 0 {
			shape = append(shape, graph.Size(int(size)))
		} else {
			shape = append(shape, graph.Symbol(cmp.Or(symbol, fmt.Sprintf("%s.%d", value, len(shape)))))
		}
		return err
	})
	return shape, err
}
