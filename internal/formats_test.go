package internal_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every test that docs/formats.md names exists. What follows a slash names a
// case: a golden file, a vector or a script.
func TestFormats(t *testing.T) {
	doc, err := os.ReadFile("../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz)[A-Za-z]+)(?:/([a-z0-9-]+))?`").FindAllStringSubmatch(string(doc), -1)
	if len(names) < 50 {
		t.Fatalf("found %d names of tests", len(names))
	}
	for _, n := range names {
		if problem := missing("..", n[1], n[2], n[3]); problem != "" {
			t.Errorf("%s: %s", n[0], problem)
		}
	}
	for _, cell := range strings.Split(string(doc), "|") {
		if strings.TrimSpace(cell) == "yes" {
			t.Error("a cell says yes and names no test")
		}
	}
}

// missing says what of a test is not there; "" if all is.
func missing(root, folder, test, name string) string {
	sources, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
	if err != nil || len(sources) == 0 {
		return "no tests in " + folder
	}
	found := false
	for _, path := range sources {
		b, err := os.ReadFile(path)
		if err != nil {
			return err.Error()
		}
		found = found || strings.Contains(string(b), "\nfunc "+test+"(")
	}
	if !found {
		return "no such test"
	}
	if name == "" {
		return ""
	}
	for _, pattern := range []string{
		filepath.Join(root, folder, "testdata", name+".*"),
		filepath.Join(root, folder, "testdata", "script", name+".*"),
		filepath.Join(root, "fixtures", "vectors", folder, name+".*"),
	} {
		if files, err := filepath.Glob(pattern); err == nil && len(files) > 0 {
			return ""
		}
	}
	return "no file of the case"
}

func TestFormatsCatches(t *testing.T) {
	for _, c := range [][3]string{{"pickle", "TestGone", ""}, {"pickle", "TestGolden", "gone"}, {"gone", "TestGolden", ""}} {
		if missing("..", c[0], c[1], c[2]) == "" {
			t.Errorf("%v is not missed", c)
		}
	}
}
