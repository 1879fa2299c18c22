package pickle

import (
	"bufio"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strings"
)

// zipWriter writes an archive as torch does (miniz with the padding of
// caffe2/serialize/inline_container.cc): every byte is determined by the names
// and contents of the members.
type zipWriter struct {
	w       *bufio.Writer
	block   []byte // for copying
	at      int64  // bytes written
	root    string // the folder of all members; empty for none
	align   int64  // data of members starts at a multiple of it
	noCRC   bool
	members []member
	names   []string // of the members, without the folder
	crcs    uint64   // hash of the CRCs after the data of members
}

// maxBlock is how much of a member is copied at once: file systems take large
// blocks in half the time of small ones.
const maxBlock = 1 << 20

func newZipWriter(w io.Writer, root string, align int64, noCRC bool) *zipWriter {
	return &zipWriter{w: bufio.NewWriterSize(w, 1<<16), root: root, align: align, noCRC: noCRC}
}

// serializationID returns the record .data/serialization_id for the members
// written so far.
func (z *zipWriter) serializationID() string {
	return fmt.Sprintf("%020d%020d", hashNames(z.names), z.crcs)
}

// noteCRC is given the start of everything that torch writes at once. What
// looks like a data descriptor counts as one, also at the start of a tensor.
func (z *zipWriter) noteCRC(b []byte) {
	if len(b) >= 8 && le.Uint32(b) == descriptorSig {
		z.crcs = combine(z.crcs, uint64(le.Uint32(b[4:])))
	}
}

func (z *zipWriter) write(b []byte) error {
	n, err := z.w.Write(b)
	z.at += int64(n)
	return err
}

// add writes one member and returns the CRC of its data.
func (z *zipWriter) add(name string, size int64, data io.Reader) (crc uint32, err error) {
	z.names = append(z.names, name)
	if z.root != "" {
		name = z.root + "/" + name
	}
	m := member{name: name, size: size, header: z.at, flags: flagUTF8}
	if size > 0 {
		m.flags |= flagDescriptor
	}
	extra := m.zip64(0)
	pad := z.align - 1 - (z.at+int64(localLen+len(name)+len(extra)+4)+z.align-1)%z.align
	extra = append(extra, 'F', 'B')
	extra = le.AppendUint16(extra, uint16(pad))
	extra = append(extra, strings.Repeat("Z", int(pad))...)

	head := le.AppendUint32(nil, localSig)
	head = le.AppendUint16(head, 0) // version needed
	head = le.AppendUint16(head, m.flags)
	head = append(head, make([]byte, 18)...) // method, time, date, CRC and sizes
	head = le.AppendUint16(head, uint16(len(name)))
	head = le.AppendUint16(head, uint16(len(extra)))
	head = append(append(head, name...), extra...)
	if err := z.write(head); err != nil {
		return 0, err
	}
	if need := min(size, maxBlock); need > int64(len(z.block)) {
		z.block = make([]byte, need)
	}
	for rest := size; rest > 0; {
		b := z.block[:min(rest, maxBlock)]
		if _, err := io.ReadFull(data, b); err != nil {
			return 0, fmt.Errorf("write member %s: %w", name, err)
		}
		if rest == size {
			z.noteCRC(b)
		}
		if err := z.write(b); err != nil {
			return 0, fmt.Errorf("write member %s: %w", name, err)
		}
		crc = crc32.Update(crc, crc32.IEEETable, b)
		rest -= int64(len(b))
	}
	if !z.noCRC {
		m.crc = crc
	}
	z.members = append(z.members, m)
	if size == 0 {
		return crc, nil
	}
	d := le.AppendUint32(le.AppendUint32(nil, descriptorSig), m.crc)
	if m.zip64(0) != nil {
		d = le.AppendUint64(le.AppendUint64(d, uint64(size)), uint64(size))
	} else {
		d = le.AppendUint32(le.AppendUint32(d, uint32(size)), uint32(size))
	}
	z.noteCRC(d)
	return crc, z.write(d)
}

// zip64 returns the extra field with what does not fit the header's 32 bits,
// or nil. The local header is written before the compressed size is known and
// says 0.
func (m *member) zip64(packed int64) []byte {
	var body []byte
	if m.size >= math.MaxUint32 {
		body = le.AppendUint64(le.AppendUint64(body, uint64(m.size)), uint64(packed))
	}
	if m.header >= math.MaxUint32 {
		body = le.AppendUint64(body, uint64(m.header))
	}
	if body == nil {
		return nil
	}
	return append(le.AppendUint16(le.AppendUint16(nil, zip64Extra), uint16(len(body))), body...)
}

// close writes the central directory and the end records. The zip64 one is
// always there, and the values of the ordinary one are the real ones as far as
// they fit.
func (z *zipWriter) close() error {
	dir := z.at
	for i := range z.members {
		m := &z.members[i]
		extra := m.zip64(m.size)
		e := le.AppendUint32(nil, centralSig)
		e = le.AppendUint32(e, 0) // made by, version needed
		e = le.AppendUint16(e, m.flags)
		e = append(e, make([]byte, 6)...) // method, time and date
		e = le.AppendUint32(e, m.crc)
		e = le.AppendUint32(e, clamp(m.size))
		e = le.AppendUint32(e, clamp(m.size))
		e = le.AppendUint16(e, uint16(len(m.name)))
		e = le.AppendUint16(e, uint16(len(extra)))
		e = append(e, make([]byte, 10)...) // comment, volume and attributes
		e = le.AppendUint32(e, clamp(m.header))
		if err := z.write(append(append(e, m.name...), extra...)); err != nil {
			return err
		}
	}
	end64, n := z.at, int64(len(z.members))
	b := le.AppendUint32(nil, end64Sig)
	b = le.AppendUint64(b, end64Len-12)
	b = le.AppendUint16(b, 0x031e) // made by: Unix, version 3.0
	b = le.AppendUint16(b, 45)     // version needed: zip64
	b = le.AppendUint64(b, 0)      // volumes
	for _, v := range []int64{n, n, end64 - dir, dir} {
		b = le.AppendUint64(b, uint64(v))
	}
	b = le.AppendUint32(b, locatorSig)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, uint64(end64))
	b = le.AppendUint32(b, 1) // number of volumes
	b = le.AppendUint32(b, endSig)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint16(b, uint16(min(n, math.MaxUint16)))
	b = le.AppendUint16(b, uint16(min(n, math.MaxUint16)))
	b = le.AppendUint32(b, clamp(end64-dir))
	b = le.AppendUint32(b, clamp(dir))
	b = le.AppendUint16(b, 0)
	if err := z.write(b); err != nil {
		return err
	}
	return z.w.Flush()
}

func clamp(v int64) uint32 { return uint32(min(v, math.MaxUint32)) }
