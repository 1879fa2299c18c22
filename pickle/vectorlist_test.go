package pickle

import (
	"archive/zip"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func allVectors() []vector {
	vs := []vector{
		zipVector("unedited", "ok", "the base of the others: one.pt as torch wrote it",
			func(t testing.TB, b []byte) []byte { return b }),
		{"crc-off", "ok", "all CRCs are 0, as torch writes them when told not to compute any", func(t testing.TB) []byte {
			return packWith(t, "one", true, unpack(t, readTestdata(t, "plain.pt")))
		}},
		zipVector("rezipped", "ok", "stored again by another zip writer: other flags, no padding, no zip64 end record", func(t testing.TB, b []byte) []byte {
			return rezip(t, b, zip.Store)
		}),
		zipVector("deflated", "unsupported", "compressed members, which torch never writes", func(t testing.TB, b []byte) []byte {
			return rezip(t, b, zip.Deflate)
		}),
		zipVector("zip64-extras", "ok", "sizes and offsets of a small file in zip64 extra fields", func(t testing.TB, b []byte) []byte {
			return zip64Extras(t, b)
		}),
		zipVector("zip64-absent", "malformed", "a size that refers to a zip64 extra field, and none there", func(t testing.TB, b []byte) []byte {
			le.PutUint32(b[nth(t, b, central, 2)+24:], math.MaxUint32)
			return b
		}),
		zipVector("zip64-idle", "malformed", "a zip64 extra field with another size, which no size refers to", func(t testing.TB, b []byte) []byte {
			b = zip64Extras(t, b)
			le.PutUint32(b[nth(t, b, central, 2)+24:], 4)
			return b
		}),
		zipVector("zip64-local", "malformed", "a zip64 extra field with another size in a local header", func(t testing.TB, b []byte) []byte {
			at := nth(t, b, "FB", 2) // as much padding, of which 20 bytes are the field
			copy(b[at:], append(le.AppendUint64(le.AppendUint64([]byte{1, 0, 16, 0}, 4), 4),
				'F', 'B', b[at+2]-20, 0))
			return b
		}),

		zipVector("cut-half", "malformed", "the second half is missing", func(t testing.TB, b []byte) []byte { return b[:len(b)/2] }),
		zipVector("cut-end", "malformed", "the last byte is missing", func(t testing.TB, b []byte) []byte { return b[:len(b)-1] }),
		zipVector("prefix", "malformed", "a byte before the archive, and offsets that know of it", func(t testing.TB, b []byte) []byte {
			return append([]byte("PK\x03\x04"), insert(t, b, 0, "PK\x03\x04")[4:]...)
		}),
		zipVector("suffix", "malformed", "a byte after the archive", func(t testing.TB, b []byte) []byte { return append(b, 0) }),
		zipVector("comment", "malformed", "a comment of 4 bytes in the end record", func(t testing.TB, b []byte) []byte {
			b[len(b)-2] = 4
			return append(b, "note"...)
		}),
		zipVector("comment-end", "malformed", "a comment of 22 bytes that looks like another end record", func(t testing.TB, b []byte) []byte {
			b[len(b)-2] = 22
			return append(b, end+strings.Repeat("\x00", 18)...)
		}),
		zipVector("gap", "malformed", "bytes that no member owns between two members", func(t testing.TB, b []byte) []byte {
			return insert(t, b, nth(t, b, local, 2), "junk")
		}),
		zipVector("overlap", "malformed", "two entries of the directory point to one local header", func(t testing.TB, b []byte) []byte {
			le.PutUint32(b[nth(t, b, central, 2)+42:], 0)
			return b
		}),
		zipVector("name-differs", "malformed", "local and central name differ (CVE-2025-1944)", func(t testing.TB, b []byte) []byte {
			copy(b[nth(t, b, "one/data.pkl", 1):], "one/data.pkz")
			return b
		}),
		zipVector("name-unicode", "malformed", "a Unicode path extra field in place of the padding", func(t testing.TB, b []byte) []byte {
			copy(b[nth(t, b, "FB", 1):], "\x75\x70")
			return b
		}),
		zipVector("flags-encrypted", "malformed", "bit 0 of the flags: encrypted (CVE-2025-1945)", func(t testing.TB, b []byte) []byte {
			b[6] |= 1
			b[nth(t, b, central, 1)+8] |= 1
			return b
		}),
		zipVector("flags-differ", "malformed", "flags in the local header only", func(t testing.TB, b []byte) []byte {
			b[6] |= 1
			return b
		}),
		zipVector("method-differs", "malformed", "the local header says deflated, the directory stored", func(t testing.TB, b []byte) []byte {
			b[8] = 8
			return b
		}),
		zipVector("local-size", "malformed", "a size in the local header that is not that of the directory", func(t testing.TB, b []byte) []byte {
			b[22] = 1
			return b
		}),
		zipVector("descriptor", "malformed", "another CRC after the data than in the directory", func(t testing.TB, b []byte) []byte {
			b[nth(t, b, after, 1)+4] ^= 1
			return b
		}),
		zipVector("central-size", "malformed", "the directory gives data/0 four bytes less", func(t testing.TB, b []byte) []byte {
			at := nth(t, b, central, 2)
			b[at+20], b[at+24] = 4, 4
			return b
		}),
		zipVector("size-huge", "malformed", "the directory gives data/0 2 GiB", func(t testing.TB, b []byte) []byte {
			at := nth(t, b, central, 2)
			b[at+23], b[at+27] = 0x80, 0x80
			return b
		}),
		zipVector("extra-overrun", "malformed", "an extra field of a local header that is longer than the header", func(t testing.TB, b []byte) []byte {
			b[nth(t, b, "FB", 1)+2]++
			return b
		}),
		zipVector("crc-data", "malformed", "a bit of the tensor is flipped", func(t testing.TB, b []byte) []byte {
			b[nth(t, b, after, 2)-1] ^= 1
			return b
		}),
		zipVector("crc-pickle", "malformed", "a bit of the pickle is flipped: w becomes v", func(t testing.TB, b []byte) []byte {
			b[nth(t, b, "\x01\x00\x00\x00w", 1)+5] ^= 1
			return b
		}),
		zipVector("count", "malformed", "the end record counts a member less", func(t testing.TB, b []byte) []byte {
			for _, at := range []int{nth(t, b, end64, 1) + 24, nth(t, b, end64, 1) + 32, nth(t, b, end, 1) + 8, nth(t, b, end, 1) + 10} {
				b[at]--
			}
			return b
		}),
		zipVector("count-huge", "malformed", "the zip64 end record counts 2^56 members", func(t testing.TB, b []byte) []byte {
			at := nth(t, b, end64, 1)
			b[at+31], b[at+39] = 1, 1
			copy(b[nth(t, b, end, 1)+8:], "\xff\xff\xff\xff")
			return b
		}),
		zipVector("ends-differ", "malformed", "the zip64 end record has the directory elsewhere than the end record", func(t testing.TB, b []byte) []byte {
			b[nth(t, b, end64, 1)+48]++
			return b
		}),
		zipVector("locator", "malformed", "the locator points past the zip64 end record", func(t testing.TB, b []byte) []byte {
			b[nth(t, b, locator, 1)+8]++
			return b
		}),
		zipVector("volumes", "malformed", "an archive of two volumes", func(t testing.TB, b []byte) []byte {
			b[nth(t, b, locator, 1)+16] = 2
			return b
		}),

		recordVector("roots", "malformed", "members in two folders", func(r []record) []record {
			for i := range r {
				r[i].name = "one/" + r[i].name
			}
			r[2].name = "two/version"
			return r
		}),
		recordVector("duplicate", "malformed", "two members called data.pkl", func(r []record) []record { return append(r, r[0]) }),
		recordVector("duplicate-case", "malformed", "data.pkl and DATA.pkl, one file on many disks", func(r []record) []record {
			return append(r, record{"DATA.pkl", r[0].data})
		}),
		recordVector("dotdot", "malformed", "a member that would unpack outside of the folder", func(r []record) []record {
			return append(r, record{"../../x", nil})
		}),
		recordVector("backslash", "malformed", "a separator that only Windows knows", func(r []record) []record {
			return append(r, record{`..\x`, nil})
		}),
		recordVector("folder", "malformed", "a member for a folder", func(r []record) []record { return append(r, record{"data/", nil}) }),
		recordVector("no-pickle", "malformed", "no data.pkl", func(r []record) []record { return r[1:] }),
		recordVector("no-version", "malformed", "no version", func(r []record) []record { return r[:2] }),
		recordVector("byteorder", "malformed", "a byte order that is neither little nor big", func(r []record) []record {
			return append(r, record{"byteorder", []byte("middle")})
		}),
		recordVector("no-data", "malformed", "the record of a storage is missing", func(r []record) []record {
			return slices.Delete(r, 1, 2)
		}),
		recordVector("data-short", "malformed", "a record is shorter than its storage (CVE-2026-24747)", func(r []record) []record {
			r[1].data = r[1].data[:4]
			return r
		}),
		recordVector("data-long", "malformed", "a record is longer than its storage", func(r []record) []record {
			r[1].data = append(r[1].data, 0, 0, 0, 0)
			return r
		}),
		recordVector("data-unused", "unsupported", "a record that no storage refers to", func(r []record) []record {
			return append(r, record{"data/1", []byte("secret")})
		}),
		recordVector("alignment", "malformed", "records aligned to 7 bytes", func(r []record) []record {
			return append(r, record{".storage_alignment", []byte("7")})
		}),
		recordVector("export", "malformed", "a checkpoint that is a program of torch.export too", func(r []record) []record {
			return append(r, record{"archive_format", []byte("pt2")})
		}),

		codeVector("os-system", "malformed", "a pickle that runs a command", "cposix\nsystem\n"+textCode("echo pwned")+"\x85R."),
		codeVector("eval", "malformed", "a pickle that evaluates Python", "c__builtin__\neval\n"+textCode("1+1")+"\x85R."),
		dictVector("os-system-inside", "malformed", "a command beside a good tensor", w0+"s"+textCode("x")+"cnt\nsystem\n"+textCode("calc")+"\x85R"),
		codeVector("object", "malformed", "object, which the virtual machine would make without asking", "c__builtin__\nobject\n)\x81."),
		codeVector("reconstructor", "unsupported", "copy_reg._reconstructor, likewise", "ccopy_reg\n_reconstructor\n)R."),
		codeVector("class", "unsupported", "an object of a user's class", "c__main__\nNet\n)\x81}b."),
		codeVector("global-dotted", "unsupported", "a list entry with its dot in another place", "ctorch\n_utils._rebuild_tensor_v2\n."),
		codeVector("global-unended", "malformed", "a global without newline", "ctorch"),
		codeVector("sparse", "unsupported", "a sparse tensor", "ctorch._utils\n_rebuild_sparse_tensor\n)R."),
		vector{"protocol-4", "malformed", "pickle protocol 4: a command by STACK_GLOBAL", func(t testing.TB) []byte {
			r := unpack(t, readTestdata(t, "one.pt"))
			r[0].data = []byte("\x80\x04\x8c\x05posix\x8c\x06system\x93.")
			return pack(t, "one", r...)
		}},
		vector{"protocol-0", "unsupported", "an empty dictionary of protocol 0, which has no PROTO", func(t testing.TB) []byte {
			r := unpack(t, readTestdata(t, "one.pt"))
			r[0].data = []byte("(dp0\n.")
			return pack(t, "one", r...)
		}},
		vector{"pickle-empty", "malformed", "a pickle of no bytes", func(t testing.TB) []byte {
			r := unpack(t, readTestdata(t, "one.pt"))
			r[0].data = nil
			return pack(t, "one", r...)
		}},
		codeVector("opcode-ff", "malformed", "opcode 0xff, for which the virtual machine has no table entry", "\xff."),
		codeVector("opcode-inst", "malformed", "INST, the call of protocol 0", "(iposix\nsystem\n."),
		codeVector("opcode-proto", "malformed", "PROTO again in the middle", "}\x80\x04."),
		codeVector("opcode-ext", "malformed", "EXT1, a global by number", "\x82\x01."),
		codeVector("stop-missing", "malformed", "no STOP", "}"),
		codeVector("stop-early", "malformed", "bytes after STOP", "}.}."),
		codeVector("stop-two", "malformed", "two values at STOP", "}}."),
		codeVector("stop-mark", "malformed", "an open mark at STOP", "(}."),
		codeVector("stop-none", "malformed", "no value at STOP", "."),
		codeVector("underflow", "malformed", "SETITEM on an empty stack", "s."),
		codeVector("underflow-mark", "malformed", "an instruction reaches below a mark", "}"+textCode("w")+"N(s."),
		codeVector("no-mark", "malformed", "SETITEMS without MARK", "}u."),
		codeVector("memo-sparse", "malformed", "memo index 2 before 0 and 1", "}q\x02."),
		codeVector("memo-python2", "unsupported", "memo index 1 first, as cPickle of Python 2 counts", "}q\x01."),
		codeVector("memo-digits", "malformed", "a memo index that only Python's int() reads", "}p+0\n."),
		codeVector("memo-huge", "malformed", "memo index 2^32-1", "}r\xff\xff\xff\xff."),
		codeVector("memo-again", "malformed", "memo index 0 twice", "}q\x00q\x00."),
		codeVector("memo-unset", "malformed", "a memo index that was never stored", "}q\x00h\x01."),
		codeVector("memo-nothing", "malformed", "the memo stores the top of an empty stack", "(q\x00t."),
		codeVector("text-huge", "malformed", "a string of 4 GiB", "X\xff\xff\xff\xffw."),
		codeVector("text-latin1", "malformed", "a string that is not UTF-8", "X\x01\x00\x00\x00\xff."),
		codeVector("long-empty", "unsupported", "a number of no bytes, which is 0", "\x8a\x00."),
		codeVector("depth-marks", "limit", "a million marks", strings.Repeat("(", 1_000_000)),
		codeVector("depth-tuples", "limit", "200 tuples, one in the other", "N"+strings.Repeat("\x85", 200)+"."),
		codeVector("depth-lists", "limit", "200 lists, one in the other", strings.Repeat("]", 200)+strings.Repeat("a", 199)+"."),
		codeVector("depth-late", "limit", "300 lists, one in the other, each filled after it was put there", late(300)),
		codeVector("stack", "limit", "half a million values on the stack", strings.Repeat("N", 500_000)),
		codeVector("tuples", "limit", "half a million tuples by marks", strings.Repeat("(t", 500_000)),
		codeVector("opcodes", "limit", "a million instructions", "]"+strings.Repeat("Na", 500_000)+"."),
		codeVector("setitems-odd", "malformed", "a key without value", "}("+textCode("w")+"u."),
		codeVector("key-list", "malformed", "a list as key", "}]Ns."),
		codeVector("setitem-tensor", "malformed", "an item is set in a tensor (CVE-2026-24747)", w0+"K\x00K\x01s."),
		codeVector("append-dict", "malformed", "an item is appended to a dict", "}Na."),
		codeVector("build-tensor", "malformed", "a tensor gets a new state", w0+")b."),
		codeVector("build-dict", "malformed", "a dict gets attributes", "}}b."),
		codeVector("build-ordered", "malformed", "an OrderedDict gets a tuple as attributes", "ccollections\nOrderedDict\n)R)b."),
		codeVector("build-key", "unsupported", "no tensors, and an attribute whose name is a number", "ccollections\nOrderedDict\n)R}K\x00Nsb."),
		codeVector("reduce-args", "malformed", "a call with a list of arguments", "ccollections\nOrderedDict\n]R."),
		codeVector("reduce-number", "malformed", "a call of a number", "K\x01)R."),
		codeVector("reduce-storage", "malformed", "a call of a storage class", "ctorch\nFloatStorage\n)R."),
		codeVector("newobj-rebuild", "malformed", "a new instance of a function", "ctorch._utils\n_rebuild_tensor_v2\n)\x81."),
		codeVector("ordered-items", "malformed", "OrderedDict of a dict", "ccollections\nOrderedDict\n}\x85R."),
		codeVector("ordered-pairs", "ok", "OrderedDict of a list of pairs, as Python 2 writes it", "ccollections\nOrderedDict\n]]("+textCode("w")+w0+"ea\x85R."),
		codeVector("cycle", "unsupported", "a dictionary that holds itself", "}q\x00"+textCode("self")+"h\x00s."),
		codeVector("cycle-tensors", "ok", "a dictionary that holds itself beside a tensor", "}q\x00("+textCode("self")+"h\x00"+textCode("w")+w0+"u."),
		codeVector("braid", "unsupported", "30 dictionaries, each of which holds the next twice: 2^30 paths", braid(0, 30)+"."),
		codeVector("nothing", "unsupported", "None", "N."),
		codeVector("two-dicts", "unsupported", "two state dicts", "}("+textCode("a")+"}"+textCode("w")+w0+"s"+textCode("b")+"}"+textCode("w")+w0+"s"+"u."),
		codeVector("key-twice", "ok", "a key twice: the last value counts, as in Python", "}("+textCode("w")+"N"+textCode("w")+w0+"u."),

		dictVector("view-out", "malformed", "a view of three of two elements", view("K\x00", "K\x03\x85", "K\x01\x85")),
		dictVector("view-offset", "malformed", "a view that starts at the last element and has two", view("K\x01", "K\x02\x85", "K\x01\x85")),
		dictVector("view-stride", "malformed", "a stride that leaves the storage", view("K\x00", "K\x02\x85", "K\x02\x85")),
		dictVector("view-negative", "malformed", "a negative offset", view("J\xff\xff\xff\xff", "K\x02\x85", "K\x01\x85")),
		dictVector("shape-negative", "malformed", "a negative dimension", view("K\x00", "J\xfe\xff\xff\xff\x85", "K\x01\x85")),
		dictVector("stride-negative", "malformed", "a negative stride", view("K\x01", "K\x02\x85", "J\xff\xff\xff\xff\x85")),
		dictVector("shape-overflow", "malformed", "2^32 x 2^32 elements", view("K\x00", long(1<<32)+long(1<<32)+"\x86", "K\x00K\x00\x86")),
		dictVector("stride-overflow", "malformed", "strides whose sum wraps to 0", view("K\x00", "K\x03K\x03\x86", long(math.MaxInt64)+long(math.MaxInt64)+"\x86")),
		dictVector("offset-overflow", "malformed", "an offset of 2^62 elements, in bytes 0", view(long(1<<62), "K\x01\x85", "K\x01\x85")),
		dictVector("rank-differs", "malformed", "one dimension and two strides", view("K\x00", "K\x02\x85", "K\x01K\x01\x86")),
		dictVector("rank-65", "malformed", "65 dimensions", view("K\x00", "("+strings.Repeat("K\x01", 65)+"t", "("+strings.Repeat("K\x01", 65)+"t")),
		dictVector("shape-bool", "malformed", "True as a dimension", view("K\x00", "\x88\x85", "K\x01\x85")),
		dictVector("shape-big", "malformed", "a dimension of 9 bytes", view("K\x00", "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01\x85", "K\x01\x85")),
		dictVector("expanded", "limit", "one element as 2^40", view("K\x00", long(1<<40)+"\x85", "K\x00\x85")),
		dictVector("empty-view", "ok", "no elements, far away", view(long(1<<40), "K\x00\x85", "K\x01\x85")),
		dictVector("numel", "malformed", "a storage of three elements in a record of two", tensorCode(storageCode("FloatStorage", "0", 3), "K\x00", "K\x02\x85", "K\x01\x85")),
		dictVector("numel-overflow", "malformed", "2^62 + 2 elements of 4 bytes: 8 bytes, modulo 2^64", tensorCode(storageCode("FloatStorage", "0", 1<<62+2), "K\x00", "K\x02\x85", "K\x01\x85")),
		dictVector("numel-negative", "malformed", "-2 elements", tensorCode(storageCode("FloatStorage", "0", -2), "K\x00", "K\x02\x85", "K\x01\x85")),
		dictVector("storage-class", "malformed", "a storage of a class that is none", tensorCode(storageCode("float32", "0", 2), "K\x00", "K\x02\x85", "K\x01\x85")),
		dictVector("storage-twice", "malformed", "one record as float32 and as int32", "("+w0+tensorCode(storageCode("IntStorage", "0", 2), "K\x00", "K\x02\x85", "K\x01\x85")+"t"),
		dictVector("storage-key", "malformed", "a storage key that leads out of data/", tensorCode(storageCode("FloatStorage", "../version", 2), "K\x00", "K\x02\x85", "K\x01\x85")),
		dictVector("storage-quantized", "unsupported", "a quantized storage", tensorCode(storageCode("QInt8Storage", "0", 8), "K\x00", "K\x02\x85", "K\x01\x85")),
		dictVector("persid-short", "malformed", "a persistent id of one item", textCode("storage")+"\x85Q"),
		dictVector("persid-text", "malformed", "a persistent id that is not a tuple", textCode("storage")+"Q"),
		dictVector("rebuild-args", "malformed", "_rebuild_tensor_v2 without arguments", "ctorch._utils\n_rebuild_tensor_v2\n)R"),
		dictVector("rebuild-parameter", "malformed", "a parameter of a number", "ctorch._utils\n_rebuild_parameter\n(K\x01\x89NtR"),
		dictVector("rebuild-v3", "ok", "an untyped storage as float32", v3("float32", 8)),
		dictVector("float8", "ok", "elements of a byte", strings.Replace(v3("float8_e4m3fn", 8), "K\x02\x85", "K\x08\x85", 1)),
		dictVector("float4", "unsupported", "a type that Lethe does not know", v3("float4_e2m1fn_x2", 8)),
		dictVector("v3-typed", "malformed", "_rebuild_tensor_v3 over a typed storage", strings.ReplaceAll(v3("float32", 2), "ctorch.storage\nUntypedStorage", "ctorch\nFloatStorage")),
		dictVector("conj", "unsupported", "a lazily conjugated tensor", strings.Replace(w0, ")RtR", ")R}"+textCode("conj")+"\x88stR", 1)),
		dictVector("cuda", "ok", "a storage of a graphics card", strings.Replace(w0, textCode("cpu"), textCode("cuda:1"), 1)),
		dictVector("mps", "ok", "a storage of Apple's graphics", strings.Replace(w0, textCode("cpu"), textCode("mps"), 1)),
		dictVector("from-type", "ok", "a subclass, rebuilt from its type", "ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\nctorch\nTensor\n("+
			storageCode("FloatStorage", "0", 2)+"K\x00K\x02\x85K\x01\x85\x89ccollections\nOrderedDict\n)Rt}tR"),
		dictVector("from-type-itself", "malformed", "a subclass that is rebuilt by the function itself", "ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._tensor\n_rebuild_from_type_v2\nctorch\nTensor\n)}tR"),
	}
	return slices.Concat(vs, legacyVectors(), archiveVectors())
}

// legacy is a file in the format before torch 1.6, by its parts.
type legacy struct{ version, machine, object, keys, data string }

// legacyStart is the pickle of the magic number at protocol 2.
const legacyStart = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e"

func (l legacy) file() []byte {
	return []byte(legacyStart + "\x80\x02" + l.version + ".\x80\x02" + l.machine + ".\x80\x02" + l.object + ".\x80\x02" + l.keys + "." + l.data)
}

// oldStorage is a persistent id of 6 parts, the last of which is view.
func oldStorage(class, key string, numel int64, view string) string {
	return strings.Replace(storageCode(class, key, numel), "tQ", view+"tQ", 1)
}

func legacyVectors() []vector {
	w := func(storage string) string {
		return "}" + textCode("w") + tensorCode(storage, "K\x00", "K\x02\x85", "K\x01\x85") + "s"
	}
	data := string(le.AppendUint64(nil, 2)) + "\x00\x00\x80\x3f\x00\x00\x00\x40"
	big := "}" + textCode("little_endian") + "\x89s"
	good := legacy{"M\xe9\x03", "}" + textCode("little_endian") + "\x88s", w(oldStorage("FloatStorage", "7", 2, "N")), "]" + textCode("7") + "a", data}
	v := func(name, expect, comment string, patch func(l *legacy)) vector {
		l := good
		patch(&l)
		return vector{"legacy-" + name, expect, comment, func(testing.TB) []byte { return l.file() }}
	}
	return []vector{
		v("unedited", "ok", "the format before torch 1.6, the base of the others", func(*legacy) {}),
		v("version", "malformed", "another version", func(l *legacy) { l.version = "K\x01" }),
		v("machine", "malformed", "no dict about the machine", func(l *legacy) { l.machine = "N" }),
		v("big-endian", "ok", "a big-endian machine, which writes little-endian elements too", func(l *legacy) { l.machine = big }),
		v("big-endian-complex", "unsupported", "a big-endian machine and complex elements", func(l *legacy) {
			l.machine, l.object = big, w(oldStorage("ComplexFloatStorage", "7", 2, "N"))
			l.data = string(le.AppendUint64(nil, 2)) + strings.Repeat("\x00", 16)
		}),
		v("keys-none", "malformed", "no list of keys", func(l *legacy) { l.keys = "N" }),
		v("keys-few", "malformed", "no key", func(l *legacy) { l.keys = "]" }),
		v("keys-many", "malformed", "a key twice", func(l *legacy) { l.keys = "](" + textCode("7") + textCode("7") + "e" }),
		v("keys-other", "malformed", "the key of no storage", func(l *legacy) { l.keys = "]" + textCode("8") + "a" }),
		v("keys-number", "malformed", "a key that is a number", func(l *legacy) { l.keys = "]K\x07a" }),
		v("count", "malformed", "another number of elements before the data", func(l *legacy) { l.data = string(le.AppendUint64(nil, 1)) + data[8:] }),
		v("count-cut", "malformed", "the end before the data", func(l *legacy) { l.data = data[:4] }),
		v("data-cut", "malformed", "the end within the data", func(l *legacy) { l.data = data[:15] }),
		v("suffix", "malformed", "a byte after the data", func(l *legacy) { l.data += "\x00" }),
		v("numel", "malformed", "2^40 elements in a small file", func(l *legacy) { l.object = w(oldStorage("FloatStorage", "7", 1<<40, "N")) }),
		v("numel-overflow", "malformed", "2^62 elements of 4 bytes", func(l *legacy) { l.object = w(oldStorage("FloatStorage", "7", 1<<62, "N")) }),
		v("storage-twice", "malformed", "one storage with two sizes", func(l *legacy) {
			l.object = w(oldStorage("FloatStorage", "7", 2, "N")) + textCode("x") + tensorCode(oldStorage("FloatStorage", "7", 1, "N"), "K\x00", "K\x01\x85", "K\x01\x85") + "s"
		}),
		v("view", "ok", "a part of a storage, as PyTorch before 0.4 wrote views", func(l *legacy) {
			l.object = w(oldStorage("FloatStorage", "7", 2, "("+textCode("8")+"K\x00K\x02t"))
		}),
		v("parts", "malformed", "a persistent id of 5 parts, as in a zip archive", func(l *legacy) { l.object = w(storageCode("FloatStorage", "7", 2)) }),
		v("view-out", "malformed", "a part that leaves its storage", func(l *legacy) {
			l.object = w(oldStorage("FloatStorage", "7", 2, "("+textCode("8")+"K\x01K\x02t"))
		}),
		v("module", "unsupported", "the source of a module", func(l *legacy) {
			l.object = "(" + textCode("module") + "c__main__\nNet\n" + textCode("net.py") + textCode("class Net: pass") + "tQ"
		}),
		v("os-system", "malformed", "a command", func(l *legacy) { l.object = "cposix\nsystem\n" + textCode("x") + "\x85R" }),
		v("os-system-first", "malformed", "a command in place of the version", func(l *legacy) { l.version = "cposix\nsystem\n" + textCode("x") + "\x85R" }),
		v("storage-first", "malformed", "a storage in place of the version", func(l *legacy) { l.version = oldStorage("FloatStorage", "7", 2, "N") }),
	}
}

// archiveVectors are archives of PyTorch that are not checkpoints.
func archiveVectors() []vector {
	one := record{"data/0", []byte("\x00\x00\x80\x3f\x00\x00\x00\x40")}
	script := func(name, expect, comment, code string, more ...record) vector {
		return vector{"script-" + name, expect, comment, func(t testing.TB) []byte {
			return pack(t, "s", append([]record{one, {"data.pkl", []byte("\x80\x02" + code)}, {"code/s.py", []byte("class S: pass")},
				{"constants.pkl", []byte("\x80\x02).")}, {"version", []byte("3\n")}}, more...)...)
		}}
	}
	module := "c__torch__\nS\n)\x81"
	weight := func(meta string) string {
		return `{"config":{"w":{"path_name":"weight_0","use_pickle":false,"tensor_meta":{` + meta + `}}}}`
	}
	meta := func(dtype, size, stride string) string {
		return `"dtype":` + dtype + `,"sizes":[` + size + `],"strides":[` + stride + `],"storage_offset":{"as_int":0},"layout":7`
	}
	export := func(name, expect, comment, config string) vector {
		return vector{"export-" + name, expect, comment, func(t testing.TB) []byte {
			return pack(t, "e", record{"archive_format", []byte("pt2")}, record{"data/weights/weight_0", one.data},
				record{"data/weights/model_weights_config.json", []byte(config)}, record{".data/version", []byte("6\n")})
		}}
	}
	old := func(name, expect, comment string, inner func(t testing.TB) []byte) vector {
		return vector{"export-" + name, expect, comment, func(t testing.TB) []byte {
			records := []record{{oldProgram, []byte("{}")}, {"version", []byte("8.2")}}
			if inner != nil {
				records = append(records, record{"serialized_state_dict.pt", inner(t)})
			}
			return pack(t, "", records...)
		}}
	}
	two := `{"as_int":2}`
	return []vector{
		script("unedited", "ok", "a TorchScript module with one weight", module+"}"+textCode("w")+w0+"sb."),
		script("big-endian", "unsupported", "a byte order that torch.jit.load does not heed", module+"}"+textCode("w")+w0+"sb.", record{"byteorder", []byte("big")}),
		script("nested", "ok", "a module in a module", module+"}("+textCode("a")+module+"}"+textCode("w")+w0+"sb"+textCode("n")+"K\x01ub."),
		script("empty", "unsupported", "a module without weights", module+"}b."),
		script("no-module", "malformed", "a dict in place of a module", "}"+textCode("w")+w0+"s."),
		script("cycle", "ok", "a module that holds itself beside a weight", module+"q\x00}("+textCode("a")+"h\x00"+textCode("w")+w0+"ub."),
		script("braid", "limit", "30 modules, each of which holds the next twice: 2^30 paths", moduleBraid(0, 30)+"."),
		script("os-system", "malformed", "a command beside a weight", module+"}("+textCode("w")+w0+textCode("x")+"cposix\nsystem\n"+textCode("x")+"\x85Rub."),
		export("unedited", "ok", "a program of torch.export with one weight", weight(meta("7", two, `{"as_int":1}`))),
		export("config-none", "ok", "a program without weights", `{"config":{}}`),
		export("config-text", "malformed", "a list of weights that is not JSON", `{"config":`),
		export("config-twice", "malformed", "a weight twice", `{"config":{"w":{},"w":{}}}`),
		export("dtype", "unsupported", "a type that the schema does not have", weight(meta("99", two, `{"as_int":1}`))),
		export("layout", "unsupported", "a sparse weight", strings.Replace(weight(meta("7", two, `{"as_int":1}`)), `"layout":7`, `"layout":1`, 1)),
		export("expression", "malformed", "a size that is an expression", weight(meta("7", `{"as_expr":"s0"}`, `{"as_int":1}`))),
		export("out", "malformed", "three elements in the bytes of two", weight(meta("7", `{"as_int":3}`, `{"as_int":1}`))),
		export("expanded", "limit", "one element as 2^40", weight(meta("7", `{"as_int":1099511627776}`, `{"as_int":0}`))),
		export("path", "malformed", "a weight whose record is missing", strings.Replace(weight(meta("7", two, `{"as_int":1}`)), "weight_0", "../weight_0", 1)),
		export("pickled", "unsupported", "a pickled weight", strings.Replace(weight(meta("7", two, `{"as_int":1}`)), "false", "true", 1)),
		old("old", "ok", "a program of torch.export up to 2.7", func(t testing.TB) []byte { return readTestdata(t, "one.pt") }),
		old("old-empty", "malformed", "the same without weights", nil),
		old("old-nested", "malformed", "the same with another program in place of the weights", func(t testing.TB) []byte { return pack(t, "", record{oldProgram, nil}) }),
		old("old-text", "malformed", "the same with text in place of the weights", func(t testing.TB) []byte { return []byte("state") }),
	}
}

// moduleBraid is module i of n, which holds the next one twice.
func moduleBraid(i, n int) string {
	if i == n {
		return "N"
	}
	return fmt.Sprintf("c__torch__\nS\n)\x81q%c}(%s%s%sh%cub", i, textCode("a"), moduleBraid(i+1, n), textCode("b"), min(i+1, n-1))
}

// late is a pickle of n lists, one in the other, in which each is put into the
// one before while it is still empty.
func late(n int) string {
	put := func(i int) string { return "r" + string(le.AppendUint32(nil, uint32(i))) }
	code := "(]" + put(0)
	for i := 1; i < n; i++ {
		code += "]" + put(i) + "aj" + string(le.AppendUint32(nil, uint32(i)))
	}
	return code + "t."
}

// braid is dictionary i of n, which holds the next one twice.
func braid(i, n int) string {
	if i == n {
		return "N"
	}
	return fmt.Sprintf("}q%c%s%ss%sh%cs", i, textCode("a"), braid(i+1, n), textCode("b"), min(i+1, n-1))
}
