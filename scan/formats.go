package scan

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// file scans a file or a member by its contents, as every loader would read it,
// and returns what it is.
func (w *walk) file(p part) string {
	if p.depth > depthMax+1 {
		w.find(Finding{Level: Unknown, Kind: KindNesting, What: "archive", Why: fmt.Sprintf("lies in more than %d archives, one in the other: it is not looked at", depthMax), Member: p.member})
		return "archive"
	}
	if p.size == 0 {
		return "empty file"
	}
	head := w.head(p, block)
	if head == nil {
		return "unreadable"
	}
	kind := ""
	starts := func(s string) bool { return bytes.HasPrefix(head, []byte(s)) }
	end := w.zipEnd(p)
	if isTar(head) {
		var whole bool
		if kind, whole = w.tar(p, end); whole {
			end = nil
		}
	}
	if end != nil || starts("PK\x03\x04") {
		if !starts("PK") {
			w.find(Finding{Level: Danger, Kind: KindReadings, What: "zip archive", Member: p.member, Offset: end.at,
				Why: "the file ends as a zip archive and does not start as one: some loaders read the archive, others what stands before it"})
		}
		kind = w.zip(p, end)
	}
	if starts("PK") && kind != "" {
		return kind // no unpickler gets past the first byte
	}
	if len(head) > 1 && head[0] == 0x80 && head[1] <= 5 && !safetensorsHead(head, p.size) {
		w.second(p, kind, "a pickle")
		k, _ := w.streams(p, certain)
		return first(kind, k)
	}
	if kind == "" {
		kind = w.known(p, head)
	}
	doubtful := perhaps
	if kind != "" {
		doubtful = hardly
	}
	if k, ok := w.streams(p, doubtful); ok {
		if kind != "text" {
			w.second(p, kind, "a pickle")
		}
		if kind == "" || kind == "text" {
			kind = k
		}
	}
	if kind == "" {
		w.gap(p, 0, "the format is not known: it starts with the bytes % x", head[:min(len(head), 8)])
		return "unknown format"
	}
	return kind
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// second reports that a file has two readings.
func (w *walk) second(p part, kind, other string) {
	if kind != "" {
		w.find(Finding{Level: Danger, Kind: KindReadings, What: kind + " and " + other, Why: "the same bytes are both: two loaders read different contents", Member: p.member})
	}
}

// magics are formats that no loader of Python's runs code from, with a word on
// what is not looked at; "" for nothing.
var magics = []struct{ start, kind, note string }{
	{"ggml", "GGML", ""},
	{"lmgg", "GGML", ""},
	{"tjgg", "GGML", ""},
	{"fmgg", "GGML", ""},
	{"\x89PNG\r\n\x1a\n", "PNG image", ""},
	{"\xff\xd8\xff", "JPEG image", ""},
	{"GIF8", "GIF image", ""},
	{"RIFF", "RIFF file", ""},
	{"OggS", "Ogg file", ""},
	{"fLaC", "FLAC file", ""},
	{"ID3", "MP3 file", ""},
	{"%PDF-", "PDF document", ""},
	{"ARROW1", "Arrow file", ""},
	{"PAR1", "Parquet file", ""},
	{"SQLite format 3\x00", "SQLite database", ""},
	{"wOFF", "font", ""},
	{"\x00\x00\x00\x1cTFL3", "TensorFlow Lite model", "its operators are run by TensorFlow Lite"},
}

// refused are formats that are named and not read.
var refused = []struct{ start, kind string }{
	{"7z\xbc\xaf\x27\x1c", "7z archive"},
	{"Rar!\x1a\x07", "RAR archive"},
	{"\xfd7zXZ\x00", "xz-compressed file"},
	{"]\x00\x00", "LZMA-compressed file"},
	{"\x28\xb5\x2f\xfd", "Zstandard-compressed file"},
	{"\x04\x22\x4d\x18", "LZ4-compressed file"},
	{"PYTORCH1", "TorchScript of torch before 1.0"},
	{"ustar", "archive"},
	{"MZ", "program for Windows"},
	{"\x7fELF", "program or library for Linux"},
	{"\xcf\xfa\xed\xfe", "program or library for macOS"},
	{"!<arch>\n", "static library"},
	{"\x00asm", "WebAssembly program"},
}

// known tells the formats beside archives of torch and pickles, scans what can
// hold code, and returns the name of the format or "".
func (w *walk) known(p part, head []byte) string {
	starts := func(s string) bool { return bytes.HasPrefix(head, []byte(s)) }
	switch {
	case safetensorsHead(head, p.size):
		return w.safetensors(p)
	case starts("\x93NUMPY"):
		return w.npy(p, head)
	case starts("\x1f\x8b"):
		return w.packed(p, "gzip-compressed file", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) })
	case starts("BZh"):
		return w.packed(p, "bzip2-compressed file", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil })
	case len(head) > 2 && head[0] == 0x78 && (uint(head[0])<<8|uint(head[1]))%31 == 0:
		return w.packed(p, "zlib-compressed file", func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) })
	case starts("\x89HDF\r\n\x1a\n"):
		return w.hdf(p)
	case starts("GGUF"):
		return w.gguf(p)
	}
	if w.isText(p) {
		w.text(p)
		return "text"
	}
	for _, f := range magics {
		if starts(f.start) {
			if f.note != "" {
				w.find(Finding{Level: Notice, Kind: KindFormat, What: f.kind, Why: f.note, Member: p.member})
			}
			return f.kind
		}
	}
	for _, f := range refused {
		if starts(f.start) {
			if strings.Contains(f.kind, "program") || strings.Contains(f.kind, "library") {
				w.find(Finding{Level: Danger, Kind: KindCode, What: f.kind, Why: "is machine code, which runs when something loads it", Member: p.member})
			}
			w.gap(p, 0, "%s: it is not read", f.kind)
			return f.kind
		}
	}
	if len(head) > 8 && string(head[4:8]) == "TFL3" {
		w.find(Finding{Level: Notice, Kind: KindFormat, What: "TensorFlow Lite model", Why: "its operators are run by TensorFlow Lite", Member: p.member})
		return "TensorFlow Lite model"
	}
	if w.protobuf(p) {
		w.externalData(p)
		return "protocol buffer, such as an ONNX model"
	}
	return ""
}

