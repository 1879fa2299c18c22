package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// platform is what is made for one operating system and processor.
type platform struct {
	dir, version, goos, goarch string
	binary                     string // path of lethe
	date                       time.Time
}

// file is one file of an archive.
type file struct {
	name string // with slashes
	mode fs.FileMode
	data []byte
	link string // where a symbolic link goes; "" for a file
}

// read returns a file of the tree as one of an archive.
func read(path, name string, mode fs.FileMode) (file, error) {
	b, err := os.ReadFile(path)
	return file{name: name, mode: mode, data: b}, err
}

// archive writes the archive for people: a zip with copies of a starter for
// Windows, a tar with links elsewhere.
func (p *platform) archive() error {
	root := fmt.Sprintf("lethe-%s-%s-%s/", p.version, p.goos, p.goarch)
	log, err := changelog(p.version, p.date)
	if err != nil {
		return err
	}
	files := []file{{name: root + "CHANGELOG.md", mode: 0o644, data: log}}
	add := func(path, name string, mode fs.FileMode) error {
		f, err := read(path, root+name, mode)
		files = append(files, f)
		return err
	}
	for _, name := range []string{"LICENSE", "README.md"} {
		if err := add(name, name, 0o644); err != nil {
			return err
		}
	}
	if err := add(p.binary, filepath.Base(p.binary), 0o755); err != nil {
		return err
	}
	for _, name := range names {
		if p.goos == "windows" { // links need rights there
			files = append(files, file{name: root + name + ".cmd", mode: 0o644, data: []byte("@\"%~dp0lethe.exe\" " + name + " %*\r\n")})
			continue
		}
		files = append(files, file{name: root + name, mode: fs.ModeSymlink | 0o777, link: "lethe"})
		if err := add("docs/man/"+name+".1", "man/"+name+".1", 0o644); err != nil {
			return err
		}
	}
	if p.goos == "windows" {
		return p.create(strings.TrimSuffix(root, "/")+".zip", func(w io.Writer) error { return writeZip(w, files, p.date) })
	}
	return p.create(strings.TrimSuffix(root, "/")+".tar.gz", func(w io.Writer) error { return writeTar(w, files, p.date) })
}

func (p *platform) create(name string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(filepath.Join(p.dir, name), b.Bytes(), 0o644)
}

func sorted(files []file) []file {
	return slices.SortedFunc(slices.Values(files), func(a, b file) int { return strings.Compare(a.name, b.name) })
}

func writeTar(w io.Writer, files []file, date time.Time) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	for _, f := range sorted(files) {
		h := &tar.Header{Format: tar.FormatUSTAR, Typeflag: tar.TypeReg, Name: f.name, Linkname: f.link, Mode: int64(f.mode.Perm()), Size: int64(len(f.data)), ModTime: date}
		if f.link != "" {
			h.Typeflag = tar.TypeSymlink
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(f.data); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return z.Close()
}

func writeZip(w io.Writer, files []file, date time.Time) error {
	z := zip.NewWriter(w)
	for _, f := range sorted(files) {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: date}
		h.SetMode(f.mode)
		to, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := to.Write(f.data); err != nil {
			return err
		}
	}
	return z.Close()
}

// wheelTags are the platforms as Python's installers call them. A static binary
// runs with any C library; the versions are the oldest that Go supports.
var wheelTags = map[string]string{
	"linux/amd64":   "manylinux2014_x86_64.manylinux_2_17_x86_64.musllinux_1_1_x86_64",
	"linux/arm64":   "manylinux2014_aarch64.manylinux_2_17_aarch64.musllinux_1_1_aarch64",
	"darwin/amd64":  "macosx_12_0_x86_64",
	"darwin/arm64":  "macosx_12_0_arm64",
	"windows/amd64": "win_amd64",
	"windows/arm64": "win_arm64",
}

// wheel writes the Python package: the module, the binary, and an entry for each
// command.
func (p *platform) wheel() error {
	tags, ok := wheelTags[p.goos+"/"+p.goarch]
	if !ok {
		return fmt.Errorf("no wheel for %s/%s", p.goos, p.goarch)
	}
	var files []file
	for _, name := range []string{"__init__.py", "_command.py", "py.typed"} {
		f, err := read("release/python/lethe/"+name, "lethe/"+name, 0o644)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	binary, err := read(p.binary, "lethe/bin/"+filepath.Base(p.binary), 0o755)
	if err != nil {
		return err
	}
	info := fmt.Sprintf("lethe-%s.dist-info/", p.version)
	license, err := read("LICENSE", info+"licenses/LICENSE", 0o644)
	if err != nil {
		return err
	}
	description, err := os.ReadFile("release/python/README.md")
	if err != nil {
		return err
	}
	entries := "[console_scripts]\nlethe = lethe._command:lethe\n"
	for _, name := range names {
		entries += fmt.Sprintf("%s = lethe._command:%[1]s\n", name)
	}
	wheel := "Wheel-Version: 1.0\nGenerator: lethe\nRoot-Is-Purelib: false\n"
	for tag := range strings.SplitSeq(tags, ".") {
		wheel += "Tag: py3-none-" + tag + "\n"
	}
	text := func(name, s string) { files = append(files, file{name: info + name, mode: 0o644, data: []byte(s)}) }
	files = append(files, binary, license)
	text("METADATA", fmt.Sprintf("Metadata-Version: 2.4\nName: lethe\nVersion: %s\nSummary: Converts, scans and edits trained neural networks\n"+
		"License-Expression: Apache-2.0\nLicense-File: LICENSE\nRequires-Python: >=3.8\nDescription-Content-Type: text/markdown\n\n%s", p.version, description))
	text("WHEEL", wheel)
	text("entry_points.txt", entries)
	var record strings.Builder
	for _, f := range sorted(files) {
		sum := sha256.Sum256(f.data)
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", f.name, base64.RawURLEncoding.EncodeToString(sum[:]), len(f.data))
	}
	fmt.Fprintf(&record, "%sRECORD,,\n", info)
	text("RECORD", record.String())
	return p.create(fmt.Sprintf("lethe-%s-py3-none-%s.whl", p.version, tags), func(w io.Writer) error { return writeZip(w, files, p.date) })
}
