package onnxio_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"lethe/internal/vectors"
	"lethe/model"
	"lethe/onnxio"
)

func message(number int, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, protowire.Number(number), protowire.BytesType), slices.Concat(parts...))
}

func number(field int, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, protowire.Number(field), protowire.VarintType), v)
}

// long is a message whose length takes more bytes than it needs.
func long(number int, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	n := protowire.AppendTag(nil, protowire.Number(number), protowire.BytesType)
	size := len(body)
	return append(append(n, byte(size)|0x80, byte(size>>7)|0x80, 0x80, 0), body...)
}

// unusual is a model as no protobuf library writes one: numbers one by one and
// in several lists, lengths and numbers longer than they need to be, unknown
// fields and groups in between, the graph in two parts.
func unusual() []byte {
	f := func(x float32) []byte {
		return protowire.AppendFixed32(protowire.AppendTag(nil, 4, protowire.Fixed32Type), math.Float32bits(x))
	}
	packed := func(field int, v ...uint64) []byte {
		var b []byte
		for _, x := range v {
			b = protowire.AppendVarint(b, x)
		}
		return message(field, b)
	}
	group := []byte{0xa3, 0x06, 0x08, 0x01, 0xa4, 0x06}
	name := func(s string) []byte { return message(8, []byte(s)) }
	loose := long(5, number(1, 3), f(1), number(2, 1), f(2), group, name("loose"), f(3))
	mixed := message(5, number(1, 4), f(1), message(4, []byte{0, 0, 0, 64, 0, 0, 64, 64}), f(4), number(2, 1), name("mixed"))
	chunks := message(5, message(1, []byte{5}), packed(5, 1, 2), number(2, 10), name("chunks"), packed(5, 0xfc00), number(5, 4), packed(5, 5))
	negative := message(5, number(1, 3), number(2, 3), name("negative"), message(5, []byte{0x81, 0x80, 0x80, 0, 127}, protowire.AppendVarint(nil, math.MaxUint64)))
	wide := message(5, number(1, 2), number(2, 13), name("wide"), packed(11, math.MaxUint64, 1))
	return slices.Concat(number(1, 8), long(7, loose, message(2, []byte("g")), group, mixed), message(99, []byte("?")),
		message(7, chunks, negative, wide), message(8, number(2, 17)))
}

func TestEditUnusual(t *testing.T) {
	b := unusual()
	f, err := read(b, "")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"loose": "float32 [0 0 128 63 0 0 0 64 0 0 64 64]", "mixed": "float32 [0 0 128 63 0 0 0 64 0 0 64 64 0 0 128 64]",
		"chunks": "float16 [1 0 2 0 0 252 4 0 5 0]", "negative": "int8 [1 127 255]", "wide": "uint64 [255 255 255 255 255 255 255 255 1 0 0 0 0 0 0 0]"}
	for name, x := range f.StateDict().All() {
		data, err := x.Bytes()
		if got := fmt.Sprintf("%v %v", x.DType(), data); got != want[name] || err != nil {
			t.Errorf("%s: %s, %v, want %s", name, got, err, want[name])
		}
	}
	if f.StateDict().Len() != len(want) {
		t.Errorf("weights %q", f.StateDict().Names())
	}
	check := func(what string, change func(string) bool) []byte {
		sd := altered(t, f.StateDict(), change)
		edited, err := f.With(sd)
		if err != nil {
			t.Fatal(err)
		}
		out := write(t, edited, t.TempDir(), "x")
		got, err := read(out, "")
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		sameBits(t, got.StateDict(), sd, sd.Names())
		if before, after := leaves(t, b, "", "model"), leaves(t, out, "", "model"); !slices.Equal(before, after) {
			t.Errorf("%s: other fields differ\n%q\n%q", what, before, after)
		}
		return out
	}
	check("all", func(string) bool { return true })
	for _, only := range f.StateDict().Names() {
		check(only, func(s string) bool { return s == only })
	}

	// Numbers that stay keep their bytes, also those that are longer than needed.
	x, err := model.NewTensor(model.Int8, []int{3}, nil, 0, model.BytesStorage([]byte{1, 126, 255}))
	if err != nil {
		t.Fatal(err)
	}
	edited, err := f.With(f.StateDict().With("negative", x))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := write(t, edited, t.TempDir(), "x"), bytes.Replace(b, []byte{0, 127}, []byte{0, 126}, 1); !bytes.Equal(got, want) {
		t.Error("other numbers changed")
	}
}