// isText reports whether a file is plain text in UTF-8.
func (w *walk) isText(p part) bool {
	in := &input{w: w, p: p}
	var rest []byte
	for in.left() > 0 {
		b, ok := in.take(uint64(min(in.left(), textMax-4)))
		if !ok {
			return false
		}
		b = append(rest, b...)
		for len(b) > 0 && (utf8.FullRune(b) || in.left() == 0) {
			r, n := utf8.DecodeRune(b)
			if r == utf8.RuneError && n == 1 || r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' && r != '\v' && r != 0x1b || r == 0x7f {
				return false
			}
			b = b[n:]
		}
		rest = slices.Clone(b)
	}
	return true
}

// protobuf reports whether a file is one whole message, by its outermost
// fields. No loader runs code from it; what an operator of an ONNX model does
// is up to the program that runs the model.
func (w *walk) protobuf(p part) bool {
	in := &input{w: w, p: p}
	varint := func() (v uint64, ok bool) {
		for shift := 0; shift < 64; shift += 7 {
			b, ok := in.byte()
			if !ok {
				return 0, false
			}
			v |= uint64(b&0x7f) << shift
			if b < 0x80 {
				return v, true
			}
		}
		return 0, false
	}
	fields := 0
	for ; in.left() > 0; fields++ {
		tag, ok := varint()
		if !ok || tag>>3 == 0 || tag>>3 > 1<<12 {
			return false
		}
		n := uint64(0)
		switch tag & 7 {
		case 0:
			_, ok = varint()
		case 1:
			n = 8
		case 2:
			n, ok = varint()
		case 5:
			n = 4
		default:
			return false
		}
		if !ok || n > uint64(in.left()) {
			return false
		}
		in.pos += int64(n)
	}
	return fields > 1
}

