package terminal

import (
	"testing"

	"lethe/internal/oracle"
)

func TestProgressFindsTerminal(t *testing.T) {
	f := oracle.Terminal(t, Is)
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
