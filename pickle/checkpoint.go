package pickle

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"lethe/file"
	"lethe/model"
)

// Checkpoint is the object that torch.save wrote, with the one state dict that
// was found in it. It is immutable, and it reads tensor data from the file on
// demand: the file must stay open and unchanged for as long as the checkpoint,
// or a tensor of it, is in use.
type Checkpoint struct {
	container string // as in Info
	protocol  int    // of the pickle
	a         *archive
	root      any        // what the pickle holds
	storages  []*storage // in the order of first use
	tensors   []*tensor  // all of them, those outside of the state dict too
	module    any        // whose parameters and buffers the entries are; nil for a state dict
	path      []string   // keys from the root of the pickle to the state dict
	entries   []entry
	original  *model.StateDict
	current   *model.StateDict
	patched   map[*storage][]byte // what an edit changed, little-endian
	source    *source             // of an archive that is edited in place; nil for others
	left      []file.Left         // of an archive, beside its weights

	// What Encode keeps of the file.
	folder    string            // of the records
	settings  map[string]string // the records beside the pickle and the storages
	alignment int64             // of records
	noCRC     bool
}

// entry is one name of the state dict.
type entry struct {
	name string
	*tensor
}

// What Info calls the containers.
const (
	zipContainer    = "zip"
	legacyContainer = "legacy"
	tarContainer    = "tar"
	scriptContainer = "torchscript"
	exportContainer = "pt2"
)

// defaultAlignment is that of records in the files of every torch.
const defaultAlignment = 64

