package scan

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"strings"
)

var le = binary.LittleEndian

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

// ending is what the end records of a zip archive say.
type ending struct {
	at      int64 // of the end record
	first   int64 // of the first end record: zip64, or the same
	entries uint64
	dirSize int64
	dir     int64 // as the record says, from the start of the file
	comment int64
	short   [3]uint32 // the numbers of the end record itself
	say     func()    // reports what is odd about the end records
}

// tailMax is how far from its end zip readers look for the end record of a
// file: 64 KiB for the comment, and torch's reader up to a block more.
const tailMax = 72 << 10

// zipEnd finds the end record that zip readers find: the last one.
func (w *walk) zipEnd(p part) *ending {
	if p.size < 22 {
		return nil
	}
	tail := make([]byte, 22)
	if !w.read(p, tail, p.size-22) {
		return nil
	}
	if le.Uint32(tail) != 0x06054b50 || le.Uint16(tail[20:]) != 0 {
		tail = make([]byte, min(p.size, tailMax))
		if !w.read(p, tail, p.size-int64(len(tail))) {
			return nil
		}
	}
	i := bytes.LastIndex(tail[:len(tail)-18], []byte("PK\x05\x06"))
	if i < 0 {
		return nil
	}
	rec := tail[i:]
	at := p.size - int64(len(rec))
	e := &ending{at: at, first: at, entries: uint64(le.Uint16(rec[10:])), dirSize: int64(le.Uint32(rec[12:])), dir: int64(le.Uint32(rec[16:])),
		comment: int64(le.Uint16(rec[20:]))}
	e.short = [3]uint32{uint32(e.entries), uint32(e.dirSize), uint32(e.dir)}
	e.say = func() {
		if le.Uint32(rec[4:]) != 0 && le.Uint32(rec[4:]) != math.MaxUint32 || le.Uint16(rec[8:]) != le.Uint16(rec[10:]) {
			w.find(Finding{Level: Danger, Kind: KindReadings, What: "end record", Why: "the archive claims to be one of several volumes: zip readers see different members", Member: p.member, Offset: at})
		}
		if after := int64(len(rec)) - 22; after != e.comment {
			w.find(Finding{Level: Danger, Kind: KindBytes, What: fmt.Sprintf("%d bytes", after), Why: "follow the end of the zip archive, whose comment has another length", Member: p.member, Offset: at + 22})
		} else if after > 0 {
			w.find(Finding{Level: Notice, Kind: KindBytes, What: fmt.Sprintf("%d bytes", after), Why: "the comment of the zip archive", Member: p.member, Offset: at + 22})
		}
		w.zip64(p, e, true)
	}
	w.zip64(p, e, false)
	return e
}

// zip64 reads the end record of large archives, which stands before the other.
func (w *walk) zip64(p part, e *ending, say bool) {
	var locator [20]byte
	if e.at < 20 || !w.read(p, locator[:], e.at-20) || le.Uint32(locator[:]) != 0x07064b50 {
		return
	}
	odd := func(why string) {
		if !say {
			return
		}
		w.find(Finding{Level: Danger, Kind: KindReadings, What: "zip64 end record", Why: why + ": zip readers see different members", Member: p.member, Offset: e.at - 20})
	}
	var big [56]byte
	at := e.at - 20 - 56
	if at < 0 || !w.read(p, big[:], at) || le.Uint32(big[:]) != 0x06064b50 || le.Uint64(big[4:]) != 44 {
		odd("it is not where its locator is")
		return
	}
	if le.Uint64(locator[8:]) != uint64(at) {
		odd("its locator points to another place")
	}
	n, size, dir := le.Uint64(big[32:]), le.Uint64(big[40:]), le.Uint64(big[48:])
	if min(n, math.MaxUint16) != uint64(e.short[0]) || min(size, math.MaxUint32) != uint64(e.short[1]) || min(dir, math.MaxUint32) != uint64(e.short[2]) {
		odd("it says other numbers than the end record")
	}
	if le.Uint64(big[16:]) != 0 || le.Uint64(big[24:]) != n || le.Uint32(locator[4:]) != 0 || le.Uint32(locator[16:]) != 1 {
		odd("the archive claims to be one of several volumes")
	}
	if size > math.MaxInt64/2 || dir > math.MaxInt64/2 {
		odd("its numbers are larger than any file")
		return
	}
	e.first, e.entries, e.dirSize, e.dir = at, n, int64(size), int64(dir)
}

