package pickle

import (
	"strconv"

	"lethe/model"
)

// New returns a checkpoint of a dict with the entries of a state dict, as
// torch.save writes one of tensors that need no gradient. Tied tensors stay
// tied, unless they view one storage as elements of different types, which
// PyTorch cannot save: then each has its own.
func New(sd *model.StateDict) (*Checkpoint, error) {
	c := newCheckpoint(zipContainer)
	c.original, c.current = sd, sd
	m := newMaker(c)
	root := &dict{}
	for name, t := range sd.All() {
		o, err := m.tensor(t)
		if err != nil {
			return nil, err
		}
		root.items = append(root.items, item{&text{name}, o})
		c.entries = append(c.entries, entry{name, o.tensor})
		c.tensors = append(c.tensors, o.tensor)
	}
	c.root = root
	return c, nil
}

func newCheckpoint(container string) *Checkpoint {
	return &Checkpoint{container: container, protocol: 2, folder: "archive", settings: profiles[Profile21], alignment: defaultAlignment}
}

func newMaker(c *Checkpoint) *maker {
	return &maker{c: c, references: map[typedStorage]*reference{}, viewed: map[*model.Storage]bool{}, storageWord: &text{"storage"}, cpu: &text{"cpu"}}
}

// maker makes the values that stand for tensors.
type maker struct {
	c                *Checkpoint
	references       map[typedStorage]*reference
	viewed           map[*model.Storage]bool // whatever the type
	storageWord, cpu *text
}

type typedStorage struct {
	storage *model.Storage
	dtype   model.DType
}

// typeOf returns the global that stands for an element type.
func typeOf(u use, d model.DType) *global {
	for _, g := range globals {
		if g.use == u && g.dtype == d {
			return g
		}
	}
	return nil
}

// tensor returns the call that rebuilds t.
func (m *maker) tensor(t *model.Tensor) (*object, error) {
	r, made := m.references[typedStorage{t.Storage(), t.DType()}]
	if !made {
		data := t.Storage()
		if m.viewed[data] || data.Size()%int64(t.DType().Size()) != 0 {
			b, err := t.Bytes()
			if err != nil {
				return nil, err
			}
			data = model.BytesStorage(b)
			if t, err = model.NewTensor(t.DType(), t.Shape(), nil, 0, data); err != nil {
				return nil, err
			}
		}
		r = m.reference(data, t.DType())
	}
	r = &reference{newTuple(*r.id...), r.storage} // torch makes an id for each use
	// Types that came with torch 2 have no class of storages.
	function, types := "_rebuild_tensor_v2", []any(nil)
	if r.storage.class.untyped() {
		function, types = "_rebuild_tensor_v3", []any{typeOf(dtypes, t.DType())}
	}
	numbers := func(list []int) *tuple {
		elements := make([]any, len(list))
		for i, n := range list {
			elements[i] = n
		}
		return newTuple(elements...)
	}
	hooks := &object{class: lookup("collections", "OrderedDict"), args: newTuple()}
	args := append([]any{r, t.Offset(), numbers(t.Shape()), numbers(t.Strides()), false, hooks}, types...)
	return &object{class: lookup("torch._utils", function), args: newTuple(args...), tensor: &tensor{t, r.storage}}, nil
}

// reference returns the use of a storage that is new.
func (m *maker) reference(data *model.Storage, d model.DType) *reference {
	g, numel := typeOf(storages, d), int(data.Size())/d.Size()
	if g == nil {
		g, numel = lookup("torch.storage", "UntypedStorage"), int(data.Size())
	}
	s := &storage{key: strconv.Itoa(len(m.c.storages)), class: g, location: "cpu", size: data.Size(), raw: data.Reader(), unit: 1, data: data}
	m.c.storages = append(m.c.storages, s)
	r := &reference{newTuple(m.storageWord, g, &text{s.key}, m.cpu, numel), s}
	m.references[typedStorage{data, d}], m.viewed[data] = r, true
	return r
}
