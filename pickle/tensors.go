package pickle

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"lethe/model"
)

// storage is a run of raw elements: in an archive, the record data/KEY.
type storage struct {
	key      string
	class    *global
	location string // the device that it was saved from
	size     int64  // bytes
	member   *member
	raw      *io.SectionReader // the bytes as in the file
	unit     int               // bytes that change places to become little-endian; 1 if none do
	data     *model.Storage    // little-endian
	used     bool              // by a tensor

	content any // of a numpy array: the object in the pickle that has the bytes

	root *storage // of a legacy file: what this is a part of, or nil
	at   int64    // first byte in root
}

// ReadAt reads little-endian elements.
func (s *storage) ReadAt(p []byte, off int64) (int, error) {
	if s.unit > 1 {
		return (&swapped{s.raw, s.size, s.unit}).ReadAt(p, off)
	}
	return s.raw.ReadAt(p, off)
}

// tensor is a value of the pickle. A view that the pickle builds twice is two
// of them over one storage.
type tensor struct {
	*model.Tensor
	storage *storage
}

// builder implements handlers over the storages of a file.
type builder struct {
	a        *archive // nil in a legacy file
	folder   string   // of the records in the archive
	member   string   // the pickle, for messages
	size     int64    // of the file
	lim      Limits
	big      bool // elements are big-endian
	storages map[string]*storage
	order    []*storage // by first use
	uses     []*reference
	tensors  []*tensor
	words    map[string]*text
	roots    int    // storages of a legacy file that are not parts of others
	excess   uint64 // elements of views beyond those of their storages
}

// use finds the storage of a persistent id.
func (b *builder) use(r *reference) (err error) {
	r.storage, err = b.storage(*r.id)
	b.uses = append(b.uses, r)
	return err
}

func (b *builder) badID(format string, args ...any) error {
	return broken(b.member, -1, "persistent id: "+fmt.Sprintf(format, args...))
}

// storage resolves ('storage', class, key, location, numel), which legacy files
// end by None, or by (key, offset, numel) of a part of the storage.
func (b *builder) storage(id []any) (*storage, error) {
	var part any
	legacy := b.a == nil
	if legacy && len(id) == 6 {
		part, id = id[5], id[:5]
	} else if legacy {
		return nil, b.badID("it does not have 6 parts, as files of before PyTorch 1.6 have it")
	}
	if len(id) != 5 {
		return nil, b.badID("it is not ('storage', class, key, location, number of elements)")
	}
	kind, _ := str(id[0])
	g, isClass := id[1].(*global)
	key, isKey := str(id[2])
	location, isLocation := str(id[3])
	numel, isNumel := id[4].(int)
	if kind != "storage" || !isClass || g.use != storages || !isKey || !isLocation || !isNumel || numel < 0 {
		return nil, b.badID("class, key, location or number of elements is of the wrong type, or negative")
	}
	elem := int64(1)
	if !g.untyped() {
		if g.dtype == model.Invalid {
			return nil, &model.UnsupportedError{What: fmt.Sprintf("storage %s is a %v, a quantized type", key, g), Advice: "dequantize the model first"}
		}
		elem = int64(g.dtype.Size())
	}
	s := b.storages[key]
	if s != nil && (s.class != g || s.location != location || s.size/elem != int64(numel) || s.root != nil) {
		return nil, b.badID("storage %s is first %v on %q with %d bytes, and then %v on %q with %d elements", key, s.class, s.location, s.size, g, location, numel)
	}
	if s == nil {
		s = &storage{key: key, class: g, location: location, unit: 1}
		if err := b.find(s, numel, elem); err != nil {
			return nil, err
		}
		if b.big && g.untyped() {
			return nil, &model.UnsupportedError{What: fmt.Sprintf("storage %s is big-endian, and its class does not tell the size of its elements, which is needed to turn their bytes", key), Advice: resave}
		}
		if b.big {
			s.unit = swapUnit(g.dtype)
		}
		s.data = model.NewStorage(s, s.size)
		b.storages[key] = s
	}
	if part != nil {
		return b.part(s, part, elem)
	}
	if !s.used {
		s.used = true
		b.order = append(b.order, s)
	}
	return s, nil
}

// find looks for the bytes of a storage of numel elements.
func (b *builder) find(s *storage, numel int, elem int64) error {
	if b.a == nil {
		// Compared by division: the product could overflow.
		if int64(numel) > b.size/elem {
			return b.badID("storage %s has %d elements of %d bytes, the file has %d bytes", s.key, numel, elem, b.size)
		}
		s.size = int64(numel) * elem
		b.roots++
		return nil
	}
	m := b.a.find(b.folder + s.key)
	if m == nil {
		return b.badID("the archive has no record %s%s", b.folder, s.key)
	}
	if m.size%elem != 0 || m.size/elem != int64(numel) {
		return broken(m.name, -1, fmt.Sprintf("the pickle says %d elements of %d bytes, the record has %d bytes", numel, elem, m.size))
	}
	s.size, s.member, s.raw = m.size, m, b.a.open(m)
	return nil
}

