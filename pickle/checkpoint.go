package pickle

import (
	"fmt"
	"io"
	"slices"
	"strconv"

	"lethe/model"
)

// Checkpoint is a file of torch.save with the one state dict that was found in
// it. It is immutable, and it reads tensor data from the file on demand: the
// file must stay open and unchanged for as long as the checkpoint, or a tensor
// of it, is in use.
type Checkpoint struct {
	a         *archive
	b         *builder
	path      []string // keys from the root of the pickle to the state dict
	entries   []entry
	original  *model.StateDict
	current   *model.StateDict
	patched   map[*member][]byte // the records that an edit changed, as in the file
	alignment int64              // of records in the file
}

// entry is one name of the state dict.
type entry struct {
	name string
	*tensor
}

// Decode reads a checkpoint of torch 1.6 or later. It reads the whole file
// once, in constant memory, to compare the CRC of every record (unless torch
// was told to write none); the tensors stay in r. Broken bytes are a
// [model.FormatError], other formats and whole pickled models a
// [model.UnsupportedError], excesses a [model.LimitError].
func Decode(r io.ReaderAt, size int64, opts Options) (*Checkpoint, error) {
	c, err := open(r, size, opts)
	if err != nil {
		return nil, err
	}
	for _, m := range c.a.members {
		if err := c.a.verify(m); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// open reads everything but tensor data.
func open(r io.ReaderAt, size int64, opts Options) (*Checkpoint, error) {
	lim := opts.Limits.orDefaults()
	if err := sniff(r, size); err != nil {
		return nil, err
	}
	a, err := readArchive(r, size, lim)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{a: a, b: &builder{a: a, lim: lim, storages: map[string]*storage{}}}
	if err := c.readSettings(); err != nil {
		return nil, err
	}
	m := a.find("data.pkl")
	if err := within("bytes of the pickle", uint64(m.size), lim.PickleBytes); err != nil {
		return nil, err
	}
	code, err := a.read(m)
	if err != nil {
		return nil, err
	}
	if err := scan(code, m.name, lim); err != nil {
		return nil, err
	}
	root, err := run(code, m.name, c.b)
	if err != nil {
		return nil, err
	}
	found, err := findStateDict(root)
	if err != nil {
		return nil, err
	}
	c.path = found.path
	var entries []model.Entry
	for _, it := range found.items {
		name, isString := it.key.(string)
		if t, isTensor := it.value.(*tensor); isTensor && isString {
			c.entries = append(c.entries, entry{name, t})
			entries = append(entries, model.Entry{Name: name, Tensor: t.Tensor})
		}
	}
	c.original, err = model.NewStateDict(entries...)
	c.current = c.original
	return c, err
}

// readSettings reads the records that say how the others are to be read.
func (c *Checkpoint) readSettings() error {
	setting := func(name, absent string, allowed ...string) (string, error) {
		m := c.a.find(name)
		if m == nil {
			return absent, nil
		}
		if m.size > 16 {
			return "", broken(m.name, -1, fmt.Sprintf("%d bytes for one word", m.size))
		}
		b, err := c.a.read(m)
		if err == nil && !slices.Contains(allowed, string(b)) {
			err = broken(m.name, 0, fmt.Sprintf("it says %q, it must be one of %q", b, allowed))
		}
		return string(b), err
	}
	order, err := setting("byteorder", "little", "little", "big")
	if err != nil {
		return err
	}
	c.b.big = order == "big"
	alignment, err := setting(".storage_alignment", "64", "64", "128", "256", "512", "1024", "2048", "4096", "8192", "16384")
	if err != nil {
		return err
	}
	c.alignment, err = strconv.ParseInt(alignment, 10, 64)
	if err == nil && c.a.find("version") == nil && c.a.find(".data/version") == nil {
		err = broken("", -1, fmt.Sprintf("the archive has no member %s/version", c.a.root))
	}
	return err
}

// StateDict returns the state dict, with the names that the file has: a
// prefix such as "module." is part of them.
func (c *Checkpoint) StateDict() *model.StateDict { return c.current }

// With returns a checkpoint with the values of sd in place of its own. The
// names, their order, shapes and dtypes must be those of c, or it is a
// [model.FormatError]. A tensor that is not the same pointer as in the file
// counts as edited, and its values are written through the strides of the one
// in the file, so that views and ties stay. It is a FormatError if tied
// entries were not edited to the same values, and a [model.UnsupportedError]
// if something outside of the state dict shares the elements.
func (c *Checkpoint) With(sd *model.StateDict) (*Checkpoint, error) {
	if got, want := sd.Names(), c.original.Names(); !slices.Equal(got, want) {
		i := 0
		for i < min(len(got), len(want)) && got[i] == want[i] {
			i++
		}
		return nil, badEdit("names differ from the checkpoint's from entry %d on: %.100q, not %.100q", i, got[i:min(i+1, len(got))], want[i:min(i+1, len(want))])
	}
	edits := map[*storage][]edit{}
	inside := map[*tensor]bool{}
	for _, e := range c.entries {
		t := sd.Get(e.name)
		if t.DType() != e.DType() || !slices.Equal(t.Shape(), e.Shape()) {
			return nil, badEdit("%q is %v %v, in the checkpoint %v %v", e.name, t.DType(), t.Shape(), e.DType(), e.Shape())
		}
		inside[e.tensor] = true
		edits[e.storage] = append(edits[e.storage], edit{e.name, e.tensor, t})
	}
	for _, t := range c.b.tensors {
		if !inside[t] {
			edits[t.storage] = append(edits[t.storage], edit{"", t, t.Tensor})
		}
	}
	with := *c
	with.current = sd
	with.patched = map[*member][]byte{}
	for _, e := range c.entries { // not over the map, so that errors are the same each time
		s := e.storage
		if _, done := with.patched[s.member]; done || !slices.ContainsFunc(edits[s], edit.changed) {
			continue
		}
		b, err := patch(s, edits[s])
		if err != nil {
			return nil, err
		}
		if c.b.big {
			swap(b, swapUnit(s.class.dtype))
		}
		with.patched[s.member] = b
	}
	return &with, nil
}

func badEdit(format string, args ...any) error {
	return &model.FormatError{Format: "state dict", Offset: -1, Reason: fmt.Sprintf(format, args...)}
}

// edit is a view of a storage and the values that it must show afterwards.
type edit struct {
	name string // empty outside of the state dict
	old  *tensor
	want *model.Tensor
}

func (e edit) changed() bool { return e.want != e.old.Tensor }

// patch returns the little-endian bytes of a storage after the edits, which
// are all the views of it.
func patch(s *storage, edits []edit) ([]byte, error) {
	b := make([]byte, s.size)
	if _, err := io.ReadFull(s.data.Reader(), b); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.member.name, err)
	}
	var last string
	for _, e := range edits {
		if !e.changed() {
			continue
		}
		values, err := e.want.Bytes()
		if err != nil {
			return nil, err
		}
		n := e.want.DType().Size()
		e.old.Index(func(i, at int) { copy(b[at*n:(at+1)*n], values[i*n:]) })
		last = e.name
	}
	// Look through every view: one that shows other values than it should was
	// tied to an edited one, or repeats an element that got two values.
	patched := model.BytesStorage(b)
	for _, e := range edits {
		view, err := model.NewTensor(e.old.DType(), e.old.Shape(), e.old.Strides(), e.old.Offset(), patched)
		if err != nil {
			return nil, err
		}
		same, err := model.SameBits(view, e.want)
		if err != nil {
			return nil, err
		}
		if !same && e.name == "" {
			return nil, &model.UnsupportedError{What: fmt.Sprintf("%q shares its elements with a tensor outside of the state dict", last),
				Advice: "save the state dict alone and edit that"}
		}
		if !same {
			return nil, badEdit("%q and %q are tied by storage %s (or one of them repeats its elements), but were edited to different values", e.name, last, s.key)
		}
	}
	return b, nil
}
