package scan

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

const (
	evil     = "\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R."
	harmless = "\x80\x02}."
)

// legacy is a file of torch.save before 1.6 without tensors.
func legacy(magic string, objects ...string) string {
	return magic + "\x80\x02M\xe9\x03." + harmless + strings.Join(objects, "")
}

const plainMagic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."

func gzipOf(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zlibOf(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// tarFolder is an archive with a member that Python takes for a folder, whose
// contents it then reads as the next member.
func tarFolder(t *testing.T) []byte {
	inner := tarOf(t, entry{"pickle", evil})
	b := tarOf(t, entry{"folder_", string(inner[:1024])})
	b[6], b[156] = '/', 0
	sum := 256
	for i, c := range b[:512] {
		if i < 148 || i >= 156 {
			sum += int(c)
		}
	}
	copy(b[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func safetensorsOf(header, data string) string {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(header)))
	return string(n[:]) + header + data
}

// polyglot is a safetensors file whose length is also a BINUNICODE instruction,
// which jumps over the start of the header to a pickle in its metadata.
func polyglot() string {
	const n = 40
	start := `{"__metadata__":{"x":"`
	text := start + strings.Repeat("-", 5+n-8-len(start)) + "0cposix\nsystem\nVtrue\n\x85R."
	text += `"},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`
	return safetensorsOf(text+strings.Repeat(" ", 0x58+n<<8-len(text)), "abcd")
}

// npyOf is an array of numpy with a header as the type says.
func npyOf(descr, data string) string {
	header := "{'descr': " + descr + ", 'fortran_order': False, 'shape': (1,), }"
	header += strings.Repeat(" ", 63-(10+len(header))%64) + "\n"
	return "\x93NUMPY\x01\x00" + string([]byte{byte(len(header)), byte(len(header) >> 8)}) + header + data
}

// replaced puts another name into both headers of an archive.
func replaced(b []byte, old, new string) []byte {
	return bytes.ReplaceAll(b, []byte(old), []byte(new))
}

// storagePickle refers to a storage of some bytes.
func storagePickle(size int) string {
	return "\x80\x02(Vstorage\nctorch\nByteStorage\nV0\nVcpu\nK" + string([]byte{byte(size)}) + "tQ."
}

// scriptOf is a TorchScript archive with one more member.
func scriptOf(t *testing.T, name, data string) []byte {
	return zipOf(t, entry{"m/data.pkl", harmless}, entry{"m/constants.pkl", "\x80\x02)."}, entry{"m/code/__torch__.py", "class A(Module):\n"}, entry{name, data})
}

// A payload is found wherever some loader would read it.
func TestContainers(t *testing.T) {
	zipped := string(checkpoint(t, evil))
	export := func(name, data string) []byte {
		return zipOf(t, entry{"m/archive_format", "pt2"}, entry{"m/archive_version", "0"}, entry{"m/models/model.json", "{}"}, entry{name, data})
	}
	old := func(name, data string) []byte {
		return zipOf(t, entry{"serialized_exported_program.json", "{}"}, entry{"version", "5.1"}, entry{name, data})
	}
	script := func(name, data string) []byte { return scriptOf(t, name, data) }
	plainTensor := `{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`
	for what, b := range map[string][]byte{
		"bare":                          []byte(evil),
		"a second stream":               []byte(harmless + evil),
		"legacy, the magic":             []byte(legacy(evil, harmless, "\x80\x02].")),
		"legacy, the object":            []byte(legacy(plainMagic, evil, "\x80\x02].")),
		"legacy, the keys":              []byte(legacy(plainMagic, harmless, evil)),
		"legacy, behind":                []byte(legacy(plainMagic, harmless, "\x80\x02].", evil)),
		"legacy with a magic in digits": []byte(legacy("L119547037146038801333356L\n.", evil, "\x80\x02].")),
		"legacy with a magic as LONG4":  []byte(legacy("\x80\x04\x8b\x0a\x00\x00\x00\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x94.", evil, "\x80\x02].")),
		"checkpoint":                    checkpoint(t, evil),
		"checkpoint in capitals":        replaced(checkpoint(t, evil), "m/data.pkl", "m/DATA.PKL"),
		"checkpoint, a second pickle":   checkpoint(t, harmless+evil),
		"checkpoint, another member":    zipOf(t, entry{"m/data.pkl", harmless}, entry{"m/other.pkl", evil}),
		"checkpoint, its version":       zipOf(t, entry{"m/data.pkl", harmless}, entry{"m/version", evil}),
		"checkpoint, an idle record":    zipOf(t, entry{"m/data.pkl", harmless}, entry{"m/data/0", evil}),
		"checkpoint, an idle record whose names are computed": zipOf(t, entry{"m/data.pkl", harmless}, entry{"m/data/1", "\x80\x04c_codecs\nencode\n(Vcbfvk\nVrot13\ntR\x8c\x06system\x93\x8c\x04true\x85R."}),
		"checkpoint, twice":                    zipOf(t, entry{"m/data.pkl", harmless}, entry{"m/data.pkl", evil}),
		"checkpoint, a record of another size": zipOf(t, entry{"m/data.pkl", storagePickle(9)}, entry{"m/data/0", "12345678"}),
		"checkpoint, twice in case":            zipOf(t, entry{"m/data.pkl", harmless}, entry{"m/Data.pkl", evil}),
		"checkpoint, two folders":              zipOf(t, entry{"m/data.pkl", harmless}, entry{"n/data.pkl", evil}),
		"checkpoint behind a pickle":           append([]byte(evil), checkpoint(t, harmless)...),
		"checkpoint behind anything":           append([]byte("anything"), checkpoint(t, harmless)...),
		"checkpoint before anything":           append(checkpoint(t, harmless), evil...),
		"checkpoint in a checkpoint":           zipOf(t, entry{"m/data.pkl", harmless}, entry{"m/inner.pt", zipped}),
		"tar":                                  tarOf(t, entry{"storages", "\x80\x02K\x00.\x80\x02]."}, entry{"tensors", "\x80\x02K\x00."}, entry{"pickle", evil}),
		"tar, its storages":                    tarOf(t, entry{"storages", evil}, entry{"tensors", "\x80\x02K\x00."}, entry{"pickle", harmless}),
		"tar, after its storages":              tarOf(t, entry{"storages", "\x80\x02K\x00." + evil}, entry{"tensors", "\x80\x02K\x00."}, entry{"pickle", harmless}),
		"tar, its tensors":                     tarOf(t, entry{"storages", "\x80\x02K\x00.\x80\x02]."}, entry{"tensors", evil}, entry{"pickle", harmless}),
		"tar, any member":                      tarOf(t, entry{"weights", evil}),
		"tar in gzip":                          []byte(gzipOf(t, string(tarOf(t, entry{"weights", evil})))),
		"tar whose name is a pickle":           tarOf(t, entry{"cposix\nsystem\n)R.", "x"}),
		"gzip":                                 []byte(gzipOf(t, evil)),
		"gzip twice":                           []byte(gzipOf(t, gzipOf(t, evil))),
		"export, sample inputs":                export("m/data/sample_inputs/model.pt", zipped),
		"export, weights of 2.8":               export("m/data/weights/model.pt", zipped),
		"export, an opaque object":             export("m/data/constants/opaque_obj_0", evil),
		"export, data.pkl":                     export("m/DATA.PKL", evil),
		"export, an extra file":                export("m/extra/note.txt", evil),
		"export, machine code":                 export("m/data/aotinductor/model/x.so", "\x7fELF"),
		"export, weights as pickles": zipOf(t, entry{"m/archive_format", "pt2"}, entry{"m/data/weights/weight_0", zipped},
			entry{"m/data/weights/model_weights_config.json", `{"config":{"w":{"path_name":"weight_0","use_pickle":true}}}`}),
		"export, constants as pickles": zipOf(t, entry{"m/archive_format", "pt2"}, entry{"m/data/constants/tensor_0", evil},
			entry{"m/data/constants/model_constants_config.json", `{"config":{"w":{"path_name":"tensor_0","use\u005fpickle":1}}}`}),
		"export, an expression":                  zipOf(t, entry{"m/archive_format", "pt2"}, entry{"m/models/model.json", `{"expr_str":"__import__('os').system('true')"}`}),
		"export, a guard":                        zipOf(t, entry{"m/archive_format", "pt2"}, entry{"m/models/model.json", `{"guards_code":["print(1)"]}`}),
		"export, a target":                       zipOf(t, entry{"m/archive_format", "pt2"}, entry{"m/models/model.json", `{"target":"torch.hub.load"}`}),
		"old export, its state dict":             old("serialized_state_dict.pt", zipped),
		"old export, in base 64":                 old("serialized_state_dict.json", `"`+base64.StdEncoding.EncodeToString([]byte(zipped))+`"`),
		"old export, constants":                  zipOf(t, entry{"version", "1"}, entry{"serialized_exported_program.json", `{"constants":"` + base64.StdEncoding.EncodeToString([]byte(zipped)) + `"}`}),
		"old export, another member":             old("weights.pkl", evil),
		"TorchScript, its data":                  zipOf(t, entry{"m/data.pkl", evil}, entry{"m/constants.pkl", "\x80\x02)."}, entry{"m/code/a.py", ""}),
		"TorchScript, debug":                     script("m/code/__torch__.py.debug_pkl", evil),
		"TorchScript, an extra file":             script("m/extra/x", evil),
		"TorchScript, another member":            script("m/x.pkl", evil),
		"TorchScript, a file is saved":           zipOf(t, entry{"m/data.pkl", harmless}, entry{"m/constants.pkl", "\x80\x02)."}, entry{"m/code/a.py", "def f(x):\n  y = 1\n  torch . save(x, \"/tmp/x\")\n"}),
		"TorchScript, a file by another name":    script("m/code/a.py", "def f(x):\n  y = torch.save\n  y(x, \"f\")\n"),
		"TorchScript, a file in parentheses":     script("m/code/a.py", "def f(x):\n  (torch).save(x, \"f\")\n"),
		"TorchScript, a file by a module":        script("m/code/a.py", "def f(x):\n  y = torch\n  y.save(x, \"f\")\n"),
		"TorchScript, a file by an operator":     script("m/code/a.py", "def f(x):\n  ops.aten.save(x, \"f\")\n"),
		"TorchScript, a file by attribute":       script("m/code/a.py", "def f(x):\n  getattr(torch, \"save\")(x, \"f\")\n"),
		"TorchScript, an attribute in parts":     script("m/code/a.py", "def f(x):\n  getattr(torch, \"sa\" \"ve\")(x, \"f\")\n"),
		"TorchScript, an attribute with escapes": script("m/code/a.py", "def f(x):\n  getattr(torch, \"\\163ave\")(x, \"f\")\n"),
		"torch.package":                          zipOf(t, entry{"m/.data/extern_modules", "torch\n"}, entry{"m/.data/version", "6"}, entry{"m/x.py", "print(1)"}),
		"safetensors and a pickle":               []byte(polyglot()),
		"safetensors, a pickle behind":           []byte(safetensorsOf(plainTensor, "abcd"+evil)),
		"numpy objects":                          []byte(npyOf("'|O'", evil)),
		"numpy objects by another name":          []byte(npyOf("'object'", evil)),
		"numpy objects behind numbers":           []byte(npyOf("'<f4'", "1234") + npyOf("'|O'", evil)),
		"numpy objects behind fields":            []byte(npyOf("[('a', '<f4'), ('b', '<i2', (2,))]", "12345678") + npyOf("'|O'", evil)),
		"a pickle behind numbers":                []byte(npyOf("'<f4'", "1234") + evil),
		"archives in a row":                      append(checkpoint(t, harmless), checkpoint(t, evil)...),
		"archives in a row, the first":           append(checkpoint(t, evil), checkpoint(t, harmless)...),
		"tar, a folder with contents":            tarFolder(t),
		"tar behind zlib":                        []byte(zlibOf(t, string(tarOf(t, entry{"pickle", evil})))),
		"bytes behind zlib":                      []byte(zlibOf(t, "text") + evil),
		"export, a factory":                      zipOf(t, entry{"m/archive_format", "pt2"}, entry{"m/models/model.json", `{"in_spec":"[1,{\"type\":\"x\",\"context\":\"{\\\"default_factory_module\\\":\\\"os\\\",\\\"default_factory_name\\\":\\\"getcwd\\\"}\"}]"}`}),
		"export, an enumeration":                 zipOf(t, entry{"m/archive_format", "pt2"}, entry{"m/models/model.json", `{"out_spec":"{\"context\":\"{\\\"\\u005f_enum__\\\":true,\\\"fqn\\\":\\\"antigravity:X\\\"}\"}"}`}),
		"export, a guard in other letters":       zipOf(t, entry{"m/archive_format", "pt2"}, entry{"m/models/model.json", `{"guards_code":["ｅｖａｌ(1)"]}`}),
		"Keras, a Lambda layer":                  zipOf(t, entry{"config.json", `{"class_name": "Lambda"}`}, entry{"metadata.json", "{}"}, entry{"model.weights.h5", "x"}),
		"Keras, a module":                        zipOf(t, entry{"config.json", `{"module": "os", "class_name": "function"}`}, entry{"metadata.json", "{}"}, entry{"model.weights.h5", "x"}),
		"npz of objects":                         zipOf(t, entry{"a.npy", npyOf("'|O'", evil)}),
		"zip around a pickle":                    zipOf(t, entry{"model.bin", evil}),
		"text of a storage":                      checkpoint(t, "\x80\x02ctorch.storage\n_load_from_bytes\nc_codecs\nencode\nX\x1e\x00\x00\x00\u0080\x02cposix\nsystem\nX\x04\x00\x00\x00true\u0085R.Vlatin1\n\x86R\x85R."),
		"text of a storage, escaped":             checkpoint(t, "ctorch.storage\n_load_from_bytes\n(c_codecs\nencode\n(V\\u0063posix\\u000asystem\\u000a)R.\nVlatin1\ntRtR."),
		"bytes of a storage":                     checkpoint(t, "\x80\x03ctorch.storage\n_load_from_bytes\nB"+string([]byte{byte(len(evil)), 0, 0, 0})+evil+"\x85R."),
	} {
		r := scanBytes(t, b)
		if !r.Fails(Unknown) {
			t.Errorf("%s: %s", what, summary(r))
		}
		if (what == "safetensors and a pickle" || strings.Contains(what, "of a storage")) && r.Worst() < Danger {
			t.Errorf("%s: %s", what, summary(r))
		}
	}
}

// Files from the field that execute something, or that loaders disagree on.
func TestField(t *testing.T) {
	files, err := filepath.Glob("testdata/evil/*")
	if err != nil || len(files) != 4 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		if r := scanBytes(t, readFile(t, name)); r.Worst() != Danger {
			t.Errorf("%s: %s", name, summary(r))
		}
	}
}

// Ordinary files of every kind are not dangerous.
func TestOrdinary(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../pickle/testdata/*.pt", "../safetensors/testdata/*.safetensors", "testdata/*.pt*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, name := range files {
		r := scanBytes(t, readFile(t, name))
		most := Notice
		if strings.Contains(name, "module") {
			most = Unknown
		}
		if r.Worst() > most || len(r.Gaps) > 0 {
			t.Errorf("%s: %s", name, summary(r))
		}
	}
	for what, b := range map[string][]byte{
		"text":               []byte("a readme\n"),
		"text like a pickle": []byte("cat\ndog\nIndia\nVietnam\n."),
		"JSON":               []byte(`{"a": 1}`),
		"numpy":              []byte(npyOf("'<f4'", "\x80\x02c.")),
		"npz":                zipOf(t, entry{"a.npy", npyOf("'<f4'", "1234")}, entry{"A.npy", npyOf("'<f4'", "1234")}),
		"a record that starts like a pickle": zipOf(t,
			entry{"m/data.pkl", storagePickle(len(evil))}, entry{"m/data/0", evil}),
		"tar":                            tarOf(t, entry{"a.txt", "text"}),
		"tar that ends in a zip archive": tarOf(t, entry{"m.pt", string(checkpoint(t, harmless))}),
		"zip archives in a row":          append(checkpoint(t, harmless), checkpoint(t, harmless)...),
		"numpy arrays with fields":       []byte(npyOf("[('a', '<f4'), ('b', '<i2', (2,))]", "12345678")),
		"many numpy arrays":              []byte(strings.Repeat(npyOf("'<f4'", "1234"), 500)),
		"numpy arrays in a row":          []byte(npyOf("'<f4'", "1234") + npyOf("'<f8'", "12345678")),
		"two pickles":                    []byte("I1\n.I2\n."),
		"gzip":                           []byte(gzipOf(t, "text")),
	} {
		if r := scanBytes(t, b); r.Worst() > Notice || len(r.Gaps) > 0 {
			t.Errorf("%s: %s", what, summary(r))
		}
	}
}

// What cannot be read to its end is never clean.
func TestIncomplete(t *testing.T) {
	plain := readFile(t, "../pickle/testdata/plain.pt")
	for n := range plain {
		if r := scanBytes(t, plain[:n]); n > 2 && r.Verdict() == "clean" {
			t.Fatalf("the first %d bytes: %s", n, summary(r))
		}
	}
	for what, s := range map[string]string{
		"7z": "7z\xbc\xaf\x27\x1c and more", "xz": "\xfd7zXZ\x00\x00", "noise": "\x00\x01\x02\x03noise\xff\xfe", "a cut gzip": gzipOf(t, "text")[:20],
		"a shape of other bytes": safetensorsOf(`{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,4]}}`, "abcd"), "a shape that overflows": safetensorsOf(`{"a":{"dtype":"I8","shape":[4294967297,4294967297,4],"data_offsets":[0,4]}}`, "abcd"),
	} {
		if r := scanBytes(t, []byte(s)); r.Verdict() != "incomplete" {
			t.Errorf("%s: %s", what, summary(r))
		}
	}
}

// Archives in archives end at a depth, and cost no more than their size.
func TestNesting(t *testing.T) {
	inner := evil
	for depth := range 6 {
		inner = string(zipOf(t, entry{"m/data.pkl", harmless}, entry{"m/x.pt", inner}))
		if r := scanBytes(t, []byte(inner)); !r.Fails(Unknown) {
			t.Errorf("%d deep: %s", depth+1, summary(r))
		}
	}
	inner = "x"
	for range 1000 {
		inner = string(zipOf(t, entry{"x", inner}))
	}
	r := scanBytes(t, []byte(inner))
	if !r.Fails(Unknown) || len(r.Findings) > 10 {
		t.Error(summary(r))
	}
}

// A storage of 80 elements begins with P, the letter of a persistent id, which
// ends at the first newline in the numbers.
func TestLegacyCountThatLooksLikeAPickle(t *testing.T) {
	object := "\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuKPNtQ."
	keys := "\x80\x02]X\x01\x00\x00\x000a."
	count := "P\x00\x00\x00\x00\x00\x00\x00"
	numbers := "\x01\n\xff" + strings.Repeat("\x00", 4*80-3)
	for _, c := range []struct{ numbers, want string }{
		{numbers, "clean"},
		{"\x01\n0cposix\nsystem\n" + numbers[:4*80-18], "danger"},
	} {
		file := legacy(plainMagic, object, keys, count+c.numbers)
		r, err := File(strings.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict() != c.want {
			t.Errorf("%s, want %s: %s", r.Verdict(), c.want, summary(r))
		}
	}
}

// An ONNX model may have its weights in other files; names that lead out of its
// folder are a danger.
func TestExternalData(t *testing.T) {
	field := func(number byte, b string) string { return string([]byte{number<<3 | 2, byte(len(b))}) + b }
	onnx := func(location string) []byte {
		entry := field(1, "location") + field(2, location)
		tensor := "\x08\x01\x10\x01" + field(8, "w") + field(13, entry) + "\x70\x01"
		return []byte("\x08\x08" + field(7, field(5, tensor)) + field(8, "\x10\x11"))
	}
	for location, want := range map[string]Level{
		"weights.data": Notice, "data/weights..bin": Notice,
		"../../etc/passwd": Danger, "/etc/passwd": Danger, "a/../../b": Danger, `..\b`: Danger, "C:b": Danger, "a\x00b": Danger,
	} {
		b := onnx(location)
		r, err := File(bytes.NewReader(b), int64(len(b)))
		if err != nil || r.Worst() != want {
			t.Errorf("%q: %v, %v", location, r.Findings, err)
		}
	}
	// Across the border of what is read at once.
	far := append([]byte(field(1, strings.Repeat("x", 100))), bytes.Repeat([]byte(field(2, strings.Repeat("y", 125))), 4*window/127)...)
	far = append(far, onnx("../x")...)
	if r, err := File(bytes.NewReader(far), int64(len(far))); err != nil || r.Worst() != Danger {
		t.Errorf("far away: %v, %v", r.Findings, err)
	}
}