// Reading tensors in pieces and out of order gives the same elements.
func TestReadInPieces(t *testing.T) {
	check := func(name string, f *onnxio.File) {
		for weight, x := range f.StateDict().All() {
			want, err := x.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			r := x.Storage().Reader()
			for at := len(want) - 1; at >= 0; at-- {
				for _, n := range []int{1, 3} {
					got := make([]byte, min(n, len(want)-at))
					if _, err := r.ReadAt(got, int64(at)); err != nil || !bytes.Equal(got, want[at:][:len(got)]) {
						t.Fatalf("%s, %s: %d bytes at %d are %v, %v, want %v", name, weight, n, at, got, err, want[at:][:len(got)])
					}
				}
			}
		}
	}
	f, err := read(unusual(), "")
	if err != nil {
		t.Fatal(err)
	}
	check("unusual", f)
	models(t, func(name string, _ []byte, f *onnxio.File) { check(name, f) })
}

// What one byte of a wire says wrongly is found, or says the same.
func TestWireRefuses(t *testing.T) {
	tensor := func(parts ...[]byte) []byte {
		return slices.Concat(number(1, 8), message(7, message(5, append(parts, message(8, []byte("w")))...)))
	}
	raw := message(9, make([]byte, 4))
	deep := []byte{}
	for range 60 {
		deep = message(1, message(5, message(6, deep)))
	}
	for _, c := range []struct {
		name, expect, text string
		b                  []byte
	}{
		{"raw_data twice", malformed, "two sets", tensor(number(1, 1), number(2, 1), raw, raw)},
		{"a type of tomorrow", unsupported, "element type 29", tensor(number(1, 1), number(2, 29), raw)},
		{"a type beyond int", unsupported, "element type -1", tensor(number(1, 1), number(2, math.MaxUint64), raw)},
		{"a list cut within a number", malformed, "ends within a number", tensor(number(1, 1), number(2, 6), message(5, []byte{0x80}))},
		{"a list of floats cut", malformed, "numbers of 4 bytes has 3", tensor(number(1, 1), number(2, 1), message(4, make([]byte, 3)))},
		{"a number without end", malformed, "more than 10 bytes", tensor(number(1, 1), number(2, 6), message(5, bytes.Repeat([]byte{0xff}, 20)))},
		{"integers in the list of floats", malformed, "the list of another type", tensor(number(1, 1), number(2, 6), message(4, make([]byte, 4)))},
		{"strings in numbers", malformed, "the list of another type", tensor(number(1, 1), number(2, 6), message(6, []byte("x")))},
		{"odd nibbles", malformed, "but there are 1 bytes", tensor(number(1, 3), number(2, 22), message(9, []byte{1}))},
		{"too many dimensions", limited, "dimensions", tensor(message(1, make([]byte, 65)), number(2, 1))},
		{"graphs in graphs", limited, "nesting depth", slices.Concat(number(1, 8), message(7, deep))},
		{"sparse", unsupported, `initializer "s" is sparse`, slices.Concat(number(1, 8), message(7, message(15, message(1, message(8, []byte("s"))))))},
		{"groups that cross", malformed, "group 2 ends where group 1 is open", []byte{0x0b, 0x14}},
		{"a group that ends only", malformed, "did not begin", []byte{0x0c}},
		{"a fixed number cut", malformed, "within a number", []byte{0x0d, 1, 2}},
	} {
		f, err := read(c.b, "")
		if err == nil {
			_, err = f.Graph()
		}
		if class(err) != c.expect || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %s, %v; want %s, %q", c.name, class(err), err, c.expect, c.text)
		}
	}
}

func TestExternalRefuses(t *testing.T) {
	model := func(pairs ...string) []byte {
		parts := [][]byte{number(1, 3), number(2, 1), message(8, []byte("w")), number(14, 1)}
		for i := 0; i < len(pairs); i += 2 {
			parts = append(parts, message(13, message(1, []byte(pairs[i])), message(2, []byte(pairs[i+1]))))
		}
		return slices.Concat(number(1, 8), message(7, message(5, parts...)))
	}
	for _, c := range []struct {
		expect, text string
		pairs        []string
	}{
		{ok, "", []string{"location", "rest.bin", "offset", "8", "length", "12", "basepath", "?"}},
		{ok, "", []string{"location", "rest.bin", "offset", "8"}},
		{ok, "", []string{"location", "rest.bin"}}, // the rest of the file is another's
		{malformed, "but there are 11 bytes", []string{"location", "rest.bin", "offset", "9"}},
		{malformed, "but there are 16 bytes", []string{"location", "rest.bin", "length", "16"}},
		{malformed, "leaves", []string{"location", "rest.bin", "offset", "9", "length", "12"}},
		{malformed, "which has 20", []string{"location", "rest.bin", "offset", "21"}},
		{malformed, "no number of bytes", []string{"location", "rest.bin", "offset", "-1"}},
		{malformed, "no number of bytes", []string{"location", "rest.bin", "length", "99999999999999999999"}},
		{"untyped", "no such file", []string{"location", "none.bin"}},
	} {
		_, err := read(model(c.pairs...), modelsDir)
		if class(err) != c.expect || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%q: %s, %v; want %s, %q", c.pairs, class(err), err, c.expect, c.text)
		}
	}
}

