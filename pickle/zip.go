package pickle

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"lethe/model"
)

// The parts of a zip archive, from PKWARE's APPNOTE.TXT 6.3, sections 4.3.6 to
// 4.3.16.
const (
	localSig      = 0x04034b50
	centralSig    = 0x02014b50
	descriptorSig = 0x08074b50
	end64Sig      = 0x06064b50
	locatorSig    = 0x07064b50
	endSig        = 0x06054b50

	localLen   = 30
	centralLen = 46
	end64Len   = 56
	locatorLen = 20
	endLen     = 22

	deflated = 8 // method

	flagDescriptor = 0x0008 // sizes and CRC follow the data
	flagUTF8       = 0x0800

	directoryBit = 0x10 // of a member's external attributes

	zip64Extra       = 0x0001
	unicodePathExtra = 0x7075
	nameMax          = 1024 // torch's longest names have some 30 bytes
)

var le = binary.LittleEndian

// member is one record of the archive. All that are read are stored, not
// compressed.
type member struct {
	name   string // with the root
	size   int64
	packed int64 // bytes in the file; size unless it is compressed
	crc    uint32
	data   int64 // offset of the first byte in the file

	flags  uint16
	method uint16
	header int64 // offset of the local header
	entry  int64 // offset of its entry in the directory
}

// archive is the container, checked to have exactly one reading: its members
// and their headers cover the file without gap or overlap, so that no two zip
// readers can see different contents.
type archive struct {
	r       io.ReaderAt
	kind    archiveKind
	root    string // the folder that all members are in, without slash; empty if kind has none
	members []*member
	index   map[string]*member // by name without the root
	noCRC   bool               // written with CRCs switched off: all of them are 0
	buffer  []byte             // for verify
}

func (a *archive) open(m *member) *io.SectionReader {
	return io.NewSectionReader(a.r, m.data, m.size)
}

// find returns the member of a name that does not include the root, or nil.
func (a *archive) find(name string) *member { return a.index[name] }

// read returns a whole member, after a check of its CRC. Only for the small
// ones: the caller has compared m.size with a limit.
func (a *archive) read(m *member) (string, error) {
	var b strings.Builder
	b.Grow(int(m.size))
	h := crc32.NewIEEE()
	if n, err := a.copy(io.MultiWriter(&b, h), m); err != nil || n != m.size {
		return "", fmt.Errorf("read %s: %w", m.name, cmp.Or(err, io.ErrUnexpectedEOF))
	}
	return b.String(), a.compareCRC(m, h.Sum32())
}

// readPickle returns data.pkl and its name, unless it alone is over the limit.
func (a *archive) readPickle(lim Limits) (code, name string, err error) {
	m := a.find("data.pkl")
	if err := memory("the pickle", uint64(m.size), lim); err != nil {
		return "", "", err
	}
	code, err = a.read(m)
	return code, m.name, err
}

// verify compares the CRC of a member with its data, in constant memory. A
// compressed one is never read.
func (a *archive) verify(m *member) error {
	if a.noCRC || m.method != 0 {
		return nil
	}
	h := crc32.NewIEEE()
	if _, err := a.copy(h, m); err != nil {
		return fmt.Errorf("read %s: %w", m.name, err)
	}
	return a.compareCRC(m, h.Sum32())
}

// copy writes the data of a member.
func (a *archive) copy(w io.Writer, m *member) (int64, error) {
	if a.buffer == nil {
		a.buffer = make([]byte, 1<<15)
	}
	return io.CopyBuffer(w, a.open(m), a.buffer)
}

func (a *archive) compareCRC(m *member, got uint32) error {
	if got != m.crc && !a.noCRC {
		return broken(m.name, -1, fmt.Sprintf("the CRC of the data is %08x, the archive records %08x", got, m.crc))
	}
	return nil
}

