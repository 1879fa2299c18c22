// Package internal_test holds what is tested of the module as a whole.
package internal_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// The modules of others that Lethe is built on.
const (
	gopickle = "github.com/nlpodyssey/gopickle"
	onnxGo   = "github.com/owulveryck/onnx-go"
	gorgonia = "gorgonia.org"
	protobuf = "google.golang.org/protobuf"
	urfave   = "github.com/urfave/cli"
	avo      = "github.com/mmcloughlin/avo"
	cpu      = "golang.org/x/sys/cpu"
	term     = "golang.org/x/term"
	compress = "github.com/klauspost/compress"
	pictures = "golang.org/x/image"
	yaml     = "go.yaml.in/yaml"
	oras     = "oras.land/oras-go"
	ocispecs = "github.com/opencontainers"
)

// all stands for every folder of Lethe that may be imported at all.
const all = "*"

// rooms is the table of docs/architecture.md: what the files of a folder, tests
// aside, may import beside the standard library. A name that ends in a slash
// is for every folder below.
var rooms = map[string][]string{
	"model":              {},
	"graph":              {"model"},
	"ops":                {"graph", "model"},
	"file":               {"graph", "model"},
	"pickle":             {"file", "graph", "model", gopickle},
	"safetensors":        {"file", "graph", "model"},
	"scan":               {},
	"onnxio":             {"file", "graph", "model"},
	"onnxio/internal/pb": {protobuf},
	"convert":            {"convert/arch", "ops", "graph", "model"},
	"convert/aten":       {"ops", "graph", "model"},
	"convert/exported":   {"convert/aten", "graph", "model"},
	"convert/arch":       {"convert/aten", "convert/layers", "file", "graph", "model"},
	"convert/layers":     {"model", yaml},
	"convert/script":     {"convert/aten", "file", "graph", "model"},

	"internal/kernel":     {cpu},
	"internal/kernel/asm": {avo},
	"internal/nn":         {"ops", "graph", "model", "internal/kernel", gorgonia},
	"dataset":             {"model", "internal/parquet", compress, pictures},
	"internal/parquet":    {"model", compress},
	"internal/rewrite":    {"model"},
	"internal/wiring":     {"convert/arch", "convert/aten", "convert/layers", "model", "dataset", "internal/learn", "internal/nn", "ops"},
	"internal/learn":      {"report", "ops", "graph", "model", "internal/nn", "internal/kernel", "dataset"},
	// The kernel's exponential is the same on every machine; math.Exp is not.
	"report": {"model", "internal/strictjson"},
	"edit":   {"report", "ops", "graph", "model", "internal/nn", "dataset", "internal/learn", "internal/kernel"},
	"verify": {"report", "ops", "graph", "model", "internal/nn", "dataset", "internal/learn", "internal/kernel", "onnxio", onnxGo, gorgonia},

	"evidence":            {"model", "report", "verify", "internal/strictjson"},
	"internal/htmlreport": {"report", "verify", "internal/drawing"},
	"internal/drawing":    {"ops", "graph", "model"},

	"internal/strictjson": {"model"},

	"fixtures":     {},
	"fixtures/gen": {},
	// What a command links that only moves weights.
	"internal/usage":     {},
	"internal/version":   {"report"},
	"internal/terminal":  {term},
	"internal/stage":     {"file", "internal/registry", "internal/registry/mlflow", "internal/registry/oci", "internal/strictjson", "internal/terminal", "internal/usage", "model", "report"},
	"internal/weights":   {"file", "internal/registry", "internal/rewrite", "internal/stage", "internal/terminal", "internal/usage", "internal/version", "model", "onnxio", "pickle", "report", "safetensors"},
	"internal/cli":       {"internal/registry", "internal/stage", "internal/strictjson", "internal/terminal", "internal/usage", "internal/version", "internal/weights", "model", "pickle", urfave, yaml},
	"internal/structure": {"ops", "convert", "convert/arch", "convert/aten", "convert/layers", "convert/exported", "convert/script", "file", "graph", "model", "pickle"},
	// What the others link beside it.
	"internal/network":         {"file", "graph", "internal/nn", "internal/stage", "internal/structure", "internal/usage", "internal/version", "internal/weights", "model", "onnxio", "ops", "pickle", "report", "verify"},
	"internal/job":             {all},
	"internal/jobflags":        {"internal/cli", "internal/stage", "internal/usage", "dataset", "internal/job", "report", urfave},
	"internal/registry":        {"model", oras},
	"internal/registry/oci":    {"internal/registry", "internal/strictjson", "model", oras, ocispecs},
	"internal/registry/mlflow": {"internal/registry", "internal/strictjson", "model", oras, yaml},
	"internal/canary":          {},        // for tests and a bench
	"internal/oracle":          {},        // for tests
	"internal/vectors":         {"model"}, // for tests
	"internal/bench/":          {all},

	"internal/bench/speed/asm": {avo},
	"release/pack":             {},
	"web/wasm":                 {"convert/aten", "file", "internal/drawing", "internal/structure", "model", "onnxio", "pickle", "safetensors", "scan"},
	"internal/command/":        {all, urfave},
	"cmd/":                     {all},
}

