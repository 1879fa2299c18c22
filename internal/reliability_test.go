package internal_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// Every test that docs/reliability.md names is there, and every line of its tables
// names one or is written by one.
func TestReliabilityNames(t *testing.T) {
	page, err := os.ReadFile("../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = fs.WalkDir(os.DirFS(".."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case strings.HasPrefix(name, "cmd/testdata/script/"):
			there[path.Base(name)] = true
		case strings.HasSuffix(name, "_test.go"):
			b, err := os.ReadFile(path.Join("..", name))
			if err != nil {
				return err
			}
			for _, m := range function.FindAllSubmatch(b, -1) {
				there[string(m[1])] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+|\\w+\\.txt)`")
	written, lines := false, 0
	for line := range strings.Lines(string(page)) {
		names := named.FindAllStringSubmatch(line, -1)
		for _, m := range names {
			if !there[m[1]] {
				t.Errorf("there is no test %s, which docs/reliability.md names", m[1])
			}
		}
		switch {
		case strings.HasPrefix(line, "<!-- end"):
			written = false
		case strings.HasPrefix(line, "<!-- "):
			written = true
		case strings.HasPrefix(line, "| ") && !written && !strings.HasPrefix(line, "| fault |") && !strings.HasPrefix(line, "| file |"):
			if lines++; len(names) == 0 {
				t.Errorf("no test is named in %s", line)
			}
		}
	}
	if lines < 25 {
		t.Errorf("only %d lines", lines)
	}
}
