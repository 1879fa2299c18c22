package main

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
)

// mutate returns a changed copy of a file, and how it was changed.
func mutate(rng *rand.Rand, kind string, b []byte) ([]byte, string) {
	if kind == "safetensors" {
		return mutateSafetensors(rng, b)
	}
	if bytes.HasPrefix(b, []byte("PK")) {
		if rng.IntN(3) == 0 {
			return mutateContainer(rng, slices.Clone(b))
		}
		return mutateRecords(rng, b)
	}
	if rng.IntN(4) == 0 {
		return scribble(rng, slices.Clone(b), 0, len(b)), "bytes"
	}
	return mutateStream(rng, slices.Clone(b))
}

// scribble changes a few bytes from a range.
func scribble(rng *rand.Rand, b []byte, from, to int) []byte {
	for range 1 + rng.IntN(3) {
		at := from + rng.IntN(to-from)
		switch rng.IntN(4) {
		case 0:
			b[at] ^= 1 << rng.IntN(8)
		case 1:
			b[at] = byte(rng.IntN(256))
		case 2:
			b[at] = []byte{0, 1, 2, 0x10, 0x7f, 0x80, 0xff}[rng.IntN(7)]
		case 3:
			other := from + rng.IntN(to-from)
			b[at], b[other] = b[other], b[at]
		}
	}
	return b
}

// mutateContainer changes the directory of a zip archive or its local headers,
// which torch reads without a look at CRCs.
func mutateContainer(rng *rand.Rand, b []byte) ([]byte, string) {
	var centrals, locals []int
	for i := 0; i+4 <= len(b); i++ {
		switch string(b[i : i+4]) {
		case "PK\x01\x02":
			centrals = append(centrals, i)
		case "PK\x03\x04":
			locals = append(locals, i)
		}
	}
	if len(centrals) == 0 || len(locals) == 0 {
		return scribble(rng, b, 0, len(b)), "bytes"
	}
	c := centrals[rng.IntN(len(centrals))]
	l := locals[rng.IntN(len(locals))]
	le := binary.LittleEndian
	switch rng.IntN(8) {
	case 0:
		return scribble(rng, b, c+4, min(c+46, len(b))), "central entry"
	case 1:
		return scribble(rng, b, l+4, min(l+30, len(b))), "local header"
	case 2:
		return scribble(rng, b, centrals[0], len(b)), "directory"
	case 3:
		b[c+38] |= byte(1 << rng.IntN(8)) // external attributes
		return b, "attributes"
	case 4: // the case of a name, in both places
		n := int(le.Uint16(b[c+28:]))
		name := b[c+46 : c+46+n]
		local := int(le.Uint32(b[c+42:]))
		at := rng.IntN(n)
		for _, p := range []int{c + 46, local + 30} {
			if p+n <= len(b) && (name[at]|0x20 >= 'a' && name[at]|0x20 <= 'z') {
				b[p+at] = b[p+at] ^ 0x20
			}
		}
		return b, "case of a name"
	case 5: // two entries change places
		o := centrals[rng.IntN(len(centrals))]
		x, y := slices.Clone(b[c+16:c+28]), slices.Clone(b[o+16:o+28])
		copy(b[c+16:], y)
		copy(b[o+16:], x)
		x, y = slices.Clone(b[c+42:c+46]), slices.Clone(b[o+42:o+46])
		copy(b[c+42:], y)
		copy(b[o+42:], x)
		return b, "two entries swapped"
	case 6: // a size, in all places
		from := le.Uint32(b[c+24:])
		to := from + []uint32{1, 4, 8, ^uint32(0), ^uint32(3)}[rng.IntN(5)]
		le.PutUint32(b[c+20:], to)
		le.PutUint32(b[c+24:], to)
		return b, "size"
	}
	n := int(le.Uint16(b[l+28:]))
	at := l + 30 + int(le.Uint16(b[l+26:]))
	if n > 0 && at+n <= len(b) {
		return scribble(rng, b, at, at+n), "extra field"
	}
	return scribble(rng, b, l, l+30), "local header"
}