// replaceable lists the modules that must be easy to replace: the folders with
// how many files of each may import them.
var replaceable = map[string]map[string]int{
	gopickle: {"pickle": 1},
	onnxGo:   {"verify": 1},
	gorgonia: {"verify": 1, "internal/nn": 100},
	oras:     {"internal/registry": 1, "internal/registry/oci": 100, "internal/registry/mlflow": 100},
}

// never lists ways that must not exist, not even through other packages.
var never = [][2]string{
	{"edit", "pickle"}, {"edit", "onnxio"}, {"verify", "pickle"},
	{"verify", "edit"}, {"evidence", "edit"}, {"evidence", "pickle"},
	{"pickle", "onnxio"}, {"onnxio", "pickle"},
	{"pickle", "safetensors"}, {"safetensors", "pickle"}, {"safetensors", "onnxio"}, {"onnxio", "safetensors"},
	{"edit", "safetensors"}, {"verify", "safetensors"},
	{"internal/job", "internal/cli"}, {"internal/network", "internal/cli"}, {"internal/weights", "internal/cli"},
	{"model", "internal"}, {"convert", "internal"}, {"graph", "internal"}, {"ops", "internal"}, {"ops", "onnxio"},
}

// file is a file of Go code, not a test.
type file struct {
	name    string // path from the root of the module
	imports []string
}

