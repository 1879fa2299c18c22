package registry

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"lethe/internal/strictjson"
	"lethe/model"
)

// maxDocument bounds manifests and configurations, as registries do.
const maxDocument = 4 << 20

// ociPlace is a tag or a digest in a repository.
type ociPlace struct {
	repo   *remote.Repository
	client *client
	name   string // registry/repository, for messages and annotations
	scheme string
	tag    string        // "" if the reference has none
	digest digest.Digest // "" if the reference has none
	file   string        // "" if the reference names none

	// What Check found at the tag, and what Publish therefore may replace.
	found digest.Digest
}

// openOCI reads oci://REGISTRY/REPOSITORY[:TAG][@DIGEST][#FILE].
func openOCI(ref string, c *client) (*ociPlace, error) {
	wrong := func(format string, args ...any) error {
		return &ReferenceError{Ref: ref, Reason: fmt.Sprintf(format, args...)}
	}
	whole, file := SplitFile(ref)
	p := &ociPlace{client: c, file: file, scheme: schemeOCI}
	rest, ok := strings.CutPrefix(whole, schemeOCI)
	if !ok {
		p.scheme = schemePlain
		rest = strings.TrimPrefix(whole, schemePlain)
	}
	// A digest says more than a tag; the parser drops the tag, but it is
	// checked here first.
	pinned, tagged := rest, rest
	if before, d, ok := strings.Cut(rest, "@"); ok {
		pinned, tagged, p.digest = rest, before, digest.Digest(d)
	}
	if _, err := registry.ParseReference(pinned); err != nil {
		return nil, wrong("is not of the form oci://REGISTRY/REPOSITORY:TAG or ...@sha256:DIGEST: %v", err)
	}
	parsed, err := registry.ParseReference(tagged)
	if err != nil {
		return nil, wrong("is not of the form oci://REGISTRY/REPOSITORY:TAG or ...@sha256:DIGEST: %v", err)
	}
	p.tag, parsed.Reference = parsed.Reference, ""
	if p.tag == "" && p.digest == "" {
		return nil, wrong("has neither a tag nor a digest; add one, such as :v1")
	}
	p.name = parsed.Registry + "/" + parsed.Repository
	plain := p.scheme == schemePlain
	if plain && !loopback(parsed.Registry) {
		return nil, wrong("is not on this machine: without TLS, models and passwords could be read and changed on the way, so --plain-http is for loopback addresses only")
	}
	p.repo = &remote.Repository{
		Reference:        parsed,
		PlainHTTP:        plain,
		MaxMetadataBytes: maxDocument,
		SkipReferrersGC:  true, // deleting is often forbidden, and another writer's index may be newer
		Client: &auth.Client{
			Client:     c.http,
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

// loopback tells whether a host and port are of this machine.
func loopback(host string) bool {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}

func (p *ociPlace) String() string {
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
func (p *ociPlace) at(d digest.Digest) string { return schemeOCI + p.name + "@" + d.String() }

func (p *ociPlace) explain(op string, err error) error {
	return explain(op, p.String(), advice{
		login: "log in with docker login " + p.repo.Reference.Registry + ", or set DOCKER_CONFIG",
		plain: "--plain-http",
	}, err)
}

// ociModel is a manifest and the layer of its checkpoint.
type ociModel struct {
	place    *ociPlace
	desc     ocispec.Descriptor
	manifest ocispec.Manifest
	layer    ocispec.Descriptor
	file     string // path of the checkpoint; "" if it is known only inside an archive
}

func (p *ociPlace) Resolve(ctx context.Context) (Model, error) {
	m, err := p.resolve(ctx)
	if err != nil {
		return nil, err
	}
	return m, m.choose(p.file)
}

func (p *ociPlace) resolve(ctx context.Context) (*ociModel, error) {
	reference := p.tag
	if p.digest != "" {
		reference = p.digest.String()
	}
	m := &ociModel{place: p}
	var body []byte
	err := p.client.try(ctx, func() error {
		desc, r, err := p.repo.FetchReference(ctx, reference)
		if err != nil {
			return err
		}
		defer r.Close()
		if desc.Size > maxDocument {
			return tooLarge("size of the manifest in bytes", desc.Size, maxDocument)
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
		return nil, malformed("manifest of "+p.String(), err)
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
			if name != "" && !staysInside(name) {
				return m, fmt.Errorf("a layer has the name %.100q, which is no path inside a model", name)
			}
		}
	}
	return m, nil
}

// malformed reports a document or a layer with the right digest and the wrong
// form.
func malformed(what string, err error) error {
	return &model.FormatError{Format: what, Offset: -1, Reason: fmt.Sprint(err)}
}

func tooLarge(what string, got, limit int64) error {
	return &model.LimitError{What: what, Got: uint64(max(got, 0)), Limit: uint64(limit)}
}

// choose finds the checkpoint among the layers, or the ONNX model where there is
// no checkpoint.
func (m *ociModel) choose(file string) error {
	var candidates, onnx []ocispec.Descriptor
	var names []string
	for _, l := range m.manifest.Layers {
		name := layerFile(l)
		switch {
		case file != "" && name == file:
			m.layer, m.file = l, file
			return nil
		case isWeights(m.manifest, l) && (isCheckpoint(name) || isArchive(l.MediaType)):
			candidates = append(candidates, l)
		case isWeights(m.manifest, l) && isONNX(name):
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
		if name := layerFile(m.layer); isCheckpoint(name) || isONNX(name) {
			m.file = name
		}
		return nil
	}
	return noCheckpoint(m.place, file, len(candidates), names)
}

func (m *ociModel) URI() string    { return m.place.at(m.desc.Digest) }
func (m *ociModel) Digest() string { return m.desc.Digest.String() }
func (m *ociModel) File() string   { return m.file }

// Fetch writes the checkpoint to f.
func (m *ociModel) Fetch(ctx context.Context, f *os.File) (size int64, err error) {
	if m.layer.Size > MaxFile {
		return 0, tooLarge("size of the layer in bytes", m.layer.Size, MaxFile)
	}
	err = m.place.client.try(ctx, func() error {
		if err := rewind(f); err != nil {
			return err
		}
		r, err := m.place.repo.Blobs().Fetch(ctx, m.layer)
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
	return size, m.place.explain("pull", err)
}

// extract writes the checkpoint in an archive to w and reads the archive to its
// end, so that its digest can be told. It sets the name of the file if only the
// archive knows it.
func (m *ociModel) extract(w io.Writer, layer *content.VerifyReader) (size int64, err error) {
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
func (m *ociModel) unpack(w io.Writer, layer io.Reader) (size int64, chosen string, err error) {
	broken := func(err error) error {
		var p *os.PathError
		if errors.As(err, &p) {
			return err
		}
		return malformed("archive in "+m.place.String(), err)
	}
	switch {
	case strings.HasSuffix(m.layer.MediaType, "gzip"):
		if layer, err = gzip.NewReader(layer); err != nil {
			return 0, "", broken(err)
		}
	case strings.HasSuffix(m.layer.MediaType, "zstd"):
		return 0, "", &model.UnsupportedError{What: fmt.Sprintf("%s is compressed with zstd", m.place), Advice: "pack the model without compression"}
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
		wanted := name == m.file || m.file == "" && isCheckpoint(name)
		switch {
		case header.Typeflag != tar.TypeReg || !wanted:
			continue
		case !staysInside(header.Name):
			return 0, "", broken(fmt.Errorf("a file has the name %.100q, which is no path inside a model", header.Name))
		case chosen != "":
			return 0, "", &model.UnsupportedError{What: fmt.Sprintf("%s has several checkpoints in one layer: %.100q, %.100q", m.place, chosen, name), Advice: "name one with # at the end of the reference"}
		case header.Size > MaxFile:
			return 0, "", tooLarge("size of the checkpoint in bytes", header.Size, MaxFile)
		}
		if size, err = io.Copy(w, files); err != nil {
			return 0, "", broken(err)
		}
		chosen = name
	}
	if chosen == "" {
		return 0, "", &model.UnsupportedError{What: fmt.Sprintf("%s has no checkpoint in its archive", m.place), Advice: "its name must end in .pt, .pth, .pt2, .bin, .ckpt or .safetensors, or be given with # at the end of the reference"}
	}
	return size, chosen, nil
}

// Check refuses a reference that cannot be published to, and a tag that exists
// unless force is set.
func (p *ociPlace) Check(ctx context.Context, force bool) (err error) {
	if p.tag == "" || p.digest != "" {
		return &ReferenceError{Ref: p.String(), Reason: "is an output and needs a tag and no digest"}
	}
	if p.found, err = p.current(ctx); err != nil {
		return p.explain("push to", err)
	}
	if p.found != "" && !force {
		return fmt.Errorf("%s exists; use --force to move the tag, or give another one", p)
	}
	return nil
}

// current returns the digest that the tag has now, "" if there is no such tag.
func (p *ociPlace) current(ctx context.Context) (found digest.Digest, err error) {
	err = p.client.try(ctx, func() error {
		desc, err := p.repo.Resolve(ctx, p.tag)
		if errors.Is(err, errdef.ErrNotFound) {
			found = ""
			return nil
		}
		found = desc.Digest
		return err
	})
	return found, err
}

// ociPushed is a manifest without a tag.
type ociPushed struct {
	place    *ociPlace
	desc     ocispec.Descriptor
	manifest []byte
	left     []string
}

func (p *ociPushed) URI() string    { return p.place.at(p.desc.Digest) }
func (p *ociPushed) Digest() string { return p.desc.Digest.String() }
func (p *ociPushed) Left() []string { return p.left }

func (p *ociPlace) Push(ctx context.Context, u *Upload) (Pushed, error) {
	pushed, err := p.push(ctx, u)
	if err != nil {
		return nil, p.explain("push to", err)
	}
	return pushed, nil
}

func (p *ociPlace) push(ctx context.Context, u *Upload) (*ociPushed, error) {
	base, _ := u.Base.(*ociModel)
	pack, err := newPack(ctx, base)
	if err != nil {
		return nil, err
	}
	all := names(u.Files)
	for _, name := range all {
		if !isArtifactName(name) {
			return nil, &ReferenceError{Ref: p.String() + "#" + name, Reason: "has a name that is no path inside a model"}
		}
	}
	for i, f := range u.Files {
		d, err := digest.FromReader(io.NewSectionReader(f.Content, 0, f.Size))
		if err != nil {
			return nil, err
		}
		layer := weightsLayer(all[i], d, f.Size)
		pack.add(layer, d)
		if err := p.blob(ctx, layer, func() io.Reader { return io.NewSectionReader(f.Content, 0, f.Size) }); err != nil {
			return nil, err
		}
	}
	for _, l := range pack.carried {
		if err := p.carry(ctx, base, l); err != nil {
			return nil, err
		}
	}
	config := pack.encodeConfig(u.Created, path.Ext(all[0]))
	configDesc := content.NewDescriptorFromBytes(typeConfig, config)
	if err := p.blob(ctx, configDesc, func() io.Reader { return bytes.NewReader(config) }); err != nil {
		return nil, err
	}
	annotations := map[string]string{}
	if created := pack.createdOr(u.Created); created != "" {
		annotations[ocispec.AnnotationCreated] = created
	}
	if base != nil {
		annotations[ocispec.AnnotationBaseImageDigest] = base.desc.Digest.String()
		if base.place.tag != "" {
			annotations[ocispec.AnnotationBaseImageName] = base.place.name + ":" + base.place.tag
		}
	} else if u.Base != nil {
		annotations[sourceTag] = u.Base.URI()
	}
	for k, v := range u.Annotations {
		annotations[k] = v
	}
	out := &ociPushed{place: p, left: pack.left}
	out.desc, out.manifest, err = p.manifest(ctx, ocispec.Manifest{
		ArtifactType: typeManifest,
		Config:       configDesc,
		Layers:       pack.layers,
		Annotations:  annotations,
	})
	if err != nil {
		return nil, err
	}
	for _, e := range u.Evidence {
		if err := p.refer(ctx, out.desc, e, annotations[ocispec.AnnotationCreated]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// blob uploads a blob unless it is there.
func (p *ociPlace) blob(ctx context.Context, desc ocispec.Descriptor, open func() io.Reader) error {
	return p.client.try(ctx, func() error {
		there, err := p.repo.Blobs().Exists(ctx, desc)
		if err != nil || there {
			return err
		}
		return p.repo.Blobs().Push(ctx, desc, open())
	})
}

// carry makes a layer of the base a layer of the model that is pushed.
func (p *ociPlace) carry(ctx context.Context, base *ociModel, l ocispec.Descriptor) error {
	from := base.place.repo
	return p.client.try(ctx, func() error {
		there, err := p.repo.Blobs().Exists(ctx, l)
		if err != nil || there {
			return err
		}
		open := func() (io.ReadCloser, error) { return from.Blobs().Fetch(ctx, l) }
		if from.Reference.Registry == p.repo.Reference.Registry {
			return p.repo.Mount(ctx, l, from.Reference.Repository, open)
		}
		r, err := open()
		if err != nil {
			return err
		}
		defer r.Close()
		return p.repo.Blobs().Push(ctx, l, r)
	})
}

// manifest uploads a manifest under its digest alone.
func (p *ociPlace) manifest(ctx context.Context, m ocispec.Manifest) (ocispec.Descriptor, []byte, error) {
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	b, err := json.Marshal(m) // sorts the annotations
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	desc := content.NewDescriptorFromBytes(m.MediaType, b)
	desc.ArtifactType = m.ArtifactType
	err = p.client.try(ctx, func() error { return p.repo.Manifests().Push(ctx, desc, bytes.NewReader(b)) })
	return desc, b, err
}

// refer publishes evidence that refers to a manifest. A registry without the
// referrers API gets it in the index that the distribution specification has
// for those.
func (p *ociPlace) refer(ctx context.Context, subject ocispec.Descriptor, e Evidence, created string) error {
	layer := content.NewDescriptorFromBytes(e.MediaType, e.Content)
	layer.Annotations = map[string]string{ocispec.AnnotationTitle: e.Name}
	for _, blob := range []struct {
		desc    ocispec.Descriptor
		content []byte
	}{{layer, e.Content}, {ocispec.DescriptorEmptyJSON, ocispec.DescriptorEmptyJSON.Data}} {
		if err := p.blob(ctx, blob.desc, func() io.Reader { return bytes.NewReader(blob.content) }); err != nil {
			return err
		}
	}
	annotations := map[string]string{}
	if created != "" {
		annotations[ocispec.AnnotationCreated] = created
	}
	for k, v := range e.Annotations {
		annotations[k] = v
	}
	_, _, err := p.manifest(ctx, ocispec.Manifest{
		ArtifactType: e.MediaType,
		Config:       ocispec.DescriptorEmptyJSON,
		Layers:       []ocispec.Descriptor{layer},
		Subject:      &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations:  annotations,
	})
	return err
}

// Publish tags the manifest. The distribution protocol has no condition on a
// tag, so between the look at it and the move another writer may still come.
func (p *ociPushed) Publish(ctx context.Context) error {
	now, err := p.place.current(ctx)
	switch {
	case err != nil:
		return p.place.explain("tag", err)
	case now == p.desc.Digest:
		return nil
	case now != p.place.found:
		return fmt.Errorf("the tag %s moved meanwhile; it stays where it is now", p.place)
	}
	err = p.place.client.try(ctx, func() error {
		return p.place.repo.PushReference(ctx, p.desc, bytes.NewReader(p.manifest), p.place.tag)
	})
	return p.place.explain("tag", err)
}

// Withdraw does nothing: what has no tag is the registry's to collect.
func (p *ociPushed) Withdraw(context.Context) {}
