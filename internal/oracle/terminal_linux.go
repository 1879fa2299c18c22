package oracle

import (
	"os"
	"testing"
)

// Terminal opens the near side of a pseudo-terminal, which counts as a terminal. If
// there is none, or isTerminal says that it is not one, the test is skipped.
func Terminal(t testing.TB, isTerminal func(any) bool) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { f.Close() })
	if !isTerminal(f) {
		t.Skip("/dev/ptmx is not a terminal here")
	}
	return f
}
