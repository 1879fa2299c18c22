package classifier

import (
	"bytes"
	"context"
	"io"
	"strings"
	"syscall"
	"testing"

	urfave "github.com/urfave/cli/v2"

	"lethe/internal/cli"
)

// A pipe among the files of images that nobody writes to does not outlive the
// first signal.
func TestDataFIFO(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := syscall.Mkfifo("train-images-idx3-ubyte", 0o600); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"--data", "--forget-only"} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // whatever comes first, the command ends
		app := &urfave.App{Name: "forget", Flags: append(DataFlags(), &urfave.StringFlag{Name: "forget-only"}), Action: func(c *urfave.Context) error {
			_, err := OpenData(c)
			return err
		}}
		var stderr bytes.Buffer
		if code := cli.Run(ctx, app, []string{flag, "."}, nil, io.Discard, &stderr); code != cli.ExitError || !strings.Contains(stderr.String(), "interrupted") {
			t.Errorf("%s: exit %d, %s", flag, code, &stderr)
		}
	}
}
