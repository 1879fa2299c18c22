package weights

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	fake "github.com/google/go-containerregistry/pkg/registry"

	"lethe/file"
	"lethe/internal/registry"
	"lethe/internal/registry/oci"
	"lethe/internal/rewrite"
	"lethe/internal/stage"
	"lethe/internal/usage"
	"lethe/model"
	"lethe/pickle"
)

const lenet = "../../cmd/testdata/tiny/lenet.pt"

func streams(stderr io.Writer) stage.Streams {
	return stage.Streams{In: strings.NewReader(""), Out: io.Discard, Err: stderr}
}

// A state dict is rewritten in each way, and there and back again, without a command
// line.
func TestConvert(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct {
		name  string
		s     ConvertSettings
		files int
	}{
		{"safetensors", ConvertSettings{In: lenet, Out: at("a.safetensors")}, 0},
		{"back", ConvertSettings{In: at("a.safetensors"), Out: at("a.pt"), Layout: pickle.EncodeOptions{Profile: pickle.Profile27}}, 0},
		{"selected", ConvertSettings{In: lenet, Out: at("b.pt"), Rules: rewrite.Rules{Select: []string{"fc*"}, DType: model.BFloat16}}, 0},
		{"sharded", ConvertSettings{In: lenet, Out: at("c.safetensors"), Shard: 500}, 2},
		{"joined", ConvertSettings{In: at("c.safetensors.index.json"), Out: at("d.safetensors")}, 0},
		{"one shard", ConvertSettings{In: lenet, Out: at("e.pt"), Shard: 1 << 30}, 0},
	} {
		dry := c.s
		dry.Plan.DryRun = true
		planned, err := Convert(t.Context(), dry, streams(io.Discard))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if _, err := os.Stat(c.s.Out); err == nil {
			t.Errorf("%s: a dry run writes", c.name)
		}
		done, err := Convert(t.Context(), c.s, streams(io.Discard))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if done.Files < c.files || c.files == 0 && done.Files != 0 || done.Bytes == 0 || done.Tensors != planned.Tensors || len(done.Plan.Outputs) != len(planned.Plan.Outputs) {
			t.Errorf("%s: got %+v, planned %+v", c.name, done, planned)
		}
		if done.Files == 0 {
			n, err := Open(t.Context(), c.s.Out, nil, pickle.Options{})
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if n.State.Len() != done.Tensors || n.Format() != done.Format {
				t.Errorf("%s: the output has %d tensors and is %s", c.name, n.State.Len(), n.Format())
			}
			n.Close()
		}
	}
	a, err := os.ReadFile(at("a.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := os.ReadFile(at("d.safetensors")); err != nil || !bytes.Equal(a, d) {
		t.Errorf("shards joined again are another file, %v", err)
	}
}

// Settings that cannot be are refused, and nothing is left.
func TestConvertRefuses(t *testing.T) {
	for want, set := range map[string]func(s *ConvertSettings){
		"several files":       func(s *ConvertSettings) { s.Out, s.Shard = "-", 1 },
		"for its URI":         func(s *ConvertSettings) { s.Shard, s.Results.URI = 1, "uri" },
		"are for checkpoints": func(s *ConvertSettings) { s.Layout.Root = "r" },
		"has no URI":          func(s *ConvertSettings) { s.Out, s.Results.Digest = "-", "digest" },
		"the output":          func(s *ConvertSettings) { s.Out, s.Force = s.In, true },
	} {
		s := ConvertSettings{In: lenet, Out: filepath.Join(t.TempDir(), "out.safetensors")}
		dir := filepath.Dir(s.Out)
		set(&s)
		var misuse *usage.Error
		if _, err := Convert(t.Context(), s, streams(io.Discard)); !errors.As(err, &misuse) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: %v is left, %v", want, left, err)
		}
	}
}

// What a model in a registry has and the rewritten one has not is told.
func TestConvertTellsLeft(t *testing.T) {
	server := httptest.NewServer(fake.New(fake.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	ref := "oci+http://" + strings.TrimPrefix(server.URL, "http://") + "/m"
	p, err := oci.Open(ref+":v1", registry.NewClient())
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(lenet)
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.NewReader(b)
	if err := p.Check(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	pushed, err := p.Push(t.Context(), &registry.Upload{Files: []registry.File{{Name: "a.pt", Content: content, Size: content.Size()}, {Name: "ema.pt", Content: strings.NewReader("other"), Size: 5}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := pushed.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	done, err := Convert(t.Context(), ConvertSettings{In: ref + ":v1#a.pt", Out: ref + ":v2"}, streams(&stderr))
	if err != nil || done.Format != file.Checkpoint {
		t.Fatalf("got %+v, %v", done, err)
	}
	if want := "not in " + ref + ":v2: \"ema.pt\", which this step does not write\n"; stderr.String() != want {
		t.Errorf("got %q, want %q", &stderr, want)
	}
}
