package pickle

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"lethe/file"
	"lethe/model"
)

// distributedContainer is what Info calls a folder of torch.distributed.checkpoint.
const distributedContainer = "dcp"

// MetadataName is the file of a folder of torch.distributed.checkpoint that says
// what is in the others.
const MetadataName = ".metadata"

// Part opens a file of a folder.
type Part func(name string) (r io.ReaderAt, size int64, err error)

// DecodeDistributed reads a folder that torch.distributed.checkpoint wrote: a
// pickle that lists the tensors and their chunks, and files with a small
// checkpoint of torch.save for each chunk. The parts must stay open for as long as
// the checkpoint is in use. What is not a tensor is not read. The errors are those of
// [Decode].
func DecodeDistributed(open Part, opts Options) (*Checkpoint, error) {
	opts.Limits = opts.Limits.orDefaults()
	r, size, err := open(MetadataName)
	if err != nil {
		return nil, err
	}
	in := &pickles{r: r, size: size, lim: opts.Limits}
	p, err := in.next(MetadataName, &builder{}, true, storageID)
	if err != nil {
		return nil, err
	}
	if in.at != size {
		return nil, broken(MetadataName, in.at, "bytes follow the pickle")
	}
	d := &distributed{open: open, opts: opts, checkpoint: newCheckpoint(distributedContainer), stored: map[string][]place{}, root: &dict{}}
	d.maker = newMaker(d.checkpoint)
	if err := d.read(attributes(p.root)); err != nil {
		return nil, err
	}
	b := &builder{lim: opts.Limits, order: d.checkpoint.storages, tensors: d.tensors}
	return d.checkpoint, d.checkpoint.find(&program{root: d.root, protocol: p.protocol}, b, opts)
}

type distributed struct {
	open       Part
	opts       Options
	checkpoint *Checkpoint
	maker      *maker
	stored     map[string][]place // by name of the tensor
	root       *dict
	tensors    []*tensor
}

// place is where a chunk is.
type place struct {
	offsets      []int // of its first element in the tensor
	part         string
	offset, size int
}

// chunk is a part of a tensor.
type chunk struct {
	offsets []int
	*model.Tensor
}

func badMetadata(format string, args ...any) error {
	return broken(MetadataName, -1, fmt.Sprintf(format, args...))
}

// size returns the numbers of a torch.Size.
func sizeOf(v any) ([]int, bool) {
	if o, ok := v.(*object); ok && o.class.name == "Size" {
		if o.args.Len() == 0 {
			return []int{}, true
		}
		v = o.argument(0)
	}
	return ints(v)
}

func (d *distributed) read(metadata map[string]any) error {
	entries, isDict := dictItems(metadata["state_dict_metadata"])
	places, isToo := dictItems(metadata["storage_data"])
	if !isDict || !isToo {
		return badMetadata("it has no state_dict_metadata or no storage_data")
	}
	for _, it := range places {
		index, info := attributes(it.key), attributes(it.value)
		name, isName := str(index["fqn"])
		part, isFile := str(info["relative_path"])
		offset, isOffset := info["offset"].(int)
		length, isLength := info["length"].(int)
		if !isName || !isFile || !isOffset || !isLength || offset < 0 || length < 0 {
			return badMetadata("an entry of storage_data is not a place in a file")
		}
		if info["transform_descriptors"] != nil {
			return &model.UnsupportedError{What: fmt.Sprintf("%q is stored with a transformation", name), Advice: "save it without extensions"}
		}
		s := place{part: part, offset: offset, size: length}
		if index["offset"] != nil {
			var ok bool
			if s.offsets, ok = sizeOf(index["offset"]); !ok {
				return badMetadata("%q has a chunk at no place", name)
			}
		}
		d.stored[name] = append(d.stored[name], s)
	}
	paths := map[string]any{}
	planned, _ := dictItems(metadata["planner_data"])
	for _, it := range planned {
		if name, ok := str(it.key); ok {
			paths[name] = it.value
		}
	}
	for _, it := range entries {
		name, ok := str(it.key)
		if !ok {
			return badMetadata("a name is %v", kind(it.key))
		}
		meta := attributes(it.value)
		if meta["chunks"] == nil {
			d.checkpoint.left = append(d.checkpoint.left, file.Left{Name: name})
			continue
		}
		t, err := d.tensor(name, meta)
		if err != nil {
			return err
		}
		if err := d.add(name, paths[name], t); err != nil {
			return err
		}
	}
	return nil
}

// add puts a tensor into the tree, at the path that the plan has for its name.
func (d *distributed) add(name string, path any, t *model.Tensor) error {
	o, err := d.maker.tensor(t)
	if err != nil {
		return err
	}
	d.tensors = append(d.tensors, o.tensor)
	keys := []any{&text{name}}
	if elements, ok := sequence(path); ok && len(elements) > 0 {
		keys = elements
	}
	to := d.root
	for i, key := range keys {
		if _, named := keyText(key); !named || len(keys) > wrapping {
			return badMetadata("%q has the path %s", name, keyLabel(newTuple(keys...)))
		}
		at := slices.IndexFunc(to.items, func(it item) bool { return identity(it.key) == identity(key) })
		if i == len(keys)-1 {
			if at >= 0 {
				return badMetadata("%q is where another entry is", name)
			}
			to.items = append(to.items, item{key, o})
			return nil
		}
		if at < 0 {
			to.items = append(to.items, item{key, &dict{}})
			at = len(to.items) - 1
		}
		inner, ok := to.items[at].value.(*dict)
		if !ok {
			return badMetadata("%q is inside a tensor", name)
		}
		to = inner
	}
	return nil
}