// readArchive reads the directory of a file that starts as a zip archive and
// checks it against every local header.
func readArchive(r io.ReaderAt, size int64, lim Limits) (*archive, error) {
	dir, dirSize, n, err := readEnd(r, size)
	if err != nil {
		return nil, err
	}
	// Names of up to nameMax bytes are paid for as they come.
	const forMember = 512
	if err := memory("the members of the archive", forMember*n, lim); err != nil {
		return nil, err
	}
	a := &archive{r: r, index: map[string]*member{}}
	if err := a.readCentral(dir, dirSize, int(n)); err != nil {
		return nil, err
	}
	names := make([]string, len(a.members))
	for i, m := range a.members {
		names[i] = m.name
	}
	if a.kind, err = recognize(names); err != nil {
		return nil, err
	}
	for _, m := range a.members {
		if m.method != 0 && !(a.kind == scriptArchive && m.method == deflated && strings.Contains(m.name, "/code/")) {
			return nil, &model.UnsupportedError{What: fmt.Sprintf("member %q is compressed (zip method %d), which torch.save never does", m.name, m.method),
				Advice: resave}
		}
		if m.flags&^(flagDescriptor|flagUTF8) != 0 {
			return nil, broken(m.name, -1, fmt.Sprintf("flags %#04x, only %#04x and %#04x are allowed", m.flags, flagDescriptor, flagUTF8))
		}
	}
	if err := a.indexNames(); err != nil {
		return nil, err
	}
	a.noCRC = !slices.ContainsFunc(a.members, func(m *member) bool { return m.crc != 0 })
	if first := a.members[0]; first.header != 0 {
		return nil, broken(first.name, -1, fmt.Sprintf("the first member starts at byte %d of the file, not at byte 0", first.header))
	}
	for i, m := range a.members {
		next := dir
		if i+1 < len(a.members) {
			next = a.members[i+1].header
		}
		if err := a.readLocal(m, next); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// readEnd returns where the central directory is and its number of members.
// There is no search: the end records are the last bytes of the file.
func readEnd(r io.ReaderAt, size int64) (dir, dirSize int64, n uint64, err error) {
	tail := make([]byte, min(size, end64Len+locatorLen+endLen))
	if _, err := readFull(r, tail, size-int64(len(tail))); err != nil {
		return 0, 0, 0, err
	}
	if len(tail) < endLen || le.Uint32(tail[len(tail)-endLen:]) != endSig {
		return 0, 0, 0, noEnd(r, size)
	}
	end := tail[len(tail)-endLen:]
	tail = tail[:len(tail)-endLen]
	if c := le.Uint16(end[20:]); c != 0 {
		return 0, 0, 0, broken("", size-2, fmt.Sprintf("the archive ends with a comment of %d bytes, torch.save writes none", c))
	}
	n, dirBytes, dirOffset := uint64(le.Uint16(end[10:])), uint64(le.Uint32(end[12:])), uint64(le.Uint32(end[16:]))
	disks := le.Uint32(end[4:]) == 0 && le.Uint16(end[8:]) == le.Uint16(end[10:])
	limit := uint64(size - endLen) // where the directory must end
	if len(tail) == end64Len+locatorLen && le.Uint32(tail[end64Len:]) == locatorSig {
		e, l := tail, tail[end64Len:]
		limit = uint64(size - endLen - locatorLen - end64Len)
		if at := le.Uint64(l[8:]); le.Uint32(e) != end64Sig || le.Uint64(e[4:]) != end64Len-12 || at != limit {
			return 0, 0, 0, broken("", int64(limit), fmt.Sprintf("the zip64 end record is not of %d bytes at byte %d, its locator points to byte %d", end64Len, limit, at))
		}
		n64, size64, offset64 := le.Uint64(e[32:]), le.Uint64(e[40:]), le.Uint64(e[48:])
		if min(n64, math.MaxUint16) != n || min(size64, math.MaxUint32) != dirBytes || min(offset64, math.MaxUint32) != dirOffset {
			return 0, 0, 0, broken("", int64(limit), fmt.Sprintf("the end records disagree: %d members in %d bytes at byte %d, and %d in %d at byte %d",
				n64, size64, offset64, n, dirBytes, dirOffset))
		}
		disks = disks && le.Uint64(e[16:]) == 0 && le.Uint64(e[24:]) == n64 && le.Uint32(l[4:]) == 0 && le.Uint32(l[16:]) == 1
		n, dirBytes, dirOffset = n64, size64, offset64
	}
	if !disks {
		return 0, 0, 0, broken("", size-endLen, "the archive is one of several volumes")
	}
	if dirOffset > limit || dirBytes != limit-dirOffset {
		return 0, 0, 0, broken("", size-endLen, fmt.Sprintf("the directory is said to be %d bytes at byte %d, it must end at byte %d", dirBytes, dirOffset, limit))
	}
	if n > dirBytes/centralLen {
		return 0, 0, 0, broken("", int64(dirOffset), fmt.Sprintf("%d members do not fit a directory of %d bytes", n, dirBytes))
	}
	return int64(dirOffset), int64(dirBytes), n, nil
}

// noEnd tells a file with something after the archive from one that was cut,
// which is what an interrupted download looks like.
func noEnd(r io.ReaderAt, size int64) error {
	tail := make([]byte, min(size, 1<<16))
	if _, err := readFull(r, tail, size-int64(len(tail))); err != nil {
		return err
	}
	if i := bytes.LastIndex(tail, []byte("PK\x05\x06")); i >= 0 && len(tail)-i > endLen {
		return broken("", size-int64(len(tail)-i-endLen), fmt.Sprintf("%d bytes follow the end of the archive", len(tail)-i-endLen))
	}
	return broken("", size, fmt.Sprintf("the file is cut short: the zip archive has no end record within its %d bytes; download or copy it again", size))
}

// readCentral reads the central directory into a.members. Methods and flags
// are judged only after the archive is known to be a checkpoint.
func (a *archive) readCentral(dir, size int64, n int) error {
	in := bufio.NewReader(io.NewSectionReader(a.r, dir, size))
	at := dir
	var head [centralLen]byte
	for range n {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return cut(at, err)
		}
		if sig := le.Uint32(head[:]); sig != centralSig {
			return broken("", at, fmt.Sprintf("the directory has %#08x where an entry starts with %#08x", sig, uint32(centralSig)))
		}
		nameLen, extraLen, comment := le.Uint16(head[28:]), le.Uint16(head[30:]), le.Uint16(head[32:])
		if nameLen == 0 || nameLen > nameMax || comment != 0 {
			return broken("", at, fmt.Sprintf("a member has a name of %d bytes and a comment of %d, allowed are 1 to %d and 0", nameLen, comment, nameMax))
		}
		text := make([]byte, int(nameLen)+int(extraLen))
		if _, err := io.ReadFull(in, text); err != nil {
			return cut(at, err)
		}
		if head[38]&directoryBit != 0 || text[nameLen-1] == '/' {
			return broken(string(text[:nameLen]), -1, "the directory of the archive calls the member a folder, so that PyTorch returns memory that nothing has filled")
		}
		m := &member{name: string(text[:nameLen]), crc: le.Uint32(head[16:]), flags: le.Uint16(head[8:]), method: le.Uint16(head[10:]), entry: at}
		packed, unpacked, header := uint64(le.Uint32(head[20:])), uint64(le.Uint32(head[24:])), uint64(le.Uint32(head[42:]))
		extra, err := zip64Field(text[nameLen:])
		if err != nil {
			return broken(m.name, -1, err.Error())
		}
		for _, v := range []*uint64{&unpacked, &packed, &header} {
			if *v != math.MaxUint32 {
				continue
			}
			if len(extra) < 8 {
				return broken(m.name, -1, "a size or an offset is said to be in the zip64 extra field, which does not have it")
			}
			*v, extra = le.Uint64(extra), extra[8:]
		}
		if len(extra) != 0 {
			return broken(m.name, -1, fmt.Sprintf("the zip64 extra field has %d bytes that no other field refers to", len(extra)))
		}
		if packed != unpacked && m.method == 0 || unpacked > math.MaxInt64 || le.Uint16(head[34:]) != 0 {
			return broken(m.name, -1, fmt.Sprintf("%d bytes are stored in %d bytes, on volume %d: what is not compressed has one size, and there is volume 0 alone", unpacked, packed, le.Uint16(head[34:])))
		}
		if header > uint64(dir) || packed > uint64(dir) {
			return broken(m.name, -1, fmt.Sprintf("it is said to have %d bytes from byte %d of the file on, and the directory starts at byte %d", unpacked, header, dir))
		}
		m.size, m.packed, m.header = int64(unpacked), int64(packed), int64(header)
		a.members = append(a.members, m)
		at += int64(centralLen + len(text))
	}
	if at != dir+size {
		return broken("", at, fmt.Sprintf("the directory has %d bytes after its last entry", dir+size-at))
	}
	return nil
}

// cut explains a failed read inside the directory.
func cut(at int64, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return broken("", at, "the directory ends within an entry")
	}
	return fmt.Errorf("read checkpoint: %w", err)
}

