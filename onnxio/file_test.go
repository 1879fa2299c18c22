package onnxio_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"lethe/internal/oracle"
	"lethe/internal/vectors"
	"lethe/model"
	"lethe/onnxio"
	"lethe/onnxio/internal/pb"
	"lethe/ops"
)

const modelsDir = "testdata/models"

// folder opens files of external data below a folder, as the commands do.
func folder(dir string) func(string) (io.ReaderAt, int64, error) {
	return func(location string) (io.ReaderAt, int64, error) {
		b, err := os.ReadFile(filepath.Join(dir, location))
		return bytes.NewReader(b), int64(len(b)), err
	}
}

func read(b []byte, dir string) (*onnxio.File, error) {
	return onnxio.Decode(bytes.NewReader(b), int64(len(b)), onnxio.Options{External: folder(dir)})
}

// models calls f for every model of testdata/models.
func models(t testing.TB, f func(name string, b []byte, file *onnxio.File)) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(modelsDir, "*.onnx"))
	if err != nil || len(paths) < 9 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file, err := read(b, modelsDir)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		f(filepath.Base(path), b, file)
	}
}

// What is read is what the onnx wheel reads: testdata/make.py.
func TestReadModels(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(modelsDir, "models.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want map[string][][]any
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	types := map[string]string{"FLOAT": "float32", "DOUBLE": "float64", "FLOAT8E8M0": "float8_e8m0fnu", "FLOAT4E2M1": "float4_e2m1fn",
		"FLOAT6E2M3": "float6_e2m3fn", "FLOAT6E3M2": "float6_e3m2fn", "FLOAT8E4M3FN": "float8_e4m3fn", "FLOAT8E4M3FNUZ": "float8_e4m3fnuz",
		"FLOAT8E5M2": "float8_e5m2", "FLOAT8E5M2FNUZ": "float8_e5m2fnuz"}
	models(t, func(name string, _ []byte, file *onnxio.File) {
		var list [][]any
		for weight, x := range file.StateDict().All() {
			data, err := x.Bytes()
			if err != nil {
				t.Fatalf("%s, %s: %v", name, weight, err)
			}
			list = append(list, []any{weight, fmt.Sprint(x.Shape()), x.DType().String(), fmt.Sprintf("%x", sha256.Sum256(data))[:16]})
		}
		for _, w := range want[name] {
			w[1] = strings.ReplaceAll(fmt.Sprint(w[1]), ",", "")
			if special := types[w[2].(string)]; special != "" {
				w[2] = special
			} else {
				w[2] = strings.ToLower(w[2].(string))
			}
		}
		if got, want := fmt.Sprint(list), fmt.Sprint(want[name]); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	})
}

// leaf is a field that is not a message, or the number of the elements of typed
// data that came before.
type leaf struct{ path, value string }

// leaves takes a model apart without this package, and leaves out the elements
// of tensors and the values of external data.
func leaves(t *testing.T, b []byte, path, message string) (all []leaf) {
	t.Helper()
	inner := map[string]string{"model 7": "graph", "model 20": "training", "model 25": "function", "training 1": "graph", "training 2": "graph",
		"function 7": "node", "graph 1": "node", "graph 5": "tensor", "node 5": "attribute", "attribute 5": "tensor", "attribute 6": "graph",
		"attribute 11": "graph", "tensor 13": "entry"}
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		size := protowire.ConsumeFieldValue(number, wire, b[n:])
		if n < 0 || size < 0 {
			t.Fatalf("%s: no field", path)
		}
		value := b[n : n+size]
		b = b[n+size:]
		key := fmt.Sprintf("%s %d", message, number)
		at := path + "/" + key
		if wire == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(value)
		}
		switch {
		case inner[key] != "":
			all = append(all, leaves(t, value, at, inner[key])...)
		case message == "tensor" && slices.Contains([]int{4, 5, 7, 9, 10, 11}, int(number)), key == "entry 2":
			all = append(all, leaf{at, "data"})
		default:
			all = append(all, leaf{at, string(value)})
		}
	}
	return all
}

