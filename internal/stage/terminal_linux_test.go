package stage

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lethe/internal/oracle"
	"lethe/internal/terminal"
	"lethe/internal/usage"
)

func TestOpenInputTerminal(t *testing.T) {
	_, err := OpenInput(context.Background(), "-", oracle.Terminal(t, terminal.Is))
	var misuse *usage.Error
	if !errors.As(err, &misuse) || !strings.Contains(err.Error(), "standard input is a terminal") {
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
