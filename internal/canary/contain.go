package canary

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
)

// maker makes the pickles of one file.
type maker struct {
	rng   *rand.Rand
	style style
	node  node // the call
	host  func(n node, tensors bool) node
	path  string
}

// evil is a pickle with the call.
func (m *maker) evil(tensors bool) []byte {
	return assemble(m.style, m.rng, m.host(m.node, tensors))
}

// good is a pickle without.
func (m *maker) good(tensors bool) []byte {
	return assemble(style{proto: 2, str: "X", num: "K", memo: "q", tuple: "short"}, rand.New(rand.NewPCG(1, 1)), state(tensors))
}

// A container puts pickles into a file.
type container struct {
	name, ext string
	make      func(*maker) []byte
}

func containers() []container {
	var out []container
	for _, list := range [][]container{bareContainers, legacyContainers, zipContainers, tarContainers, numpyContainers, exportContainers, scriptContainers, polyglots} {
		out = append(out, list...)
	}
	return out
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

var bareContainers = []container{
	{"bare pickle", ".pkl", func(m *maker) []byte { return m.evil(false) }},
	{"bare pickle named .pt", ".pt", func(m *maker) []byte { return m.evil(false) }},
	{"bare pickle named .bin", ".bin", func(m *maker) []byte { return m.evil(false) }},
	{"bare pickle named .safetensors", ".safetensors", func(m *maker) []byte { return m.evil(false) }},
	{"second stream", ".pkl", func(m *maker) []byte { return join(m.good(false), m.evil(false)) }},
	{"seventh stream", ".ckpt", func(m *maker) []byte {
		return join(bytes.Repeat(m.good(false), 3), bytes.Repeat([]byte("N."), 3), m.evil(false))
	}},
	{"bare pickle and trailing zeros", ".pt", func(m *maker) []byte { return join(m.evil(false), make([]byte, 64)) }},
	{"bare pickle cut after the call", ".pt", func(m *maker) []byte { b := m.evil(false); return b[:len(b)-1] }},
	{"gzip of a pickle", ".pkl.gz", func(m *maker) []byte { return zipped(m.evil(false)) }},
	{"zlib of a pickle", ".pkl", func(m *maker) []byte {
		var b bytes.Buffer
		w := zlib.NewWriter(&b)
		w.Write(m.evil(false))
		w.Close()
		return b.Bytes()
	}},
	{"bzip2 of a pickle", ".pkl.bz2", func(m *maker) []byte { return bzip(m.evil(false)) }},
	{"xz of a pickle", ".pkl.xz", func(m *maker) []byte { return xz(m.evil(false)) }},
	{"gzip of two members", ".pkl.gz", func(m *maker) []byte { return join(zipped(m.good(false)), zipped(m.evil(false))) }},
	{"gzip with bytes behind", ".pkl.gz", func(m *maker) []byte { return join(zipped(m.evil(false)), []byte("xyz")) }},
	{"xz of a checkpoint", ".pt.xz", func(m *maker) []byte { return xz(torchZip("archive", m.evil(true)).bytes()) }},
	{"gzip of a checkpoint", ".pt.gz", func(m *maker) []byte { return zipped(torchZip("archive", m.evil(true)).bytes()) }},
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

// magics lists spellings of the magic number of torch's legacy format.
var magics = []string{
	"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
	"\x80\x03\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
	"\x80\x04\x95\r\x00\x00\x00\x00\x00\x00\x00\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
	"\x80\x05\x95\r\x00\x00\x00\x00\x00\x00\x00\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
	"L119547037146038801333356L\n.",
	"I119547037146038801333356\n.",
	"L 11_9547037146038801333356L\n.",
	"\x8b\x0a\x00\x00\x00l\xfc\x9cF\xf9 j\xa8P\x19.",
	"\x8a\x0cl\xfc\x9cF\xf9 j\xa8P\x19\x00\x00.",
	"N0\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
	"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19q\x010h\x01.",
	"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19N0.",
	"(\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19t0\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
	"c__builtin__\nint\n(V119547037146038801333356\ntR.",
	"\x80\x02\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
}

// legacy is a file of torch before 1.6. A part that is nil is as torch writes it.
func legacy(m *maker, magic, version, system, object, keys []byte) []byte {
	def := func(b []byte, s string) []byte {
		if b == nil {
			return []byte(s)
		}
		return b
	}
	if object == nil {
		object = legacyObject(m, false)
	}
	storage := le64(nil, 4)
	return join(def(magic, magics[0]), def(version, "\x80\x02M\xe9\x03."), def(system, "\x80\x02}q\x00(X\x10\x00\x00\x00protocol_versionq\x01M\xe9\x03X\r\x00\x00\x00little_endianq\x02\x88u."),
		object, def(keys, "\x80\x02]q\x00X\x01\x00\x00\x000q\x01a."), storage, make([]byte, 16))
}

// legacyObject is the fourth pickle: its persistent ids have six items.
func legacyObject(m *maker, evil bool) []byte {
	storage := persistent(tuple(str("storage"), global("torch", "FloatStorage"), str("0"), str("cpu"), num(4), raw("N")))
	tensor := call(global("torch._utils", "_rebuild_tensor_v2"), storage, num(0), tuple(num(4)), tuple(num(1)), raw("\x89"), call(global("collections", "OrderedDict")))
	st, n := style{proto: 2, str: "X", num: "K", memo: "q", tuple: "short"}, dict(str("weight"), tensor)
	if evil {
		st, n = m.style, setItem(n, str("x"), m.host(m.node, false))
	}
	return assemble(st, m.rng, n)
}

func (m *maker) magic() []byte { return []byte(magics[m.rng.IntN(len(magics))]) }

var legacyContainers = []container{
	{"legacy, object", ".pt", func(m *maker) []byte { return legacy(m, nil, nil, nil, legacyObject(m, true), nil) }},
	{"legacy, object, any magic", ".pth", func(m *maker) []byte { return legacy(m, m.magic(), nil, nil, legacyObject(m, true), nil) }},
	{"legacy, object, any magic again", ".pth", func(m *maker) []byte { return legacy(m, m.magic(), nil, nil, legacyObject(m, true), nil) }},
	{"legacy, version", ".pt", func(m *maker) []byte { return legacy(m, m.magic(), m.result(num(1001)), nil, nil, nil) }},
	{"legacy, system", ".pt", func(m *maker) []byte { return legacy(m, m.magic(), nil, m.evil(false), nil, nil) }},
	{"legacy, keys", ".pt", func(m *maker) []byte { return legacy(m, m.magic(), nil, nil, nil, m.result(list(str("0")))) }},
	{"legacy, source of a container", ".pt", func(m *maker) []byte {
		m.node = dumped(m.path)
		return legacy(m, m.magic(), nil, nil, legacyObject(m, true), nil)
	}},
	{"legacy, magic", ".pt", func(m *maker) []byte {
		return legacy(m, m.result(raw(magics[0][2:len(magics[0])-1])), nil, nil, nil, nil)
	}},
}

// result is a pickle that makes the call and leaves another value.
func (m *maker) result(n node) []byte { return assemble(m.style, m.rng, seq(m.node, n)) }

func torchZip(root string, pkl []byte, more ...member) archive {
	return archive{members: append([]member{
		{name: root + "/data.pkl", data: pkl, align: true},
		{name: root + "/byteorder", data: []byte("little"), align: true},
		{name: root + "/data/0", data: make([]byte, 16), align: true},
		{name: root + "/version", data: []byte("3\n"), align: true},
		{name: root + "/.data/serialization_id", data: []byte(strings.Repeat("0", 40)), align: true},
	}, more...)}
}

func edit(z archive, f func(*archive)) []byte {
	f(&z)
	return z.bytes()
}

var zipContainers = []container{
	{"checkpoint", ".pt", func(m *maker) []byte { return torchZip("archive", m.evil(true)).bytes() }},
	{"checkpoint named .bin", ".bin", func(m *maker) []byte { return torchZip("pytorch_model", m.evil(true)).bytes() }},
	{"checkpoint, DATA.PKL", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.evil(true)), func(z *archive) { z.members[0].name = "archive/DATA.PKL" })
	}},
	{"checkpoint, Data.Pkl and root in capitals", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.evil(true)), func(z *archive) { z.members[0].name = "ARCHIVE/Data.Pkl" })
	}},
	{"checkpoint, two of data.pkl, second", ".pt", func(m *maker) []byte {
		return torchZip("archive", m.good(true), member{name: "archive/data.pkl", data: m.evil(true)}).bytes()
	}},
	{"checkpoint, two of data.pkl, first", ".pt", func(m *maker) []byte {
		return torchZip("archive", m.evil(true), member{name: "archive/data.pkl", data: m.good(true)}).bytes()
	}},
	{"checkpoint, DATA.PKL beside data.pkl", ".pt", func(m *maker) []byte {
		return torchZip("archive", m.good(true), member{name: "archive/DATA.PKL", data: m.evil(true)}).bytes()
	}},
	{"checkpoint, two roots", ".pt", func(m *maker) []byte {
		return torchZip("archive", m.good(true), member{name: "other/data.pkl", data: m.evil(true)}).bytes()
	}},
	{"checkpoint, prefix", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.evil(true)), func(z *archive) { z.prefix = []byte("#!/bin/sh\nexit\n") })
	}},
	{"checkpoint, prefix of a signature", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.evil(true)), func(z *archive) { z.prefix, z.base = []byte("PK\x03\x04 some text"), 14 })
	}},
	{"checkpoint, comment", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.evil(true)), func(z *archive) { z.comment = []byte("a comment") })
	}},
	{"checkpoint, suffix", ".pt", func(m *maker) []byte {
		return join(torchZip("archive", m.evil(true)).bytes(), bytes.Repeat([]byte("x"), 100))
	}},
	{"checkpoint, other archive as comment", ".pt", func(m *maker) []byte {
		return commented(torchZip("archive", m.good(true)), torchZip("archive", m.evil(true)))
	}},
	{"checkpoint, other archive as comment, first", ".pt", func(m *maker) []byte {
		return join(commented(torchZip("archive", m.evil(true)), torchZip("archive", m.good(true))), []byte("xx"))
	}},
	{"checkpoint, local name differs", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.evil(true)), func(z *archive) { z.members[0].local = "archive/data/1" })
	}},
	{"checkpoint, central name differs", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.good(true), member{name: "archive/data/x", local: "archive/data.pkl", data: m.evil(true)}), func(*archive) {})
	}},
	{"checkpoint, deflated", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.evil(true)), func(z *archive) { z.members[0].deflate = true })
	}},
	{"checkpoint, wrong CRC", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.evil(true)), func(z *archive) { z.members[0].badCRC = true })
	}},
	{"checkpoint, flags", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.evil(true)), func(z *archive) { z.members[0].flags = []uint16{1, 2, 0x40, 0x800, 0x2000}[m.rng.IntN(5)] })
	}},
	{"checkpoint, bzip2", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.evil(true)), func(z *archive) { z.members[0].bzip2 = true })
	}},
	{"checkpoint, entries beyond the count", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.good(true), member{name: "archive/data.pkl", data: m.evil(true)}), func(z *archive) { z.count = -1 })
	}},
	{"checkpoint, count beyond the entries", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.evil(true)), func(z *archive) { z.count = 1 })
	}},
	{"checkpoint, two directories, evil at the end", ".pt", func(m *maker) []byte { return directories(m.good(true), m.evil(true)) }},
	{"checkpoint, two directories, evil at the offset", ".pt", func(m *maker) []byte { return directories(m.evil(true), m.good(true)) }},
	{"checkpoint, zip64 end of another directory", ".pt", func(m *maker) []byte { return ends(m.good(true), m.evil(true)) }},
	{"checkpoint, end of another directory than zip64", ".pt", func(m *maker) []byte { return ends(m.evil(true), m.good(true)) }},
	{"checkpoint, directory bit", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.evil(true)), func(z *archive) { z.members[0].attr = 0x10 })
	}},
	{"checkpoint, zip64", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.evil(true)), func(z *archive) { z.zip64, z.members[0].zip64 = true, true })
	}},
	{"checkpoint, zip64 end alone", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.evil(true)), func(z *archive) { z.zip64 = true })
	}},
	{"checkpoint, extra member", ".pt", func(m *maker) []byte {
		return torchZip("archive", m.good(true), member{name: "archive/" + []string{"extra/x.pkl", "optimizer.pkl", "data.pickle", "model.pth", "labels.txt", "data/1", "readme"}[m.rng.IntN(7)], data: m.evil(false)}).bytes()
	}},
	{"checkpoint, streams in data.pkl", ".pt", func(m *maker) []byte { return torchZip("archive", join(m.good(true), m.evil(false))).bytes() }},
	{"checkpoint that holds constants.pkl elsewhere", ".pt", func(m *maker) []byte {
		return torchZip("archive", m.evil(true), member{name: "archive/x/constants.pkl", data: []byte("\x80\x02).")}).bytes()
	}},
	{"checkpoint, nested", ".zip", func(m *maker) []byte {
		return archive{members: []member{{name: "model.pth", data: torchZip("archive", m.evil(true)).bytes()}}}.bytes()
	}},
	{"checkpoint, nested and deflated", ".zip", func(m *maker) []byte {
		return archive{members: []member{{name: "a/readme.txt", data: []byte("hello")}, {name: "a/model.pt", data: torchZip("archive", m.evil(true)).bytes(), deflate: true}}}.bytes()
	}},
	{"checkpoint, nested thrice", ".zip", func(m *maker) []byte {
		b := torchZip("archive", m.evil(true)).bytes()
		for i := range 3 {
			b = archive{members: []member{{name: fmt.Sprintf("%d.zip", i), data: b}}}.bytes()
		}
		return b
	}},
	{"zip of a pickle", ".zip", func(m *maker) []byte {
		return archive{members: []member{{name: "model.pkl", data: m.evil(false), deflate: m.rng.IntN(2) == 0}}}.bytes()
	}},
	{"zip of a legacy file", ".zip", func(m *maker) []byte {
		return archive{members: []member{{name: "model.pt", data: legacy(m, nil, nil, nil, legacyObject(m, true), nil)}}}.bytes()
	}},
}

