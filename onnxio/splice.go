package onnxio

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"lethe/model"
)

// With returns the file with the values of sd in place of its own. The names,
// their order, shapes and dtypes must be those of f, or it is a
// [model.FormatError].
func (f *File) With(sd *model.StateDict) (*File, error) {
	bad := func(format string, args ...any) error {
		return &model.FormatError{Format: "state dict", Offset: -1, Reason: fmt.Sprintf(format, args...)}
	}
	if got, want := sd.Names(), f.state.Names(); !slices.Equal(got, want) {
		return nil, bad("%d names are not the %d of the file in their order", len(got), len(want))
	}
	for name, old := range f.state.All() {
		if t := sd.Get(name); t.DType() != old.DType() || !slices.Equal(t.Shape(), old.Shape()) {
			return nil, bad("%q is %v %v, in the file %v %v", name, t.DType(), t.Shape(), old.DType(), old.Shape())
		}
	}
	c := *f
	c.state = sd
	return &c, nil
}

// Relocate returns the file with other names for the files outside, by their
// locations in f. It is a [model.FormatError] if one leaves the model's folder.
func (f *File) Relocate(names map[string]string) (*File, error) {
	taken := map[string]bool{}
	for _, e := range f.outside {
		to := cmp.Or(names[e.Location], e.Location)
		if err := checkLocation(to, "external data"); err != nil {
			return nil, err
		}
		if taken[to] {
			return nil, broken("external data", "two files would be %q", to)
		}
		taken[to] = true
	}
	c := *f
	c.names = maps.Clone(names)
	return &c, nil
}

// External returns the files outside that the model needs, in order of first
// use, under the locations of the file that f was read from.
func (f *File) External() []*ExternalFile { return slices.Clone(f.outside) }

// changed iterates over the weights whose tensors are not those of the file.
func (f *File) changed(yield func(*tensorProto, *model.Tensor) bool) {
	for _, t := range f.weights {
		if to := f.state.Get(t.name); to != t.tensor && !yield(t, to) {
			return
		}
	}
}

// edit puts other bytes in the place of a range. around are the messages that
// the range lies in, from the outermost; nil if the size stays the same.
type edit struct {
	span
	around []level
	size   int64
	write  func(io.Writer) error
}

func replace(s span, around []level, with []byte) edit {
	return edit{s, around, int64(len(with)), func(w io.Writer) error {
		_, err := w.Write(with)
		return err
	}}
}

// Encode writes the model with its weights and its locations of external data.
// All other bytes are those of the file that it was read from, except the
// lengths of messages in which something changed its size, and checksums of
// external data. Typed data stays typed data.
func (f *File) Encode(w io.Writer) error {
	edits, err := f.edits()
	if err != nil {
		return err
	}
	return splice(w, f.r, f.size, append(edits, lengths(edits)...))
}

func (f *File) edits() ([]edit, error) {
	var edits []edit
	for t, to := range f.changed {
		if t.place != nil || t.n == 0 {
			continue
		}
		if at, ok := t.flatBytes(); ok {
			edits = append(edits, edit{at, nil, at.len(), func(w io.Writer) error { return t.t.copyTo(w, to) }})
			continue
		}
		more, err := f.relist(t, to)
		if err != nil {
			return nil, err
		}
		edits = append(edits, more...)
	}
	sums := map[string]string{}
	for _, t := range f.located {
		for _, e := range t.entries {
			value := e.value
			switch {
			case e.key == "location":
				value = cmp.Or(f.names[e.value], e.value)
			case e.key == "checksum" && f.touched(t.place.file):
				sum, err := f.checksum(t.place.file, sums)
				if err != nil {
					return nil, err
				}
				value = sum
			}
			if value != e.value && e.path != nil {
				around := slices.Concat(t.path, e.path)
				edits = append(edits, replace(around[len(around)-1].value, around, []byte(value)))
			}
		}
	}
	return edits, nil
}

// flatBytes returns the range of elements that lie in the model as in raw_data.
func (t *tensorProto) flatBytes() (span, bool) {
	if len(t.raws) == 1 {
		return t.raws[0], true
	}
	return t.flat()
}

