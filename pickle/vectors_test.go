package pickle

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lethe/internal/vectors"
)

const vectorDir = "../fixtures/vectors/pickle"

// record is a member of an archive, named without the root.
type record struct {
	name string
	data []byte
}

func unpack(t testing.TB, b []byte) (records []record) {
	t.Helper()
	a, err := readArchive(bytes.NewReader(b), int64(len(b)), Limits{}.orDefaults())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range a.members {
		data, err := io.ReadAll(a.open(m))
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, record{strings.TrimPrefix(m.name, a.root+"/"), data})
	}
	return records
}

// pack writes records as torch does. An empty root leaves the names alone.
func pack(t testing.TB, root string, records ...record) []byte {
	t.Helper()
	return packWith(t, root, false, records)
}

func packWith(t testing.TB, root string, noCRC bool, records []record) []byte {
	t.Helper()
	var b bytes.Buffer
	z := newZipWriter(&b, root, 64, noCRC)
	for _, r := range records {
		if _, err := z.add(r.name, int64(len(r.data)), bytes.NewReader(r.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Pieces of pickles. Numbers and tuples are spelt as opcodes: "K\x02" is 2,
// "K\x02\x85" is (2,).

func textCode(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

func long(v int64) string {
	return "\x8a\x08" + string(binary.LittleEndian.AppendUint64(nil, uint64(v)))
}

func storageCode(class, key string, numel int64) string {
	return "(" + textCode("storage") + "ctorch\n" + class + "\n" + textCode(key) + textCode("cpu") + long(numel) + "tQ"
}

func tensorCode(storage, offset, shape, strides string) string {
	return "ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + shape + strides + "\x89ccollections\nOrderedDict\n)RtR"
}

// withPickle is one.pt with another pickle; its data/0 has two float32.
func withPickle(t testing.TB, code string) []byte {
	t.Helper()
	records := unpack(t, readTestdata(t, "one.pt"))
	records[0].data = []byte("\x80\x02" + code)
	return pack(t, "one", records...)
}

// vector is a file that some reader somewhere gets wrong.
type vector struct {
	name, expect, comment string
	make                  func(t testing.TB) []byte
}

// zipVector patches a copy of one.pt, or of what is given.
func zipVector(name, expect, comment string, patch func(t testing.TB, b []byte) []byte) vector {
	return vector{name, expect, comment, func(t testing.TB) []byte { return patch(t, readTestdata(t, "one.pt")) }}
}

// recordVector patches the records of one.pt: data.pkl, data/0, version.
func recordVector(name, expect, comment string, patch func(r []record) []record) vector {
	return vector{name, expect, comment, func(t testing.TB) []byte {
		return pack(t, "one", patch(unpack(t, readTestdata(t, "one.pt")))...)
	}}
}

// codeVector is one.pt with another pickle.
func codeVector(name, expect, comment, code string) vector {
	return vector{name, expect, comment, func(t testing.TB) []byte { return withPickle(t, code) }}
}

// dictVector is one.pt whose pickle is {"w": value}.
func dictVector(name, expect, comment, value string) vector {
	return codeVector(name, expect, comment, "}"+textCode("w")+value+"s.")
}

// nth returns the offset of the nth occurrence of a signature or name.
func nth(t testing.TB, b []byte, s string, n int) int {
	t.Helper()
	at := -1
	for range n {
		i := bytes.Index(b[at+1:], []byte(s))
		if i < 0 {
			t.Fatalf("no %q", s)
		}
		at += 1 + i
	}
	return at
}

const (
	local   = "PK\x03\x04"
	central = "PK\x01\x02"
	end     = "PK\x05\x06"
	end64   = "PK\x06\x06"
	locator = "PK\x06\x07"
	after   = "PK\x07\x08"
)

// insert puts s before byte at and moves the directory's offsets along.
func insert(t testing.TB, b []byte, at int, s string) []byte {
	t.Helper()
	dir := nth(t, b, central, 1)
	out := slices.Insert(slices.Clone(b), at, []byte(s)...)
	for i := 1; i <= 3; i++ {
		p := nth(t, out, central, i) + 42
		if v := le.Uint32(out[p:]); int(v) >= at {
			le.PutUint32(out[p:], v+uint32(len(s)))
		}
	}
	moved := uint64(dir + len(s))
	le.PutUint64(out[nth(t, out, end64, 1)+48:], moved)
	le.PutUint32(out[nth(t, out, end, 1)+16:], uint32(moved))
	p := nth(t, out, locator, 1) + 8
	le.PutUint64(out[p:], le.Uint64(out[p:])+uint64(len(s)))
	return out
}

// w0 is the tensor of one.pt.
var w0 = tensorCode(storageCode("FloatStorage", "0", 2), "K\x00", "K\x02\x85", "K\x01\x85")

func view(offset, shape, strides string) string {
	return tensorCode(storageCode("FloatStorage", "0", 2), offset, shape, strides)
}

func v3(dtype string, numel int64) string {
	s := "(" + textCode("storage") + "ctorch.storage\nUntypedStorage\n" + textCode("0") + textCode("cpu") + long(numel) + "tQ"
	return "ctorch._utils\n_rebuild_tensor_v3\n(" + s + "K\x00K\x02\x85K\x01\x85\x89ccollections\nOrderedDict\n)Rctorch\n" + dtype + "\ntR"
}

// Every vector has the outcome that its line in the manifest says. With
// -update they are made again from the golden files.
func TestVectors(t *testing.T) {
	manifest := "# Checkpoints made from pickle/testdata, each by one patch: go test ./pickle -run TestVectors -update\n"
	for _, v := range allVectors() {
		b := v.make(t)
		if len(b) < stored {
			manifest += fmt.Sprintf("%s.pt expect: %s # %s\n", v.name, v.expect, v.comment)
			vectors.Golden(t, filepath.Join(vectorDir, v.name+".pt"), b, *update)
		}
		t.Run(v.name, func(t *testing.T) {
			var opts Options
			if len(b) > stored { // the default limit would take files and time of its size
				opts.Limits.Memory = 16 << 20
			}
			c, err := Decode(bytes.NewReader(b), int64(len(b)), opts)
			if got := vectors.Outcome(err); got != v.expect {
				t.Errorf("got %s, want %s: %v", got, v.expect, err)
			}
			if err != nil {
				t.Log(err)
				return
			}
			roundTrip(t, c)
		})
	}
	vectors.Golden(t, filepath.Join(vectorDir, "manifest.txt"), []byte(manifest), *update)
}

// rezip writes an archive with Go's own zip package.
func rezip(t testing.TB, b []byte, method uint16) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, r := range unpack(t, b) {
		data := r.data
		if method == zip.Deflate {
			var packed bytes.Buffer
			f, err := flate.NewWriter(&packed, 9)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			data = packed.Bytes()
		}
		w, err := z.CreateRaw(&zip.FileHeader{Name: "one/" + r.name, Method: method, CRC32: crc32.ChecksumIEEE(r.data),
			CompressedSize64: uint64(len(data)), UncompressedSize64: uint64(len(r.data))})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// zip64Extras moves the sizes and offsets of the directory to extra fields.
func zip64Extras(t testing.TB, b []byte) []byte {
	t.Helper()
	dir := nth(t, b, central, 1)
	end64At := nth(t, b, end64, 1)
	out := slices.Clone(b[:dir])
	for e := b[dir:end64At]; len(e) > 0; {
		n := centralLen + int(le.Uint16(e[28:]))
		head := slices.Clone(e[:n])
		extra := le.AppendUint16(le.AppendUint16(nil, zip64Extra), 24)
		for _, at := range []int{24, 20, 42} {
			extra = le.AppendUint64(extra, uint64(le.Uint32(head[at:])))
			le.PutUint32(head[at:], math.MaxUint32)
		}
		le.PutUint16(head[30:], uint16(len(extra)))
		out, e = append(append(out, head...), extra...), e[n:]
	}
	moved := len(out) - end64At
	out = append(out, b[end64At:]...)
	for _, at := range []int{nth(t, out, end64, 1) + 40, nth(t, out, locator, 1) + 8, nth(t, out, end, 1) + 12} {
		le.PutUint32(out[at:], le.Uint32(out[at:])+uint32(moved))
	}
	return out
}

// stored is the largest vector that is kept as a file. The others are a million
// times the same opcode.
const stored = 1 << 16