// zip64Field returns the body of a zip64 field among the extra fields of a
// header, or nil. A field that gives the member a second name, which only some
// readers heed, is an error.
func zip64Field(b []byte) ([]byte, error) {
	var body []byte
	for len(b) > 0 {
		if len(b) < 4 || int(le.Uint16(b[2:])) > len(b)-4 {
			return nil, fmt.Errorf("an extra field is longer than the %d bytes that are left of its header", len(b))
		}
		n := 4 + int(le.Uint16(b[2:]))
		switch le.Uint16(b) {
		case unicodePathExtra:
			return nil, fmt.Errorf("extra field %#04x gives the member another name", unicodePathExtra)
		case zip64Extra:
			if body != nil {
				return nil, fmt.Errorf("extra field %#04x occurs twice", zip64Extra)
			}
			body = b[4:n]
		}
		b = b[n:]
	}
	return body, nil
}

// knownRecords are those that readers look for by name.
var knownRecords = []string{"data.pkl", "constants.pkl", orderRecord, formatRecord, alignmentRecord, versionRecord, newVersion, idRecord,
	"archive_format", "archive_version", "model.json"}

// indexNames checks the names and fills a.root and a.index. Names that differ
// only in case are one file on half of the world's disks, so they count as
// duplicates.
func (a *archive) indexNames() error {
	folded := make(map[string]bool, len(a.members))
	for _, m := range a.members {
		root, rest, ok := strings.Cut(m.name, "/")
		if a.kind == oldExport {
			root, rest, ok = "", m.name, true
		}
		if !ok || !utf8.ValidString(m.name) || strings.ContainsAny(m.name, "\\\x00") {
			return broken(m.name, -1, "the name is not a path of the form root/record")
		}
		for part := range strings.SplitSeq(m.name, "/") {
			if part == "" || part == "." || part == ".." {
				return broken(m.name, -1, fmt.Sprintf("the name has the part %q", part))
			}
		}
		if a.root == "" {
			a.root = root
		}
		if root != a.root {
			return broken(m.name, -1, fmt.Sprintf("the member is in folder %q, the first one in %q", root, a.root))
		}
		if lower := strings.ToLower(rest); rest != lower && slices.Contains(knownRecords, lower) {
			return broken(m.name, -1, fmt.Sprintf("PyTorch reads it as %q, because it compares names without regard to case", lower))
		}
		if rest == "data.pkl" && a.kind == exportArchive {
			return broken(m.name, -1, "the file is a program of torch.export and a checkpoint, so that two readers see different weights")
		}
		fold := strings.ToLower(m.name)
		if folded[fold] {
			return broken(m.name, -1, "the name occurs twice (upper and lower case count as equal)")
		}
		folded[fold] = true
		a.index[rest] = m
	}
	return nil
}

