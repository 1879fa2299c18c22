package stage

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	failures "lethe/internal/registry"
)

// smallDisk returns a folder that is a file system of 256 KiB, until the test
// ends.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("lethe-test", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A disk that is full while the second output is staged.
func TestOutputsFullDisk(t *testing.T) {
	dir := smallDisk(t)
	small, big := dir+"/out.pt", dir+"/out.onnx"
	o, err := newOutputs(t.Context(), io.Discard, false, nil, small, big)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.stage(context.Background(), small, write("weights"), nil); err != nil {
		t.Fatal(err)
	}
	err = o.stage(context.Background(), big, write(strings.Repeat("x", 1<<20)), nil)
	if want := "cannot write " + big + ": no space left on device"; !errors.Is(err, syscall.ENOSPC) || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
	o.Discard()
	empty(t, dir)

	// So full that not even what waits in a buffer has room.
	full := dir + "/full"
	if err := os.WriteFile(full, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a megabyte in 256 KiB: got %v", err)
	}
	o, err = newOutputs(t.Context(), io.Discard, false, nil, small)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.stage(context.Background(), small, write("weights"), nil); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a few bytes: got %v, want %v", err, syscall.ENOSPC)
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	empty(t, dir)
}

// A disk that is full while a model is pulled.
func TestPullFullDisk(t *testing.T) {
	dir := smallDisk(t)
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer s.Close()
	ref := "oci+http://" + strings.TrimPrefix(s.URL, "http://") + "/m:v1"
	o, err := newOutputs(t.Context(), io.Discard, false, nil, ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.stage(t.Context(), ref, write(strings.Repeat("x", 1<<20)), nil); err != nil {
		t.Fatal(err)
	}
	if err := o.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	mlflow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch strings.TrimPrefix(r.URL.Path, "/api/2.0/mlflow") {
		case "/model-versions/get":
			io.WriteString(w, `{"model_version":{"version":"1","status":"READY"}}`)
		case "/model-versions/get-download-uri":
			io.WriteString(w, `{"artifact_uri":"mlflow-artifacts:/0/m"}`)
		case "-artifacts/artifacts":
			io.WriteString(w, `{"files":[{"path":"m.pt","file_size":1048576}]}`)
		case "-artifacts/artifacts/0/m/m.pt":
			w.Write(make([]byte, 1<<20))
		}
	}))
	defer mlflow.Close()
	t.Setenv("MLFLOW_TRACKING_URI", mlflow.URL)
	t.Setenv("TMPDIR", dir)
	for _, ref := range []string{ref, "models:/m/1"} {
		_, err = OpenInput(t.Context(), ref, nil)
		var failure *failures.Error // of the registry
		if want := "cannot keep " + ref + " in the temporary folder: no space left on device"; !errors.Is(err, syscall.ENOSPC) || err.Error() != want || errors.As(err, &failure) {
			t.Errorf("got %v, want %q", err, want)
		}
		empty(t, dir)
	}
}