// commented is an archive whose comment is another one.
func commented(z, in archive) []byte {
	start := len(z.bytes())
	in.base = start
	z.comment = in.bytes()
	return z.bytes()
}

// split returns the local entries and the directory of an archive.
func split(b []byte) (local, central []byte) {
	start := binary.LittleEndian.Uint32(b[len(b)-6:])
	return b[:start], b[start : len(b)-22]
}

// directories is an archive with two directories of the same size: torch reads
// the one that the end record points to; Python the one in front of it, and
// moves all offsets by the distance of the two.
func directories(first, last []byte) []byte {
	padding := member{name: "archive/data/9", data: make([]byte, 2048)}
	a := archive{members: append([]member{padding}, torchZip("archive", first).members...)}
	local, central := split(a.bytes())
	a.members = append([]member{padding}, torchZip("archive", last).members...)
	local2, _ := split(a.bytes())
	a.base = len(local) - len(central)
	b := a.bytes()
	central2 := b[len(local2) : len(b)-22]
	copy(central2[42:], make([]byte, 4)) // the padding of the second is that of the first
	start := len(local) + len(local2)
	out := join(local, local2, central, central2)
	out = le16(le32(out, 0x06054b50), 0, 0, uint16(len(a.members)), uint16(len(a.members)))
	return le16(le32(out, uint32(len(central)), uint32(start)), 0)
}