// altered returns a state dict in which those tensors have other values that
// change says.
func altered(t testing.TB, sd *model.StateDict, change func(name string) bool) *model.StateDict {
	t.Helper()
	for name, x := range sd.All() {
		b, err := x.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if !change(name) || len(b) == 0 {
			continue
		}
		if x.DType() == model.Float32 { // a network that still runs
			for i := 0; i < len(b); i += 4 {
				binary.LittleEndian.PutUint32(b[i:], math.Float32bits(0.5*math.Float32frombits(binary.LittleEndian.Uint32(b[i:]))))
			}
		} else {
			for i := range b {
				switch x.DType() {
				case model.Bool, model.Uint2:
					b[i] ^= 1
				case model.Int2, model.Int4: // the sign repeats above the bits
					b[i] = ^b[i]
				case model.Uint4, model.Float4E2M1FN:
					b[i] ^= 0xf
				case model.Float6E2M3FN, model.Float6E3M2FN:
					b[i] ^= 0x3f
				default:
					b[i] ^= 0x81
				}
			}
		}
		y, err := model.NewTensor(x.DType(), x.Shape(), nil, 0, model.BytesStorage(b))
		if err != nil {
			t.Fatal(err)
		}
		sd = sd.With(name, y)
	}
	return sd
}

// write writes a model and its external data into a folder.
func write(t testing.TB, f *onnxio.File, dir, name string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f.Encode(&b); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, e := range f.External() {
		var data bytes.Buffer
		if err := f.EncodeExternal(&data, e); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, e.Location), data.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// Every byte outside the changed elements is the input's: nothing changes where
// no weight does, every weight can change alone, and all of them together.
func TestEditModels(t *testing.T) {
	models(t, func(name string, b []byte, file *onnxio.File) {
		sd := file.StateDict()
		same, err := file.With(sd)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if got := write(t, same, dir, name); !bytes.Equal(got, b) {
			t.Errorf("%s: an edit that changes nothing changes bytes", name)
		}
		check := func(what string, change func(string) bool) {
			want := altered(t, sd, change)
			edited, err := file.With(want)
			if err != nil {
				t.Fatal(err)
			}
			out := write(t, edited, dir, name)
			got, err := read(out, dir)
			if err != nil {
				t.Fatalf("%s, %s: %v", name, what, err)
			}
			sameBits(t, got.StateDict(), want, want.Names())
			if before, after := leaves(t, b, "", "model"), leaves(t, out, "", "model"); !slices.Equal(before, after) {
				t.Errorf("%s, %s: other fields differ\n%.500q\n%.500q", name, what, before, after)
			}
			if len(out) == len(b) {
				return
			}
			// Sizes change only with numbers of varying length.
			if name != "types.onnx" && name != "sklearn_like.onnx" {
				t.Errorf("%s, %s: %d bytes became %d", name, what, len(b), len(out))
			}
		}
		check("all", func(string) bool { return true })
		for _, only := range sd.Names() {
			if name == "external.onnx" && strings.HasPrefix(only, "bias") {
				continue // two tensors over the same bytes
			}
			check(only, func(s string) bool { return s == only })
		}
	})
}

// Changed bytes lie where the elements are, and nowhere else.
func TestEditInPlace(t *testing.T) {
	models(t, func(name string, b []byte, file *onnxio.File) {
		for weight, x := range file.StateDict().All() {
			old, err := x.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if x.DType() != model.Float32 || bytes.Count(b, old) != 1 {
				continue
			}
			edited, err := file.With(altered(t, file.StateDict(), func(s string) bool { return s == weight }))
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := edited.Encode(&out); err != nil {
				t.Fatal(err)
			}
			data, err := edited.StateDict().Get(weight).Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if want := bytes.Replace(b, old, data, 1); !bytes.Equal(out.Bytes(), want) {
				t.Errorf("%s, %s: bytes elsewhere changed", name, weight)
			}
		}
	})
}

func TestWithRefuses(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(modelsDir, "opset7.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := read(b, modelsDir)
	if err != nil {
		t.Fatal(err)
	}
	x := model.Float32Tensor([]int{3}, []float32{1, 2, 3})
	for _, entries := range [][]model.Entry{
		{{Name: "b", Tensor: x}},
		{{Name: "b", Tensor: x}, {Name: "w", Tensor: f.StateDict().Get("w")}},
		{{Name: "w", Tensor: f.StateDict().Get("b")}, {Name: "b", Tensor: x}},
	} {
		sd, err := model.NewStateDict(entries...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.With(sd); class(err) != malformed {
			t.Errorf("%q: %v", sd.Names(), err)
		}
	}
}

// External data under another name: locations and checksums follow, and nothing
// else.
func TestRelocate(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(modelsDir, "external.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := read(b, modelsDir)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, e := range f.External() {
		names[e.Location] = onnxio.ExternalName(e.Location, "external.onnx", strings.Repeat("long", 40)+".onnx")
	}
	f, err = f.With(altered(t, f.StateDict(), func(s string) bool { return s == "fc/weight" }))
	if err != nil {
		t.Fatal(err)
	}
	if f, err = f.Relocate(names); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out := write(t, f, dir, "out.onnx")
	for from, to := range names {
		if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := read(out, dir)
	if err != nil {
		t.Fatal(err)
	}
	sameBits(t, got.StateDict(), f.StateDict(), f.StateDict().Names())
	if before, after := leaves(t, b, "", "model"), leaves(t, out, "", "model"); !slices.Equal(before, after) {
		t.Errorf("other fields differ\n%q\n%q", before, after)
	}
	if old, err := os.ReadFile(filepath.Join(modelsDir, "rest.bin")); err != nil || !vectors.SameFile(filepath.Join(dir, names["rest.bin"]), old) {
		t.Errorf("a file in which no weight changed is another: %v", err)
	}
	if _, err := f.Relocate(map[string]string{"rest.bin": "../x"}); class(err) != malformed {
		t.Errorf("a location outside the folder: %v", err)
	}
	if _, err := f.Relocate(map[string]string{"rest.bin": "fc_weight.bin"}); class(err) != malformed {
		t.Errorf("two files of one name: %v", err)
	}
}

func TestExternalName(t *testing.T) {
	for _, c := range [][4]string{
		{"in.onnx.data", "in.onnx", "out.onnx", "out.onnx.data"},
		{"in.onnx.data", "in.onnx", "in.onnx", "in.onnx.data"},
		{"weights.bin", "in.onnx", "out.onnx", "out.onnx.weights.bin"},
		{"sub/w", "in.onnx", "out.onnx", "out.onnx.sub.w"},
	} {
		if got := onnxio.ExternalName(c[0], c[1], c[2]); got != c[3] {
			t.Errorf("%q beside %q to %q: %q, want %q", c[0], c[1], c[2], got, c[3])
		}
	}
}

// Tensors over the same bytes stay equal, or the edit is refused.
func TestSharedExternal(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(modelsDir, "external.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := read(b, modelsDir)
	if err != nil {
		t.Fatal(err)
	}
	if sd := f.StateDict(); sd.Get("bias").Storage() != sd.Get("bias.tied").Storage() {
		t.Error("tensors over the same bytes are not tied")
	}
	f, err = f.With(altered(t, f.StateDict(), func(s string) bool { return s == "bias" }))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.EncodeExternal(io.Discard, f.External()[1]); class(err) != unsupported || !strings.Contains(err.Error(), `"bias" and "bias.tied" share bytes`) {
		t.Errorf("different values over the same bytes: %v", err)
	}
}

// The onnx wheel finds the edited values in the edited files, and nothing else
// changed; ONNX Runtime runs them.
func TestEditOracle(t *testing.T) {
	python := oracle.Python(t, "numpy", "onnx", "onnxruntime")
	models(t, func(name string, _ []byte, file *onnxio.File) {
		dir := t.TempDir()
		edited, err := file.With(altered(t, file.StateDict(), func(string) bool { return true }))
		if err != nil {
			t.Fatal(err)
		}
		write(t, edited, dir, name)
		oracle.Run(t, python, "testdata/edited.py", filepath.Join(modelsDir, name), filepath.Join(dir, name))
	})
}

// Every operator set from 7 to the newest is read, is told by the graph, and is
// edited without another byte changing; a later one is refused.
func TestEveryOpset(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(modelsDir, "opset7.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	const newest = 28
	for opset := int64(7); opset <= newest+1; opset++ {
		of := patched(t, b, func(m *pb.Model) { m.OpsetImport[0].Version = opset })
		f, err := read(of, modelsDir)
		if err != nil {
			t.Fatal(err)
		}
		g, err := f.Graph()
		if opset > newest {
			if class(err) != unsupported {
				t.Errorf("opset %d: %v", opset, err)
			}
			continue
		}
		if err != nil || g.Opset("") != int(opset) {
			t.Fatalf("opset %d: %v", opset, err)
		}
		if err := ops.Check(g); err != nil {
			t.Errorf("opset %d: %v", opset, err)
		}
		old, err := f.StateDict().Get("w").Bytes()
		if err != nil {
			t.Fatal(err)
		}
		edited, err := f.With(altered(t, f.StateDict(), func(name string) bool { return name == "w" }))
		if err != nil {
			t.Fatal(err)
		}
		data, err := edited.StateDict().Get("w").Bytes()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := edited.Encode(&out); err != nil || !bytes.Equal(out.Bytes(), bytes.Replace(of, old, data, 1)) {
			t.Errorf("opset %d: other bytes changed, or %v", opset, err)
		}
	}
}
