package cmd_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/rogpeppe/go-internal/testscript"

	"lethe/internal/registry"
	"lethe/internal/registry/mlflow"
	"lethe/internal/registry/oci"
)

// serveRegistries starts a registry for a script, and another name of it that
// refuses uploads.
func serveRegistries(env *testscript.Env) {
	h := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	both := httptest.NewServer(h)
	readonly := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, `{"errors":[{"code":"DENIED","message":"read only"}]}`, http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	}))
	env.Defer(both.Close)
	env.Defer(readonly.Close)
	env.Setenv("REGISTRY", strings.TrimPrefix(both.URL, "http://"))
	env.Setenv("READONLY", strings.TrimPrefix(readonly.URL, "http://"))
	env.Setenv("DOCKER_CONFIG", env.WorkDir)
}

// refers checks what kinds of documents refer to a model in a registry:
// refers HOST/NAME TAG TYPE...
func refers(ts *testscript.TestScript, _ bool, args []string) {
	repo, err := remote.NewRepository(args[0])
	ts.Check(err)
	repo.PlainHTTP = true
	model, err := repo.Resolve(context.Background(), args[1])
	ts.Check(err)
	var got []string
	ts.Check(repo.Referrers(context.Background(), model, "", func(all []ocispec.Descriptor) error {
		for _, d := range all {
			got = append(got, d.ArtifactType)
		}
		return nil
	}))
	slices.Sort(got)
	if want := args[2:]; !slices.Equal(got, want) {
		ts.Fatalf("documents %q refer to the model, want %q", got, want)
	}
}

// A command is killed at each request of a push in turn. The tag leads to the
// model before, whole, and the same command then succeeds.
func TestRegistryKill(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	killAtEach(t, ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))), func(host string, kill int) string {
		return fmt.Sprintf("oci+http://%s/m%d:v1", host, kill)
	})
}

// killAtEach does that with a registry. ref returns a reference that is new for
// each kill: what was uploaded before a kill is not uploaded again.
func killAtEach(t *testing.T, h http.Handler, ref func(host string, kill int) string) {
	dir := t.TempDir()
	var requests, last atomic.Int64
	reached := make(chan struct{}, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == last.Load() {
			io.Copy(io.Discard, r.Body)
			reached <- struct{}{}
			<-r.Context().Done()
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "http://")
	// Pulls what is at a reference.
	read := func(ref string) []byte {
		t.Helper()
		var place registry.Repository
		var err error
		if strings.HasPrefix(ref, registry.SchemeMLflow) {
			place, err = mlflow.Open(ref, registry.NewClient(), os.Getenv)
		} else {
			place, err = oci.Open(ref, registry.NewClient())
		}
		if err != nil {
			t.Fatal(err)
		}
		m, err := place.Resolve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(dir, "got.pt"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := m.Fetch(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for kill := 1; ; kill++ {
		ref := ref(host, kill)
		last.Store(0)
		command(t, "ptconvert", "--root", "old", base, ref)
		old := read(ref)
		again := []string{"--force", "--root", fmt.Sprint("new", kill), base, ref}
		requests.Store(0)
		last.Store(int64(kill))
		cmd := exec.Command(filepath.Join(binaries(t), "ptconvert"), again...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended: // it had fewer requests
			last.Store(0)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(read(ref), old) {
				t.Error("not killed, the command did not publish")
			}
			if kill <= 10 {
				t.Errorf("only %d requests to be killed at", kill-1)
			}
			return
		case <-reached:
			cmd.Process.Kill()
			<-ended
			last.Store(0)
			if !bytes.Equal(read(ref), old) {
				t.Errorf("killed at request %d, %s does not lead to the old model", kill, ref)
			}
			command(t, "ptconvert", again...)
			if bytes.Equal(read(ref), old) {
				t.Errorf("killed at request %d and run again, the command did not publish", kill)
			}
		}
	}
}
