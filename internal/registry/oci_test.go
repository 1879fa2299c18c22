package registry_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"

	"lethe/internal/cli"
	"lethe/internal/oracle"
	"lethe/internal/registry"
	"lethe/internal/registry/mlflow"
	"lethe/internal/registry/oci"
)

// inProcess is a registry without storage; its handler may be wrapped.
func inProcess(opts ...ggcr.Option) http.Handler {
	return ggcr.New(append(opts, ggcr.Logger(log.New(io.Discard, "", 0)))...)
}

// servers are the registries that everything is tested with.
var servers = []struct {
	name  string
	start func(t *testing.T) string // host and port
}{
	{"go-containerregistry", func(t *testing.T) string { return serve(t, inProcess()) }},
	{"go-containerregistry with referrers", func(t *testing.T) string { return serve(t, inProcess(ggcr.WithReferrersSupport(true))) }},
	{"OracleDocker", oracle.DockerRegistry},
}

func serve(t *testing.T, h http.Handler) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// openBounded opens a reference as commands do, with other bounds.
func openBounded(ref string, b registry.Bounds) (registry.Repository, error) {
	if strings.HasPrefix(ref, registry.SchemeMLflow) {
		return mlflow.Open(ref, registry.BoundedClient(b), func(key string) string { return b.Env[key] })
	}
	return oci.Open(ref, registry.BoundedClient(b))
}

