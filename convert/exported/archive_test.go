package exported_test

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/convert/aten"
	"lethe/convert/exported"
	"lethe/pickle"
)

// rewrite returns an archive of testdata with other members: edit returns the
// new name and content of one, "" to leave it out.
func rewrite(t testing.TB, name string, edit func(name string, content []byte) (string, []byte), more ...[2]string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	add := func(name string, content []byte) {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = f.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		if name, content := edit(f.Name, content); name != "" {
			add(name, content)
		}
	}
	for _, m := range more {
		add(m[0], []byte(m[1]))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// convertArchive opens, decodes and converts.
func convertArchive(b []byte) error {
	p, err := pickle.OpenProgram(bytes.NewReader(b), int64(len(b)), pickle.Options{})
	if err != nil {
		return err
	}
	program, err := exported.Decode(exported.Source{Member: p.Member, Graph: p.Graph, State: p.State, Constants: p.Constants, Unpack: p.Unpack})
	if err != nil {
		return err
	}
	_, err = aten.Convert(program, aten.Options{})
	return err
}

// Archives that cannot be converted are errors that say why. What is never
// opened, sample inputs and custom objects, does not matter.
func TestHostileArchives(t *testing.T) {
	const mlp = "torch-2.15-mlp_dynamic.pt2"
	same := func(name string, content []byte) (string, []byte) { return name, content }
	swap := func(member, old, new string) func(string, []byte) (string, []byte) {
		return func(name string, content []byte) (string, []byte) {
			if strings.HasSuffix(name, member) {
				changed := bytes.Replace(content, []byte(old), []byte(new), 1)
				if old == "" {
					changed = []byte(new)
				}
				if bytes.Equal(changed, content) {
					t.Errorf("%s has no %q", member, old)
				}
				return name, changed
			}
			return name, content
		}
	}
	without := func(part string) func(string, []byte) (string, []byte) {
		return func(name string, content []byte) (string, []byte) {
			if strings.Contains(name, part) {
				return "", nil
			}
			return name, content
		}
	}
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"nothing changed", rewrite(t, mlp, same), ""},
		{"sample inputs that are not pickle", rewrite(t, mlp, swap("sample_inputs/model.pt", "", "cos\nsystem\n")), ""},
		{"another custom object", rewrite(t, mlp, same, [2]string{"mlp_dynamic/data/constants/custom_obj_0", "cos\nsystem\n."}), ""},
		{"a package of AOTInductor", rewrite(t, mlp, without("/models/"), [2]string{"mlp_dynamic/data/aotinductor/model/a.so", "\x7fELF"}), "AOTInductor"},
		{"no graph", rewrite(t, mlp, without("/models/")), "no graph"},
		{"two graphs", rewrite(t, mlp, same, [2]string{"mlp_dynamic/models/second.json", "{}"}), "several programs"},
		{"two roots", rewrite(t, mlp, same, [2]string{"other/data", "x"}), "folder"},
		{"a member twice", rewrite(t, mlp, same, [2]string{"mlp_dynamic/models/model.json", "{}"}), "twice"},
		{"a path upwards", rewrite(t, mlp, same, [2]string{"mlp_dynamic/../../x", "x"}), `".."`},
		{"no weights", rewrite(t, mlp, without("/data/weights/")), "no tensor"},
		{"weights that were never there", rewrite(t, mlp, swap("data/weights/weight_0", "", " ")), "storage of 1"},
		{"a pickled weight", rewrite(t, mlp, swap("weights_config.json", `"use_pickle": false`, `"use_pickle": true`)), "pickled"},
		{"a stride out of the weight", rewrite(t, mlp, swap("weights_config.json", `"strides": [{"as_int": 64}`, `"strides": [{"as_int": 9223372036854775807}`)), "overflow"},
		{"a weight that repeats one element 2^40 times", rewrite(t, mlp, swap("weights_config.json", `"sizes": [{"as_int": 16}, {"as_int": 64}], "requires_grad": true, "device": {"type": "cpu", "index": null}, "strides": [{"as_int": 64}, {"as_int": 1}]`,
			`"sizes": [{"as_int": 1048576}, {"as_int": 1048576}], "requires_grad": true, "device": {"type": "cpu", "index": null}, "strides": [{"as_int": 0}, {"as_int": 0}]`)), "expanded tensors"},
		{"a negative size", rewrite(t, mlp, swap("weights_config.json", `{"as_int": 64}`, `{"as_int": -64}`)), "negative"},
		{"a quantized type", rewrite(t, mlp, swap("weights_config.json", `"dtype": 7`, `"dtype": 99`)), "type 99"},
		{"another byte order", rewrite(t, mlp, swap("byteorder", "", "big")), "big-endian"},
		{"a graph that lies about a type", rewrite(t, mlp, swap("model.json", `"relu": {"dtype": 7`, `"relu": {"dtype": 8`)), "its operator makes"},
		{"a graph that lies about a size", rewrite(t, mlp, swap("model.json", `"relu": {"dtype": 7, "sizes": [`, `"relu": {"dtype": 7, "sizes": [{"as_int": 3}, `)), "its operator makes"},
	}
	for _, test := range tests {
		err := convertArchive(test.file)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: the error is %v, want one with %q", test.name, err, test.want)
		}
		if err != nil {
			typed(t, err)
		}
	}
}

// Whatever the bytes, there is an error or a graph.
func FuzzArchive(f *testing.F) {
	for _, name := range []string{"torch-2.1-mlp_dynamic.pt2", "torch-2.5-lstm_static.pt2", "torch-2.8-odd_dynamic.pt2", "torch-2.15-mlp_dynamic.pt2"} {
		if b, err := os.ReadFile(filepath.Join("testdata", name)); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := convertArchive(b); err != nil {
			typed(t, err)
		}
	})
}
