package safetensors

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lethe/internal/oracle"
	"lethe/internal/vectors"
	"lethe/model"
)

var update = flag.Bool("update", false, "write fixtures/vectors/safetensors again")

const vectorDir = "../fixtures/vectors/safetensors"

func decode(b []byte) (*File, error) {
	return Decode(bytes.NewReader(b), int64(len(b)), Options{})
}

func mustDecode(t testing.TB, b []byte) *File {
	t.Helper()
	f, err := decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func mustEncode(t testing.TB, f *File) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Encode(&b, f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// roundTrip checks that a file survives encoding.
func roundTrip(t testing.TB, f *File) {
	t.Helper()
	out := mustEncode(t, f)
	again := mustDecode(t, out)
	if !slices.Equal(again.StateDict().Names(), f.StateDict().Names()) || !slices.Equal(again.Metadata(), f.Metadata()) {
		t.Fatal("other names or metadata")
	}
	for name, x := range f.StateDict().All() {
		if same, err := model.SameBits(x, again.StateDict().Get(name)); err != nil || !same {
			t.Fatalf("%q has other values (%v)", name, err)
		}
	}
	if !bytes.Equal(mustEncode(t, again), out) {
		t.Fatal("a second encoding differs from the first")
	}
}

// vector is a file that some reader somewhere gets wrong.
type vector struct {
	name, expect, comment string
	file                  []byte
}

func prefixed(n uint64, rest string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, n), rest...)
}

// headed is a file of a header, as it is, and n bytes of data.
func headed(header string, n int) []byte {
	b := prefixed(uint64(len(header)), header)
	for i := range n {
		b = append(b, byte(i))
	}
	return b
}

