package scan

import (
	"bytes"
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

const block = 512

// tarNumber reads a number of a tar header as Python's tarfile does.
func tarNumber(b []byte) (int64, bool) {
	if b[0] == 0x80 || b[0] == 0xff {
		var n int64
		for _, c := range b[1:] {
			if n >= 1<<54 {
				return 0, false
			}
			n = n<<8 | int64(c)
		}
		return n, b[0] == 0x80
	}
	s, _, _ := strings.Cut(string(b), "\x00")
	s = strings.Trim(s, " \t\n\v\f\r")
	if s == "" {
		return 0, true
	}
	s = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(s, "+"), "0o"), "0O")
	n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 8, 64)
	return n, err == nil
}

// isTar reports whether tarfile takes 512 bytes for a header.
func isTar(h []byte) bool {
	if len(h) < block {
		return false
	}
	want, ok := tarNumber(h[148:156])
	if !ok {
		return false
	}
	unsigned, signed := int64(256), int64(256)
	for i, c := range h[:block] {
		if i < 148 || i >= 156 {
			unsigned += int64(c)
			signed += int64(int8(c))
		}
	}
	return want == unsigned || want == signed
}

func zeroTerminated(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

// tarHeader returns the name, the type and the size that a header gives its
// member, and whether the size is a number.
func tarHeader(h []byte) (name string, typ byte, size int64, ok bool) {
	name = zeroTerminated(h[:100])
	if string(h[257:262]) == "ustar" {
		if prefix := zeroTerminated(h[345:500]); prefix != "" && h[156] != 'L' && h[156] != 'K' {
			name = prefix + "/" + name
		}
	}
	typ = h[156]
	if typ == 0 && strings.HasSuffix(zeroTerminated(h[:100]), "/") {
		typ = '5'
	}
	size, ok = tarNumber(h[124:136])
	return name, typ, size, ok
}

// tar scans a file as a tar archive, as tarfile reads it. If the end record of
// a zip archive that was found in the file is that of a member, whole is true:
// it was scanned as such.
func (w *walk) tar(p part, e *ending) (kind string, whole bool) {
	odd := func(level Level, k Kind, at int64, what, why string) {
		w.find(Finding{Level: level, Kind: k, What: what, Why: why, Member: p.member, Offset: at})
	}
	names := map[string]bool{}
	var longName string
	var longSize int64 = -1
	kind = "tar archive"
	at := int64(0)
	for {
		h := make([]byte, block)
		if at > p.size-block || !w.read(p, h, at) {
			if at < p.size {
				w.gap(p, at, "the tar archive ends within a header")
			}
			return kind, whole // some writers leave the zero blocks away
		}
		if bytes.Count(h, []byte{0}) == block {
			break
		}
		if !isTar(h) {
			odd(Unknown, KindBytes, at, fmt.Sprintf("%d bytes", p.size-at), "follow the last member of the tar archive and belong to none")
			return kind, whole
		}
		name, typ, size, ok := tarHeader(h)
		if longName != "" {
			name = longName
		}
		if longSize >= 0 {
			size, ok = longSize, true
		}
		if !ok || size < 0 || size > p.size-at-block {
			w.gap(p, at, "a member of the tar archive is longer than the file")
			return kind, whole
		}
		data, next := at+block, at+block+(size+block-1)/block*block
		inner := p.section(data, size)
		inner.member, inner.depth = p.inside(name), p.depth+1
		w.zeros(p, data+size, min(next, p.size))
		whole = whole || e != nil && e.first-e.dirSize-e.dir == data && e.at+22+e.comment == data+size && !w.central(p, e.dir)
		switch typ {
		case 'L', 'K', 'x', 'g', 'X':
			b, ok := w.all(inner, 1<<20)
			if !ok {
				return kind, whole
			}
			longName, longSize = w.tarExtension(p, at, typ, b, longName, longSize)
			at = next
			continue
		case 0, '0', '7':
			key := strings.TrimRight(name, "/")
			if names[key] {
				odd(Danger, KindReadings, at, name, "the tar archive has two members of that name: tar readers see different contents")
			}
			names[key] = true
			kind = cmp.Or(w.tarMember(inner, name), kind)
		case '5':
			if size > 0 {
				odd(Danger, KindReadings, at, name, "is a folder with contents, which some tar readers take for the next member")
			}
		case '1', '2':
			odd(Danger, KindReadings, at, name, "is a link to "+clip(zeroTerminated(h[157:257]))+": a loader reads another member or another file under that name")
		default:
			odd(Unknown, KindMember, at, name, fmt.Sprintf("is a member of the type %q, which tar readers treat differently", typ))
			w.file(inner)
		}
		longName, longSize = "", -1
		if strings.HasPrefix(name, "/") || strings.Contains("/"+name+"/", "/../") {
			odd(Unknown, KindMember, at, name, "a name that leads out of the folder where the archive is unpacked")
		}
		at = next
	}
	if !w.zeros(p, at, p.size) {
		odd(Unknown, KindBytes, at, fmt.Sprintf("%d bytes", p.size-at), "follow the end of the tar archive")
	}
	return kind, whole
}

// zeros reports whether a range holds nothing but zeros.
func (w *walk) zeros(p part, from, to int64) bool {
	b := make([]byte, window)
	for at := from; at < to; at += int64(len(b)) {
		b = b[:min(int64(len(b)), to-at)]
		if !w.read(p, b, at) {
			return false
		}
		if bytes.Count(b, []byte{0}) != len(b) {
			if to-from < block {
				w.find(Finding{Level: Unknown, Kind: KindBytes, What: fmt.Sprintf("%d bytes", to-from), Why: "fill a block of the tar archive and are not zero", Member: p.member, Offset: from})
			}
			return false
		}
	}
	return true
}

// tarExtension reads a member that tells of the next one. It returns the name
// and the size of the next member as far as they are told by now, "" and -1 if
// they are not.
func (w *walk) tarExtension(p part, at int64, typ byte, b []byte, name string, size int64) (string, int64) {
	switch typ {
	case 'L':
		return zeroTerminated(b), size
	case 'x', 'X':
		return w.pax(p, at, b, name)
	case 'g':
		if name, size := w.pax(p, at, b, ""); name != "" || size >= 0 {
			w.find(Finding{Level: Danger, Kind: KindReadings, What: "header", Why: "a global header gives every member the same name or size: tar readers see different members", Member: p.member, Offset: at})
		}
	}
	return name, size
}

// pax reads the records of an extended header: the name and the size that they
// give, -1 for none.
func (w *walk) pax(p part, at int64, b []byte, name string) (string, int64) {
	size := int64(-1)
	for len(b) > 0 && b[0] != 0 {
		i := bytes.IndexByte(b, ' ')
		n, err := strconv.Atoi(string(b[:max(i, 0)]))
		if err != nil || n <= i+1 || n > len(b) || b[n-1] != '\n' {
			w.find(Finding{Level: Danger, Kind: KindReadings, What: "extended header", Why: "is broken: tar readers see different names and sizes", Member: p.member, Offset: at})
			return name, size
		}
		key, value, _ := strings.Cut(string(b[i+1:n-1]), "=")
		switch {
		case key == "path":
			name = zeroTerminated([]byte(value))
		case key == "size":
			if v, err := strconv.ParseInt(value, 10, 64); err == nil {
				size = v
			} else {
				size = 1 << 62
			}
		case strings.HasPrefix(key, "GNU.sparse"):
			w.find(Finding{Level: Unknown, Kind: KindMember, What: key, Why: "a member with holes, which tar readers fill differently", Member: p.member, Offset: at})
		}
		b = b[n:]
	}
	return name, size
}

// tarMember scans a member; those of the format of torch before 0.4 mix pickles
// with raw numbers. It returns the format that the member shows, or "".
func (w *walk) tarMember(p part, name string) string {
	switch strings.TrimPrefix(name, "./") {
	case "storages":
		if w.tarStorages(p) {
			return "checkpoint of torch before 0.4"
		}
	case "tensors":
		if w.tarTensors(p) {
			return ""
		}
	case "pickle":
		w.streams(p, certain)
		return "checkpoint of torch before 0.4"
	}
	w.file(p)
	return ""
}

// tarStorages: the number of storages, and for each a pickle of key, location
// and class, the number of elements, and the elements; then a pickle of views.
func (w *walk) tarStorages(p part) bool {
	s, m := w.pickle(p, 0, true)
	if !s.ended {
		return false
	}
	m.release()
	n, ok := s.top.number()
	if !ok || n > p.size {
		w.trailing(p, s.end)
		return true
	}
	at := s.end
	for range n {
		s, m := w.pickle(p, at, false)
		m.loadNested()
		var item int64
		if s.ended && s.top.kind == tuple && len(s.top.items) == 3 && s.top.items[2].kind == class {
			item = s.top.items[2].made.itemSize()
		}
		var count [8]byte
		if item == 0 || !w.read(p, count[:], s.end) {
			w.gap(p, at, "a storage of the checkpoint cannot be told")
			return true
		}
		elements := le.Uint64(count[:])
		if elements > uint64(p.size-s.end)/uint64(item) {
			w.gap(p, s.end, "a storage of %d elements is longer than the file", elements)
			return true
		}
		at = s.end + 8 + int64(elements)*item
	}
	w.rest(p, at)
	return true
}

// tarTensors: the number of tensors, and for each a pickle of its key, storage
// and class, and its shape in binary.
func (w *walk) tarTensors(p part) bool {
	s, m := w.pickle(p, 0, true)
	if !s.ended {
		return false
	}
	m.release()
	n, ok := s.top.number()
	at := s.end
	for range min(max(n, 0), p.size) {
		s, m := w.pickle(p, at, false)
		m.loadNested()
		var dims [8]byte
		if !s.ended || !w.read(p, dims[:], s.end) {
			w.gap(p, at, "a tensor of the checkpoint cannot be told")
			return true
		}
		d := int64(int32(le.Uint32(dims[:])))
		if d < 0 || d > (p.size-s.end)/16 {
			w.gap(p, at, "a tensor of %d dimensions is longer than the file", d)
			return true
		}
		at = s.end + 8 + 16*d + 8
	}
	if !ok {
		w.gap(p, 0, "the number of tensors of the checkpoint cannot be told")
		return true
	}
	if at != p.size {
		w.rest(p, at)
	}
	return true
}

// rest scans the pickles that follow, and says if something else does.
func (w *walk) rest(p part, at int64) {
	if at > p.size {
		w.gap(p, p.size, "the file is cut short")
		return
	}
	for at < p.size {
		s, m := w.pickle(p, at, true)
		if s.ended || s.effects {
			m.release()
		}
		m.loadNested()
		if !s.ended {
			w.trailing(p, at)
			return
		}
		at = s.end
	}
}

// trailing says that bytes follow which belong to nothing.
func (w *walk) trailing(p part, at int64) {
	if at < p.size {
		w.find(Finding{Level: Unknown, Kind: KindBytes, What: fmt.Sprintf("%d bytes", p.size-at), Why: "follow what is read and belong to nothing", Member: p.member, Offset: at})
	}
}
