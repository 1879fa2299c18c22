package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	urfave "github.com/urfave/cli/v2"

	"lethe/internal/stage"
)

// A pipe that nobody writes to does not outlive the first signal, wherever a
// command takes a file.
func TestFIFO(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"pipe", "other"} {
		if err := syscall.Mkfifo(name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"input":  {"--class", "3", "pipe", "b"},
		"config": {"--class", "3", "--config", "pipe", "a", "b"},
		"key":    {"--class", "3", "--onnx", "pipe", "a", "b"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			app := configApp(new(string))
			app.Action = func(c *urfave.Context) error {
				var err error
				switch name {
				case "key":
					_, err = stage.ReadSmall(c.Context, c.String("onnx"), c.App.Reader)
				default:
					_, err = stage.OpenInput(c.Context, c.Args().First(), c.App.Reader)
				}
				return err
			}
			cancel() // whatever comes first, the command ends
			var stderr bytes.Buffer
			if code := Run(ctx, app, args, nil, io.Discard, &stderr); code != ExitError || !strings.Contains(stderr.String(), "interrupted") {
				t.Errorf("exit %d, %s", code, &stderr)
			}
		})
	}
	// One that somebody writes to is read. The commands above left readers of the
	// first behind.
	go os.WriteFile("other", []byte("weights"), 0)
	in, err := stage.OpenInput(t.Context(), filepath.Join(dir, "other"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	b := make([]byte, 7)
	if _, err := in.ReadAt(b, 0); err != nil || string(b) != "weights" {
		t.Errorf("got %q, %v", b, err)
	}
}

// What is read from "-" is the standard input that the command was given.
func TestReadSmallStdin(t *testing.T) {
	app := configApp(new(string))
	var got []byte
	app.Action = func(c *urfave.Context) (err error) {
		got, err = stage.ReadSmall(c.Context, "-", c.App.Reader)
		return err
	}
	if code := Run(t.Context(), app, []string{"-c", "3"}, strings.NewReader("key"), io.Discard, io.Discard); code != ExitOK || string(got) != "key" {
		t.Errorf("exit %d, got %q", code, got)
	}
}