// zip scans a file as a zip archive.
func (w *walk) zip(p part, e *ending) string {
	if e == nil {
		w.gap(p, p.size, "the zip archive has no end record: the file is cut short")
		return "zip archive"
	}
	e.say()
	dirs := []int64{e.first - e.dirSize} // where Python looks
	if starts := w.chain(p, e); starts != nil {
		return w.chained(p, starts)
	}
	if e.dir != dirs[0] {
		w.find(Finding{Level: Danger, Kind: KindReadings, What: "directory", Member: p.member, Offset: e.at,
			Why: "the directory of the zip archive is not where the end record says, as if something stood before it: zip readers see different members"})
		dirs = append(dirs, e.dir)
	}
	kind := "zip archive"
	for _, dir := range dirs {
		base := int64(0)
		if dir == dirs[0] {
			base = dir - e.dir // Python adds what stands before the archive to every offset
		}
		members, ok := w.directory(p, e, dir, base)
		if !ok {
			continue
		}
		w.coverage(p, members, dir)
		kind = w.archive(p, members)
	}
	return kind
}

// chain returns where archives start that follow each other without gap, as
// torch.distributed.checkpoint writes them; nil if there is only one, or if a
// loader could find a directory elsewhere.
func (w *walk) chain(p part, e *ending) []int64 {
	var starts, elsewhere []int64
	for end := p.size; end > 0; {
		base := e.first - e.dirSize - e.dir
		var sig [4]byte
		if base < 0 || e.comment != 0 || !w.read(p, sig[:], base) || le.Uint32(sig[:]) != 0x04034b50 {
			return nil
		}
		if base > 0 && w.central(p, e.dir) {
			elsewhere = append(elsewhere, e.dir)
		}
		starts = append(starts, base)
		if end = base; end == 0 {
			break
		}
		before := p.section(0, end)
		var last [4]byte
		if end < 22 || !w.read(before, last[:], end-22) || le.Uint32(last[:]) != 0x06054b50 {
			return nil
		}
		if e = w.zipEnd(before); e == nil {
			return nil
		}
	}
	// A loader that does not look for the start of the archive may only find the
	// directory of the first one.
	if len(starts) < 2 || slices.ContainsFunc(elsewhere, func(dir int64) bool { return dir != e.dir }) {
		return nil
	}
	slices.Reverse(starts)
	return starts
}

// central reports whether an entry of a directory is at an offset.
func (w *walk) central(p part, at int64) bool {
	var sig [4]byte
	return w.read(p, sig[:], at) && le.Uint32(sig[:]) == 0x02014b50
}

// chained scans archives that follow each other.
func (w *walk) chained(p part, starts []int64) string {
	w.find(Finding{Level: Notice, Kind: KindFormat, What: fmt.Sprintf("%d zip archives", len(starts)), Member: p.member,
		Why: "follow each other, as torch.distributed.checkpoint writes them: a loader reads the one that it is told of"})
	for i, at := range starts {
		end := p.size
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		one := p.section(at, end-at)
		one.member = p.inside(fmt.Sprintf("archive at %d", at))
		w.zip(one, w.zipEnd(one))
	}
	return "zip archives, one after the other"
}