// ends is an archive whose end record points to one directory and whose zip64
// end record points to another.
func ends(short, long []byte) []byte {
	local, central := split(torchZip("archive", short).bytes())
	z := torchZip("archive", long)
	z.base = len(local) + len(central)
	b := z.bytes()
	count := uint64(len(z.members))
	size := uint64(binary.LittleEndian.Uint32(b[len(b)-10:]))
	start := uint64(binary.LittleEndian.Uint32(b[len(b)-6:]))
	out := join(local, central, b[:len(b)-22])
	end := uint64(len(out))
	out = le16(le64(le32(out, 0x06064b50), 44), 45, 45)
	out = le64(le32(out, 0, 0), count, count, size, start)
	out = le32(le64(le32(out, 0x07064b50, 0), end), 1)
	out = le16(le32(out, 0x06054b50), 0, 0, uint16(count), uint16(count))
	return le16(le32(out, uint32(len(central)), uint32(len(local))), 0)
}

// A tarball of members, in a format.
func tarball(format tar.Format, members ...member) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: 0o644, Size: int64(len(m.data)), Format: format, Typeflag: tar.TypeReg}
		if m.local != "" { // a link
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, m.local, 0
		}
		if w.WriteHeader(h) != nil {
			continue
		}
		if h.Size > 0 {
			w.Write(m.data)
		}
	}
	w.Close()
	return b.Bytes()
}

