package pickle

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"lethe/model"
)

// legacyMagic is how torch before 1.6 starts a checkpoint: a pickle of the
// number 0x1950a86a20f9469cfc6c.
const legacyMagic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e"

// legacyVersion is the number in the second pickle.
const legacyVersion = 1001

func startsLegacy(r io.ReaderAt) bool {
	head := make([]byte, len(legacyMagic))
	n, _ := r.ReadAt(head, 0)
	return n == len(head) && string(head) == legacyMagic
}

// openLegacy reads a checkpoint in the format before torch 1.6: five pickles
// (the magic number, the version, a dict about the machine, the object, the
// keys of its storages) and then, for each key, the number of elements in 8
// bytes and the elements, little-endian on every machine
// (torch/csrc/serialization.cpp, writeFileRaw). The keys are addresses of that time; they become
// those that torch gives today.
func openLegacy(r io.ReaderAt, size int64, opts Options) (*Checkpoint, error) {
	lim := opts.Limits
	head := size
	if lim.Memory >= 0 { // a longer pickle is over the limit anyway
		head = min(size, int64(lim.Memory)/4)
	}
	var b strings.Builder
	b.Grow(int(head))
	if _, err := io.CopyN(&b, io.NewSectionReader(r, 0, head), head); err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	code, at := b.String(), int64(len(legacyMagic))
	c := &Checkpoint{container: legacyContainer, folder: "archive", settings: profiles[Profile21], alignment: defaultAlignment}
	next := func(member string, b *builder, inert bool) (*program, any, error) {
		b.member, b.lim = member, lim
		p, root, err := b.run(code[at:], inert)
		if err == nil {
			at += int64(p.size)
			if lim.Memory >= 0 {
				lim.Memory = max(lim.Memory-int(p.cost), 0)
			}
		}
		return p, root, err
	}
	settings := &builder{size: size, storages: map[string]*storage{}}
	if _, version, err := next("version", settings, false); err != nil {
		return nil, err
	} else if version != legacyVersion {
		return nil, broken("version", -1, fmt.Sprintf("it is %.40q, it must be %d", fmt.Sprint(version), legacyVersion))
	}
	_, machine, err := next("machine", settings, false)
	if err != nil {
		return nil, err
	}
	items, ok := dictItems(machine)
	if !ok {
		return nil, broken("machine", -1, "it is no dict")
	}
	bigEndian := slices.ContainsFunc(items, func(it item) bool {
		key, _ := str(it.key)
		return key == "little_endian" && it.value != true
	})
	object := &builder{size: size, storages: map[string]*storage{}}
	p, root, err := next("object", object, opts.Inert)
	if err != nil {
		return nil, err
	}
	_, keys, err := next("keys", settings, false)
	if err != nil {
		return nil, err
	}
	if at, err = object.place(r, keys, at); err != nil {
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
	return c, c.find(p, root, object, opts.Key)
}

// place finds the elements of the storages from byte at of the file on, and
// returns where they end.
func (b *builder) place(r io.ReaderAt, keys any, at int64) (int64, error) {
	names, ok := keys.(*list)
	if !ok || names.Len() != len(b.order) {
		return 0, broken("keys", -1, fmt.Sprintf("they are no list of the %d storages", len(b.order)))
	}
	for _, v := range *names {
		key, _ := str(v)
		s := b.storages[key]
		if s == nil || s.raw != nil {
			return 0, broken("keys", -1, fmt.Sprintf("%.100q is no storage, or occurs twice", key))
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
		r.id = newTuple(id[0], id[1], keys[r.storage], id[3], id[4])
	}
}
