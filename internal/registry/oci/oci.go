// Package oci reads models from OCI registries and publishes them there, as ModelPack
// has it.
package oci

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	reference "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"lethe/internal/registry"
	"lethe/internal/strictjson"
	"lethe/model"
)

// repository is a tag or a digest in a repository.
type repository struct {
	repo   *remote.Repository
	client *registry.Client
	name   string // registry/repository, for messages and annotations
	scheme string
	tag    string        // "" if the reference has none
	digest digest.Digest // "" if the reference has none
	file   string        // "" if the reference names none

	// What Check found at the tag, and what Publish therefore may replace.
	found digest.Digest
}

// Open reads oci://REGISTRY/REPOSITORY[:TAG][@DIGEST][#FILE].
func Open(ref string, c *registry.Client) (*repository, error) {
	wrong := func(format string, args ...any) error {
		return &registry.ReferenceError{Ref: ref, Reason: fmt.Sprintf(format, args...)}
	}
	whole, file := registry.SplitFile(ref)
	p := &repository{client: c, file: file, scheme: registry.SchemeOCI}
	rest, ok := strings.CutPrefix(whole, registry.SchemeOCI)
	if !ok {
		p.scheme = registry.SchemePlain
		rest = strings.TrimPrefix(whole, registry.SchemePlain)
	}
	// A digest says more than a tag; the parser drops the tag, but it is
	// checked here first.
	pinned, tagged := rest, rest
	if before, d, ok := strings.Cut(rest, "@"); ok {
		pinned, tagged, p.digest = rest, before, digest.Digest(d)
	}
	if _, err := reference.ParseReference(pinned); err != nil {
		return nil, wrong("is not of the form oci://REGISTRY/REPOSITORY:TAG or ...@sha256:DIGEST: %v", err)
	}
	parsed, err := reference.ParseReference(tagged)
	if err != nil {
		return nil, wrong("is not of the form oci://REGISTRY/REPOSITORY:TAG or ...@sha256:DIGEST: %v", err)
	}
	p.tag, parsed.Reference = parsed.Reference, ""
	if p.tag == "" && p.digest == "" {
		return nil, wrong("has neither a tag nor a digest; add one, such as :v1")
	}
	p.name = parsed.Registry + "/" + parsed.Repository
	plain := p.scheme == registry.SchemePlain
	if plain && !registry.Loopback(parsed.Registry) {
		return nil, wrong("is not on this machine: without TLS, models and passwords could be read and changed on the way, so --plain-http is for loopback addresses only")
	}
	p.repo = &remote.Repository{
		Reference:        parsed,
		PlainHTTP:        plain,
		MaxMetadataBytes: registry.MaxDocument,
		SkipReferrersGC:  true, // deleting is often forbidden, and another writer's index may be newer
		Client: &auth.Client{
			Client:     c.HTTP,
			Cache:      auth.NewCache(),
			ClientID:   "lethe",
			Credential: dockerCredential,
		},
	}
	p.repo.Client.(*auth.Client).SetUserAgent("lethe")
	return p, nil
}

// dockerCredential asks the Docker configuration and its helpers.
func dockerCredential(ctx context.Context, host string) (auth.Credential, error) {
	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return auth.EmptyCredential, fmt.Errorf("the Docker configuration: %w", err)
	}
	return credentials.Credential(store)(ctx, host)
}

func (p *repository) String() string {
	s := p.scheme + p.name
	if p.tag != "" {
		s += ":" + p.tag
	}
	if p.digest != "" {
		s += "@" + p.digest.String()
	}
	return s
}

// at returns the reference with a digest, as it is published.
func (p *repository) at(d digest.Digest) string {
	return registry.SchemeOCI + p.name + "@" + d.String()
}

func (p *repository) explain(op string, err error) error {
	return registry.Explain(op, p.String(), registry.Advice{
		Login: "log in with docker login " + p.repo.Reference.Registry + ", or set DOCKER_CONFIG",
		Plain: "--plain-http",
	}, err)
}

