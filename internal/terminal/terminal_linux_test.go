package terminal

import (
	"os"
	"testing"
)

// openTerminal opens the near side of a pseudo-terminal, which counts as one.
func openTerminal(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { f.Close() })
	if !Is(f) {
		t.Skip("/dev/ptmx is no terminal here")
	}
	return f
}

func TestProgressFindsTerminal(t *testing.T) {
	f := openTerminal(t)
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
