package internal_test

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// shown lists the packages of which every function has an Example.
var shown = []string{"model", "graph", "dataset", "pickle", "safetensors", "onnxio", "convert", "edit", "verify"}

// unshown returns the exported functions of a package that have no Example with
// an output to check.
func unshown(root fs.FS, dir string) ([]string, error) {
	files, err := parsed(root, dir)
	if err != nil {
		return nil, err
	}
	tests, err := fs.Glob(root, path.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}
	var testFiles []*ast.File
	for _, name := range tests {
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		testFiles = append(testFiles, f)
	}
	checked := map[string]bool{}
	for _, e := range doc.Examples(testFiles...) {
		if e.Output != "" || e.EmptyOutput {
			name, _, _ := strings.Cut(e.Name, "_")
			checked[name] = true
		}
	}
	var missing []string
	for _, f := range files {
		for _, d := range f.Decls {
			if d, ok := d.(*ast.FuncDecl); ok && d.Recv == nil && d.Name.IsExported() && !checked[d.Name.Name] {
				missing = append(missing, d.Name.Name)
			}
		}
	}
	slices.Sort(missing)
	return missing, nil
}

// The documentation shows every function in use, and what it shows is true.
func TestExamples(t *testing.T) {
	for _, dir := range shown {
		missing, err := unshown(os.DirFS(".."), dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(missing) > 0 {
			t.Errorf("%s has no checked Example of %v", dir, missing)
		}
	}
}

func TestExamplesCatches(t *testing.T) {
	for test, want := range map[string]string{
		"func ExampleF() {\n\tF()\n\t// Output: 1\n}":       "[]",
		"func ExampleF_more() {\n\tF()\n\t// Output: 1\n}":  "[]",
		"func ExampleF() {\n\tF()\n}":                       "[F]",
		"func ExampleG() {\n\tF()\n\t// Output: 1\n}":       "[F]",
		"func ExampleF() {\n\tF()\n\t// Output:\n}":         "[]",
		"func TestF() {\n\tF()\n}":                          "[F]",
		"func Example() {\n\tF()\n\t// Output: 1\n}":        "[F]",
		"func ExampleFirst() {\n\tF()\n\t// Output: 1\n}":   "[F]",
		"func ExampleF_More() {\n\tF()\n\t// no output\n}":  "[F]",
		"func ExampleF_other() {\n\tF()\n\t// output: 1\n}": "[]",
	} {
		root := fstest.MapFS{
			"p/p.go":      {Data: []byte("package p\n\nfunc F() {}\n\nfunc f() {}\n\ntype T int\n\nfunc (T) M() {}\n")},
			"p/p_test.go": {Data: []byte("package p\n\n" + test + "\n")},
		}
		got, err := unshown(root, "p")
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: got %v, %v, want %s", test, got, err, want)
		}
	}
}