// readLocal checks a local header and what follows the data, up to the byte
// next where the following part of the file starts, and sets m.data.
func (a *archive) readLocal(m *member, next int64) error {
	bad := func(format string, args ...any) error {
		return broken(m.name, -1, fmt.Sprintf("local header at byte %d of the file: ", m.header)+fmt.Sprintf(format, args...))
	}
	if next-m.header < localLen {
		return bad("it needs %d bytes, the next part of the file starts after %d", localLen, next-m.header)
	}
	var head [localLen]byte
	if _, err := readFull(a.r, head[:], m.header); err != nil {
		return err
	}
	nameLen, extraLen := int64(le.Uint16(head[26:])), int64(le.Uint16(head[28:]))
	m.data = m.header + localLen + nameLen + extraLen
	if sig := le.Uint32(head[:]); sig != localSig {
		return bad("it starts with %#08x, not with %#08x", sig, uint32(localSig))
	}
	if m.data > next || m.packed > next-m.data {
		return bad("a name of %d bytes and data of %d do not fit in before byte %d", nameLen, m.packed, next)
	}
	text := make([]byte, nameLen+extraLen)
	if _, err := readFull(a.r, text, m.header+localLen); err != nil {
		return err
	}
	if name := string(text[:nameLen]); name != m.name {
		return bad("it calls the member %q", name)
	}
	extra, err := zip64Field(text[nameLen:])
	if err != nil {
		return bad("%v", err)
	}
	for ; len(extra) >= 8; extra = extra[8:] {
		if v := int64(le.Uint64(extra)); v != 0 && v != m.size && v != m.header {
			return bad("its zip64 extra field says %d, the member has %d bytes at byte %d", v, m.size, m.header)
		}
	}
	if flags, method := le.Uint16(head[6:]), le.Uint16(head[8:]); flags != m.flags || method != m.method {
		return bad("flags %#04x and method %d, in the directory %#04x and %d", flags, method, m.flags, m.method)
	}
	crc, packed, unpacked := le.Uint32(head[14:]), le.Uint32(head[18:]), le.Uint32(head[22:])
	clamped := func(v int64) uint32 { return uint32(min(uint64(v), math.MaxUint32)) }
	blank := m.flags&flagDescriptor != 0 && crc == 0 && packed == 0 && unpacked == 0
	if !blank && (crc != m.crc || packed != clamped(m.packed) || unpacked != clamped(m.size)) {
		return bad("CRC %08x and sizes %d and %d, in the directory %08x and %d", crc, packed, unpacked, m.crc, m.size)
	}
	return a.readDescriptor(m, next)
}