// copyTo writes the elements of a tensor as raw_data holds them.
func (e *elementType) copyTo(w io.Writer, t *model.Tensor) error {
	r, err := e.rawReader(t)
	if err != nil {
		return err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, copyBlock))
	if want := e.rawBytes(t.Len()); err == nil && n != want {
		err = fmt.Errorf("a tensor of %d bytes has %d: %w", want, n, io.ErrUnexpectedEOF)
	}
	return err
}

// copyBlock is how much is copied at once: file systems take large blocks in
// half the time of small ones.
const copyBlock = 1 << 20

// relist returns the edits of those numbers of typed data that differ.
func (f *File) relist(t *tensorProto, to *model.Tensor) ([]edit, error) {
	r, err := t.t.rawReader(to)
	if t.t.bits == 6 {
		r, err = to.Reader()
	}
	if err != nil {
		return nil, err
	}
	message := t.path[len(t.path)-1].value
	_, width := t.t.listed(t.n)
	in := bufio.NewReader(r)
	pass := numbers{w: &wire{r: f.r, size: f.size}, number: t.t.list, wire: listWires[t.t.list], at: message.start, end: message.end}
	run := run{f: f, t: t}
	for {
		old, ok, err := pass.next()
		if err != nil || !ok {
			return run.edits(), err
		}
		var element [8]byte
		if _, err := io.ReadFull(in, element[:width]); err != nil {
			return nil, fmt.Errorf("write %q: %w", t.name, err)
		}
		bits := binary.LittleEndian.Uint64(element[:])
		if mask := ^uint64(0) >> (64 - 8*width); old.bits&mask == bits {
			continue
		}
		if err := run.add(old, t.t.number(bits, width)); err != nil {
			return nil, err
		}
	}
}

// run gathers numbers that change and lie close to each other into one edit.
type run struct {
	f     *File
	t     *tensorProto
	done  []edit
	chunk int  // the packed list that is being read, or the next one
	loose bool // the numbers are not packed
	span
	bytes []byte
}

// maxGap is how many bytes that do not change are taken into an edit.
const maxGap = 64

func (r *run) add(old numberAt, with []byte) error {
	chunk := r.chunk
	for chunk < len(r.t.packed) && r.t.packed[chunk].value.end <= old.value.start {
		chunk++
	}
	if chunk != r.chunk || r.loose == old.packed || old.value.start-r.end > maxGap {
		r.flush()
	}
	r.chunk, r.loose = chunk, !old.packed
	if r.bytes == nil {
		r.start = old.value.start
	} else {
		gap := make([]byte, old.value.start-r.end)
		if _, err := r.f.r.ReadAt(gap, r.end); err != nil && err != io.EOF {
			return fmt.Errorf("read onnx: %w", err)
		}
		r.bytes = append(r.bytes, gap...)
	}
	r.bytes, r.end = append(r.bytes, with...), old.value.end
	return nil
}

func (r *run) flush() {
	if r.bytes == nil {
		return
	}
	around := r.t.path
	if !r.loose {
		around = slices.Concat(around, r.t.packed[r.chunk:r.chunk+1])
	}
	r.done = append(r.done, replace(r.span, around, r.bytes))
	r.bytes = nil
}

func (r *run) edits() []edit {
	r.flush()
	return r.done
}

// number returns a number of typed data as it is on the wire.
func (e *elementType) number(bits uint64, width int) []byte {
	switch listWires[e.list] {
	case wireFixed4:
		return binary.LittleEndian.AppendUint32(nil, uint32(bits))
	case wireFixed8:
		return binary.LittleEndian.AppendUint64(nil, bits)
	}
	if e.signed && e.bits >= 8 {
		shift := 64 - 8*width
		bits = uint64(int64(bits<<shift) >> shift)
	}
	return binary.AppendUvarint(nil, bits)
}

// lengths returns the edits of the lengths of messages in which edits change
// sizes.
func lengths(edits []edit) []edit {
	type change struct {
		level
		depth  int
		around []level
		delta  int64
	}
	changes := map[span]*change{} // by the place of the length
	note := func(around []level, delta int64) {
		if len(around) <= 1 || delta == 0 { // the outermost is the model, which has no length
			return
		}
		last := around[len(around)-1]
		c := changes[last.length]
		if c == nil {
			c = &change{last, len(around), around[:len(around)-1], 0}
			changes[last.length] = c
		}
		c.delta += delta
	}
	deepest := 0
	for _, e := range edits {
		note(e.around, e.size-e.len())
		deepest = max(deepest, len(e.around))
	}
	var out []edit
	for depth := deepest; depth > 1; depth-- {
		for at, c := range changes {
			if c.depth != depth || c.delta == 0 {
				continue
			}
			length := binary.AppendUvarint(nil, uint64(c.value.len()+c.delta))
			out = append(out, replace(at, nil, length))
			note(c.around, c.delta+int64(len(length))-at.len())
		}
	}
	return out
}

