package scan

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

var le = binary.LittleEndian

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