// storedModel is a manifest and the layer of its checkpoint.
type storedModel struct {
	repository *repository
	desc       ocispec.Descriptor
	manifest   ocispec.Manifest
	layer      ocispec.Descriptor
	file       string // path of the checkpoint; "" if it is known only inside an archive
}

func (p *repository) Resolve(ctx context.Context) (registry.Model, error) {
	m, err := p.resolve(ctx)
	if err != nil {
		return nil, err
	}
	return m, m.choose(p.file)
}

func (p *repository) resolve(ctx context.Context) (*storedModel, error) {
	reference := p.tag
	if p.digest != "" {
		reference = p.digest.String()
	}
	m := &storedModel{repository: p}
	var body []byte
	err := p.client.Try(ctx, func() error {
		desc, r, err := p.repo.FetchReference(ctx, reference)
		if err != nil {
			return err
		}
		defer r.Close()
		if desc.Size > registry.MaxDocument {
			return registry.TooLarge("size of the manifest in bytes", desc.Size, registry.MaxDocument)
		}
		m.desc = desc
		body, err = content.ReadAll(r, desc)
		return err
	})
	if err != nil {
		return nil, p.explain("pull", err)
	}
	if m.desc.MediaType != ocispec.MediaTypeImageManifest {
		return nil, &model.UnsupportedError{What: fmt.Sprintf("%s is of the type %.100q, not an OCI manifest", p, m.desc.MediaType), Advice: "give the digest of the manifest of one model"}
	}
	if m.manifest, err = readManifest(body); err != nil {
		return nil, registry.Malformed("manifest of "+p.String(), err)
	}
	return m, nil
}

// readManifest reads a manifest that everybody reads as this one: not as an index
// too, not with another spelling of its members, and without names of files that
// lead out of the folder of the model.
func readManifest(body []byte) (m ocispec.Manifest, err error) {
	if err := strictjson.Decode(body, &m); err != nil {
		return m, err
	}
	var other struct {
		Manifests json.RawMessage `json:"manifests"` // of an index
		FSLayers  json.RawMessage `json:"fsLayers"`  // of Docker's first manifests
	}
	if err := strictjson.Decode(body, &other); err != nil {
		return m, err
	}
	switch {
	case other.Manifests != nil:
		return m, errors.New("it is an index too: it has manifests beside layers")
	case other.FSLayers != nil:
		return m, errors.New("it is a manifest of Docker's first version too: it has fsLayers")
	case m.MediaType != "" && m.MediaType != ocispec.MediaTypeImageManifest:
		return m, fmt.Errorf("it says that it is of the type %.100q, the registry that it is an OCI manifest", m.MediaType)
	}
	for _, l := range m.Layers {
		for _, name := range []string{l.Annotations[annotationFile], l.Annotations[ocispec.AnnotationTitle]} {
			if name != "" && !registry.StaysInside(name) {
				return m, fmt.Errorf("a layer has the name %.100q, which is not a path inside a model", name)
			}
		}
	}
	return m, nil
}

// choose finds the checkpoint among the layers, or the ONNX model where there is
// no checkpoint.
func (m *storedModel) choose(file string) error {
	var candidates, onnx []ocispec.Descriptor
	var names []string
	for _, l := range m.manifest.Layers {
		name := layerFile(l)
		switch {
		case file != "" && name == file:
			m.layer, m.file = l, file
			return nil
		case isWeights(m.manifest, l) && (registry.IsCheckpoint(name) || isArchive(l.MediaType)):
			candidates = append(candidates, l)
		case isWeights(m.manifest, l) && registry.IsONNX(name):
			onnx = append(onnx, l)
		}
		if name != "" {
			names = append(names, name)
		}
	}
	if len(candidates) == 0 {
		candidates = onnx
	}
	// The file may be inside the one archive.
	if archives := slices.DeleteFunc(slices.Clone(candidates), func(l ocispec.Descriptor) bool { return !isArchive(l.MediaType) }); file != "" && len(archives) == 1 {
		m.layer, m.file = archives[0], file
		return nil
	}
	if file == "" && len(candidates) == 1 {
		m.layer = candidates[0]
		if name := layerFile(m.layer); registry.IsCheckpoint(name) || registry.IsONNX(name) {
			m.file = name
		}
		return nil
	}
	return registry.NoCheckpoint(m.repository, file, len(candidates), names)
}