// packed scans what a compressed file holds.
func (w *walk) packed(p part, kind string, open func(io.Reader) (io.Reader, error)) string {
	rest := bufio.NewReader(io.NewSectionReader(p.src, 0, p.size))
	r, err := open(rest)
	if err != nil {
		if kind != "gzip-compressed file" {
			return "" // two bytes that were something else
		}
		w.gap(p, 0, "a %s that cannot be unpacked: %v", kind, err)
		return kind
	}
	buffered := bufio.NewReader(r)
	if _, err := buffered.Peek(1); err != nil && kind != "gzip-compressed file" {
		return "" // two bytes that were something else
	}
	b, ok := w.inflate(p, buffered, -1)
	if !ok {
		return kind
	}
	w.behind(p, rest)
	inner := part{src: bytes.NewReader(b), size: int64(len(b)), member: p.inside("unpacked"), depth: p.depth + 1}
	return kind + ": " + w.file(inner)
}

// hdf names a file of HDF5, which Keras uses: its Lambda layers hold code.
func (w *walk) hdf(p part) string {
	found := w.search(p, "\"Lambda\"", "marshal", "__lambda__")
	if found != "" {
		w.find(Finding{Level: Danger, Kind: KindCode, What: "Lambda layer", Why: "Keras would run the Python code in it when it loads the model", Member: p.member})
	} else {
		w.find(Finding{Level: Notice, Kind: KindFormat, What: "HDF5", Why: "is not read in detail; no Lambda layer of Keras was found in it", Member: p.member})
	}
	return "HDF5 file, such as a Keras model"
}

// search returns the first of some short words that occurs in a part.
func (w *walk) search(p part, words ...string) string {
	const overlap = 64
	b := make([]byte, window)
	for at := int64(0); at < p.size; at += window - overlap {
		b = b[:min(window, p.size-at)]
		if !w.read(p, b, at) {
			return ""
		}
		for _, word := range words {
			if bytes.Contains(b, []byte(word)) {
				return word
			}
		}
	}
	return ""
}

// safetensorsHead reports whether a file starts with the length of a JSON
// header that fits it, and an opening brace.
func safetensorsHead(head []byte, size int64) bool {
	if len(head) < 9 {
		return false
	}
	n := le.Uint64(head)
	return n <= 100_000_000 && n <= uint64(size-8) && n > 1 && (head[8] == '{' || len(bytes.TrimLeft(head[8:], " \t\r\n")) > 0 && bytes.TrimLeft(head[8:], " \t\r\n")[0] == '{')
}

// safetensors checks that the tensors cover the file, without gap or overlap.
func (w *walk) safetensors(p part) string {
	const kind = "safetensors"
	var length [8]byte
	if !w.read(p, length[:], 0) {
		return kind
	}
	n := int64(le.Uint64(length[:]))
	header, ok := w.all(p.section(8, n), 100_000_000)
	if !ok {
		return kind
	}
	odd := func(level Level, why string) {
		w.find(Finding{Level: level, Kind: KindReadings, What: "header", Why: why, Member: p.member, Offset: 8})
	}
	if header[0] != '{' || !utf8.Valid(header) {
		odd(Unknown, "the header is not JSON as the format wants it: readers disagree on it")
	}
	entries, twice, other, err := tensorEntries(header)
	if err != nil {
		w.gap(p, 8, "the header cannot be read: %v", err)
		return kind
	}
	if twice != "" {
		odd(Danger, "the header has the name "+clip(fmt.Sprintf("%q", twice))+" twice: readers see different tensors")
	}
	if other != "" {
		odd(Notice, other+": some readers refuse the file")
	}
	slices.SortFunc(entries, func(a, b [2]int64) int {
		return slices.Compare(a[:], b[:])
	})
	end := int64(0)
	for _, e := range entries {
		switch {
		case e[0] < end:
			odd(Danger, "two tensors overlap")
		case e[0] > end:
			w.find(Finding{Level: Unknown, Kind: KindBytes, What: fmt.Sprintf("%d bytes", e[0]-end), Why: "belong to no tensor", Member: p.member, Offset: 8 + n + end})
		}
		end = max(end, e[1])
	}
	switch {
	case end > p.size-8-n:
		w.gap(p, p.size, "the file ends before its tensors")
	case end < p.size-8-n:
		w.trailing(p, 8+n+end)
	}
	return kind
}

