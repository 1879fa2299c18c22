package scan

import (
	"bufio"
	"bytes"
	"compress/flate"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strings"
)

// member is one entry of the directory of a zip archive.
type member struct {
	name           string
	flags, method  uint16
	crc            uint32
	packed, size   int64
	header, data   int64 // offsets of the local header and of the data
	external       uint32
	seen           bool // it was scanned
	localDescribed bool // the local header leaves the sizes to the descriptor
}

// extra reads the extra fields of a member's entry in the directory.
func (m *member) extra(w *walk, p part, b []byte) {
	odd := func(why string) {
		w.find(Finding{Level: Danger, Kind: KindReadings, What: "extra field", Why: why, Member: p.inside(m.name)})
	}
	for len(b) >= 4 {
		id, n := le.Uint16(b), int(le.Uint16(b[2:]))
		if n > len(b)-4 {
			return // padding; a zip64 field that is missing shows in the sizes
		}
		field := b[4 : 4+n]
		b = b[4+n:]
		switch id {
		case 1:
			for _, v := range []*int64{&m.size, &m.packed, &m.header} {
				if *v == math.MaxUint32 && len(field) >= 8 {
					*v, field = int64(le.Uint64(field)), field[8:]
				}
			}
			if len(field) > 4 || m.size < 0 || m.packed < 0 || m.header < 0 {
				odd("the zip64 sizes of the member are not those of its entry: zip readers see different contents")
				m.size, m.packed, m.header = max(m.size, 0), max(m.packed, 0), max(m.header, 0)
			}
		case 0x7075:
			if n < 5 || string(field[5:]) != m.name {
				odd("gives the member a second name: zip readers see different names")
			}
		}
	}
}

// local compares the local header of a member with its entry in the directory.
func (w *walk) local(p part, m *member) {
	odd := func(level Level, why string) {
		w.find(Finding{Level: level, Kind: KindReadings, What: m.name, Why: why, Member: p.inside(m.name), Offset: m.header})
	}
	var h [30]byte
	if m.header > p.size-30 || !w.read(p, h[:], m.header) || le.Uint32(h[:]) != 0x04034b50 {
		w.gap(part{member: p.inside(m.name)}, m.header, "the member has no header where the directory says")
		return
	}
	nameLen := int64(le.Uint16(h[26:]))
	data := m.header + 30 + nameLen + int64(le.Uint16(h[28:]))
	if data > p.size || m.packed > p.size-data {
		w.gap(part{member: p.inside(m.name)}, m.header, "the member is longer than the file")
		return
	}
	m.data = data
	name := make([]byte, data-m.header-30)
	if !w.read(p, name, m.header+30) {
		return
	}
	name, extra := name[:nameLen], name[nameLen:]
	if string(name) != m.name {
		odd(Danger, fmt.Sprintf("its header calls the member %q: zip readers see different names", clip(string(name))))
	}
	flags, method := le.Uint16(h[6:]), le.Uint16(h[8:])
	if method != m.method || (flags^m.flags)&1 != 0 {
		odd(Danger, "its header and the directory name different methods: zip readers see different contents")
	}
	m.localDescribed = flags&8 != 0
	packed, size := le.Uint32(h[18:]), le.Uint32(h[22:])
	packed64, size64, ok := localSizes(extra, packed, size)
	deferred := flags&8 != 0 && packed64 == 0 && (size64 == 0 || size64 == m.size)
	if !deferred && (!ok || packed64 != m.packed || size64 != m.size) {
		odd(Danger, "its header and the directory say different sizes: zip readers see different contents")
	}
}

// localSizes returns the sizes of a local header, which may be in its zip64
// field.
func localSizes(extra []byte, packed, size uint32) (packed64, size64 int64, ok bool) {
	packed64, size64 = int64(packed), int64(size)
	if packed != math.MaxUint32 && size != math.MaxUint32 {
		return packed64, size64, true
	}
	for len(extra) >= 4 {
		id, n := le.Uint16(extra), int(le.Uint16(extra[2:]))
		if n > len(extra)-4 {
			break
		}
		field := extra[4 : 4+n]
		extra = extra[4+n:]
		if id != 1 {
			continue
		}
		for _, v := range []*int64{&size64, &packed64} {
			if *v == math.MaxUint32 && len(field) >= 8 {
				*v, field = int64(le.Uint64(field)), field[8:]
			}
		}
		return packed64, size64, true
	}
	return packed64, size64, false
}

