package pickle

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"lethe/model"
)

// oldTar is a checkpoint of PyTorch before 0.4: a tar archive with storages,
// tensors over them, and a pickle that refers to both by numbers.
type oldTar struct {
	parts    map[string]*io.SectionReader
	lim      Limits
	storages map[int]tarStorage
	tensors  map[int]*model.Tensor
	objects  map[int]*object
	maker    *maker
	made     []*tensor
}

type tarStorage struct {
	*model.Storage
	dtype model.DType
}

// tarParts are the members of the archive.
var tarParts = []string{"sys_info", "pickle", "tensors", "storages"}

func openTar(r io.ReaderAt, size int64, opts Options) (*Checkpoint, error) {
	parts, err := readTar(r, size)
	if err != nil {
		return nil, err
	}
	c := newCheckpoint(tarContainer)
	t := &oldTar{parts: parts, lim: opts.Limits, storages: map[int]tarStorage{}, tensors: map[int]*model.Tensor{}, objects: map[int]*object{}, maker: newMaker(c)}
	if err := t.readStorages(); err != nil {
		return nil, err
	}
	if err := t.readTensors(); err != nil {
		return nil, err
	}
	in := t.pickles("pickle")
	b := &builder{size: size, storages: map[string]*storage{}}
	p, err := in.next("pickle", b, opts.Inert, t.object)
	if err != nil {
		return nil, err
	}
	if in.at != in.size {
		return nil, broken("pickle", in.at, fmt.Sprintf("%d bytes follow the pickle", in.size-in.at))
	}
	b.order, b.tensors = c.storages, t.made
	return c, c.find(p, b, opts)
}

// readTar returns the members of the archive, which must have each of them once
// and nothing else.
func readTar(r io.ReaderAt, size int64) (map[string]*io.SectionReader, error) {
	file := io.NewSectionReader(r, 0, size)
	in := tar.NewReader(file)
	parts := map[string]*io.SectionReader{}
	end := int64(0)
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, broken("", end, fmt.Sprintf("the tar archive: %v", err))
		}
		at, err := file.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		raw := make([]byte, 512)
		if _, err := readFull(r, raw, at-512); err != nil {
			return nil, err
		}
		name := string(raw[:len(h.Name)])
		switch {
		case !slices.Contains(tarParts, h.Name):
			return nil, &model.UnsupportedError{What: fmt.Sprintf("the file is a tar archive with %.100q, not a checkpoint of PyTorch", h.Name), Advice: "unpack it first"}
		case parts[h.Name] != nil:
			return nil, broken(h.Name, -1, "the member occurs twice")
		case h.Typeflag != tar.TypeReg || name != h.Name || raw[len(name)] != 0 || raw[345] != 0 || len(h.PAXRecords) > 0 || at-512 != end || h.Size > size-at:
			return nil, broken(h.Name, -1, "the member is not a plain file, or not where the one before it ends")
		}
		parts[h.Name] = io.NewSectionReader(r, at, h.Size)
		end = at + (h.Size+511)/512*512
	}
	for _, name := range tarParts {
		if parts[name] == nil {
			return nil, broken("", -1, fmt.Sprintf("the tar archive has no member %s", name))
		}
	}
	// tar fills up its last record of 20 blocks.
	rest := make([]byte, min(max(size-end, 0), 10240+1))
	if _, err := readFull(r, rest, end); err != nil {
		return nil, err
	}
	if len(rest) > 10240 || slices.ContainsFunc(rest, func(c byte) bool { return c != 0 }) {
		return nil, broken("", end, "other bytes than a few zeros follow the last member")
	}
	return parts, nil
}

func (t *oldTar) pickles(part string) *pickles {
	r := t.parts[part]
	return &pickles{r: r, size: r.Size(), lim: t.lim}
}

// row reads a pickle of a tuple of n.
func (t *oldTar) row(in *pickles, part string, n int) ([]any, error) {
	p, err := in.next(part, &builder{}, false, storageID)
	if err != nil {
		return nil, err
	}
	row, ok := p.root.(*tuple)
	if !ok || row.Len() != n {
		return nil, broken(part, in.at, fmt.Sprintf("it has %v where a tuple of %d values must be", kind(p.root), n))
	}
	return *row, nil
}

func (t *oldTar) count(in *pickles, part string) (int, error) {
	p, err := in.next(part, &builder{}, false, storageID)
	if err != nil {
		return 0, err
	}
	n, ok := p.root.(int)
	if !ok || n < 0 || int64(n) > in.size {
		return 0, broken(part, 0, "it does not begin with the number of its entries, or with more than it has bytes")
	}
	const forEntry = 2048
	return n, memory("the "+part, forEntry*uint64(n), t.lim)
}

