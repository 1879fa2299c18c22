package stage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"lethe/model"
)

func TestOpenInput(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	dir := t.TempDir()
	file := filepath.Join(dir, "in.pt")
	if err := os.WriteFile(file, []byte("weights"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		w.WriteString("weights")
		w.Close()
	}()
	for _, c := range []struct {
		path  string
		stdin io.Reader
	}{{file, nil}, {"-", iotest.OneByteReader(strings.NewReader("weights"))}, {"-", r}} {
		in, err := OpenInput(context.Background(), c.path, c.stdin)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 3)
		if _, err := in.ReadAt(b, 4); in.Size != 7 || err != nil || string(b) != "hts" {
			t.Errorf("%s: got size %d, %q, %v", in.Name, in.Size, b, err)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	}
	empty(t, temp)
}

func TestOpenInputErrors(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	blocked, w := io.Pipe() // never written to
	defer w.Close()
	broken := errors.New("cable cut")
	for _, c := range []struct {
		name  string
		ctx   context.Context
		path  string
		stdin io.Reader
		is    error
		says  string
	}{
		{"missing", context.Background(), filepath.Join(temp, "none.pt"), nil, fs.ErrNotExist, "no file " + filepath.Join(temp, "none.pt")},
		{"folder", context.Background(), temp, nil, nil, temp + " is a folder; give a file"},
		{"no folder", context.Background(), "input.go/x", nil, nil, "cannot open input.go/x: not a directory"},
		{"stdin fails", context.Background(), "-", iotest.ErrReader(broken), broken, "cannot read standard input: cable cut"},
		{"interrupted", cancelled, "-", blocked, context.Canceled, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := OpenInput(c.ctx, c.path, c.stdin)
			if err == nil || !strings.Contains(err.Error(), c.says) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v, want %q, %v", err, c.says, c.is)
			}
		})
	}
	var limit *model.LimitError
	if _, err := openInput(context.Background(), "-", bytes.NewReader(make([]byte, 11)), 10); !errors.As(err, &limit) {
		t.Errorf("11 bytes of at most 10: got %v", err)
	}
	if in, err := openInput(context.Background(), "-", bytes.NewReader(make([]byte, 10)), 10); err != nil {
		t.Errorf("10 bytes of at most 10: %v", err)
	} else {
		in.Close()
	}
	empty(t, temp)

	t.Setenv("TMPDIR", filepath.Join(temp, "none"))
	if _, err := OpenInput(context.Background(), "-", strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), "cannot keep standard input in the temporary folder") {
		t.Errorf("no temporary folder: got %v", err)
	}
}

// empty checks that nothing was left in a folder.
func empty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s was left in %s", e.Name(), dir)
	}
}
