package pickle

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"

	"lethe/model"
)

// legacyMagic is the number in the first pickle of a checkpoint from before torch
// 1.6.
var legacyMagic, _ = new(big.Int).SetString("1950a86a20f9469cfc6c", 16)

// legacyVersion is the number in the second pickle.
const legacyVersion = 1001

// startsLegacy reports whether a file starts with the pickle of the magic number,
// of whatever protocol.
func startsLegacy(head []byte) bool {
	p, err := scan(string(head), "", Limits{}.orDefaults(), false, storageID)
	if err != nil {
		return false
	}
	v, ok := p.root.(*big.Int)
	return ok && v.Cmp(legacyMagic) == 0
}

// pickles reads the pickles at the start of a file, one after the other, without
// reading all of what follows them.
type pickles struct {
	r    io.ReaderAt
	size int64 // of the file
	at   int64 // of the next pickle
	lim  Limits
}

// next reads a pickle. What it allocates is no longer there for those after it.
func (p *pickles) next(member string, b *builder, inert bool, id persistent) (*program, error) {
	b.member, b.lim = member, p.lim
	for window := int64(64 << 10); ; window *= 4 {
		window = min(window, p.size-p.at)
		if err := memory("the pickle", uint64(window)/2, p.lim); err != nil {
			return nil, err
		}
		code := make([]byte, window)
		if _, err := readFull(p.r, code, p.at); err != nil {
			return nil, err
		}
		program, err := scan(string(code), member, p.lim, inert, id)
		if cut := (cutError{}); errors.As(err, &cut) && window < p.size-p.at {
			continue
		}
		if err != nil {
			return nil, err
		}
		p.at += int64(program.size)
		if p.lim.Memory >= 0 {
			p.lim.Memory = max(p.lim.Memory-int(program.cost), 1)
		}
		if err := run(program, member, b); err != nil {
			return nil, err
		}
		return program, finish(program.root, b.lim.Depth)
	}
}

// legacyID is the persistent of a legacy file, where a class can come with its
// source, which nobody runs.
func legacyID(id any) (any, error) {
	if t, ok := id.(*tuple); ok && t.Len() == 4 {
		kind, _ := str(t.Get(0))
		if g, isGlobal := t.Get(1).(*global); isGlobal && kind == "module" {
			return g, nil
		}
	}
	return storageID(id)
}

// openLegacy reads a checkpoint in the format before torch 1.6: five pickles
// (the magic number, the version, a dict about the machine, the object, the
// keys of its storages) and then, for each key, the number of elements in 8
// bytes and the elements, little-endian on every machine
// (torch/csrc/serialization.cpp, writeFileRaw). The keys are addresses of that time; they become
// those that torch gives today.
func openLegacy(r io.ReaderAt, size int64, opts Options) (*Checkpoint, error) {
	in := &pickles{r: r, size: size, lim: opts.Limits}
	c := newCheckpoint(legacyContainer)
	settings := &builder{size: size, storages: map[string]*storage{}}
	if _, err := in.next("magic", settings, false, storageID); err != nil {
		return nil, err
	}
	if p, err := in.next("version", settings, false, storageID); err != nil {
		return nil, err
	} else if p.root != legacyVersion {
		return nil, broken("version", -1, fmt.Sprintf("it is %.40q, it must be %d", fmt.Sprint(p.root), legacyVersion))
	}
	p, err := in.next("machine", settings, false, storageID)
	if err != nil {
		return nil, err
	}
	items, ok := dictItems(p.root)
	if !ok {
		return nil, broken("machine", -1, "it is not a dict")
	}
	bigEndian := slices.ContainsFunc(items, func(it item) bool {
		key, _ := str(it.key)
		return key == "little_endian" && it.value != true
	})
	object := &builder{size: size, storages: map[string]*storage{}}
	if p, err = in.next("object", object, opts.Inert, legacyID); err != nil {
		return nil, err
	}
	keys, err := in.next("keys", settings, false, storageID)
	if err != nil {
		return nil, err
	}
	at, err := object.place(r, keys.root, in.at)
	if err != nil {
		return nil, err
	}
	if at != size {
		return nil, broken("", at, fmt.Sprintf("%d bytes follow the last storage", size-at))
	}
	for _, s := range object.order {
		// A big-endian machine reversed the bytes of a complex number as those
		// of one integer.
		if d := s.class.dtype; bigEndian && swapUnit(d) != d.Size() {
			return nil, &model.UnsupportedError{What: fmt.Sprintf("the checkpoint is of the format before PyTorch 1.6, from a big-endian machine, and has %v elements, whose order it does not tell", d), Advice: resave}
		}
	}
	object.number()
	return c, c.find(p, object, opts)
}

// place finds the elements of the storages from byte at of the file on, and
// returns where they end.
func (b *builder) place(r io.ReaderAt, keys any, at int64) (int64, error) {
	names, ok := sequence(keys)
	if !ok || len(names) != b.roots {
		return 0, broken("keys", -1, fmt.Sprintf("they are not a list of the keys of the %d storages", b.roots))
	}
	for _, v := range names {
		key, _ := str(v)
		s := b.storages[key]
		if s == nil || s.raw != nil || s.root != nil {
			return 0, broken("keys", -1, fmt.Sprintf("%.100q is not the key of a storage, or occurs twice", key))
		}
		count := make([]byte, 8)
		if _, err := readFull(r, count, at); err != nil {
			return 0, err
		}
		at += 8
		elem := uint64(1)
		if !s.class.untyped() {
			elem = uint64(s.class.dtype.Size())
		}
		if n := le.Uint64(count); n != uint64(s.size)/elem || s.size > b.size-at {
			return 0, broken("", at-8, fmt.Sprintf("storage %s has %d elements here, %d in the pickle, and %d bytes are left of the file", key, n, uint64(s.size)/elem, b.size-at))
		}
		s.raw = io.NewSectionReader(r, at, s.size)
		at += s.size
	}
	for _, s := range b.order {
		if s.root != nil {
			s.raw = io.NewSectionReader(s.root.raw, s.at, s.size)
		}
	}
	return at, nil
}

// number gives the storages the keys that torch gives them today, and their ids
// the form of today.
func (b *builder) number() {
	keys := map[*storage]*text{}
	for i, s := range b.order {
		s.key = strconv.Itoa(i)
		keys[s] = &text{s.key}
	}
	for _, r := range b.uses {
		id := *r.id
		elem := 1
		if !r.storage.class.untyped() {
			elem = r.storage.class.dtype.Size()
		}
		r.id = newTuple(b.word("storage"), id[1], keys[r.storage], b.word(r.storage.location), int(r.storage.size)/elem)
	}
}

// word returns a string that torch.save uses for every storage.
func (b *builder) word(s string) *text {
	if b.words == nil {
		b.words = map[string]*text{}
	}
	if b.words[s] == nil {
		b.words[s] = &text{s}
	}
	return b.words[s]
}
