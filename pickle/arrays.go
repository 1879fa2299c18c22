package pickle

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"lethe/model"
)

// arrayTypes are numpy's names of element types.
var arrayTypes = map[string]model.DType{
	"b1": model.Bool, "i1": model.Int8, "i2": model.Int16, "i4": model.Int32, "i8": model.Int64,
	"u1": model.Uint8, "u2": model.Uint16, "u4": model.Uint32, "u8": model.Uint64,
	"f2": model.Float16, "f4": model.Float32, "f8": model.Float64, "c8": model.Complex64, "c16": model.Complex128,
}

// isArray reports whether an object is a numpy array: an empty one that gets its
// shape, its type and its elements as state.
func isArray(o *object) bool {
	state, ok := o.state().(*tuple)
	return ok && o.class.use == inert && o.class.name == "_reconstruct" && state.Len() == 5
}

// arrays makes tensors of the numpy arrays in a tree.
type arrays struct {
	lim     Limits
	seen    map[any]bool
	bytes   uint64 // of all elements
	tensors []*tensor
}

func (a *arrays) visit(v any) error {
	if o, ok := v.(*object); ok && isArray(o) {
		return a.array(o)
	}
	switch v.(type) {
	case *dict, *list, *tuple, *object:
		if a.seen[v] {
			return nil
		}
		a.seen[v] = true
		for _, value := range children(v) {
			if err := a.visit(value); err != nil {
				return err
			}
		}
	}
	return nil
}

// array gives an object its tensor, if its elements are of a type that a tensor
// has.
func (a *arrays) array(o *object) error {
	if o.tensor != nil {
		return nil
	}
	state := *o.state().(*tuple)
	shape, isShape := ints(state[1])
	d, isType := state[2].(*object)
	fortran, isOrder := truth(state[3])
	if !isShape || !isType || !isOrder || d.class.name != "dtype" {
		return broken("", -1, "the state of a numpy array is not (version, shape, type, order, data) as numpy writes it")
	}
	code, _ := str(d.argument(0))
	dtype := arrayTypes[code]
	order := ""
	if s, ok := d.state().(*tuple); ok && s.Len() > 1 {
		order, _ = str(s.Get(1))
	}
	n, ok := model.Elements(shape)
	if dtype == model.Invalid || !ok || n > 1<<40 || !strings.Contains("<>|=", order) {
		return nil // of Python objects, or strings
	}
	size := n * dtype.Size()
	if a.bytes += 2 * uint64(size); size > 0 {
		if err := memory("the numpy arrays", a.bytes, a.lim); err != nil {
			return err
		}
	}
	raw, ok := rawBytes(state[4], size)
	if !ok {
		return broken("", -1, fmt.Sprintf("a numpy array of type %.10q and shape %v has not the %d bytes that these ask for", code, shape, size))
	}
	strides := model.CStrides(shape)
	if fortran {
		step := 1
		for i, d := range shape {
			strides[i] = step
			step *= max(d, 1)
		}
	}
	s := &storage{class: typeOf(storages, dtype), size: int64(size), unit: 1, raw: io.NewSectionReader(bytes.NewReader(raw), 0, int64(size)), content: state[4]}
	if order == ">" {
		s.unit = swapUnit(dtype)
	}
	s.data = model.NewStorage(s, s.size)
	t, err := model.NewTensor(dtype, shape, strides, 0, s.data)
	if err != nil {
		return err
	}
	o.tensor = &tensor{t, s}
	a.tensors = append(a.tensors, o.tensor)
	return nil
}

// truth returns a bool, which Python 2 writes as a number.
func truth(v any) (value, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case int:
		return v != 0, v == 0 || v == 1
	}
	return false, false
}

// rawBytes returns the bytes of a bytes object, or of a string of Python 2, if
// there are size of them.
func rawBytes(v any, size int) (raw []byte, ok bool) {
	s, isText := str(v)
	if o, ok := v.(*object); ok && o.class.name == "encode" {
		if s, isText = str(o.argument(0)); isText {
			raw, ok = latin1Bytes(s)
			return raw, ok && len(raw) == size
		}
	} else if ok && o.class.name == "bytes" && o.args.Len() == 0 {
		return nil, size == 0
	}
	if isText && len(s) == size {
		return []byte(s), true
	}
	raw, ok = latin1Bytes(s)
	return raw, isText && ok && len(raw) == size
}

// latin1Bytes returns a byte for each character.
func latin1Bytes(s string) (raw []byte, ok bool) {
	raw = make([]byte, 0, utf8.RuneCountInString(s))
	for _, r := range s {
		if r > 0xff {
			return nil, false
		}
		raw = append(raw, byte(r))
	}
	return raw, true
}

// latin1Text is the string of which protocol 2 makes bytes.
func latin1Text(raw []byte) *text {
	var b strings.Builder
	for _, c := range raw {
		b.WriteRune(rune(c))
	}
	return &text{b.String()}
}