// descriptor returns the length of the descriptor after the data of a member,
// which may be missing although it was promised; next is what follows.
func (w *walk) descriptor(p part, m *member, next int64) int64 {
	after := m.data + m.packed
	room := next - after
	if !m.localDescribed && m.flags&8 == 0 || room < 12 || room > 24 {
		return 0
	}
	var b [24]byte
	if !w.read(p, b[:room], after) {
		return 0
	}
	d := b[:room]
	if room == 16 || room == 24 {
		if le.Uint32(d) != 0x08074b50 {
			return 0
		}
		d = d[4:]
	}
	packed := uint64(le.Uint32(d[4:]))
	if len(d) == 20 {
		packed = le.Uint64(d[4:])
	}
	if packed != uint64(m.packed) {
		return 0
	}
	return room
}

// open returns the contents of a member as a part of its own, and checks their
// checksum; ok is false if they could not be read.
func (w *walk) open(p part, m *member, unchecked bool) (part, bool) {
	inner := part{member: p.inside(m.name), depth: p.depth + 1}
	if m.data == 0 {
		return inner, false
	}
	packed := p.section(m.data, m.packed)
	packed.member = inner.member
	switch {
	case m.flags&1 != 0:
		w.gap(inner, 0, "the member is encrypted")
		return inner, false
	case m.method == 0:
		if m.packed != m.size {
			w.find(Finding{Level: Danger, Kind: KindReadings, What: m.name, Why: "is stored, and has two sizes", Member: inner.member})
		}
		inner.src, inner.size = packed.src, packed.size
		return inner, w.checksum(inner, m, unchecked)
	case m.method == 8:
		rest := bufio.NewReader(io.NewSectionReader(packed.src, 0, packed.size))
		b, whole := w.inflate(packed, flate.NewReader(rest), m.size)
		if !whole {
			return inner, false
		}
		w.behind(packed, rest)
		if int64(len(b)) != m.size {
			w.find(Finding{Level: Danger, Kind: KindReadings, What: m.name, Why: fmt.Sprintf("unpacks to %d bytes and is said to have %d", len(b), m.size), Member: inner.member})
		}
		inner.src, inner.size = bytes.NewReader(b), int64(len(b))
		return inner, w.checksum(inner, m, unchecked)
	}
	w.gap(inner, 0, "the member is packed by method %d, which is not read", m.method)
	return inner, false
}

// behind says that bytes follow the end of what was unpacked.
func (w *walk) behind(p part, rest *bufio.Reader) {
	if n, _ := io.Copy(io.Discard, rest); n > 0 {
		w.trailing(p, p.size-n)
	}
}

// inflate unpacks what r gives, within bounds.
func (w *walk) inflate(p part, r io.Reader, want int64) ([]byte, bool) {
	var b bytes.Buffer
	limit := min(inflateMax, max(w.budget, 0))
	if want >= 0 {
		b.Grow(int(min(want, limit, 1<<20)))
	}
	n, err := io.Copy(&b, io.LimitReader(r, limit+1))
	w.spend(n)
	switch {
	case n > limit:
		w.gap(p, 0, "unpacks to more than the %d bytes that are unpacked at once", limit)
		return nil, false
	case err != nil:
		w.gap(p, 0, "cannot be unpacked to its end: %v", err)
		return nil, false
	}
	return b.Bytes(), true
}

// checksum compares the checksum of a member.
func (w *walk) checksum(p part, m *member, unchecked bool) bool {
	if unchecked || m.crc == 0 && m.size == 0 {
		return true
	}
	h := crc32.NewIEEE()
	if _, err := io.Copy(h, io.NewSectionReader(p.src, 0, p.size)); err != nil {
		w.fail(p, 0, err)
		return false
	}
	if h.Sum32() != m.crc {
		w.find(Finding{Level: Unknown, Kind: KindMember, What: m.name, Why: "has another checksum than the archive records, which some loaders refuse and others ignore", Member: p.member})
	}
	return true
}

// root returns the folder that all members are in, with its slash, "" for none.
func root(members []*member) string {
	if len(members) == 0 {
		return ""
	}
	folder, _, ok := strings.Cut(members[0].name, "/")
	if !ok {
		return ""
	}
	for _, m := range members {
		if !strings.HasPrefix(m.name, folder+"/") {
			return ""
		}
	}
	return folder + "/"
}
