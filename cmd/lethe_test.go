package cmd_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// One program is all commands: by its first argument, and by its own name as a
// link or a copy.
func TestLethe(t *testing.T) {
	lethe := filepath.Join(binaries(t), "lethe")
	dir := t.TempDir()
	for _, name := range names {
		link := filepath.Join(dir, name)
		if err := os.Symlink(lethe, link); err != nil {
			t.Fatal(err)
		}
		want := command(t, name, "--help")
		for _, cmd := range []*exec.Cmd{exec.Command(lethe, name, "--help"), exec.Command(link, "--help")} {
			if got, err := cmd.Output(); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%v: %v\n%s", cmd.Args, err, got)
			}
		}
		if help := command(t, "lethe", "--help"); !strings.Contains(string(help), "   "+name+" ") {
			t.Errorf("no %s in the help of lethe", name)
		}
	}
	if err := os.Symlink(lethe, filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		program string
		args    []string
		code    int
		says    string
	}{
		{lethe, nil, 2, "Usage: lethe COMMAND"},
		{lethe, []string{"forgot"}, 2, `"forgot" is not a command`},
		{lethe, []string{"forget"}, 2, "forget: "},
		{lethe, []string{"ptcheck", "missing.pt"}, 1, "ptcheck: "},
		{filepath.Join(dir, "ptcheck"), []string{"missing.pt"}, 1, "ptcheck: "},
		{filepath.Join(dir, "other"), []string{"ptcheck", "missing.pt"}, 1, "ptcheck: "},
		{lethe, []string{"--version"}, 0, "\ncommit "},
		{lethe, []string{"--version"}, 0, "\ngo1."},
		{lethe, []string{"--completion"}, 2, `--completion is "", want bash, zsh or fish`},
		{lethe, []string{"--completion=csh"}, 2, `--completion is "csh", want bash, zsh or fish`},
		{lethe, []string{"--completion=fish"}, 0, "complete -c lethe "},
	} {
		code, output := exit(t, exec.Command(c.program, c.args...))
		if code != c.code || !strings.Contains(output, c.says) {
			t.Errorf("%s %q: exit code %d, %s", filepath.Base(c.program), c.args, code, output)
		}
	}
}

// All commands together are hardly larger than the largest one.
func TestLetheSize(t *testing.T) {
	size := func(name string) int64 {
		info, err := os.Stat(filepath.Join(binaries(t), name))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if all, largest := size("lethe"), max(size("forget"), size("ptcheck")); all > largest+largest/20 {
		t.Errorf("lethe has %d bytes, the largest command %d", all, largest)
	}
}