func (t *oldTar) readStorages() error {
	const part = "storages"
	in := t.pickles(part)
	n, err := t.count(in, part)
	if err != nil {
		return err
	}
	for range n {
		row, err := t.row(in, part, 3)
		if err != nil {
			return err
		}
		key, isKey := row[0].(int)
		_, isLocation := str(row[1])
		g, isClass := row[2].(*global)
		if !isKey || !isLocation || !isClass || g.use != storages || g.dtype == model.Invalid || t.storages[key].Storage != nil {
			return broken(part, in.at, "a storage is not (key, location, class), or of a class that Lethe does not know, or occurs twice")
		}
		numel := make([]byte, 8)
		if _, err := readFull(in.r, numel, in.at); err != nil {
			return err
		}
		in.at += 8
		if left := uint64(in.size-in.at) / uint64(g.dtype.Size()); le.Uint64(numel) > left {
			return broken(part, in.at-8, fmt.Sprintf("a storage has %d elements, and the bytes that are left hold %d", le.Uint64(numel), left))
		}
		size := int64(le.Uint64(numel)) * int64(g.dtype.Size())
		t.storages[key] = tarStorage{model.NewStorage(io.NewSectionReader(in.r, in.at, size), size), g.dtype}
		in.at += size
	}
	p, err := in.next(part, &builder{}, false, storageID)
	if err != nil {
		return err
	}
	views, ok := p.root.(*list)
	if !ok || in.at != in.size {
		return broken(part, in.at, "the storages do not end with a list of parts")
	}
	for _, v := range views.values {
		if err := t.view(v); err != nil {
			return err
		}
	}
	return nil
}

// view adds a part of a storage: (key, key of the whole, offset, elements).
func (t *oldTar) view(v any) error {
	numbers, ok := ints(v)
	if !ok || len(numbers) != 4 {
		return broken("storages", -1, "a part of a storage is not (key, key of the whole, offset, number of elements)")
	}
	root, offset, n := t.storages[numbers[1]], int64(numbers[2]), int64(numbers[3])
	if root.Storage == nil || t.storages[numbers[0]].Storage != nil {
		return broken("storages", -1, "the key of a part of a storage occurs twice, or the storage that it is a part of is not there")
	}
	elem := int64(root.dtype.Size())
	if have := root.Size() / elem; offset < 0 || n < 0 || offset > have || n > have-offset {
		return broken("storages", -1, fmt.Sprintf("a part has %d elements from number %d on of a storage that has %d", n, offset, have))
	}
	t.storages[numbers[0]] = tarStorage{model.NewStorage(io.NewSectionReader(root.Reader(), offset*elem, n*elem), n*elem), root.dtype}
	return nil
}

func (t *oldTar) readTensors() error {
	const part = "tensors"
	in := t.pickles(part)
	n, err := t.count(in, part)
	if err != nil {
		return err
	}
	bound := builder{lim: t.lim}
	for range n {
		row, err := t.row(in, part, 3)
		if err != nil {
			return err
		}
		key, isKey := row[0].(int)
		id, isID := row[1].(int)
		s := t.storages[id]
		if !isKey || !isID || s.Storage == nil || t.tensors[key] != nil {
			return broken(part, in.at, "a tensor is not (key, key of its storage, class), or occurs twice, or its storage is not there")
		}
		head := make([]byte, 8)
		if _, err := readFull(in.r, head, in.at); err != nil {
			return err
		}
		dims := int(int32(le.Uint32(head)))
		if dims < 0 || dims > dimsMax {
			return broken(part, in.at, fmt.Sprintf("a tensor has %d dimensions, at most %d are possible", dims, dimsMax))
		}
		numbers := make([]byte, 16*dims+8)
		if _, err := readFull(in.r, numbers, in.at+8); err != nil {
			return err
		}
		in.at += 8 + int64(len(numbers))
		values := make([]int, 2*dims+1)
		for i := range values {
			values[i] = int(le.Uint64(numbers[8*i:]))
		}
		x, err := model.NewTensor(s.dtype, values[:dims], values[dims:2*dims], values[2*dims], s.Storage)
		if f := (*model.FormatError)(nil); errors.As(err, &f) {
			return broken(part, in.at, f.Reason)
		}
		if err == nil {
			err = bound.expand(x)
		}
		if err != nil {
			return err
		}
		t.tensors[key] = x
	}
	if in.at != in.size {
		return broken(part, in.at, "bytes follow the last tensor")
	}
	return nil
}

// object is the persistent of the pickle: the number of a tensor, as text.
func (t *oldTar) object(id any) (any, error) {
	if pair, ok := id.(*tuple); ok && pair.Len() > 0 {
		if g, isGlobal := pair.Get(0).(*global); isGlobal { // a class with its source, which nobody runs
			return g, nil
		}
	}
	key, ok := id.(int)
	if s, isText := str(id); isText && wholeDigits(s) {
		n, err := strconv.Atoi(s)
		key, ok = n, err == nil
	}
	x := t.tensors[key]
	if !ok || x == nil {
		return nil, broken("", -1, fmt.Sprintf("a persistent id is %v, not the number of a tensor", kind(id)))
	}
	if o := t.objects[key]; o != nil {
		return o, nil
	}
	o, err := t.maker.tensor(x)
	if err != nil {
		return nil, err
	}
	t.objects[key] = o
	t.made = append(t.made, o.tensor)
	return o, nil
}