// zeros is a large file of which only the first bytes are something.
type zeros struct{ head []byte }

func (z zeros) ReadAt(b []byte, at int64) (int, error) {
	clear(b)
	if at < int64(len(z.head)) {
		copy(b, z.head[at:])
	}
	return len(b), nil
}

// A model of 2.25 GiB with external data is edited in the memory of a few blocks.
func TestLargeExternal(t *testing.T) {
	const each, count = 64 << 20, 36
	var weights [][]byte
	for i := range count {
		entry := func(key, value string) []byte { return message(13, message(1, []byte(key)), message(2, []byte(value))) }
		weights = append(weights, message(5, number(1, each/4), number(2, 1), message(8, fmt.Appendf(nil, "w%d", i)), number(14, 1),
			entry("location", "data"), entry("offset", fmt.Sprint(i*each)), entry("length", fmt.Sprint(each))))
	}
	b := slices.Concat(number(1, 8), message(7, weights...))
	before := vectors.Allocated()
	f, err := onnxio.Decode(bytes.NewReader(b), int64(len(b)), onnxio.Options{External: func(string) (io.ReaderAt, int64, error) {
		return zeros{}, each * count, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	x, err := model.NewTensor(model.Float32, []int{each / 4}, nil, 0, model.NewStorage(zeros{[]byte{1}}, each))
	if err != nil {
		t.Fatal(err)
	}
	if f, err = f.With(f.StateDict().With("w35", x)); err != nil {
		t.Fatal(err)
	}
	var got counter
	if err := f.EncodeExternal(&got, f.External()[0]); err != nil {
		t.Fatal(err)
	}
	if got.n != each*count || got.last != 35*each {
		t.Errorf("%d bytes, the last that is not 0 at %d", got.n, got.last)
	}
	if got := vectors.Allocated() - before; got > 16<<20 {
		t.Errorf("%d bytes were allocated", got)
	}
}

// counter counts bytes and notes the place of the last block that starts with 1.
type counter struct{ n, last int64 }

func (c *counter) Write(b []byte) (int, error) {
	if len(b) > 0 && b[0] == 1 {
		c.last = c.n
	}
	c.n += int64(len(b))
	return len(b), nil
}

// What can be read can be edited, and only that changes.
func FuzzEdit(f *testing.F) {
	models(f, func(_ string, b []byte, _ *onnxio.File) { f.Add(b) })
	f.Add(unusual())
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := read(b, modelsDir)
		if err != nil {
			if class(err) == "untyped" && !os.IsNotExist(err) && !strings.Contains(err.Error(), "in another file") {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if _, err := file.Graph(); class(err) == "untyped" {
			t.Fatalf("untyped error %v", err)
		}
		var out bytes.Buffer
		if err := file.Encode(&out); err != nil || !bytes.Equal(out.Bytes(), b) {
			t.Fatalf("an edit that changes nothing changes bytes: %v", err)
		}
		if len(file.External()) > 0 || len(b) > 1<<16 {
			return
		}
		for name, x := range file.StateDict().All() {
			if _, err := x.Bytes(); class(err) == "untyped" {
				t.Fatalf("%s: untyped error %v", name, err)
			} else if err != nil {
				return // numbers are read when they are needed
			}
		}
		sd := altered(t, file.StateDict(), func(string) bool { return true })
		edited, err := file.With(sd)
		if err != nil {
			t.Fatal(err)
		}
		out.Reset()
		if err := edited.Encode(&out); err != nil {
			t.Fatal(err)
		}
		got, err := read(out.Bytes(), modelsDir)
		if err != nil {
			t.Fatal(err)
		}
		sameBits(t, got.StateDict(), sd, sd.Names())
	})
}