func place(t *testing.T, format string, args ...any) registry.Repository {
	t.Helper()
	p, err := openBounded("oci+http://"+fmt.Sprintf(format, args...), registry.Bounds{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// file is a file of a model.
func file(name, data string) registry.File {
	return registry.File{Name: name, Content: strings.NewReader(data), Size: int64(len(data))}
}

// publish does all that a command does.
func publish(ctx context.Context, p registry.Repository, force bool, u *registry.Upload) (registry.Pushed, error) {
	if err := p.Check(ctx, force); err != nil {
		return nil, err
	}
	pushed, err := p.Push(ctx, u)
	if err != nil {
		return nil, err
	}
	if err := pushed.Publish(ctx); err != nil {
		pushed.Withdraw(ctx)
		return nil, err
	}
	return pushed, nil
}

// fetch reads the checkpoint that a place leads to.
func fetch(ctx context.Context, p registry.Repository, dir string) (data string, m registry.Model, err error) {
	if m, err = p.Resolve(ctx); err != nil {
		return "", nil, err
	}
	f, err := os.CreateTemp(dir, "")
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	size, err := m.Fetch(ctx, f)
	if err != nil {
		return "", nil, err
	}
	b, err := os.ReadFile(f.Name())
	if err == nil && int64(len(b)) != size {
		err = fmt.Errorf("%d bytes, reported are %d", len(b), size)
	}
	return string(b), m, err
}

func TestPublish(t *testing.T) {
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			ctx, host := t.Context(), s.start(t)
			repo := &remote.Repository{PlainHTTP: true}
			repo.Reference.Registry, repo.Reference.Repository = host, "models/lenet"
			v1, v2 := place(t, "%s/models/lenet:v1", host), place(t, "%s/models/lenet:v2", host)

			if _, err := publish(ctx, v1, false, &registry.Upload{Files: []registry.File{file("lenet.pt", "one")}, Created: "2026-01-02T03:04:05Z"}); err != nil {
				t.Fatal(err)
			}
			data, base, err := fetch(ctx, v1, t.TempDir())
			if err != nil || data != "one" || base.File() != "lenet.pt" || base.URI() != "oci://"+host+"/models/lenet@"+base.Digest() {
				t.Fatalf("got %q from %v, %v", data, base, err)
			}

			u := registry.Upload{
				Files:       []registry.File{file("lenet.pt", "two"), file(".onnx", "graph")},
				Base:        base,
				Annotations: map[string]string{"lethe.seed": "0"},
				Evidence: []registry.Evidence{
					{MediaType: "application/vnd.in-toto+json", Name: "attestation.json", Content: []byte("{}"), Annotations: map[string]string{"a": "b"}},
					{MediaType: "application/vnd.in-toto+json", Name: "other.json", Content: []byte("[]")},
				},
			}
			if err := v2.Check(ctx, false); err != nil {
				t.Fatal(err)
			}
			pushed, err := v2.Push(ctx, &u)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v2.Resolve(ctx); !isRegistryError(err) {
				t.Errorf("before it is published, the model has a tag: %v", err)
			}
			// Evidence is there before the tag, whether the registry has the
			// API of referrers or not.
			subject, err := repo.Resolve(ctx, pushed.Digest())
			if err != nil {
				t.Fatal(err)
			}
			var evidence []string
			if err := repo.Referrers(ctx, subject, "", func(all []ocispec.Descriptor) error {
				for _, d := range all {
					m := manifestOf(t, repo, d.Digest.String())
					evidence = append(evidence, m.ArtifactType, m.Layers[0].Annotations[ocispec.AnnotationTitle])
				}
				return nil
			}); err != nil || len(evidence) != 4 || evidence[0] != "application/vnd.in-toto+json" || !slices.Contains(evidence, "other.json") {
				t.Errorf("evidence %q, %v", evidence, err)
			}
			if err := pushed.Publish(ctx); err != nil {
				t.Fatal(err)
			}
			if data, m, err := fetch(ctx, v2, t.TempDir()); err != nil || data != "two" || m.Digest() != pushed.Digest() {
				t.Errorf("got %q, %v, %v", data, m, err)
			}
			if data, _, err := fetch(ctx, place(t, "%s/models/lenet:v2#lenet.onnx", host), t.TempDir()); err != nil || data != "graph" {
				t.Errorf("the ONNX model: %q, %v", data, err)
			}
			// The digest of a reference counts, not its tag.
			if data, _, err := fetch(ctx, place(t, "%s/models/lenet:v2@%s", host, base.Digest()), t.TempDir()); err != nil || data != "one" {
				t.Errorf("by tag and digest: %q, %v", data, err)
			}

			manifest := manifestOf(t, repo, "v2")
			want := map[string]string{
				"lethe.seed":                      "0",
				ocispec.AnnotationCreated:         "2026-01-02T03:04:05Z", // of the base
				ocispec.AnnotationBaseImageDigest: base.Digest(),
				ocispec.AnnotationBaseImageName:   host + "/models/lenet:v1",
			}
			if !reflect.DeepEqual(manifest.Annotations, want) || manifest.ArtifactType != "application/vnd.cncf.model.manifest.v1+json" {
				t.Errorf("annotations %v, type %s", manifest.Annotations, manifest.ArtifactType)
			}

			// The same again, elsewhere, has the same digest; the tag that is
			// there stays without force.
			again := place(t, "%s/models/lenet:v3", host)
			if same, err := publish(ctx, again, false, &u); err != nil || same.Digest() != pushed.Digest() {
				t.Errorf("pushed again: %v, %v, want %s", same, err, pushed.Digest())
			}
			if err := v2.Check(ctx, false); err == nil || !strings.Contains(err.Error(), "exists; use --force") {
				t.Errorf("a tag that exists: %v", err)
			}
			u.Files[0] = file("lenet.pt", "three")
			if _, err := publish(ctx, v2, true, &u); err != nil {
				t.Error(err)
			}
			if data, _, err := fetch(ctx, v2, t.TempDir()); err != nil || data != "three" {
				t.Errorf("after force: %q, %v", data, err)
			}

			// Another writer moves the tag while this one works.
			mine, other := place(t, "%s/models/lenet:v2", host), place(t, "%s/models/lenet:v2", host)
			if err := mine.Check(ctx, true); err != nil {
				t.Fatal(err)
			}
			u.Files[0] = file("lenet.pt", "theirs")
			if _, err := publish(ctx, other, true, &u); err != nil {
				t.Fatal(err)
			}
			u.Files[0] = file("lenet.pt", "mine")
			late, err := mine.Push(ctx, &u)
			if err != nil {
				t.Fatal(err)
			}
			if err := late.Publish(ctx); err == nil || !strings.Contains(err.Error(), "moved meanwhile") {
				t.Errorf("a tag that moved: %v", err)
			}
			if data, _, err := fetch(ctx, v2, t.TempDir()); err != nil || data != "theirs" {
				t.Errorf("after both: %q, %v", data, err)
			}
		})
	}
}