// readDescriptor checks the bytes between the data of a member and the byte
// next. The width of its sizes follows from how many bytes there are.
func (a *archive) readDescriptor(m *member, next int64) error {
	end := m.data + m.packed
	d := make([]byte, 24)
	switch gap := next - end; {
	case gap == 0 && m.flags&flagDescriptor == 0:
		return nil
	case (gap == 16 || gap == 24) && m.flags&flagDescriptor != 0:
		d = d[:gap]
	default:
		return broken(m.name, m.size, fmt.Sprintf("%d bytes follow the data, with flags %#04x", gap, m.flags))
	}
	if _, err := readFull(a.r, d, end); err != nil {
		return err
	}
	packed, unpacked := uint64(le.Uint32(d[8:])), uint64(le.Uint32(d[12:]))
	if len(d) == 24 {
		packed, unpacked = le.Uint64(d[8:]), le.Uint64(d[16:])
	}
	if sig, crc := le.Uint32(d), le.Uint32(d[4:]); sig != descriptorSig || crc != m.crc || packed != uint64(m.packed) || unpacked != uint64(m.size) {
		return broken(m.name, m.size, fmt.Sprintf("CRC %08x and sizes %d and %d after the data, %08x and %d in the directory", crc, packed, unpacked, m.crc, m.size))
	}
	return nil
}