// directory reads the central directory that starts at dir.
func (w *walk) directory(p part, e *ending, dir, base int64) ([]*member, bool) {
	if dir < 0 || e.dirSize > p.size-dir || e.dirSize < 0 {
		w.gap(p, e.at, "the directory of the zip archive is outside of the file")
		return nil, false
	}
	if e.entries > uint64(e.dirSize/46) {
		w.gap(p, dir, "%d members do not fit a directory of %d bytes", e.entries, e.dirSize)
		return nil, false
	}
	in := &input{w: w, p: p.section(dir, e.dirSize)}
	var members []*member
	for in.left() > 0 {
		at := dir + in.pos
		head, ok := in.take(46)
		if !ok || le.Uint32(head) != 0x02014b50 {
			w.gap(p, at, "the directory of the zip archive is broken")
			break
		}
		h := slices.Clone(head)
		m := &member{flags: le.Uint16(h[8:]), method: le.Uint16(h[10:]), crc: le.Uint32(h[16:]), packed: int64(le.Uint32(h[20:])), size: int64(le.Uint32(h[24:])),
			header: int64(le.Uint32(h[42:])), external: le.Uint32(h[38:])}
		name, ok1 := in.take(uint64(le.Uint16(h[28:])))
		m.name = string(name)
		extra, ok2 := in.takeAll(int(le.Uint16(h[30:])))
		comment, ok3 := in.takeAll(int(le.Uint16(h[32:])))
		if !ok1 || !ok2 || !ok3 {
			w.gap(p, at, "the directory of the zip archive is broken")
			break
		}
		m.extra(w, p, extra)
		if disk := le.Uint16(h[34:]); disk != 0 && disk != math.MaxUint16 {
			w.find(Finding{Level: Danger, Kind: KindReadings, What: m.name, Why: "is said to be in another volume of the archive", Member: p.member, Offset: at})
		}
		if len(comment) > 0 {
			w.find(Finding{Level: Notice, Kind: KindBytes, What: fmt.Sprintf("%d bytes", len(comment)), Why: "a comment", Member: p.inside(m.name), Offset: at})
		}
		m.header += base
		members = append(members, m)
	}
	if uint64(len(members)) != e.entries {
		w.find(Finding{Level: Danger, Kind: KindReadings, What: "directory", Member: p.member, Offset: e.at,
			Why: fmt.Sprintf("the zip archive counts %d members and lists %d: zip readers see different members", e.entries, len(members))})
	}
	return members, len(members) > 0 || e.entries == 0
}

// takeAll reads up to 64 KiB.
func (in *input) takeAll(n int) ([]byte, bool) {
	b := make([]byte, 0, n)
	for len(b) < n {
		part, ok := in.take(uint64(min(n-len(b), textMax)))
		if !ok {
			return nil, false
		}
		b = append(b, part...)
	}
	return b, true
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

// coverage checks every local header against the directory, and that the
// members cover the archive without gap or overlap.
func (w *walk) coverage(p part, members []*member, dir int64) {
	for _, m := range members {
		w.local(p, m)
	}
	sorted := slices.Clone(members)
	slices.SortStableFunc(sorted, func(a, b *member) int { return int(min(max(a.header-b.header, -1), 1)) })
	end := int64(0)
	for i, m := range sorted {
		if m.data == 0 {
			continue
		}
		next := dir
		if i+1 < len(sorted) {
			next = sorted[i+1].header
		}
		switch {
		case m.header < end:
			w.find(Finding{Level: Danger, Kind: KindReadings, What: m.name, Why: "overlaps another member: the same bytes have two readings", Member: p.member, Offset: m.header})
		case m.header > end && i == 0:
			w.find(Finding{Level: Danger, Kind: KindReadings, What: fmt.Sprintf("%d bytes", m.header), Member: p.member,
				Why: "stand before the zip archive: a loader that does not look for archives reads something else"})
		case m.header > end:
			w.find(Finding{Level: Unknown, Kind: KindBytes, What: fmt.Sprintf("%d bytes", m.header-end), Why: "lie between two members and belong to none", Member: p.member, Offset: end})
		}
		end = max(end, m.data+m.packed+w.descriptor(p, m, next))
	}
	if end < dir {
		w.find(Finding{Level: Unknown, Kind: KindBytes, What: fmt.Sprintf("%d bytes", dir-end), Why: "lie between the members and the directory and belong to none", Member: p.member, Offset: end})
	} else if end > dir {
		w.find(Finding{Level: Danger, Kind: KindReadings, What: "directory", Why: "overlaps a member: the same bytes have two readings", Member: p.member, Offset: dir})
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