// scan returns every such file below the root of a module, whatever its build
// constraints.
func scan(root fs.FS) ([]file, error) {
	var files []file
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() {
			if _, err := fs.Stat(root, path.Join(name, "go.mod")); name != "." && err == nil {
				return fs.SkipDir // another module
			}
			if name != "." && (base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go") {
			return nil
		}
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		f := file{name: name}
		for _, spec := range parsed.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, p)
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

// violations returns what the files do against the rules.
func violations(files []file) []string {
	var bad []string
	report := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	folders := map[string]map[string]bool{} // what each imports of Lethe
	users := map[[2]string]map[string]bool{}
	for _, f := range files {
		folder := path.Dir(f.name)
		if folders[folder] == nil {
			folders[folder] = map[string]bool{}
		}
		allowed, ok := row(folder)
		if !ok {
			report("%s: the folder %s has no row in the table", f.name, folder)
			continue
		}
		for _, p := range f.imports {
			own, isOwn := strings.CutPrefix(p, "lethe/")
			first, _, _ := strings.Cut(p, "/")
			switch {
			case p == "C":
				report("%s: cgo is not allowed", f.name)
			case isOwn:
				folders[folder][own] = true
				if within(own, "cmd") || own == "internal/oracle" || own == "internal/vectors" || within(own, "internal/bench") {
					report("%s: nothing may import %s", f.name, own)
				} else if !slices.Contains(allowed, own) && !slices.Contains(allowed, all) {
					report("%s: %s may not import %s", f.name, folder, own)
				}
			case strings.Contains(first, "."):
				if !slices.ContainsFunc(allowed, func(a string) bool { return within(p, a) }) {
					report("%s: %s may not import %s", f.name, folder, p)
				}
			}
			for m, limits := range replaceable {
				if !within(p, m) {
					continue
				}
				key := [2]string{m, folder}
				if users[key] == nil {
					users[key] = map[string]bool{}
				}
				users[key][f.name] = true
				if len(users[key]) == limits[folder]+1 {
					report("%s: %d files of %s import %s, %d may", f.name, len(users[key]), folder, m, limits[folder])
				}
			}
		}
	}
	for _, n := range never {
		for folder := range folders {
			if within(folder, n[0]) {
				if way := reach(folders, folder, n[1], nil); way != nil {
					report("%s must never reach %s: %s", n[0], n[1], strings.Join(way, " -> "))
				}
			}
		}
	}
	for folder := range rooms {
		if !strings.HasSuffix(folder, "/") && folders[folder] == nil {
			report("%s has a row in the table and no files", folder)
		}
	}
	return bad
}

func row(folder string) ([]string, bool) {
	if allowed, ok := rooms[folder]; ok {
		return allowed, true
	}
	for name, allowed := range rooms {
		if strings.HasSuffix(name, "/") && strings.HasPrefix(folder, name) {
			return allowed, true
		}
	}
	return nil, false
}

// within reports whether p is the path dir or lies below.
func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// reach returns a way along imports from one folder to another, or nil.
func reach(folders map[string]map[string]bool, from, to string, way []string) []string {
	if slices.Contains(way, from) {
		return nil
	}
	way = append(way[:len(way):len(way)], from)
	for next := range folders[from] {
		if within(next, to) {
			return append(way, next)
		}
		if found := reach(folders, next, to, way); found != nil {
			return found
		}
	}
	return nil
}

func TestImports(t *testing.T) {
	files, err := scan(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Errorf("found %d files only", len(files))
	}
	for _, v := range violations(files) {
		t.Error(v)
	}
}

// Every rule is broken by one more file in the module, and caught.
func TestImportsCatches(t *testing.T) {
	files, err := scan(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, imports, want string }{
		{"model/x.go", "lethe/convert", "model/x.go: model may not import convert"},
		{"model/x.go", "golang.org/x/exp/slices", "model may not import golang.org/x/exp/slices"},
		{"pickle/x.go", gopickle + "/pickle", "2 files of pickle import " + gopickle + ", 1 may"},
		{"convert/x.go", gopickle, "1 files of convert import " + gopickle + ", 0 may"},
		{"pickle/x.go", "lethe/onnxio", "pickle must never reach onnxio: pickle -> onnxio"},
		{"edit/x.go", "lethe/pickle", "edit may not import pickle"},
		{"dataset/x.go", "lethe/pickle", "verify must never reach pickle: verify -> "},
		{"verify/x.go", "lethe/edit", "verify may not import edit"},
		{"verify/x.go", "gorgonia.org/vecf32", "2 files of verify import gorgonia.org, 1 may"},
		{"verify/x.go", onnxGo, "2 files of verify import " + onnxGo},
		{"internal/nn/x.go", onnxGo + "/backend/x/gorgonnx", "internal/nn may not import " + onnxGo},
		{"edit/x.go", "gorgonia.org/tensor", "edit may not import gorgonia.org/tensor"},
		{"internal/job/x.go", "lethe/internal/cli", "internal/job must never reach internal/cli: internal/job -> internal/cli"},
		{"internal/cli/x.go", "lethe/cmd/forget", "nothing may import cmd/forget"},
		{"cmd/forget/x.go", "lethe/cmd/internal/x", "nothing may import cmd/internal/x"},
		{"pickle/x.go", "lethe/internal/vectors", "nothing may import internal/vectors"},
		{"cmd/forget/x.go", "lethe/internal/oracle", "nothing may import internal/oracle"},
		{"cmd/forget/x.go", protobuf + "/proto", "cmd/forget may not import " + protobuf},
		{"dataset/x.go", urfave + "/v2", "dataset may not import " + urfave},
		{"internal/nn/x.go", "golang.org/x/sys/unix", "internal/nn may not import golang.org/x/sys/unix"},
		{"internal/kernel/x.go", "C", "internal/kernel/x.go: cgo is not allowed"},
		{"internal/kernel/x.go", avo + "/build", "internal/kernel may not import " + avo},
		{"attic/x.go", "fmt", "the folder attic has no row"},
		{"pickle/sub/x.go", "fmt", "the folder pickle/sub has no row"},
	} {
		found := violations(append(slices.Clone(files), file{c.name, []string{c.imports}}))
		if !slices.ContainsFunc(found, func(v string) bool { return strings.Contains(v, c.want) }) {
			t.Errorf("%s that imports %s: got %q, want %q", c.name, c.imports, found, c.want)
		}
	}
	if found := violations(slices.DeleteFunc(slices.Clone(files), func(f file) bool { return path.Dir(f.name) == "edit" })); !slices.Contains(found, "edit has a row in the table and no files") {
		t.Errorf("a row without files: got %q", found)
	}
}

func TestScan(t *testing.T) {
	source := func(imports string) *fstest.MapFile { return &fstest.MapFile{Data: []byte("package p\n" + imports)} }
	got, err := scan(fstest.MapFS{
		"model/a.go":          source("import (\n\"fmt\"\nx \"lethe/convert\"\n_ \"lethe/edit\"\n)\nfunc f() {}"),
		"model/b_plan9.go":    {Data: []byte("//go:build never\n\npackage p\n\nimport \"C\"\n")},
		"model/a_test.go":     source("import \"lethe/verify\""),
		"model/testdata/a.go": source("import \"lethe/verify\""),
		".git/a.go":           source("import \"lethe/verify\""),
		"model/README":        source(""),
	})
	want := []file{{"model/a.go", []string{"fmt", "lethe/convert", "lethe/edit"}}, {"model/b_plan9.go", []string{"C"}}}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}