func allVectors() []vector {
	v := func(name, expect, comment, header string, n int) vector {
		return vector{name, expect, comment, headed(header, n)}
	}
	a := `"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`
	one := func(dtype, shape, offsets string) string {
		return `{"a":{"dtype":"` + dtype + `","shape":` + shape + `,"data_offsets":` + offsets + `}}`
	}
	vs := []vector{
		v("one", "ok", "two float32", `{`+a+`}`, 8),
		v("padded", "ok", "spaces after the header", `{`+a+`}     `, 8),
		v("nothing", "ok", "no tensors", `{}`, 0),
		v("scalar", "ok", "no dimensions", one("I64", `[]`, `[0,8]`), 8),
		v("empty", "ok", "a dimension of 0", one("F32", `[3,0]`, `[0,0]`), 0),
		v("metadata", "ok", "metadata with escapes", `{"__metadata__":{"format":"pt","q\"\\\n\u0001é":"\u00e9"},`+a+`}`, 8),
		v("metadata-last", "ok", "metadata after a tensor", `{`+a+`,"__metadata__":{}}`, 8),
		v("blanks", "ok", "blanks inside the header", "{ \"a\" :\t{\"shape\": [ 2 ] ,\n\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8),
		v("order", "ok", "a header in another order than the data", `{"a":{"dtype":"U8","shape":[1],"data_offsets":[8,9]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 9),
		v("name-empty", "ok", "an empty name", `{"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1),

		{"file-empty", "malformed", "no bytes", nil},
		{"file-short", "malformed", "seven bytes", make([]byte, 7)},
		{"length-format", "malformed", "a header of 100,000,001 bytes", prefixed(100_000_001, "{}")},
		{"length-max", "malformed", "a header of 2^64-1 bytes", prefixed(1<<64-1, "{}")},
		{"length-long", "malformed", "a header of one byte more than the file", prefixed(3, "{}")},
		{"length-zero", "malformed", "a header of no bytes", prefixed(0, "")},
		v("brace", "malformed", "a blank before the brace", ` {}`, 0),
		v("list", "malformed", "a list", `[]`, 0),
		v("utf8", "malformed", "a name that is not UTF-8", "{\"\xff\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1),
		v("surrogate", "malformed", "half a surrogate pair in a name", `{"\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1),
		v("padding-newline", "malformed", "a newline after the header", "{"+a+"}\n", 8),
		v("padding-object", "malformed", "a second object after the header", "{"+a+"}{}", 8),
		v("cut", "malformed", "a header without its end", `{"a":{"dtype":"F32"`, 8),
		v("comma", "malformed", "a comma before the end", `{`+a+`,}`, 8),
		v("key-twice", "malformed", "a name twice", `{`+a+`,`+a+`}`, 8),
		v("key-escaped", "malformed", "a name twice, once escaped", `{`+a+`,"\u0061":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}}`, 8),
		v("field-twice", "malformed", "a field twice", `{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8),
		v("field-unknown", "malformed", "a field that the format does not have", `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"strides":[1]}}`, 8),
		v("field-missing", "malformed", "no shape", `{"a":{"dtype":"F32","data_offsets":[0,8]}}`, 8),
		v("entry-list", "malformed", "a list in place of a tensor", `{"a":[]}`, 0),
		v("entry-null", "malformed", "null in place of a tensor", `{"a":null}`, 0),
		v("deep", "malformed", "a thousand lists, one in the other", `{"a":{"shape":`+strings.Repeat("[", 1000), 0),
		v("metadata-number", "malformed", "metadata that is not a string", `{"__metadata__":{"step":1}}`, 0),
		v("metadata-list", "malformed", "metadata that is not an object", `{"__metadata__":[]}`, 0),
		v("metadata-twice", "malformed", "metadata twice", `{"__metadata__":{},"__metadata__":{}}`, 0),
		v("metadata-key-twice", "malformed", "a key of the metadata twice", `{"__metadata__":{"a":"","a":""}}`, 0),
		v("dtype-unknown", "malformed", "a type that the format does not have", one("F128", `[1]`, `[0,16]`), 16),
		v("dtype-case", "malformed", "a type in lower case", one("f32", `[2]`, `[0,8]`), 8),
		v("dtype-number", "malformed", "a number in place of the type", `{"a":{"dtype":32,"shape":[2],"data_offsets":[0,8]}}`, 8),
		v("shape-negative", "malformed", "a negative dimension", one("F32", `[-2]`, `[0,8]`), 8),
		v("shape-fraction", "malformed", "a dimension of 2.0", one("F32", `[2.0]`, `[0,8]`), 8),
		v("shape-text", "malformed", "a dimension as a string", one("F32", `["2"]`, `[0,8]`), 8),
		v("shape-overflow", "malformed", "2^32 x 2^32 elements: none, modulo 2^64", one("F32", `[4294967296,4294967296]`, `[0,0]`), 0),
		v("shape-bits", "malformed", "2^61 + 1 bytes: 8 bits, modulo 2^64", one("U8", `[2305843009213693953]`, `[0,1]`), 1),
		v("shape-max", "malformed", "a dimension of 2^64-1 beside one of 0", one("U8", `[0,18446744073709551615]`, `[0,0]`), 0),
		v("rank-65", "malformed", "65 dimensions", one("U8", `[1`+strings.Repeat(",1", 64)+`]`, `[0,1]`), 1),
		v("size", "malformed", "three elements in the bytes of two", one("F32", `[3]`, `[0,8]`), 8),
		v("bits", "malformed", "three elements of 4 bits: a byte and a half", one("F4", `[3]`, `[0,1]`), 1),
		v("offsets-one", "malformed", "one offset", one("F32", `[2]`, `[0]`), 8),
		v("offsets-three", "malformed", "three offsets", one("F32", `[2]`, `[0,8,8]`), 8),
		v("offsets-backwards", "malformed", "an end before the begin", one("F32", `[2]`, `[8,0]`), 8),
		v("offsets-huge", "malformed", "an offset of 2^64", one("F32", `[2]`, `[0,18446744073709551616]`), 8),
		v("offsets-wrap", "malformed", "offsets whose difference wraps to 8", one("F32", `[2]`, `[18446744073709551608,0]`), 8),
		v("out", "malformed", "data past the end of the file", one("F32", `[2]`, `[0,8]`), 7),
		v("start", "malformed", "a byte before the first tensor", one("F32", `[2]`, `[1,9]`), 9),
		v("suffix", "malformed", "a byte after the last tensor", one("F32", `[2]`, `[0,8]`), 9),
		v("suffix-only", "malformed", "data and no tensors", `{}`, 1),
		v("hole", "malformed", "a byte between two tensors", `{`+a+`,"b":{"dtype":"U8","shape":[1],"data_offsets":[9,10]}}`, 10),
		v("overlap", "malformed", "two tensors over one byte", `{`+a+`,"b":{"dtype":"U8","shape":[2],"data_offsets":[7,9]}}`, 9),
		v("same", "malformed", "two tensors over the same bytes", `{`+a+`,"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8),

		v("float4", "unsupported", "two elements of 4 bits", one("F4", `[2]`, `[0,1]`), 1),
		v("float6", "unsupported", "four elements of 6 bits", one("F6_E2M3", `[4]`, `[0,3]`), 3),
		{"header-large", "limit", "a header of 17 MB", headed("{}"+strings.Repeat(" ", 17<<20), 0)},
		{"tensors", "limit", "20,000 tensors, and memory for half of them", headed(many(20_000), 0)},
	}
	for _, d := range dtypes {
		if d.model != model.Invalid {
			vs = append(vs, v("dtype-"+strings.ToLower(strings.ReplaceAll(d.name, "_", "-")), "ok", "elements of "+d.name, one(d.name, `[2]`, fmt.Sprintf("[0,%d]", d.bits/4)), int(d.bits/4)))
		}
	}
	return vs
}

// many is a header of n empty tensors.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`, i)
	}
	return "{" + b.String()[1:] + "}"
}

// stored is the largest vector that is kept as a file.
const stored = 1 << 16

// Every vector has the outcome that its line in the manifest says. With
// -update they are made again.
func TestVectors(t *testing.T) {
	manifest := "# Files in the safetensors format: go test ./safetensors -run TestVectors -update\n"
	for _, v := range allVectors() {
		if len(v.file) < stored {
			manifest += fmt.Sprintf("%s.safetensors expect: %s # %s\n", v.name, v.expect, v.comment)
			vectors.Golden(t, filepath.Join(vectorDir, v.name+".safetensors"), v.file, *update)
		}
		t.Run(v.name, func(t *testing.T) {
			var opts Options
			if len(v.file) >= stored {
				opts.Limits.Memory = 8 << 20
			}
			f, err := Decode(bytes.NewReader(v.file), int64(len(v.file)), opts)
			if got := vectors.Outcome(err); got != v.expect {
				t.Errorf("got %s, want %s: %v", got, v.expect, err)
			}
			_, inspected := Inspect(bytes.NewReader(v.file), int64(len(v.file)), opts)
			if vectors.Outcome(inspected) != vectors.Outcome(err) {
				t.Errorf("Inspect says %v, Decode %v", inspected, err)
			}
			if err != nil {
				t.Log(err)
				return
			}
			roundTrip(t, f)
		})
	}
	vectors.Golden(t, filepath.Join(vectorDir, "manifest.txt"), []byte(manifest), *update)
}

// tensor is n elements of a type with the bytes 1, 2, 3, ...
func tensor(t testing.TB, d model.DType, shape ...int) *model.Tensor {
	t.Helper()
	n, _ := model.Elements(shape)
	b := make([]byte, n*d.Size())
	for i := range b {
		b[i] = byte(i + 1)
	}
	x, err := model.NewTensor(d, shape, nil, 0, model.BytesStorage(b))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func state(t testing.TB, entries ...model.Entry) *model.StateDict {
	t.Helper()
	sd, err := model.NewStateDict(entries...)
	if err != nil {
		t.Fatal(err)
	}
	return sd
}

// The header keeps the order of the state dict, the data is aligned by type.
func TestNewLayout(t *testing.T) {
	f, err := New(state(t, model.Entry{Name: "flag", Tensor: tensor(t, model.Bool, 1)},
		model.Entry{Name: "w", Tensor: tensor(t, model.Float32, 2)},
		model.Entry{Name: "b", Tensor: tensor(t, model.Float32, 1)},
		model.Entry{Name: "n", Tensor: tensor(t, model.Int64)}), Pair{"format", "pt"})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"__metadata__":{"format":"pt"},"flag":{"dtype":"BOOL","shape":[1],"data_offsets":[20,21]},` +
		`"w":{"dtype":"F32","shape":[2],"data_offsets":[12,20]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"n":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}`
	b := mustEncode(t, f)
	n := int(binary.LittleEndian.Uint64(b))
	if got := string(b[8 : 8+n]); strings.TrimRight(got, " ") != want || n%8 != 0 || len(b) != 8+n+21 {
		t.Errorf("got %d bytes, header\n%s\nwant\n%s", len(b), got, want)
	}
	roundTrip(t, f)
}

// A view is written in C order.
func TestNewView(t *testing.T) {
	x, err := model.NewTensor(model.Uint8, []int{2, 2}, []int{1, 3}, 1, model.BytesStorage([]byte{0, 1, 2, 3, 4, 5}))
	if err != nil {
		t.Fatal(err)
	}
	f, err := New(state(t, model.Entry{Name: "x", Tensor: x}))
	if err != nil {
		t.Fatal(err)
	}
	if b := mustEncode(t, f); !bytes.HasSuffix(b, []byte{1, 4, 2, 5}) {
		t.Errorf("got % x", b)
	}
}

func TestRefuses(t *testing.T) {
	for _, e := range []model.Entry{{Name: "z", Tensor: tensor(t, model.Complex128, 1)}, {Name: "h", Tensor: tensor(t, model.Complex32, 1)},
		{Name: "__metadata__", Tensor: tensor(t, model.Bool, 1)}} {
		if _, err := New(state(t, e)); vectors.Outcome(err) != "unsupported" {
			t.Errorf("%s: %v", e.Name, err)
		}
	}
	w := model.Entry{Name: "w", Tensor: tensor(t, model.Float32, 2)}
	f, err := New(state(t, w))
	if err != nil {
		t.Fatal(err)
	}
	for _, sd := range []*model.StateDict{
		state(t), state(t, model.Entry{Name: "v", Tensor: w.Tensor}), state(t, w, model.Entry{Name: "v", Tensor: w.Tensor}),
		state(t, model.Entry{Name: "w", Tensor: tensor(t, model.Float32, 1, 2)}), state(t, model.Entry{Name: "w", Tensor: tensor(t, model.Int32, 2)}),
	} {
		if _, err := f.With(sd); vectors.Outcome(err) != "malformed" {
			t.Errorf("%q: %v", sd.Names(), err)
		}
	}
	edited, err := f.With(state(t, model.Entry{Name: "w", Tensor: model.Float32Tensor([]int{2}, []float32{3, 4})}))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := mustDecode(t, mustEncode(t, edited)).StateDict().Get("w").Float32s(); err != nil || !slices.Equal(v, []float32{3, 4}) {
		t.Errorf("got %v, %v", v, err)
	}
}

// Files of the reference implementation come out byte for byte.
func TestGolden(t *testing.T) {
	for _, name := range []string{"types", "plain"} {
		b, err := os.ReadFile(filepath.Join("testdata", name+".safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		f := mustDecode(t, b)
		if !bytes.Equal(mustEncode(t, f), b) {
			t.Errorf("%s: encoding changes bytes", name)
		}
		if f.StateDict().Len() == 0 {
			t.Errorf("%s: no tensors", name)
		}
	}
}

// The reference implementation accepts what Encode writes.
func TestOracle(t *testing.T) {
	py := oracle.Python(t, "numpy", "safetensors")
	var entries []model.Entry
	for _, d := range []model.DType{model.Bool, model.Uint8, model.Int8, model.Int16, model.Uint16, model.Float16, model.Int32,
		model.Uint32, model.Float32, model.Int64, model.Uint64, model.Float64} {
		entries = append(entries, model.Entry{Name: d.String(), Tensor: tensor(t, d, 3, 1)})
	}
	entries = append(entries, model.Entry{Name: "empty", Tensor: tensor(t, model.Float32, 0, 2)}, model.Entry{Name: "scalar \"é\"", Tensor: tensor(t, model.Float32)})
	f, err := New(state(t, entries...), Pair{"a", "b\n"})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "out.safetensors")
	if err := os.WriteFile(path, mustEncode(t, f), 0o600); err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for name, x := range f.StateDict().All() {
		b, err := x.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&want, "%s %v %s %x\n", name, x.DType(), strings.ReplaceAll(fmt.Sprint(x.Shape()), " ", ","), b)
	}
	if got := oracle.Run(t, py, "testdata/oracle.py", path); string(got) != want.String() {
		t.Errorf("the reference reads\n%swe wrote\n%s", got, &want)
	}
}

// FuzzDecode: any bytes give a typed error or a file that survives a round trip.
func FuzzDecode(f *testing.F) {
	for _, v := range allVectors() {
		if len(v.file) < stored {
			f.Add(v.file)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := vectors.Allocated()
		file, err := Decode(bytes.NewReader(b), int64(len(b)), Options{Limits{Memory: 1 << 20}})
		if used, limit := vectors.Allocated()-before, uint64(1<<20+64*len(b)); used > limit {
			t.Fatalf("decoding %d bytes allocates %d, the limit is %d (%v)", len(b), used, limit, err)
		}
		if vectors.Outcome(err) == vectors.Untyped {
			t.Fatal(err)
		}
		if err == nil {
			roundTrip(t, file)
		}
	})
}