var (
	noStorages = []byte("\x80\x02K\x00.\x80\x02].")
	noTensors  = []byte("\x80\x02K\x00.")
)

func torchTar(format tar.Format, storages, tensors, object []byte) []byte {
	return tarball(format, member{name: "storages", data: storages}, member{name: "tensors", data: tensors}, member{name: "pickle", data: object})
}

func (m *maker) format() tar.Format {
	return []tar.Format{tar.FormatUSTAR, tar.FormatGNU, tar.FormatPAX}[m.rng.IntN(3)]
}

var tarContainers = []container{
	{"tar, pickle", ".pt", func(m *maker) []byte { return torchTar(m.format(), noStorages, noTensors, m.evil(false)) }},
	{"tar, tensors", ".pt", func(m *maker) []byte { return torchTar(m.format(), noStorages, m.result(num(0)), m.good(false)) }},
	{"tar, storages", ".pt", func(m *maker) []byte {
		return torchTar(m.format(), join(m.result(num(0)), []byte("].")), noTensors, m.good(false))
	}},
	{"tar, storages, second stream", ".pt", func(m *maker) []byte {
		return torchTar(m.format(), join([]byte("I0\n."), m.result(list())), noTensors, m.good(false))
	}},
	{"tar, gzip", ".tar.gz", func(m *maker) []byte { return zipped(torchTar(m.format(), noStorages, noTensors, m.evil(false))) }},
	{"tar, bzip2", ".tar.bz2", func(m *maker) []byte { return bzip(torchTar(m.format(), noStorages, noTensors, m.evil(false))) }},
	{"tar, xz", ".tar.xz", func(m *maker) []byte { return xz(torchTar(m.format(), noStorages, noTensors, m.evil(false))) }},
	{"tar, any member", ".tar", func(m *maker) []byte {
		return tarball(m.format(), member{name: "readme.txt", data: []byte("hello")}, member{name: strings.Repeat("folder/", 3) + "model.pkl", data: m.evil(false)})
	}},
	{"tar, two of pickle", ".pt", func(m *maker) []byte {
		return tarball(m.format(), member{name: "storages", data: noStorages}, member{name: "tensors", data: noTensors}, member{name: "pickle", data: m.good(false)}, member{name: "pickle", data: m.evil(false)})
	}},
	{"tar, link", ".pt", func(m *maker) []byte {
		return tarball(m.format(), member{name: "x", data: m.evil(false)}, member{name: "storages", data: noStorages}, member{name: "tensors", data: noTensors}, member{name: "pickle", local: "x"})
	}},
	{"tar, odd type", ".pt", func(m *maker) []byte {
		evil := m.evil(false)
		h := tarHead([]byte("pickle"), len(evil))
		h[156] = []byte("7Zz9\x00")[m.rng.IntN(5)]
		return join(m.harmlessTar(), checksum(h), padded(evil), make([]byte, 1024))
	}},
	{"tar, no magic", ".pt", func(m *maker) []byte {
		evil := m.evil(false)
		h := tarHead([]byte("pickle"), len(evil))
		copy(h[257:], make([]byte, 8))
		return join(m.harmlessTar(), checksum(h), padded(evil), make([]byte, 1024))
	}},
	{"tar, size in base 256", ".pt", func(m *maker) []byte {
		evil := m.evil(false)
		h := tarHead([]byte("pickle"), 0)
		copy(h[124:], []byte{0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(len(evil) >> 8), byte(len(evil))})
		return join(m.harmlessTar(), checksum(h), padded(evil), make([]byte, 1024))
	}},
	{"tar, name in a pax header", ".pt", func(m *maker) []byte {
		evil := m.evil(false)
		record := []byte("15 path=pickle\n")
		x := tarHead([]byte("x"), len(record))
		x[156] = 'x'
		return join(m.harmlessTar(), checksum(x), padded(record), tarHead([]byte("readme.txt"), len(evil)), padded(evil), make([]byte, 1024))
	}},
	{"tar, name in a GNU header", ".pt", func(m *maker) []byte {
		evil := m.evil(false)
		x := tarHead([]byte("././@LongLink"), 7)
		x[156] = 'L'
		return join(m.harmlessTar(), checksum(x), padded([]byte("pickle\x00")), tarHead([]byte("readme.txt"), len(evil)), padded(evil), make([]byte, 1024))
	}},
	{"tar, sparse", ".pt", func(m *maker) []byte {
		// The length of the string has three zeros that are not stored.
		head, tail := []byte("cos\nmkdir\n(X"+string([]byte{byte(len(m.path))})), []byte(m.path+"tR.")
		h := tarHead([]byte("pickle"), len(head)+len(tail))
		h[156] = 'S'
		copy(h[257:], "ustar  \x00")
		for i, n := range []int{0, len(head), len(head) + 3, len(tail)} {
			copy(h[386+12*i:], fmt.Sprintf("%011o\x00", n))
		}
		copy(h[483:], fmt.Sprintf("%011o\x00", len(head)+3+len(tail)))
		return join(m.harmlessTar(), checksum(h), padded(append(head, tail...)), make([]byte, 1024))
	}},
	{"tar, checkpoint", ".tar", func(m *maker) []byte {
		return tarball(m.format(), member{name: "model/model.pt", data: torchZip("archive", m.evil(true)).bytes()})
	}},
	{"tar with bytes behind its end", ".pt", func(m *maker) []byte {
		return join(torchTar(m.format(), noStorages, noTensors, m.evil(false)), bytes.Repeat([]byte("x"), 700))
	}},
	{"zip of a tar", ".zip", func(m *maker) []byte {
		return archive{members: []member{{name: "model.tar", data: torchTar(m.format(), noStorages, noTensors, m.evil(false))}}}.bytes()
	}},
}

