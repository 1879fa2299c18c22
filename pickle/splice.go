package pickle

import (
	"cmp"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"lethe/model"
)

// source is the file that a checkpoint was read from.
type source struct {
	r    io.ReaderAt
	size int64
	lim  Limits
}

// splice is a file with other bytes in some ranges, and the edits so far in
// the order of the file.
type splice struct {
	source
	edits []splicedBytes
}

// splicedBytes are the bytes from an offset of the file on.
type splicedBytes struct {
	at int64
	b  []byte
}

func (s splicedBytes) end() int64 { return s.at + int64(len(s.b)) }

// encodeInPlace writes the file that c was read from with the bytes of edited
// storages and the CRCs over them; all other bytes are the file's, also those of
// .data/serialization_id, which names the program that was saved.
func (c *Checkpoint) encodeInPlace(w io.Writer) error {
	s := splice{source: *c.source}
	for _, st := range c.storages {
		b, edited := c.patched[st]
		if !edited {
			continue
		}
		at, ok := s.place(st.data)
		if !ok {
			return &model.UnsupportedError{What: fmt.Sprintf("storage %s does not lie in the archive as its tensors show it (big-endian, or of two types)", st.key),
				Advice: "write the weights as a checkpoint or as safetensors with ptconvert"}
		}
		s.edits = append(s.edits, splicedBytes{at, b})
	}
	slices.SortFunc(s.edits, func(a, b splicedBytes) int { return cmp.Compare(a.at, b.at) })
	for i := range s.edits[min(1, len(s.edits)):] {
		if s.edits[i].end() > s.edits[i+1].at {
			return broken("", s.edits[i+1].at, "two storages that change share bytes of the archive")
		}
	}
	if err := s.fixArchive(span{0, s.size}); err != nil {
		return err
	}
	return s.write(w, span{0, s.size})
}

// span is a range of bytes of the file.
type span struct{ start, end int64 }

// place returns where in the file the bytes of a storage are.
func (s *splice) place(data *model.Storage) (at int64, ok bool) {
	var r io.ReaderAt = data.Reader()
	for r != s.r {
		switch inner := r.(type) {
		case *io.SectionReader:
			var offset int64
			r, offset, _ = inner.Outer()
			at += offset
		case *storage:
			if inner.unit > 1 { // its elements are swapped
				return 0, false
			}
			r = inner.raw
		default:
			return 0, false
		}
	}
	return at, true
}

// fixArchive puts the CRCs of those members of an archive right in which there
// are edits, after those of the archives in them.
func (s *splice) fixArchive(where span) error {
	a, err := readArchive(io.NewSectionReader(s.r, where.start, where.end-where.start), where.end-where.start, s.lim)
	if err != nil || a.noCRC && a.kind != oldExport {
		return err
	}
	for _, m := range a.members {
		data := span{where.start + m.data, where.start + m.data + m.packed}
		within := s.within(data)
		if len(within) == 0 {
			continue
		}
		if m.method != 0 {
			return &model.UnsupportedError{What: fmt.Sprintf("member %q is compressed, and its weights changed", m.name), Advice: resave}
		}
		if first := within[0]; first.at != data.start || first.end() != data.end {
			if err := s.fixArchive(data); err != nil {
				return fmt.Errorf("member %s: %w", m.name, err)
			}
		}
		if a.noCRC {
			continue
		}
		if err := s.fixMember(m, where.start, data); err != nil {
			return err
		}
	}
	return nil
}

// fixMember puts the CRC of a member right wherever the archive has it.
func (s *splice) fixMember(m *member, base int64, data span) error {
	h := crc32.NewIEEE()
	if err := s.write(h, data); err != nil {
		return err
	}
	crc := le.AppendUint32(nil, h.Sum32())
	places := []int64{base + m.entry + 16}
	if m.flags&flagDescriptor != 0 {
		places = append(places, data.end+4)
	}
	local := base + m.header + 14
	old := make([]byte, 4)
	if _, err := readFull(s.r, old, local); err != nil {
		return err
	}
	if le.Uint32(old) != 0 || m.flags&flagDescriptor == 0 {
		places = append(places, local)
	}
	for _, at := range places {
		s.edits = append(s.edits, splicedBytes{at, crc})
	}
	slices.SortFunc(s.edits, func(a, b splicedBytes) int { return cmp.Compare(a.at, b.at) })
	return nil
}

// within returns the edits in a range.
func (s *splice) within(in span) []splicedBytes {
	from, _ := slices.BinarySearchFunc(s.edits, in.start, func(e splicedBytes, at int64) int { return cmp.Compare(e.at, at) })
	to, _ := slices.BinarySearchFunc(s.edits, in.end, func(e splicedBytes, at int64) int { return cmp.Compare(e.at, at) })
	return slices.Clone(s.edits[from:to])
}

// write copies a range of the file with its edits.
func (s *splice) write(w io.Writer, in span) error {
	block := make([]byte, min(maxBlock, in.end-in.start))
	at := in.start
	keep := func(end int64) error {
		n, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{io.NewSectionReader(s.r, at, end-at)}, block)
		if err == nil && n != end-at {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	for _, e := range s.within(in) {
		if err := keep(e.at); err != nil {
			return err
		}
		if _, err := w.Write(e.b); err != nil {
			return err
		}
		at = e.end()
	}
	return keep(in.end)
}
