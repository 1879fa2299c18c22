package structure_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"lethe/internal/structure"
	"lethe/model"
	"lethe/pickle"
	"lethe/scan"
)

// members returns the members of an archive, and their root folder.
func members(t *testing.T, path string) (names []string, content map[string][]byte, root string) {
	t.Helper()
	r, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	content = map[string][]byte{}
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if content[f.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
		names = append(names, f.Name)
	}
	root, _, _ = strings.Cut(names[0], "/")
	return names, content, root
}

// zipped writes an archive; packed members are compressed.
func zipped(t *testing.T, names []string, content map[string][]byte, packed func(name string) bool) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range names {
		h := &zip.FileHeader{Name: name, Method: zip.Store}
		if packed(name) {
			h.Method = zip.Deflate
		}
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = f.Write(content[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// directory splits an archive into what is before its directory, and its entries.
func directory(b []byte) (before []byte, entries [][]byte) {
	le := binary.LittleEndian
	end := b[len(b)-22:]
	at, left := le.Uint32(end[16:]), le.Uint32(end[12:])
	before = b[:at]
	for rest := b[at : at+left]; len(rest) > 0; {
		n := 46 + int(le.Uint16(rest[28:])) + int(le.Uint16(rest[30:])) + int(le.Uint16(rest[32:]))
		entries, rest = append(entries, rest[:n:n]), rest[n:]
	}
	return before, entries
}

// joined is an archive with another directory, which claims to have so many entries.
func joined(before []byte, entries [][]byte, count int) []byte {
	le := binary.LittleEndian
	all := bytes.Join(entries, nil)
	end := le.AppendUint32(nil, 0x06054b50)
	end = append(end, 0, 0, 0, 0)
	end = le.AppendUint16(le.AppendUint16(end, uint16(count)), uint16(count))
	end = le.AppendUint32(le.AppendUint32(end, uint32(len(all))), uint32(len(before)))
	return slices.Concat(before, all, append(end, 0, 0))
}

// renamed is an entry of a directory with another name.
func renamed(entry []byte, name string) []byte {
	old := int(binary.LittleEndian.Uint16(entry[28:]))
	out := slices.Concat(entry[:46], []byte(name), entry[46+old:])
	binary.LittleEndian.PutUint16(out[28:], uint16(len(name)))
	return out
}

// convert reads a file and its structure.
func convert(b []byte) error {
	c, err := pickle.Decode(bytes.NewReader(b), int64(len(b)), pickle.Options{})
	if err == nil {
		_, err = structure.Read(pickle.File{Checkpoint: c}, structure.Options{Input: []int{1, 12, 12}})
	}
	return err
}

// Archives of exported programs and of TorchScript that are made to cost memory or time,
// or to be read in two ways: each is an error that says what was found, or converted
// without what it hides, and takes memory for what is in the file and not for what the
// file says. The scanner says that something is wrong.
func TestHostileArchives(t *testing.T) {
	for _, path := range []string{"../../convert/script/testdata/lenet-2.15.pt2", "../../convert/script/testdata/lenet-scripted-2.15.pt"} {
		names, content, root := members(t, path)
		isCode := func(name string) bool { return strings.Contains(name, "/code/") && strings.HasSuffix(name, ".py") }
		plain := zipped(t, names, content, isCode)
		before, entries := directory(plain)
		with := func(name string, b []byte, packed bool) []byte {
			more := map[string][]byte{name: b}
			for k, v := range content {
				if k != name {
					more[k] = v
				}
			}
			list := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
			return zipped(t, append(list, name), more, func(n string) bool { return isCode(n) || n == name && packed })
		}
		text := names[slices.IndexFunc(names, func(n string) bool { return isCode(n) || strings.HasSuffix(n, "/models/model.json") })]
		last := entries[len(entries)-1]
		var same [][]byte
		for i := range 2000 {
			same = append(same, renamed(last, fmt.Sprintf("%s/extra/%d", root, i)))
		}
		changed := func(at int, value uint32) [][]byte {
			e := slices.Clone(entries[0])
			binary.LittleEndian.PutUint32(e[at:], value)
			if at == 20 {
				binary.LittleEndian.PutUint32(e[24:], value)
			}
			return append([][]byte{e}, entries[1:]...)
		}
		nested := plain
		for range 40 {
			nested = zipped(t, []string{root + "/inner"}, map[string][]byte{root + "/inner": nested}, func(string) bool { return false })
		}
		for _, c := range []struct {
			name   string
			file   []byte
			says   string // the error; empty if there is none, "*" for any
			silent bool   // the scanner has nothing to say
		}{
			{"as it is", plain, "", true},
			{"an archive that is in itself", with(root+"/extra/self", plain, false), "", true},
			{"archives in archives", nested, "not a checkpoint", false},
			{"text that is a hundred times as large as the file", with(text, bytes.Repeat([]byte(" "), 24<<20), true), "*", true},
			{"entries for the same bytes", joined(before, append(slices.Clone(entries), same...), len(entries)+len(same)), "local header", false},
			{"an entry twice", joined(before, append(slices.Clone(entries), last), len(entries)+1), "twice", false},
			{"an entry over the next one", joined(before, changed(20, uint32(len(before)-1)), len(entries)), "local header", false},
			{"a size beyond the file", joined(before, changed(20, 0xFFFFFF00), len(entries)), "the directory starts", false},
			{"a size that its data does not have", joined(before, changed(24, 0x7FFFFFF0), len(entries)), "stored in", false},
			{"an offset beyond the file", joined(before, changed(42, 0x7FFFFFFF), len(entries)), "the directory starts", false},
			{"more entries than there are", joined(before, entries, 65534), "do not fit", false},
			{"a path upwards", with("../"+root, nil, false), `".."`, false},
			{"a path upwards inside", with(root+"/../"+root+"/x", nil, false), `".."`, false},
			{"an absolute path", with("/etc/passwd", nil, false), "*", false},
		} {
			t.Run(path[strings.LastIndexByte(path, '/')+1:]+"/"+c.name, func(t *testing.T) {
				var start, end runtime.MemStats
				runtime.ReadMemStats(&start)
				err := convert(c.file)
				runtime.ReadMemStats(&end)
				if taken := end.TotalAlloc - start.TotalAlloc; taken > 48<<20 {
					t.Errorf("%d bytes of memory for a file of %d", taken, len(c.file))
				}
				if (err == nil) != (c.says == "") || c.says != "*" && err != nil && !strings.Contains(err.Error(), c.says) {
					t.Errorf("the error is %v, want one with %q", err, c.says)
				}
				var format *model.FormatError
				var unsupported *model.UnsupportedError
				var limit *model.LimitError
				if err != nil && !errors.As(err, &format) && !errors.As(err, &unsupported) && !errors.As(err, &limit) {
					t.Errorf("the error has none of the types: %v", err)
				}
				r, err := scan.File(bytes.NewReader(c.file), int64(len(c.file)))
				if err != nil {
					t.Fatal(err)
				}
				if silent := r.Verdict() == "clean" || r.Verdict() == "notice"; silent != c.silent {
					t.Errorf("the scanner says %v: %v", r.Verdict(), r.Findings)
				}
			})
		}
	}
}