func isRegistryError(err error) bool { return cli.ExitCode(err) == cli.ExitRegistry }

func manifestOf(t *testing.T, repo *remote.Repository, tag string) (m ocispec.Manifest) {
	t.Helper()
	_, r, err := repo.FetchReference(t.Context(), tag)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := json.NewDecoder(r).Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

// layer is one layer of an artifact that somebody else made.
type layer struct{ mediaType, name, data string }

// push makes an artifact by hand.
func push(t *testing.T, host, tag, artifactType, configType, config string, layers ...layer) {
	t.Helper()
	repo := &remote.Repository{PlainHTTP: true}
	repo.Reference.Registry, repo.Reference.Repository = host, "models/other"
	blob := func(mediaType, data string) ocispec.Descriptor {
		d := content.NewDescriptorFromBytes(mediaType, []byte(data))
		if err := repo.Blobs().Push(t.Context(), d, strings.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		return d
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType, Config: blob(configType, config)}
	for _, l := range layers {
		d := blob(l.mediaType, l.data)
		if l.name != "" {
			key := ocispec.AnnotationTitle
			if strings.HasPrefix(l.mediaType, "application/vnd.cncf") {
				key = "org.cncf.model.filepath"
			}
			d.Annotations = map[string]string{key: l.name}
		}
		m.Layers = append(m.Layers, d)
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := repo.PushReference(t.Context(), content.NewDescriptorFromBytes(m.MediaType, b), bytes.NewReader(b), tag); err != nil {
		t.Fatal(err)
	}
}

// archive packs files, names and contents in turn.
func archive(t *testing.T, compressed bool, files ...string) string {
	var b bytes.Buffer
	var w io.WriteCloser = struct {
		io.Writer
		io.Closer
	}{&b, io.NopCloser(nil)}
	if compressed {
		w = gzip.NewWriter(&b)
	}
	a := tar.NewWriter(w)
	for i := 0; i < len(files); i += 2 {
		if err := a.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(a, files[i+1])
	}
	a.Close()
	w.Close()
	return b.String()
}

const (
	modelPack = "application/vnd.cncf.model.config.v1+json"
	weights   = "application/vnd.cncf.model.weight.v1."
	kit       = "application/vnd.kitops.modelkit."
	empty     = "application/vnd.oci.empty.v1+json"
)

func TestRead(t *testing.T) {
	host := serve(t, inProcess())
	for i, c := range []struct {
		name   string
		config string
		layers []layer
		file   string // after #
		want   string // of the checkpoint, or a part of the error
		exit   int
	}{
		{"ModelPack", modelPack, []layer{{weights + "raw", "a.pt", "A"}, {"application/vnd.cncf.model.doc.v1.raw", "README.md", "R"}}, "", "A", 0},
		{"ModelPack, a folder", modelPack, []layer{{weights + "raw", "sub/a.safetensors", "A"}}, "sub/a.safetensors", "A", 0},
		{"ModelPack, tar", modelPack, []layer{{weights + "tar", "", archive(t, false, "README", "R", "a.pt", "A")}}, "", "A", 0},
		{"ModelPack, gzip", modelPack, []layer{{weights + "tar+gzip", "", archive(t, true, "./a.pt", "A", "z.txt", "Z")}}, "", "A", 0},
		{"ModelPack, gzip, one of two", modelPack, []layer{{weights + "tar+gzip", "", archive(t, true, "a.pt", "A", "b.pt", "B")}}, "b.pt", "B", 0},
		{"ModelPack, gzip, two", modelPack, []layer{{weights + "tar+gzip", "", archive(t, true, "a.pt", "A", "b.pt", "B")}}, "", "several checkpoints in one layer", 4},
		{"ModelPack, zstd", modelPack, []layer{{weights + "tar+zstd", "", "Z"}}, "", "zstd", 4},
		{"ModelPack, no gzip", modelPack, []layer{{weights + "tar+gzip", "", "plain"}}, "", "broken archive", 1},
		{"ModelPack, no tar", modelPack, []layer{{weights + "tar", "", strings.Repeat("x", 2000)}}, "", "broken archive", 1},
		{"ModelPack, cut tar", modelPack, []layer{{weights + "tar", "", archive(t, false, "a.pt", strings.Repeat("A", 5000))[:3000]}}, "", "broken archive", 1},
		{"ModelPack, empty tar", modelPack, []layer{{weights + "tar", "", archive(t, false)}}, "", "no checkpoint in its archive", 4},
		{"ModelPack, two", modelPack, []layer{{weights + "raw", "a.pt", "A"}, {weights + "raw", "b.pt", "B"}}, "", `has 2 checkpoints; its files: ["a.pt" "b.pt"]`, 4},
		{"ModelPack, one of two", modelPack, []layer{{weights + "raw", "a.pt", "A"}, {weights + "raw", "b.pt", "B"}}, "b.pt", "B", 0},
		{"ModelPack, not that one", modelPack, []layer{{weights + "raw", "a.pt", "A"}}, "c.pt", `no file "c.pt"`, 4},
		{"ModelPack, no weights", modelPack, []layer{{"application/vnd.cncf.model.doc.v1.raw", "a.pt", "A"}}, "", "no checkpoint", 4},
		{"ModelKit", kit + "config.v1+json", []layer{{kit + "model.v1.tar+gzip", "", archive(t, true, "a.pt", "A")}, {kit + "docs.v1.tar+gzip", "", archive(t, true, "b.pt", "B")}}, "", "A", 0},
		{"ModelKit, tar", kit + "config.v1+json", []layer{{kit + "model.v1.tar", "", archive(t, false, "m/a.bin", "A")}}, "", "A", 0},
		{"ORAS", empty, []layer{{"application/octet-stream", "a.pth", "A"}, {"text/plain", "notes.txt", "N"}}, "", "A", 0},
		{"ORAS, exported", empty, []layer{{"application/octet-stream", "a.pt2", "A"}}, "", "A", 0},
		{"ORAS, ONNX alone", empty, []layer{{"application/octet-stream", "a.onnx", "O"}, {"text/plain", "notes.txt", "N"}}, "", "O", 0},
		{"ORAS, ONNX beside", empty, []layer{{"application/octet-stream", "a.onnx", "O"}, {"application/octet-stream", "a.pt2", "A"}}, "", "A", 0},
		{"ORAS, two ONNX", empty, []layer{{"application/octet-stream", "a.onnx", "O"}, {"application/octet-stream", "b.onnx", "P"}}, "", "has 2 checkpoints", 4},
		{"ModelPack, ONNX alone", modelPack, []layer{{weights + "raw", "a.onnx", "O"}}, "", "O", 0},
		{"ORAS, unusual name", empty, []layer{{"application/octet-stream", "weights", "A"}}, "weights", "A", 0},
		{"ORAS, no names", empty, []layer{{"application/octet-stream", "", "A"}}, "", "no checkpoint", 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			tag := fmt.Sprint("t", i)
			push(t, host, tag, "application/vnd.test", c.config, "{}", c.layers...)
			ref := host + "/models/other:" + tag
			if c.file != "" {
				ref += "#" + c.file
			}
			data, m, err := fetch(t.Context(), place(t, "%s", ref), t.TempDir())
			switch {
			case c.exit == 0 && (err != nil || data != c.want || !strings.HasSuffix(c.layers[0].name+m.File(), m.File())):
				t.Errorf("got %q, %v, want %q", data, err, c.want)
			case c.exit != 0 && (cli.ExitCode(err) != c.exit || !strings.Contains(fmt.Sprint(err), c.want)):
				t.Errorf("got %q, error %v (exit code %d), want %q (%d)", data, err, cli.ExitCode(err), c.want, c.exit)
			}
		})
	}
}

func TestCarry(t *testing.T) {
	a, b := serve(t, inProcess()), serve(t, inProcess())
	config := func(layers int) string {
		ids := make([]string, layers)
		for i := range ids {
			ids[i] = `"sha256:` + strings.Repeat(fmt.Sprint(i), 64) + `"`
		}
		return `{"descriptor":{"name":"lenet","createdAt":"2026-01-01T00:00:00Z"},"config":{"architecture":"cnn"},"modelfs":{"type":"layers","diffIds":[` + strings.Join(ids, ",") + `]},"x":1}`
	}
	layers := []layer{
		{"application/vnd.cncf.model.doc.v1.raw", "README.md", "R"},
		{weights + "raw", "a.pt", "A"},
		{weights + "raw", "ema.pt", "E"},
		{weights + "raw", "a.onnx", "O"},
		{"application/vnd.cncf.model.code.v1.tar+gzip", "code", "C"},
	}
	for _, c := range []struct {
		name, config, configType string
		to                       string
		files, left              []string
	}{
		{"same repository", config(5), modelPack, a + "/models/other:new", []string{"a.pt", "a.onnx", "README.md", "code"}, []string{"ema.pt"}},
		{"other repository", config(5), modelPack, a + "/models/copy:new", []string{"a.pt", "a.onnx", "README.md", "code"}, []string{"ema.pt"}},
		{"other registry", config(5), modelPack, b + "/models/copy:new", []string{"a.pt", "a.onnx", "README.md", "code"}, []string{"ema.pt"}},
		{"not accounted for", config(2), modelPack, a + "/models/other:short", []string{"a.pt", "a.onnx"}, []string{"README.md", "ema.pt", "code"}},
		{"no ModelPack", "{}", empty, a + "/models/other:plain", []string{"a.pt", "a.onnx"}, []string{"README.md", "ema.pt", "code"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			push(t, a, "base", "application/vnd.test", c.configType, c.config, layers...)
			_, base, err := fetch(t.Context(), place(t, "%s/models/other:base#a.pt", a), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			p := place(t, "%s", c.to)
			pushed, err := publish(t.Context(), p, true, &registry.Upload{Base: base, Files: []registry.File{file("a.pt", "edited"), file(".onnx", "graph")}})
			if err != nil {
				t.Fatal(err)
			}
			repo := &remote.Repository{PlainHTTP: true}
			host, rest, _ := strings.Cut(c.to, "/")
			repo.Reference.Registry = host
			repo.Reference.Repository, _, _ = strings.Cut(rest, ":")
			m := manifestOf(t, repo, pushed.Digest())
			var files []string
			for _, l := range m.Layers {
				files = append(files, l.Annotations["org.cncf.model.filepath"])
				r, err := repo.Blobs().Fetch(t.Context(), l)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := content.ReadAll(r, l); err != nil {
					t.Error(err)
				}
			}
			if !reflect.DeepEqual(files, c.files) || !reflect.DeepEqual(pushed.Left(), c.left) {
				t.Errorf("files %q, left %q, want %q and %q", files, pushed.Left(), c.files, c.left)
			}
			r, err := repo.Blobs().Fetch(t.Context(), m.Config)
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Descriptor map[string]string `json:"descriptor"`
				Config     map[string]string `json:"config"`
				ModelFS    struct {
					Type    string   `json:"type"`
					DiffIDs []string `json:"diffIds"`
				} `json:"modelfs"`
				X int `json:"x"`
			}
			if err := json.NewDecoder(r).Decode(&got); err != nil {
				t.Fatal(err)
			}
			if got.Config["format"] != "pytorch" || got.ModelFS.Type != "layers" || len(got.ModelFS.DiffIDs) != len(files) {
				t.Errorf("configuration %+v", got)
			}
			if c.configType == modelPack && (got.Descriptor["name"] != "lenet" || got.Config["architecture"] != "cnn" || got.X != 1) {
				t.Errorf("the configuration lost what came in: %+v", got)
			}
			if len(files) == 4 && got.ModelFS.DiffIDs[3] != "sha256:"+strings.Repeat("4", 64) {
				t.Errorf("digests of the uncompressed layers %q", got.ModelFS.DiffIDs)
			}
		})
	}
}