// part returns the part of a storage that PyTorch before 0.4 has as a storage of
// its own.
func (b *builder) part(root *storage, id any, elem int64) (*storage, error) {
	t, ok := id.(*tuple)
	if !ok || t.Len() != 3 {
		return nil, b.badID("the part of a storage is not (key, offset, number of elements)")
	}
	key, isKey := str(t.Get(0))
	offset, isOffset := t.Get(1).(int)
	numel, isNumel := t.Get(2).(int)
	most := root.size / elem
	if !isKey || !isOffset || !isNumel || offset < 0 || numel < 0 || int64(offset) > most || int64(numel) > most-int64(offset) {
		return nil, b.badID("elements %v of storage %s, which has %d", *t, root.key, most)
	}
	s := &storage{key: key, class: root.class, location: root.location, unit: 1, root: root, at: int64(offset) * elem, size: int64(numel) * elem, used: true}
	if old := b.storages[key]; old != nil {
		if old.root != root || old.at != s.at || old.size != s.size {
			return nil, b.badID("storage %s is two parts", key)
		}
		return old, nil
	}
	s.data = model.NewStorage(s, s.size)
	b.storages[key] = s
	b.order = append(b.order, s)
	return s, nil
}

// rebuild makes tensors as the functions of torch._utils do; the comments
// give their parameters.
func (b *builder) rebuild(g *global, args []any) (*tensor, error) {
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
			if t := asTensor(args[0]); t != nil {
				return t, b.gradient(t.DType(), args[1])
			}
		}
	case "_rebuild_from_type_v2": // func, type, args, state
		if len(args) == 4 {
			f, isClass := args[0].(*global)
			inner, isTuple := args[2].(*tuple)
			if isClass && isTuple && f.use == rebuilds && f != g {
				return b.rebuild(f, *inner)
			}
		}
	}
	return nil, b.badArgs(g)
}

// gradient refuses what PyTorch refuses: a gradient of whole numbers.
func (b *builder) gradient(d model.DType, wanted any) error {
	switch v, ok := wanted.(bool); {
	case !ok:
		return broken(b.member, -1, fmt.Sprintf("requires_grad is %v, not a bool", kind(wanted)))
	case v && !d.IsFloat() && swapUnit(d) == d.Size() && !strings.HasPrefix(d.String(), "float"):
		return broken(b.member, -1, fmt.Sprintf("a tensor of %v that requires a gradient, which PyTorch refuses", d))
	}
	return nil
}

func (b *builder) badArgs(g *global) error {
	return broken(b.member, -1, fmt.Sprintf("%v is called with arguments that it does not take", g))
}

// view makes the tensor that args 0 to 3 describe.
func (b *builder) view(g *global, args, metadata []any) (*tensor, error) {
	r, isStorage := args[0].(*reference)
	offset, isOffset := args[1].(int)
	shape, isShape := ints(args[2])
	strides, isStrides := ints(args[3])
	if !isStorage || !isOffset || !isShape || !isStrides {
		return nil, b.badArgs(g)
	}
	s := r.storage
	if len(metadata) == 1 {
		if n, ok := dictLen(metadata[0]); metadata[0] != nil && (!ok || n > 0) {
			return nil, &model.UnsupportedError{What: fmt.Sprintf("a tensor over storage %s is a lazy conjugate or negative", s.key),
				Advice: "call resolve_conj() and resolve_neg() before saving it"}
		}
	}
	dtype := s.class.dtype
	if g.name == "_rebuild_tensor_v3" {
		d, ok := args[6].(*global)
		if !ok || d.use != dtypes {
			return nil, b.badArgs(g)
		}
		if dtype = d.dtype; dtype == model.Invalid {
			return nil, &model.UnsupportedError{What: fmt.Sprintf("a tensor over storage %s is of type %v", s.key, d),
				Advice: "convert it to another type first, such as float32"}
		}
	}
	if s.class.untyped() != (g.name == "_rebuild_tensor_v3") {
		return nil, broken(b.member, -1, fmt.Sprintf("%v makes a tensor over a storage of class %v, which is for the other kind of tensor", g, s.class))
	}
	if len(args) > 4 {
		if err := b.gradient(dtype, args[4]); err != nil {
			return nil, err
		}
	}
	t, err := model.NewTensor(dtype, shape, strides, offset, s.data)
	if err != nil {
		if f := (*model.FormatError)(nil); errors.As(err, &f) {
			err = broken(b.member, -1, fmt.Sprintf("a tensor over storage %s: %s", s.key, f.Reason))
		}
		return nil, err
	}
	if err := b.expand(t); err != nil {
		return nil, err
	}
	made := &tensor{t, s}
	b.tensors = append(b.tensors, made)
	return made, nil
}

// expand counts the elements of a view that its storage does not have.
func (b *builder) expand(t *model.Tensor) error {
	have := t.Storage().Size() / int64(t.DType().Size())
	if int64(t.Len()) <= have {
		return nil
	}
	b.excess += uint64(int64(t.Len()) - have)
	if b.excess > math.MaxInt64/16 {
		b.excess = math.MaxInt64 / 16
	}
	return memory("expanded tensors, which repeat the elements of their storages,", 16*b.excess, b.lim)
}

// dimsMax is the most dimensions that PyTorch gives a tensor.
const dimsMax = 64

func ints(v any) ([]int, bool) {
	elements, ok := v.(*tuple)
	if !ok || elements.Len() > dimsMax {
		return nil, false
	}
	out := make([]int, elements.Len())
	for i, e := range *elements {
		if out[i], ok = e.(int); !ok {
			return nil, false
		}
	}
	return out, true
}