type record struct {
	name string
	data []byte
}

// mutateRecords changes members of an archive and writes a new one around them.
func mutateRecords(rng *rand.Rand, b []byte) ([]byte, string) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return scribble(rng, slices.Clone(b), 0, len(b)), "bytes"
	}
	var records []record
	var pickles, data []int
	for i, f := range z.File {
		r, err := f.Open()
		if err != nil {
			return b, "nothing"
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return b, "nothing"
		}
		records = append(records, record{f.Name, content})
		if strings.HasSuffix(f.Name, ".pkl") {
			pickles = append(pickles, i)
		} else {
			data = append(data, i)
		}
	}
	how := ""
	switch what := rng.IntN(10); {
	case what < 7 && len(pickles) > 0:
		p := &records[pickles[rng.IntN(len(pickles))]]
		p.data, how = mutatePickle(rng, slices.Clone(p.data))
		if rng.IntN(4) == 0 {
			p.data, _ = mutatePickle(rng, p.data)
		}
	case what == 7 && len(data) > 0:
		r := &records[data[rng.IntN(len(data))]]
		r.data, how = resize(rng, r.data), "record "+r.name
		if strings.HasSuffix(r.name, ".json") {
			r.data = mutateText(rng, r.data)
		}
	case what == 8:
		i, j := rng.IntN(len(records)), rng.IntN(len(records))
		records[i].name, records[j].name, how = records[j].name, records[i].name, "names swapped"
	default:
		i := rng.IntN(len(records))
		how = "record " + records[i].name
		if rng.IntN(2) == 0 {
			records = slices.Delete(records, i, i+1)
		} else {
			root, rest, _ := strings.Cut(records[i].name, "/")
			names := []string{"byteorder", "version", ".data/serialization_id", "data/0", "data/1", "DATA.PKL", strings.ToUpper(rest), rest + "x", ".format_version"}
			records = slices.Insert(records, i, record{root + "/" + names[rng.IntN(len(names))], [][]byte{[]byte("big"), []byte("little"), []byte("3\n"), records[i].data}[rng.IntN(4)]})
		}
	}
	return pack(records), how
}

func resize(rng *rand.Rand, b []byte) []byte {
	switch rng.IntN(4) {
	case 0:
		return b[:rng.IntN(len(b)+1)]
	case 1:
		return append(slices.Clone(b), make([]byte, 1+rng.IntN(16))...)
	case 2:
		return nil
	}
	if len(b) == 0 {
		return []byte("x")
	}
	return scribble(rng, slices.Clone(b), 0, len(b))
}

// pack writes an archive as plainly as PyTorch reads it: stored, sizes in the
// headers.
func pack(records []record) []byte {
	var b, dir []byte
	le := binary.LittleEndian
	head := func(b []byte, r record) []byte {
		b = le.AppendUint16(b, 0x0800)  // flags
		b = append(b, 0, 0, 0, 0, 0, 0) // method, time, date
		b = le.AppendUint32(b, crc32.ChecksumIEEE(r.data))
		b = le.AppendUint32(b, uint32(len(r.data)))
		b = le.AppendUint32(b, uint32(len(r.data)))
		b = le.AppendUint16(b, uint16(len(r.name)))
		return le.AppendUint16(b, 0)
	}
	for _, r := range records {
		at := len(b)
		b = head(append(b, "PK\x03\x04\x00\x00"...), r)
		b = append(append(b, r.name...), r.data...)
		dir = head(append(dir, "PK\x01\x02\x00\x00\x00\x00"...), r)
		dir = append(dir, make([]byte, 10)...)
		dir = append(le.AppendUint32(dir, uint32(at)), r.name...)
	}
	at := len(b)
	b = append(append(b, dir...), "PK\x05\x06\x00\x00\x00\x00"...)
	b = le.AppendUint16(b, uint16(len(records)))
	b = le.AppendUint16(b, uint16(len(records)))
	b = le.AppendUint32(b, uint32(len(dir)))
	b = le.AppendUint32(b, uint32(at))
	return append(b, 0, 0)
}

