// Command house counts what a tree of Go code is made of: the table of
// docs/architecture.md. Its argument is the root of a module, by default this one.
//
//	git worktree add /tmp/before 644d9f3
//	go run ./internal/bench/house /tmp/before
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"lethe/ops"
)

// knowsOperators are the folders that may name operators.
var knowsOperators = []string{"ops", "internal/nn", "convert"}

// window is how many lines in a row make repeated code.
const window = 6

// sized is something with a number of lines.
type sized struct {
	name  string
	lines int
}

func (s *sized) take(name string, lines int) {
	if lines > s.lines {
		s.name, s.lines = name, lines
	}
}

func (s sized) String() string { return fmt.Sprintf("%d lines (%s)", s.lines, s.name) }

// counts are the figures of a tree. Generated files and testdata do not count.
type counts struct {
	lines, tests, exported int
	packages               map[string]bool
	file, function         sized // the longest that are not tests
	naming                 []string
	over500, over80        int
	code                   map[string]int // runs of lines, and how often each occurs
}

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	c := counts{packages: map[string]bool{}, code: map[string]int{}}
	known := map[string]bool{}
	for _, op := range ops.Operators() {
		known[op.Name] = true
	}
	delete(known, "Size") // torch has a class of that name
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (base == "testdata" || strings.HasPrefix(base, ".")):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(base, ".go"):
			return nil
		}
		src, err := fs.ReadFile(os.DirFS(root), name)
		if err != nil {
			return err
		}
		return c.add(name, src, known)
	})
	if err != nil {
		log.Fatal(err)
	}
	repeated := 0
	for _, n := range c.code {
		if n > 1 {
			repeated += n - 1
		}
	}
	slices.Sort(c.naming)
	fmt.Printf("lines of code\t%d\nlines of tests\t%d\npackages\t%d\nexported names\t%d\n", c.lines, c.tests, len(c.packages), c.exported)
	fmt.Printf("longest file\t%v\nfiles over 500 lines\t%d\nlongest function\t%v\nfunctions over 80 lines\t%d\n", c.file, c.over500, c.function, c.over80)
	fmt.Printf("places with %d lines that stand elsewhere\t%d (%.1f of 1,000 lines)\n", window, repeated, 1000*float64(repeated)/float64(c.lines))
	fmt.Printf("files that name an operator outside %s\t%d %v\n", strings.Join(knowsOperators, ", "), len(c.naming), c.naming)
}

// add counts one file.
func (c *counts) add(name string, src []byte, known map[string]bool) error {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, src, parser.SkipObjectResolution|parser.ParseComments)
	if err != nil || ast.IsGenerated(file) {
		return err
	}
	lines := strings.Count(string(src), "\n")
	if strings.HasSuffix(name, "_test.go") {
		c.tests += lines
		return nil
	}
	c.lines += lines
	c.packages[path.Dir(name)] = true
	c.file.take(name, lines)
	if lines > 500 {
		c.over500++
	}
	for _, d := range file.Decls {
		c.declaration(files, name, d)
	}
	c.runs(string(src))
	names := false
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			s, err := strconv.Unquote(lit.Value)
			names = names || err == nil && known[s]
		}
		return true
	})
	if names && !within(name) {
		c.naming = append(c.naming, name)
	}
	return nil
}

// within reports whether a file may name operators.
func within(name string) bool {
	return slices.ContainsFunc(knowsOperators, func(folder string) bool { return strings.HasPrefix(name, folder+"/") })
}

// declaration counts the exported names of a declaration, and its lines if it is a function.
func (c *counts) declaration(files *token.FileSet, file string, d ast.Decl) {
	count := func(id *ast.Ident) {
		if id.IsExported() {
			c.exported++
		}
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		count(d.Name)
		lines := files.Position(d.End()).Line - files.Position(d.Pos()).Line + 1
		c.function.take(file+": "+d.Name.Name, lines)
		if lines > 80 {
			c.over80++
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				count(s.Name)
			case *ast.ValueSpec:
				for _, id := range s.Names {
					count(id)
				}
			}
		}
	}
}

// runs counts every run of window lines of code; comments, imports and lone
// punctuation are none.
func (c *counts) runs(src string) {
	var code []string
	for line := range strings.Lines(src) {
		line = strings.TrimSpace(line)
		if len(line) > 4 && !strings.HasPrefix(line, "//") && !strings.HasPrefix(line, `"`) && !strings.HasPrefix(line, "import") && !strings.HasPrefix(line, "package") {
			code = append(code, line)
		}
	}
	for i := range len(code) - window + 1 {
		c.code[strings.Join(code[i:i+window], "\n")]++
	}
}