func (m *storedModel) URI() string    { return m.repository.at(m.desc.Digest) }
func (m *storedModel) Digest() string { return m.desc.Digest.String() }
func (m *storedModel) File() string   { return m.file }

// Fetch writes the checkpoint to f.
func (m *storedModel) Fetch(ctx context.Context, f *os.File) (size int64, err error) {
	if m.layer.Size > registry.MaxFile {
		return 0, registry.TooLarge("size of the layer in bytes", m.layer.Size, registry.MaxFile)
	}
	err = m.repository.client.Try(ctx, func() error {
		if err := registry.Rewind(f); err != nil {
			return err
		}
		r, err := m.repository.repo.Blobs().Fetch(ctx, m.layer)
		if err != nil {
			return err
		}
		defer r.Close()
		verified := content.NewVerifyReader(r, m.layer)
		if isArchive(m.layer.MediaType) {
			size, err = m.extract(f, verified)
			return err
		}
		if size, err = io.Copy(f, verified); err != nil {
			return err
		}
		return verified.Verify()
	})
	return size, m.repository.explain("pull", err)
}

// extract writes the checkpoint in an archive to w and reads the archive to its
// end, so that its digest can be told. It sets the name of the file if only the
// archive knows it.
func (m *storedModel) extract(w io.Writer, layer *content.VerifyReader) (size int64, err error) {
	size, name, err := m.unpack(w, layer)
	if _, broken := io.Copy(io.Discard, layer); broken != nil {
		return 0, broken
	}
	// What is wrong with an archive of another digest is of no interest.
	if wrong := layer.Verify(); wrong != nil {
		return 0, wrong
	}
	if err == nil {
		m.file = name
	}
	return size, err
}

// unpack writes the checkpoint in an archive to w and returns its name.
func (m *storedModel) unpack(w io.Writer, layer io.Reader) (size int64, chosen string, err error) {
	broken := func(err error) error {
		var p *os.PathError
		if errors.As(err, &p) {
			return err
		}
		return registry.Malformed("archive in "+m.repository.String(), err)
	}
	switch {
	case strings.HasSuffix(m.layer.MediaType, "gzip"):
		if layer, err = gzip.NewReader(layer); err != nil {
			return 0, "", broken(err)
		}
	case strings.HasSuffix(m.layer.MediaType, "zstd"):
		return 0, "", &model.UnsupportedError{What: fmt.Sprintf("%s is compressed with zstd", m.repository), Advice: "pack the model without compression"}
	}
	files := tar.NewReader(layer)
	for {
		header, err := files.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, "", broken(err)
		}
		name := path.Clean(header.Name)
		wanted := name == m.file || m.file == "" && registry.IsCheckpoint(name)
		switch {
		case header.Typeflag != tar.TypeReg || !wanted:
			continue
		case !registry.StaysInside(header.Name):
			return 0, "", broken(fmt.Errorf("a file has the name %.100q, which is not a path inside a model", header.Name))
		case chosen != "":
			return 0, "", &model.UnsupportedError{What: fmt.Sprintf("%s has several checkpoints in one layer: %.100q, %.100q", m.repository, chosen, name), Advice: "name one with # at the end of the reference"}
		case header.Size > registry.MaxFile:
			return 0, "", registry.TooLarge("size of the checkpoint in bytes", header.Size, registry.MaxFile)
		}
		if size, err = io.Copy(w, files); err != nil {
			return 0, "", broken(err)
		}
		chosen = name
	}
	if chosen == "" {
		return 0, "", &model.UnsupportedError{What: fmt.Sprintf("%s has no checkpoint in its archive", m.repository), Advice: "its name must end in .pt, .pth, .pt2, .bin, .ckpt or .safetensors, or be given with # at the end of the reference"}
	}
	return size, chosen, nil
}