// harmlessTar is the beginning of a tar file of torch, without its end.
func (m *maker) harmlessTar() []byte {
	b := tarball(tar.FormatUSTAR, member{name: "storages", data: noStorages}, member{name: "tensors", data: noTensors})
	return b[:len(b)-1024]
}

// npy is an array of objects in a version of numpy's format.
func npy(version byte, header string, pickle []byte) []byte {
	pad := 64 - (12+len(header)+1)%64
	header += strings.Repeat(" ", pad) + "\n"
	out := append([]byte("\x93NUMPY"), version, 0)
	if version == 1 {
		out = le16(out, uint16(len(header)))
	} else {
		out = binary.LittleEndian.AppendUint32(out, uint32(len(header)))
	}
	return join(out, []byte(header), pickle)
}

const objectHeader = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"

var numpyContainers = []container{
	{"npy", ".npy", func(m *maker) []byte { return npy(byte(1+m.rng.IntN(3)), objectHeader, m.evil(false)) }},
	{"npy, object spelled otherwise", ".npy", func(m *maker) []byte {
		descr := []string{`'O'`, `'|O8'`, `'O4'`, `'\x7cO'`, `'|' 'O'`, `u'|O'`, `"object"`, `('|O', (1,))`, `[('a', [('b', '|O')])]`, `[(('title', 'a'), '|O')]`,
			`'\N{VERTICAL LINE}O'`, `"""|O"""`, `'=O'`, `[('', 'O')]`}[m.rng.IntN(14)]
		return npy(byte(1+m.rng.IntN(3)), "{'shape': (1,), 'fortran_order': False, 'descr': "+descr+"}", m.evil(false))
	}},
	{"npy, header spelled otherwise", ".npy", func(m *maker) []byte {
		header := []string{"{'descr': '|O', 'fortran_order': False, 'shape': (1,), 'shape': (2,)}", "{'descr': 'f4', 'descr': '|O', 'fortran_order': True, 'shape': ()}",
			"\n{'descr':\n'|O','fortran_order':False,'shape':(0x1,)}", "({'descr': '|O', 'fortran_order': False, 'shape': (1,)})",
			"{'descr': '|O', # '<f4'\n 'fortran_order': False, 'shape': (1,)}"}[m.rng.IntN(5)]
		return npy(byte(1+m.rng.IntN(3)), header, m.evil(false))
	}},
	{"npy of Python 2", ".npy", func(m *maker) []byte {
		return npy(1, "{'descr': '|O', 'fortran_order': False, 'shape': (1L,), }", m.evil(false))
	}},
	{"npy with fields", ".npy", func(m *maker) []byte {
		return npy(1, "{'descr': [('a', '<f4'), ('b', '|O')], 'fortran_order': False, 'shape': (1,), }", m.evil(false))
	}},
	{"npz", ".npz", func(m *maker) []byte {
		return archive{members: []member{{name: "weight.npy", data: npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", make([]byte, 4))}, {name: "labels.npy", data: npy(1, objectHeader, m.evil(false)), deflate: m.rng.IntN(2) == 0}}}.bytes()
	}},
	{"npz, name without extension", ".npz", func(m *maker) []byte {
		return archive{members: []member{{name: "labels", data: npy(2, objectHeader, m.evil(false))}}}.bytes()
	}},
}