// tensorBits are the bits of an element of the types of safetensors.
var tensorBits = map[string]uint64{
	"BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E5M2FNUZ": 8, "F8_E4M3FNUZ": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
	"I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}

// fillsShape reports whether a tensor of a type and shape has the bytes; true for
// types that are not known.
func fillsShape(dtype, shape json.RawMessage, size int64) bool {
	var name string
	var dims []uint64
	if json.Unmarshal(dtype, &name) != nil || json.Unmarshal(shape, &dims) != nil {
		return false
	}
	n := tensorBits[name]
	if n == 0 || slices.Contains(dims, 0) {
		return n == 0 || size == 0
	}
	for _, d := range dims {
		if hi, lo := bits.Mul64(n, d); hi != 0 || lo > math.MaxInt64 {
			return false
		} else {
			n = lo
		}
	}
	return (n+7)/8 == uint64(size)
}

// tensorEntries returns the ranges of the tensors of a header, a name that occurs
// twice, and something else that readers do not agree on.
func tensorEntries(header []byte) (entries [][2]int64, twice, odd string, err error) {
	d := json.NewDecoder(bytes.NewReader(header))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, "", "", fmt.Errorf("no JSON object")
	}
	names := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, "", "", err
		}
		name, _ := t.(string)
		if names[name] {
			twice = name
		}
		names[name] = true
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, "", "", err
		}
		if name == "__metadata__" {
			if json.Unmarshal(raw, &map[string]string{}) != nil {
				odd = "the metadata are not texts"
			}
			continue
		}
		var e map[string]json.RawMessage
		var offsets [2]int64
		if err := json.Unmarshal(raw, &e); err != nil {
			return nil, "", "", err
		}
		if err := json.Unmarshal(e["data_offsets"], &offsets); err != nil || offsets[0] < 0 || offsets[1] < offsets[0] {
			return nil, "", "", fmt.Errorf("the tensor %q has no offsets", clip(name))
		}
		if !fillsShape(e["dtype"], e["shape"], offsets[1]-offsets[0]) {
			return nil, "", "", fmt.Errorf("the tensor %q has %d bytes, its shape and type want others", clip(name), offsets[1]-offsets[0])
		}
		var dtype string
		if json.Unmarshal(e["dtype"], &dtype) == nil && tensorBits[dtype] == 0 {
			odd = fmt.Sprintf("the type %q of a tensor is not known", clip(dtype))
		}
		if strings.ContainsFunc(name, unicode.IsControl) {
			odd = fmt.Sprintf("the name %q has a control character", clip(name))
		}
		entries = append(entries, offsets)
	}
	if _, err := d.Token(); err != nil {
		return nil, "", "", err
	}
	if rest, _ := io.ReadAll(d.Buffered()); len(bytes.TrimSpace(rest)) > 0 || int(d.InputOffset())+len(bytes.TrimSpace(header[d.InputOffset():])) != int(d.InputOffset()) {
		return nil, "", "", fmt.Errorf("something follows the JSON object")
	}
	return entries, twice, odd, nil
}
