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
)

// library lists the packages that other modules may import.
var library = []string{
	"model", "graph", "ops", "file", "dataset", "pickle", "safetensors", "onnxio", "scan", "report", "edit", "verify", "evidence",
	"convert", "convert/arch", "convert/aten", "convert/exported",
}

// exposed returns the exported names of a package in whose signatures or fields
// types of internal packages are, each as "Name: package.Type".
func exposed(files []*ast.File) []string {
	var found []string
	for _, f := range files {
		inside := map[string]bool{} // names of imports
		for _, spec := range f.Imports {
			p, _ := strconv.Unquote(spec.Path.Value)
			if strings.Contains(p+"/", "/internal/") {
				name := path.Base(p)
				if spec.Name != nil {
					name = spec.Name.Name
				}
				inside[name] = true
			}
		}
		look := func(name string, n ast.Node) {
			if n == nil {
				return
			}
			ast.Inspect(n, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.Field: // of a struct or an interface, where names that are not exported do not count
					if len(n.Names) > 0 && !slices.ContainsFunc(n.Names, (*ast.Ident).IsExported) && strings.HasPrefix(name, "type ") {
						return false
					}
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && inside[x.Name] {
						found = append(found, strings.TrimPrefix(name, "type ")+": "+x.Name+"."+n.Sel.Name)
					}
				}
				return true
			})
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				name := d.Name.Name
				if d.Recv != nil {
					receiver := receiverOf(d.Recv.List[0].Type)
					if !ast.IsExported(receiver) {
						continue
					}
					name = receiver + "." + name
				}
				if d.Name.IsExported() {
					look(name, d.Type)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						if !spec.Name.IsExported() {
							continue
						}
						s, ok := spec.Type.(*ast.StructType)
						if !ok {
							look("type "+spec.Name.Name, spec.Type)
							continue
						}
						for _, field := range s.Fields.List {
							if len(field.Names) == 0 {
								look("type "+spec.Name.Name, field.Type)
							}
							for _, name := range field.Names {
								if name.IsExported() {
									look(spec.Name.Name+"."+name.Name, field.Type)
								}
							}
						}
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							if name.IsExported() && spec.Type != nil {
								look(name.Name, spec.Type)
							}
						}
					}
				}
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func receiverOf(t ast.Expr) string {
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// parsed returns the files of a folder, tests aside.
func parsed(root fs.FS, dir string) ([]*ast.File, error) {
	entries, err := fs.ReadDir(root, dir)
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		src, err := fs.ReadFile(root, path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(token.NewFileSet(), e.Name(), src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// The library can be used from outside: no internal type in what it shows.
func TestLibrary(t *testing.T) {
	for _, dir := range library {
		files, err := parsed(os.DirFS(".."), dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := exposed(files); len(got) > 0 {
			t.Errorf("%s shows %q", dir, got)
		}
	}
}

func TestLibraryCatches(t *testing.T) {
	const header = "package p\nimport (\n\"lethe/internal/nn\"\nd \"lethe/internal/learn\"\n\"lethe/model\"\n)\n"
	for source, want := range map[string]string{
		"func F(n *nn.Net) {}":                                "[F: nn.Net]",
		"func F() []map[string]*d.Set { return nil }":         "[F: d.Set]",
		"func f(n *nn.Net) {}":                                "[]",
		"type t struct{}\nfunc (t) F(n nn.Net) {}":            "[]",
		"type T struct{ a nn.Net; B func(nn.Net) }":           "[T.B: nn.Net]",
		"type T struct{ nn.Net }":                             "[T: nn.Net]",
		"type T = nn.Net":                                     "[T: nn.Net]",
		"type T interface{ F(nn.Net) }":                       "[T: nn.Net]",
		"var V nn.Net":                                        "[V: nn.Net]",
		"func F(t model.Tensor) { var n nn.Net; _ = n }":      "[]",
		"type T[A any] struct{}\nfunc (*T[A]) F(n nn.Net) {}": "[T.F: nn.Net]",
	} {
		files, err := parsed(fstest.MapFS{"p/a.go": {Data: []byte(header + source)}}, "p")
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(exposed(files)); got != want {
			t.Errorf("%s: got %s, want %s", source, got, want)
		}
	}
}

// Every package says what it is for.
func TestPackagesHaveComments(t *testing.T) {
	all, err := scan(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for _, f := range all {
		dir := path.Dir(f.name)
		if _, ok := said[dir]; ok {
			continue
		}
		said[dir] = false
		files, err := parsed(os.DirFS(".."), dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			said[dir] = said[dir] || f.Doc != nil
		}
		if !said[dir] {
			t.Errorf("the package in %s has no comment", dir)
		}
	}
	for _, dir := range library {
		if _, ok := said[dir]; !ok {
			t.Errorf("no package %s", dir)
		}
	}
}
