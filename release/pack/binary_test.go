package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// build makes a small program with a version and a commit for a platform, as release/build does.
func build(t *testing.T, goos, goarch, version, commit string) string {
	t.Helper()
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	if err := os.WriteFile(source, []byte("package main\n\nvar version, commit string\n\nfunc main() { println(version, commit) }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -buildid= -X main.version="+version+" -X main.commit="+commit, "-o", binary, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS="+goos, "GOARCH="+goarch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build for %s/%s: %v\n%s", goos, goarch, err, out)
	}
	return binary
}

func TestInspect(t *testing.T) {
	const version, commit = "7.31.9-inspect", "c0ffee29"
	// A library of the system that the program names, under a name of the same
	// length that is none of the system's.
	libraries := map[string][2]string{
		"darwin":  {"/usr/lib/libSystem.B.dylib\x00", "/opt/lib/libSystem.B.dylib\x00"},
		"windows": {"kernel32.dll\x00", "msvcr100.dll\x00"},
	}
	for _, platform := range []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"} {
		t.Run(platform, func(t *testing.T) {
			goos, goarch, _ := strings.Cut(platform, "/")
			binary := build(t, goos, goarch, version, commit)
			if err := inspect(binary, goos, goarch, version, commit); err != nil {
				t.Error(err)
			}
			refuses := func(path, goos, goarch, version, commit, want string) {
				t.Helper()
				if err := inspect(path, goos, goarch, version, commit); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
			other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[goarch]
			refuses(binary, goos, other, version, commit, `a program for "`+goarch+`", want `+other)
			refuses(binary, goos, goarch, "7.31.8-inspect", commit, `no "7.31.8-inspect"`)
			refuses(binary, goos, goarch, version, "c0ffee30", `no "c0ffee30"`)
			refuses(binary, goos, goarch, version, "", `no ""`)
			refuses(binary, map[string]string{"linux": "windows", "windows": "darwin", "darwin": "linux"}[goos], goarch, version, commit, "no program for")
			data, err := os.ReadFile(binary)
			if err != nil {
				t.Fatal(err)
			}
			cut := filepath.Join(t.TempDir(), "program")
			write := func(b []byte) {
				if err := os.WriteFile(cut, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(data[:30])
			refuses(cut, goos, goarch, version, commit, "no program for")
			if names, ok := libraries[goos]; ok {
				if !bytes.Contains(data, []byte(names[0])) {
					t.Fatalf("no %q in the program", names[0])
				}
				write(bytes.ReplaceAll(data, []byte(names[0]), []byte(names[1])))
				refuses(cut, goos, goarch, version, commit, "needs libraries: "+strings.TrimSuffix(names[1], "\x00"))
			}
		})
	}
}

// A program of the system is linked with the C library.
func TestInspectDynamic(t *testing.T) {
	path, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	machine, libraries, err := inspectELF(bytes.NewReader(data))
	if err != nil || machine == "" {
		t.Skipf("bash is not an ELF program that is known here: %q, %v", machine, err)
	}
	all := strings.Join(libraries, " ")
	if !strings.Contains(all, "libc.so") || !strings.Contains(all, "an interpreter") {
		t.Errorf("bash needs %q", all)
	}
}
