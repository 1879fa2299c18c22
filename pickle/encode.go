package pickle

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"lethe/model"
)

// Profile is a layout of the archive: which records torch.save writes beside
// the pickle and the storages, and in which order.
type Profile string

// The profiles, named by the first version of PyTorch that has them.
const (
	ProfileInput Profile = ""    // that of the file that was read; for others, Profile21
	Profile16    Profile = "1.6" // 1.6 to 2.0
	Profile21    Profile = "2.1" // 2.1 to 2.6
	Profile27    Profile = "2.7" // 2.7 and later
)

// EncodeOptions say how to write a checkpoint. The zero value keeps what the
// file that was read had.
type EncodeOptions struct {
	Profile Profile

	// Root is the folder that all records are in; default: that of the file
	// that was read, or "archive". torch.save takes the name of its file without
	// the last extension.
	Root string
}

// The records beside data.pkl and the storages.
const (
	formatRecord    = ".format_version" // torch >= 2.7
	alignmentRecord = ".storage_alignment"
	orderRecord     = "byteorder" // torch >= 2.1
	versionRecord   = "version"
	newVersion      = ".data/version" // of archives that torch cannot write yet
	idRecord        = ".data/serialization_id"
)

// profiles has the contents of these records; that of idRecord is computed.
var profiles = map[Profile]map[string]string{
	Profile16: {versionRecord: "3\n"},
	Profile21: {versionRecord: "3\n", orderRecord: "little", idRecord: ""},
	Profile27: {versionRecord: "3\n", orderRecord: "little", idRecord: "", formatRecord: "1", alignmentRecord: "64"},
}

// ParseProfile returns the profile of that name.
func ParseProfile(name string) (Profile, error) {
	if p := Profile(name); profiles[p] != nil {
		return p, nil
	}
	return "", fmt.Errorf("no profile %q; there are %s, %s and %s", name, Profile16, Profile21, Profile27)
}

// Encode writes a checkpoint as torch.save writes the object in it: the same
// bytes as torch on Linux with the C pickler of CPython, the hash of names and
// contents in .data/serialization_id included. Tensor data that no edit changed
// is copied as a stream; it is a [model.FormatError] if it is no longer what
// [Decode] saw.
//
// A TorchScript or torch.export archive keeps its kind: it is written with the
// bytes of edited weights and the CRCs over them in the place of the old ones,
// and everything else as it was. It takes no options. [New] makes a checkpoint
// of its state dict.
func Encode(w io.Writer, c *Checkpoint, opts EncodeOptions) error {
	if c.source != nil {
		if opts != (EncodeOptions{}) {
			return &model.UnsupportedError{What: "a program is written in the layout that it has", Advice: "leave out the profile and the root"}
		}
		return c.encodeInPlace(w)
	}
	replaced := map[any]any{}
	for s, b := range c.patched {
		if s.content == nil {
			continue
		}
		if s.unit > 1 {
			b = slices.Clone(b)
			swap(b, s.unit)
		}
		replaced[s.content] = replacement(s.content, b)
	}
	code, err := encodePickle(c.root, replaced)
	if err != nil {
		return err
	}
	settings, alignment, noCRC := c.settings, c.alignment, c.noCRC
	if opts.Profile != ProfileInput {
		settings, alignment, noCRC = profiles[opts.Profile], defaultAlignment, false
	}
	root := opts.Root
	if root == "" {
		root = c.folder
	}
	if !utf8.ValidString(root) || strings.ContainsAny(root, "/\\\x00") || root == "." || root == ".." || len(root) > nameMax/2 {
		return &model.UnsupportedError{What: fmt.Sprintf("%.100q cannot be the folder in an archive", root), Advice: "give another name"}
	}
	z := newZipWriter(w, root, alignment, noCRC)
	record := func(name, content string) error {
		_, err := z.add(name, int64(len(content)), strings.NewReader(content))
		return err
	}
	setting := func(name string) error {
		if content, ok := settings[name]; ok {
			return record(name, content)
		}
		return nil
	}
	if err := record("data.pkl", string(code)); err != nil {
		return err
	}
	for _, name := range []string{formatRecord, alignmentRecord, orderRecord} {
		if err := setting(name); err != nil {
			return err
		}
	}
	order := slices.Clone(c.storages)
	if _, byUse := settings[formatRecord]; !byUse {
		slices.SortFunc(order, func(a, b *storage) int { return strings.Compare(a.key, b.key) })
	}
	for _, s := range order {
		if err := c.writeStorage(z, s, settings[orderRecord] == "big"); err != nil {
			return err
		}
	}
	for _, name := range []string{versionRecord, newVersion} {
		if err := setting(name); err != nil {
			return err
		}
	}
	if old, ok := settings[idRecord]; ok {
		id := z.serializationID()
		// The names of an input by another standard library hash otherwise.
		if opts.Profile == ProfileInput && len(old) == len(id) {
			id = old[:20] + id[20:]
		}
		if err := record(idRecord, id); err != nil {
			return err
		}
	}
	return z.close()
}

// writeStorage copies the elements of a storage in a byte order.
func (c *Checkpoint) writeStorage(z *zipWriter, s *storage, big bool) error {
	name := "data/" + s.key
	b, edited := c.patched[s]
	if edited || big != (s.unit > 1) && swapUnit(s.class.dtype) > 1 {
		data := s.data.Reader()
		if edited {
			data = model.BytesStorage(b).Reader()
		}
		if big {
			data = io.NewSectionReader(&swapped{data, s.size, swapUnit(s.class.dtype)}, 0, s.size)
		}
		_, err := z.add(name, s.size, data)
		return err
	}
	crc, err := z.add(name, s.size, io.NewSectionReader(s.raw, 0, s.size))
	if err == nil && s.member != nil {
		err = c.a.compareCRC(s.member, crc)
	}
	return err
}

// replacement returns the bytes of a numpy array in place of those that the
// pickle has: a call that makes bytes, or a string of Python 2.
func replacement(old any, b []byte) any {
	if o, ok := old.(*object); ok && o.args.Len() == 2 {
		return &object{class: o.class, args: newTuple(latin1Text(b), o.argument(1))}
	}
	return latin1Text(b)
}
