package internal_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	pageLink = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|srcset)="([^"]+)"`)
	pageTest = regexp.MustCompile(`\.(Test|Fuzz)\w+$`) // see TestFormats
	pageName = regexp.MustCompile("`([A-Za-z0-9_./-]+)`")
)

// elsewhere are names of files that begin like a folder of the repository and lie
// in another place: the artifacts of a version in MLflow.
var elsewhere = map[string]bool{"evidence/report.json": true, "evidence/statements.jsonl": true}

// pageFault is a place of a page that leads nowhere.
type pageFault struct{ page, link string }

// pageFaults follows the links of pages, whose texts stand by their paths. A link
// leads to a path that exists; so does a name in backticks that begins with one of
// the repository's folders, or is that of a page. It returns what leads nowhere,
// and the pages that are reached from one.
func pageFaults(pages map[string]string, from string, folders map[string]bool, exists func(string) bool) (faults []pageFault, reached map[string]bool) {
	leads := map[string][]string{}
	for page, text := range pages {
		for _, m := range pageLink.FindAllStringSubmatch(text, -1) {
			link := m[1] + m[2]
			if strings.Contains(link, "://") || strings.HasPrefix(link, "#") {
				continue
			}
			file, _, _ := strings.Cut(link, "#")
			to := path.Join(path.Dir(page), file)
			if !exists(to) {
				faults = append(faults, pageFault{page, link})
			}
			leads[page] = append(leads[page], to)
		}
		for _, m := range pageName.FindAllStringSubmatch(text, -1) {
			first, _, inside := strings.Cut(m[1], "/")
			if pageTest.MatchString(m[1]) || elsewhere[m[1]] {
				continue
			}
			if !folders[first] || !inside {
				if !strings.HasSuffix(m[1], ".md") || inside {
					continue
				}
			}
			to, beside := path.Clean(m[1]), path.Join(path.Dir(page), m[1])
			if !exists(to) && !exists(beside) {
				faults = append(faults, pageFault{page, m[1]})
			}
			leads[page] = append(leads[page], to, beside)
		}
	}
	reached = map[string]bool{}
	for list := []string{from}; len(list) > 0; list = list[1:] {
		if page := list[0]; !reached[page] {
			reached[page] = true
			list = append(list, leads[page]...)
		}
	}
	return faults, reached
}

// Every link of a page resolves, and the index leads to every page.
func TestPages(t *testing.T) {
	root := ".."
	pages, folders := map[string]string{}, map[string]bool{}
	err := filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside := filepath.ToSlash(strings.TrimPrefix(name, root+string(filepath.Separator)))
		switch {
		case d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() && !strings.Contains(inside, "/"):
			folders[inside] = name != root
		case strings.HasSuffix(name, ".md"):
			text, err := os.ReadFile(name)
			pages[inside] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	delete(pages, "release/python/README.md") // is read elsewhere, in the wheel
	exists := func(file string) bool {
		_, err := os.Stat(filepath.Join(root, filepath.FromSlash(file)))
		return err == nil
	}
	faults, reached := pageFaults(pages, "docs/README.md", folders, exists)
	for _, f := range faults {
		t.Errorf("%s: %q leads nowhere", f.page, f.link)
	}
	for page := range pages {
		if path.Dir(page) == "docs" && !reached[page] {
			t.Errorf("docs/README.md does not lead to %s", page)
		}
	}
	if len(pages) < 20 {
		t.Errorf("only %d pages", len(pages))
	}
	if !strings.Contains(pages["README.md"], "](docs/README.md)") {
		t.Error("README.md has no link to docs/README.md")
	}
}

func TestPageFaults(t *testing.T) {
	pages := map[string]string{
		"README.md":      "[a](docs/a.md#part) [b](https://b.example/c) <img src=\"docs/p.svg\"> `docs/gone.md` `cos/tan` `lethe.yaml`",
		"docs/a.md":      "[up](../README.md) ![p](p.svg) `b.md` `docs/man` [gone](gone.svg)",
		"docs/b.md":      "",
		"docs/lonely.md": "`a.md`",
	}
	there := map[string]bool{"docs/p.svg": true, "docs/man": true}
	faults, reached := pageFaults(pages, "README.md", map[string]bool{"docs": true}, func(file string) bool {
		_, page := pages[file]
		return page || there[file]
	})
	got := map[pageFault]bool{}
	for _, f := range faults {
		got[f] = true
	}
	if len(faults) != 2 || !got[pageFault{"README.md", "docs/gone.md"}] || !got[pageFault{"docs/a.md", "gone.svg"}] {
		t.Errorf("%q lead nowhere", faults)
	}
	if !reached["docs/a.md"] || !reached["docs/b.md"] || reached["docs/lonely.md"] {
		t.Errorf("reached %v", reached)
	}
}