// Decode reads a checkpoint of torch.save. It reads the whole file once, in
// constant memory, to compare the CRC of every record (unless torch was told to
// write none); the tensors stay in r. Broken bytes are a [model.FormatError],
// other formats and whole pickled models a [model.UnsupportedError], excesses a
// [model.LimitError].
func Decode(r io.ReaderAt, size int64, opts Options) (*Checkpoint, error) {
	c, err := open(r, size, opts)
	if err != nil || c.a == nil {
		return c, err
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
	opts.Limits = opts.Limits.orDefaults()
	kind, err := sniff(r, size)
	switch {
	case err != nil:
		return nil, err
	case kind == legacyContainer:
		return openLegacy(r, size, opts)
	case kind == tarContainer:
		return openTar(r, size, opts)
	}
	a, err := readArchive(r, size, opts.Limits)
	if err != nil {
		return nil, err
	}
	c, err := openArchive(a, opts)
	if err == nil && (c.container == scriptContainer || c.container == exportContainer) {
		c.source = &source{r, size, opts.Limits}
	}
	return c, err
}

// openArchive reads what the kind of an archive asks for.
func openArchive(a *archive, opts Options) (*Checkpoint, error) {
	switch a.kind {
	case scriptArchive:
		return openScript(a, opts)
	case exportArchive, oldExport:
		return openExport(a, opts)
	}
	c := &Checkpoint{container: zipContainer, a: a, folder: a.root, noCRC: a.noCRC}
	big, err := c.readSettings()
	if err != nil {
		return nil, err
	}
	code, member, err := a.readPickle(opts.Limits)
	if err != nil {
		return nil, err
	}
	b := &builder{a: a, folder: "data/", member: member, lim: opts.Limits, big: big, storages: map[string]*storage{}}
	if err := c.load(code, b, opts); err != nil {
		return nil, err
	}
	return c, c.noOthers()
}

// load runs the pickle and finds the state dict in what it makes.
func (c *Checkpoint) load(code string, b *builder, opts Options) error {
	p, err := b.run(code, opts.Inert, storageID)
	if err != nil {
		return err
	}
	if p.size != len(code) {
		return broken(b.member, int64(p.size), fmt.Sprintf("%d bytes follow the end of the pickle", len(code)-p.size))
	}
	return c.find(p, b, opts)
}

// run checks the pickle that code starts with and runs it.
func (b *builder) run(code string, inert bool, id persistent) (*program, error) {
	p, err := scan(code, b.member, b.lim, inert, id)
	if err != nil {
		return nil, err
	}
	if err := run(p, b.member, b); err != nil {
		return nil, err
	}
	return p, finish(p.root, b.lim.Depth)
}

// find takes over what the pickle made, with the state dict in it.
func (c *Checkpoint) find(p *program, b *builder, opts Options) (err error) {
	c.root = p.root
	c.protocol, c.storages, c.tensors = p.protocol, b.order, b.tensors
	if opts.Inert && len(b.tensors) == 0 {
		a := arrays{lim: b.lim, seen: map[any]bool{}}
		if err := a.visit(c.root); err != nil {
			return err
		}
		c.tensors = a.tensors
	}
	found, err := findStateDict(c.root, opts.Key, b.lim)
	if err != nil {
		return err
	}
	c.path, c.module = found.path, found.module
	var entries []model.Entry
	for _, it := range found.items {
		name, _ := str(it.key)
		t := asTensor(it.value)
		c.entries = append(c.entries, entry{name, t})
		entries = append(entries, model.Entry{Name: name, Tensor: t.Tensor})
	}
	c.original, err = model.NewStateDict(entries...)
	c.current = c.original
	return err
}

// isVersion reports whether a text is a version as PyTorch writes and reads it.
func isVersion(s string) bool { return len(s) <= 2 && wholeDigits(s) && s[0] >= '1' }

// readSettings reads the records that say how the others are to be read, and
// reports whether elements are big-endian.
func (c *Checkpoint) readSettings() (big bool, err error) {
	c.settings = map[string]string{}
	alignments := []string{"64", "128", "256", "512", "1024", "2048", "4096", "8192", "16384"}
	for _, s := range []struct {
		name    string
		allowed []string // nil for any
	}{
		{orderRecord, []string{"little", "big"}}, {formatRecord, nil}, {alignmentRecord, alignments},
		{versionRecord, nil}, {newVersion, nil}, {idRecord, nil},
	} {
		m := c.a.find(s.name)
		if m == nil {
			continue
		}
		if m.size > 64 {
			return false, broken(m.name, -1, fmt.Sprintf("it has %d bytes, and is to hold one word of at most 64", m.size))
		}
		content, err := c.a.read(m)
		if err != nil {
			return false, err
		}
		if s.allowed != nil && !slices.Contains(s.allowed, content) {
			return false, broken(m.name, 0, fmt.Sprintf("it says %q, it must be one of %q", content, s.allowed))
		}
		if number := strings.TrimSuffix(content, "\n"); (s.name == versionRecord || s.name == newVersion) && !isVersion(number) {
			return false, broken(m.name, 0, fmt.Sprintf("%q is not a version, which is a number", content))
		}
		c.settings[s.name] = content
	}
	c.alignment = defaultAlignment
	if text, ok := c.settings[alignmentRecord]; ok {
		if c.alignment, err = strconv.ParseInt(text, 10, 64); err != nil {
			return false, err
		}
	}
	_, old := c.settings[versionRecord]
	if _, ok := c.settings[newVersion]; !ok && !old {
		return false, broken("", -1, fmt.Sprintf("the archive has no member %s/version", c.a.root))
	}
	return c.settings[orderRecord] == "big", nil
}

// noOthers refuses records that no value of the pickle refers to: they would be
// lost when the checkpoint is written.
func (c *Checkpoint) noOthers() error {
	known := map[*member]bool{c.a.find("data.pkl"): true}
	for name := range c.settings {
		known[c.a.find(name)] = true
	}
	for _, s := range c.storages {
		known[s.member] = true
	}
	for _, m := range c.a.members {
		if !known[m] {
			return &model.UnsupportedError{What: fmt.Sprintf("the archive has a record %q that nothing in the pickle refers to", m.name), Advice: resave}
		}
	}
	return nil
}

// children iterates over what is in a dictionary, a list or a tuple, by key or
// index.
func children(v any) iter.Seq2[any, any] {
	return func(yield func(key, value any) bool) {
		if items, ok := dictItems(v); ok {
			for _, it := range items {
				if !yield(it.key, it.value) {
					return
				}
			}
			return
		}
		elements, _ := sequence(v)
		for i, e := range elements {
			if !yield(i, e) {
				return
			}
		}
	}
}

// StateDict returns the state dict, with the names that the file has: a
// prefix such as "module." is part of them.
func (c *Checkpoint) StateDict() *model.StateDict { return c.current }

// Whole reports whether [Encode] writes all that was read: not of a folder of
// torch.distributed.checkpoint, nor as a checkpoint of a TorchScript or
// torch.export archive.
func (c *Checkpoint) Whole() bool {
	return c.container != scriptContainer && c.container != exportContainer && c.container != distributedContainer
}

// AsCheckpoint returns the weights of a TorchScript or torch.export archive as a
// checkpoint of torch.save, and any other checkpoint itself.
func (c *Checkpoint) AsCheckpoint() *Checkpoint {
	if c.Whole() {
		return c
	}
	plain := *c
	plain.source, plain.container, plain.left = nil, zipContainer, nil
	return &plain
}

// Beside returns what the checkpoint holds beside the state dict: the other keys
// of the dictionaries and lists that lead to it, such as "optimizer", and what is
// in it beside its tensors.
func (c *Checkpoint) Beside() []file.Left {
	left := slices.Clone(c.left)
	seen := map[any]bool{}
	v := c.root
	for depth := 0; ; depth++ {
		var next any
		for key, value := range children(v) {
			name, named := keyText(key)
			switch {
			case depth < len(c.path) && named && name == c.path[depth]:
				next = value
			case depth == len(c.path) && named && asTensor(value) != nil:
			default:
				left = append(left, file.Left{Name: keyLabel(key), Tensors: tensorsIn(value, seen)})
			}
		}
		if depth == len(c.path) {
			return left
		}
		v = next
	}
}

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
	for _, t := range c.tensors {
		if !inside[t] {
			edits[t.storage] = append(edits[t.storage], edit{"", t, t.Tensor})
		}
	}
	with := *c
	with.current = sd
	with.patched = map[*storage][]byte{}
	for _, e := range c.entries { // not over the map, so that errors are the same each time
		s := e.storage
		if _, done := with.patched[s]; done || !slices.ContainsFunc(edits[s], edit.changed) {
			continue
		}
		b, err := patch(s, edits[s])
		if err != nil {
			return nil, err
		}
		with.patched[s] = b
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
		return nil, fmt.Errorf("read storage %s: %w", s.key, err)
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