// tensor returns a tensor of its chunks.
func (d *distributed) tensor(name string, meta map[string]any) (*model.Tensor, error) {
	shape, isShape := sizeOf(meta["size"])
	listed, isList := meta["chunks"].(*list)
	n, ok := model.Elements(shape)
	if !isShape || !isList || !ok || len(listed.values) != len(d.stored[name]) || len(listed.values) > 1<<12 {
		return nil, badMetadata("%q has a size or chunks that do not fit", name)
	}
	var chunks []chunk
	covered := 0
	for _, v := range listed.values {
		m := attributes(v)
		offsets, isOffset := sizeOf(m["offsets"])
		sizes, isSize := sizeOf(m["sizes"])
		if !isOffset || !isSize || len(offsets) != len(shape) || len(sizes) != len(shape) {
			return nil, badMetadata("%q has a chunk of another rank", name)
		}
		for i := range shape {
			if offsets[i] < 0 || sizes[i] < 0 || offsets[i] > shape[i] || sizes[i] > shape[i]-offsets[i] {
				return nil, badMetadata("%q has a chunk that leaves it", name)
			}
		}
		at := slices.IndexFunc(d.stored[name], func(s place) bool {
			return slices.Equal(s.offsets, offsets) || s.offsets == nil && len(d.stored[name]) == 1
		})
		if at < 0 {
			return nil, badMetadata("%q has a chunk at %v that is stored nowhere", name, offsets)
		}
		t, err := d.chunk(name, d.stored[name][at], sizes)
		if err != nil {
			return nil, err
		}
		for _, c := range chunks {
			if overlap(c.offsets, c.Shape(), offsets, sizes) {
				return nil, badMetadata("%q has chunks that overlap", name)
			}
			if c.DType() != t.DType() {
				return nil, badMetadata("%q has chunks of %v and %v", name, c.DType(), t.DType())
			}
		}
		covered += t.Len()
		chunks = append(chunks, chunk{offsets, t})
	}
	if covered != n || len(chunks) == 0 {
		return nil, badMetadata("%q has %d elements, its chunks have %d", name, n, covered)
	}
	if len(chunks) == 1 {
		return chunks[0].Tensor, nil
	}
	dtype := chunks[0].DType()
	size := int64(n) * int64(dtype.Size())
	whole := &assembled{shape: shape, size: size, unit: dtype.Size(), chunks: chunks}
	return model.NewTensor(dtype, shape, nil, 0, model.NewStorage(whole, size))
}

// chunk reads the checkpoint of one chunk.
func (d *distributed) chunk(name string, s place, sizes []int) (*model.Tensor, error) {
	if strings.ContainsAny(s.part, "/\\\x00") || s.part == "" || s.part == ".." {
		return nil, badMetadata("%q is in the file %q", name, s.part)
	}
	r, size, err := d.open(s.part)
	if err != nil {
		return nil, err
	}
	if int64(s.offset) > size || int64(s.size) > size-int64(s.offset) {
		return nil, badMetadata("%q is at bytes %d to %d of %s, which has %d", name, s.offset, s.offset+s.size, s.part, size)
	}
	c, err := Decode(io.NewSectionReader(r, int64(s.offset), int64(s.size)), int64(s.size), Options{Limits: d.opts.Limits})
	if err != nil {
		return nil, fmt.Errorf("%q in %s: %w", name, s.part, err)
	}
	if len(c.path) != 0 || len(c.entries) != 1 || asTensor(c.root) == nil || !slices.Equal(c.entries[0].Shape(), sizes) {
		return nil, broken(s.part, int64(s.offset), fmt.Sprintf("%q is not the tensor of shape %v that the metadata has", name, sizes))
	}
	return c.entries[0].Tensor, nil
}

// overlap reports whether two blocks have an element in common.
func overlap(a, sizesA, b, sizesB []int) bool {
	for i := range a {
		if a[i] >= b[i]+sizesB[i] || b[i] >= a[i]+sizesA[i] {
			return false
		}
	}
	return true
}

// assembled reads a tensor of several chunks, which it puts together when someone
// wants them.
type assembled struct {
	shape  []int
	size   int64
	unit   int
	chunks []chunk

	once sync.Once
	b    []byte
	err  error
}

// ReadAt reads elements in C order.
func (a *assembled) ReadAt(p []byte, off int64) (int, error) {
	a.once.Do(a.assemble)
	switch {
	case a.err != nil:
		return 0, a.err
	case off >= a.size:
		return 0, io.EOF
	}
	n := copy(p, a.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (a *assembled) assemble() {
	a.b = make([]byte, a.size)
	strides := model.CStrides(a.shape)
	for _, c := range a.chunks {
		values, err := c.Bytes()
		if err != nil {
			a.err = err
			return
		}
		offset := 0
		for i, o := range c.offsets {
			offset += o * strides[i]
		}
		view, err := model.NewTensor(c.DType(), c.Shape(), strides, offset, model.BytesStorage(a.b))
		if err != nil {
			a.err = err
			return
		}
		view.Index(func(i, at int) { copy(a.b[at*a.unit:(at+1)*a.unit], values[i*a.unit:(i+1)*a.unit]) })
	}
}
