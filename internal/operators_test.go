package internal_test

import (
	"fmt"
	"go/ast"
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

	"lethe/ops"
)

// knowsOperators lists the folders, with all below them, whose files may name
// operators of ONNX.
var knowsOperators = []string{"ops", "internal/nn", "convert"}

// namesOperators lists the names that other files have all the same. It may get
// shorter only.
var namesOperators = map[string][]string{
	"internal/learn/without.go": {"Gemm", "MatMul"}, // initial values: how many inputs a unit has
	"onnxio/file.go":            {"Constant"},       // tensors of these nodes can be weights
	"onnxio/graph.go":           {"Constant"},
}

// operatorNames returns the names of operators among the strings of every file
// below the root of a module, tests aside, that is in none of the folders.
func operatorNames(root fs.FS, folders []string) (map[string][]string, error) {
	known := map[string]bool{}
	for _, op := range ops.Operators() {
		known[op.Name] = true
	}
	delete(known, "Size") // torch has a class of that name
	found := map[string][]string{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() && name != "." && (base == "testdata" || strings.HasPrefix(base, ".") || slices.Contains(folders, name)) {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go") {
			return nil
		}
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil && known[s] && !slices.Contains(found[name], s) {
					found[name] = append(found[name], s)
				}
			}
			return true
		})
		slices.Sort(found[name])
		return nil
	})
	return found, err
}

// One operator, one place: nobody else switches on the name of one.
func TestOperatorsHaveOnePlace(t *testing.T) {
	found, err := operatorNames(os.DirFS(".."), knowsOperators)
	if err != nil {
		t.Fatal(err)
	}
	for file, names := range found {
		if want := namesOperators[file]; !slices.Equal(names, want) {
			t.Errorf("%s names the operators %q, may name %q: what is known of an operator belongs to ops", file, names, want)
		}
	}
	for file := range namesOperators {
		if found[file] == nil {
			t.Errorf("%s names no operator any more: its line here can go", file)
		}
	}
}

func TestOperatorNames(t *testing.T) {
	source := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte("package p\n" + s)} }
	got, err := operatorNames(fstest.MapFS{
		"a/a.go":      source(`var x = map[string]int{"Relu": 1} // "Conv"`),
		"a/b.go":      source("func f(s string) bool { return s == `Gemm` || s == \"Relu6\" }"),
		"a/c_test.go": source(`var y = "Relu"`),
		"ops/d.go":    source(`var z = "Relu"`),
	}, []string{"ops"})
	if want := "map[a/a.go:[Relu] a/b.go:[Gemm]]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("got %v, %v, want %s", got, err, want)
	}
}