// mutateStream changes a file of pickles and raw elements.
func mutateStream(rng *rand.Rand, b []byte) ([]byte, string) {
	start := 0
	if len(b) > 512 && bytes.Contains(b[257:265], []byte("ustar")) {
		return scribble(rng, b, 0, len(b)), "tar"
	}
	var ends []int
	for range 5 {
		ops := disassemble(b[start:])
		if len(ops) == 0 {
			break
		}
		last := ops[len(ops)-1]
		start += last.at + last.size
		ends = append(ends, start)
	}
	i := rng.IntN(len(ends) + 1)
	if i == len(ends) && start < len(b) {
		return scribble(rng, b, start, min(len(b), start+64)), "counts and elements"
	}
	i = min(i, len(ends)-1)
	from := 0
	if i > 0 {
		from = ends[i-1]
	}
	changed, how := mutatePickle(rng, slices.Clone(b[from:ends[i]]))
	return slices.Concat(b[:from], changed, b[ends[i]:]), "stream " + how
}

// mutateText changes a text by numbers, words and characters of its kind.
func mutateText(rng *rand.Rand, b []byte) []byte {
	b = slices.Clone(b)
	if len(b) == 0 {
		return b
	}
	switch rng.IntN(4) {
	case 0:
		var digits []int
		for i, c := range b {
			if c >= '0' && c <= '9' {
				digits = append(digits, i)
			}
		}
		if len(digits) > 0 {
			b[digits[rng.IntN(len(digits))]] = "0123456789-.e"[rng.IntN(13)]
		}
	case 1:
		at := rng.IntN(len(b))
		words := []string{" ", "0", "00", "-", ".0", "e0", "\"", ",", "[", "]", "{", "}", "null", "true", "\\u0061", "\\ud800", "\x00", "\xff", "1e1", "\n", "\t"}
		b = slices.Insert(b, at, []byte(words[rng.IntN(len(words))])...)
	case 2:
		at := rng.IntN(len(b))
		b = slices.Delete(b, at, min(len(b), at+1+rng.IntN(3)))
	case 3:
		b = scribble(rng, b, 0, len(b))
	}
	return b
}

func mutateSafetensors(rng *rand.Rand, b []byte) ([]byte, string) {
	n := int(binary.LittleEndian.Uint64(b))
	header, data := b[8:8+n], b[8+n:]
	how := "text"
	switch rng.IntN(7) {
	case 0:
		return scribble(rng, slices.Clone(b), 0, 16), "length"
	case 1: // an entry twice, or entries in another order
		parts := strings.SplitAfter(string(header), "},")
		i, j := rng.IntN(len(parts)), rng.IntN(len(parts))
		if rng.IntN(2) == 0 {
			parts[i], parts[j] = parts[j], parts[i]
		} else {
			parts = slices.Insert(parts, i, parts[j])
		}
		header, how = []byte(strings.Join(parts, "")), "entries"
	case 2:
		types := []string{"F32", "F64", "I64", "I32", "U8", "BOOL", "F16", "BF16", "I16", "U64", "C64", "F8_E4M3", "F4", "f32"}
		header = bytes.Replace(header, []byte(types[rng.IntN(len(types))]), []byte(types[rng.IntN(len(types))]), 1+rng.IntN(2))
		how = "types"
	case 3: // shapes of the same size
		swaps := []string{"[2,3]", "[3,2]", "[6]", "[1,6]", "[6,1]", "[]", "[1]", "[1,1]", "[0]", "[0,5]", "[2]", "[3]", "[4]"}
		header = bytes.Replace(header, []byte(swaps[rng.IntN(len(swaps))]), []byte(swaps[rng.IntN(len(swaps))]), 1)
		how = "shapes"
	case 4:
		data, how = resize(rng, data), "data"
	default:
		header = mutateText(rng, header)
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return slices.Concat(out, header, data), how
}
