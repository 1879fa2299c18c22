package cli

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// terminal opens the near side of a pseudo-terminal, which counts as one.
func terminal(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { f.Close() })
	if !isTerminal(f) {
		t.Skip("/dev/ptmx is no terminal here")
	}
	return f
}

func TestProgressFindsTerminal(t *testing.T) {
	f := terminal(t)
	t.Setenv("TERM", "xterm")
	p := NewProgress(f, false)
	if p.width == nil || p.every != redraw {
		t.Fatal("a terminal gets no bar")
	}
	if w := p.width(); w != 80 {
		t.Errorf("a terminal of unknown width: got %d, want 80", w)
	}
	t.Setenv("TERM", "dumb")
	if p := NewProgress(f, false); p.width != nil {
		t.Error("a dumb terminal gets a bar")
	}
}

func TestOpenInputTerminal(t *testing.T) {
	_, err := OpenInput(context.Background(), "-", terminal(t))
	if ExitCode(err) != ExitUsage || !strings.Contains(err.Error(), "standard input is a terminal") {
		t.Errorf("got %v", err)
	}
}

// A named pipe, as from a shell's <(...), can be read at any place too.
func TestOpenInputPipe(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	go os.WriteFile(path, []byte("weights"), 0)
	in, err := OpenInput(context.Background(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	empty(t, temp) // already: a kill cannot leave anything
	b, err := io.ReadAll(io.NewSectionReader(in, 0, in.Size))
	if string(b) != "weights" || err != nil || in.Name != path {
		t.Errorf("got %q, %v of %s", b, err, in.Name)
	}
}
