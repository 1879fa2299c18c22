package pickle

import (
	"errors"
	"fmt"

	"lethe/model"
)

// storage is one record of raw elements, data/KEY.
type storage struct {
	key      string
	class    *global
	location string // the device that it was saved from
	size     int64  // bytes
	member   *member
	data     *model.Storage // nil where the class has no type that model knows
}

// tensor is a value of the pickle. A view that the pickle builds twice is two
// of them over one storage.
type tensor struct {
	*model.Tensor
	storage *storage
}

// builder implements handlers over an archive.
type builder struct {
	a        *archive
	lim      Limits
	big      bool // elements are big-endian
	storages map[string]*storage
	tensors  []*tensor
	excess   uint64 // elements of views beyond those of their storages
}

// storage resolves ('storage', class, key, location, numel).
func (b *builder) storage(id []any) (any, error) {
	bad := func(format string, args ...any) (any, error) {
		return nil, broken(b.a.root+"/data.pkl", -1, "persistent id: "+fmt.Sprintf(format, args...))
	}
	if len(id) != 5 || id[0] != "storage" {
		return bad("it is not ('storage', class, key, location, number of elements)")
	}
	c, isClass := id[1].(*class)
	key, isKey := id[2].(string)
	location, isLocation := id[3].(string)
	numel, isNumel := id[4].(int)
	if !isClass || c.use != storages || !isKey || !isLocation || !isNumel || numel < 0 {
		return bad("class, key, location or number of elements is of the wrong type, or negative")
	}
	m := b.a.find("data/" + key)
	if m == nil {
		return bad("the archive has no record data/%s", key)
	}
	elem := int64(1)
	if !c.untyped() {
		if c.dtype == model.Invalid {
			return nil, &model.UnsupportedError{What: fmt.Sprintf("storage %s is a %v, a quantized type", key, c.global), Advice: "dequantize the model first"}
		}
		elem = int64(c.dtype.Size())
	}
	// Compared by division: the product could overflow.
	if m.size%elem != 0 || m.size/elem != int64(numel) {
		return nil, broken(m.name, -1, fmt.Sprintf("the pickle says %d elements of %d bytes, the record has %d bytes", numel, elem, m.size))
	}
	if s := b.storages[key]; s != nil {
		if s.class != c.global || s.location != location {
			return bad("storage %s is %v on %q and %v on %q", key, s.class, s.location, c.global, location)
		}
		return s, nil
	}
	s := &storage{key: key, class: c.global, location: location, size: m.size, member: m}
	switch {
	case !b.big:
		s.data = model.NewStorage(b.a.open(m), m.size)
	case c.untyped():
		return nil, &model.UnsupportedError{What: fmt.Sprintf("storage %s has big-endian elements of no type", key), Advice: resave}
	default:
		s.data = model.NewStorage(&swapped{b.a.open(m), m.size, swapUnit(c.dtype)}, m.size)
	}
	b.storages[key] = s
	return s, nil
}

// rebuild makes tensors as the functions of torch._utils do; the comments
// give their parameters.
func (b *builder) rebuild(g *global, args []any) (any, error) {
	switch g.name {
	case "_rebuild_tensor": // storage, storage_offset, size, stride
		if len(args) == 4 {
			return b.view(g, args, nil)
		}
	case "_rebuild_tensor_v2": // ..., requires_grad, backward_hooks, metadata=None
		if len(args) == 6 || len(args) == 7 {
			return b.view(g, args, args[6:])
		}
	case "_rebuild_tensor_v3": // ..., requires_grad, backward_hooks, dtype, metadata=None
		if len(args) == 7 || len(args) == 8 {
			return b.view(g, args, args[7:])
		}
	case "_rebuild_parameter", "_rebuild_parameter_with_state": // data, requires_grad, backward_hooks, [state]
		if len(args) == 3 || len(args) == 4 {
			if t, ok := args[0].(*tensor); ok {
				return t, nil
			}
		}
	case "_rebuild_from_type_v2": // func, type, args, state
		if len(args) == 4 {
			f, isClass := args[0].(*class)
			inner, isTuple := tupleItems(args[2])
			if isClass && isTuple && f.use == rebuilds {
				return b.rebuild(f.global, inner)
			}
		}
	}
	return nil, b.badArgs(g)
}

func (b *builder) badArgs(g *global) error {
	return broken(b.a.root+"/data.pkl", -1, fmt.Sprintf("%v is called with arguments that it does not take", g))
}

// view makes the tensor that args 0 to 3 describe.
func (b *builder) view(g *global, args, metadata []any) (any, error) {
	s, isStorage := args[0].(*storage)
	offset, isOffset := args[1].(int)
	shape, isShape := ints(args[2])
	strides, isStrides := ints(args[3])
	if !isStorage || !isOffset || !isShape || !isStrides {
		return nil, b.badArgs(g)
	}
	if len(metadata) == 1 {
		if n, ok := dictLen(metadata[0]); metadata[0] != nil && (!ok || n > 0) {
			return nil, &model.UnsupportedError{What: fmt.Sprintf("a tensor over storage %s is a lazy conjugate or negative", s.key),
				Advice: "call resolve_conj() and resolve_neg() before saving it"}
		}
	}
	dtype := s.class.dtype
	if g.name == "_rebuild_tensor_v3" {
		c, ok := args[6].(*class)
		if !ok || c.use != dtypes {
			return nil, b.badArgs(g)
		}
		if dtype = c.dtype; dtype == model.Invalid {
			return nil, &model.UnsupportedError{What: fmt.Sprintf("a tensor over storage %s is of type %v", s.key, c.global),
				Advice: "convert it to another type first, such as float32"}
		}
	}
	if s.class.untyped() != (g.name == "_rebuild_tensor_v3") {
		return nil, broken(s.member.name, -1, fmt.Sprintf("%v over a %v", g, s.class))
	}
	t, err := model.NewTensor(dtype, shape, strides, offset, s.data)
	if err != nil {
		if f := (*model.FormatError)(nil); errors.As(err, &f) {
			err = broken(s.member.name, -1, "a tensor over it: "+f.Reason)
		}
		return nil, err
	}
	if have := s.size / int64(dtype.Size()); int64(t.Len()) > have {
		b.excess += uint64(int64(t.Len()) - have) // the sum of two int64 fits
		if err := within("elements of expanded tensors beyond their storages", b.excess, b.lim.Elements); err != nil {
			return nil, err
		}
	}
	made := &tensor{t, s}
	b.tensors = append(b.tensors, made)
	return made, nil
}

// dimsMax is the most dimensions that PyTorch gives a tensor.
const dimsMax = 64

func ints(v any) ([]int, bool) {
	elements, ok := tupleItems(v)
	if !ok || len(elements) > dimsMax {
		return nil, false
	}
	out := make([]int, len(elements))
	for i, e := range elements {
		if out[i], ok = e.(int); !ok {
			return nil, false
		}
	}
	return out, true
}