// splice writes a file with edits.
func splice(w io.Writer, r io.ReaderAt, size int64, edits []edit) error {
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	block := make([]byte, copyBlock)
	at := int64(0)
	keep := func(end int64) error {
		n, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{io.NewSectionReader(r, at, end-at)}, block)
		if err == nil && n != end-at {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	for _, e := range edits {
		if e.start < at {
			return errors.New("two edits of an onnx file overlap")
		}
		if err := keep(e.start); err != nil {
			return err
		}
		if err := e.write(w); err != nil {
			return err
		}
		at = e.end
	}
	return keep(size)
}

// touched reports whether the bytes of a file outside change.
func (f *File) touched(e *ExternalFile) bool {
	for t := range f.changed {
		if t.place != nil && t.place.file == e {
			return true
		}
	}
	return false
}

// checksum returns the SHA-1 of a file outside as it will be written.
func (f *File) checksum(e *ExternalFile, known map[string]string) (string, error) {
	if sum, ok := known[e.Location]; ok {
		return sum, nil
	}
	h := sha1.New()
	if err := f.EncodeExternal(h, e); err != nil {
		return "", err
	}
	known[e.Location] = hex.EncodeToString(h.Sum(nil))
	return known[e.Location], nil
}

// EncodeExternal writes a file outside with the weights of f: all other bytes
// are those of the file. Tensors that share bytes must have the same values
// there, or it is a [model.UnsupportedError].
func (f *File) EncodeExternal(w io.Writer, e *ExternalFile) error {
	type piece struct {
		span
		t  *tensorProto
		to *model.Tensor // nil if the tensor does not change
	}
	var pieces []piece
	for _, t := range f.located {
		if t.place.file == e && t.place.at.len() > 0 {
			p := piece{span: t.place.at, t: t}
			if t.tensor != nil && f.state.Get(t.name) != t.tensor {
				p.to = f.state.Get(t.name)
			}
			pieces = append(pieces, p)
		}
	}
	slices.SortStableFunc(pieces, func(a, b piece) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end)) })
	var edits []edit
	var last piece // the one that reaches furthest
	for _, p := range pieces {
		if p.start < last.end && (p.to != nil || last.to != nil) {
			if same, err := f.agree(last.t, p.t); err != nil || !same || last.span != p.span {
				return errors.Join(err, &model.UnsupportedError{
					What:   fmt.Sprintf("%q and %q share bytes of %q and must have the same values", last.t.name, p.t.name, e.Location),
					Advice: "save the model with a copy for each"})
			}
			continue
		}
		if p.end > last.end {
			last = p
		}
		if p.to != nil {
			edits = append(edits, edit{p.span, nil, p.len(), func(w io.Writer) error { return p.t.t.copyTo(w, p.to) }})
		}
	}
	return splice(w, e.r, e.Size, edits)
}

// agree reports whether two tensors have the same values in the state dict.
func (f *File) agree(a, b *tensorProto) (bool, error) {
	x, y := f.state.Get(a.name), f.state.Get(b.name)
	if a.tensor == nil || b.tensor == nil || x == nil || y == nil {
		return false, nil
	}
	var p, q bytes.Buffer
	if err := errors.Join(a.t.copyTo(&p, x), b.t.copyTo(&q, y)); err != nil {
		return false, err
	}
	return bytes.Equal(p.Bytes(), q.Bytes()), nil
}

// ExternalName returns the location that external data gets beside an output:
// for in.onnx.data beside out.onnx that is out.onnx.data. An output of the same
// name keeps the location.
func ExternalName(location, input, output string) string {
	if input == output {
		return location
	}
	if rest, ok := strings.CutPrefix(location, input); ok {
		return output + rest
	}
	return output + "." + strings.ReplaceAll(location, "/", ".")
}
