package job

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"lethe/dataset"
)

// A pipe among the files of images that nobody writes to does not outlive the
// first signal.
func TestDataFIFO(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := syscall.Mkfifo("train-images-idx3-ubyte", 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range []DataSettings{{Settings: dataset.Settings{Path: "."}}, {ForgetOnly: "."}} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // whatever comes first, the job ends
		if _, err := OpenData(ctx, s); !errors.Is(err, context.Canceled) {
			t.Errorf("%+v: got %v", s, err)
		}
	}
}
