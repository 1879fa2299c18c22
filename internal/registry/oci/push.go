package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"

	"lethe/internal/registry"
)

// Check refuses a reference that cannot be published to, and a tag that exists
// unless force is set.
func (p *repository) Check(ctx context.Context, force bool) (err error) {
	if p.tag == "" || p.digest != "" {
		return &registry.ReferenceError{Ref: p.String(), Reason: "is an output and needs a tag and no digest"}
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
func (p *repository) current(ctx context.Context) (found digest.Digest, err error) {
	err = p.client.Try(ctx, func() error {
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

// pushedModel is a manifest without a tag.
type pushedModel struct {
	repository *repository
	desc       ocispec.Descriptor
	manifest   []byte
	left       []string
}

func (p *pushedModel) URI() string    { return p.repository.at(p.desc.Digest) }
func (p *pushedModel) Digest() string { return p.desc.Digest.String() }
func (p *pushedModel) Left() []string { return p.left }

func (p *repository) Push(ctx context.Context, u *registry.Upload) (registry.Pushed, error) {
	pushed, err := p.push(ctx, u)
	if err != nil {
		return nil, p.explain("push to", err)
	}
	return pushed, nil
}

func (p *repository) push(ctx context.Context, u *registry.Upload) (*pushedModel, error) {
	base, _ := u.Base.(*storedModel)
	pack, err := newPack(ctx, base)
	if err != nil {
		return nil, err
	}
	all := registry.Names(u.Files)
	for _, name := range all {
		if !registry.IsArtifactName(name) {
			return nil, &registry.ReferenceError{Ref: p.String() + "#" + name, Reason: "has a name that is not a path inside a model"}
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
		if base.repository.tag != "" {
			annotations[ocispec.AnnotationBaseImageName] = base.repository.name + ":" + base.repository.tag
		}
	} else if u.Base != nil {
		annotations[registry.SourceTag] = u.Base.URI()
	}
	for k, v := range u.Annotations {
		annotations[k] = v
	}
	out := &pushedModel{repository: p, left: pack.left}
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
func (p *repository) blob(ctx context.Context, desc ocispec.Descriptor, open func() io.Reader) error {
	return p.client.Try(ctx, func() error {
		there, err := p.repo.Blobs().Exists(ctx, desc)
		if err != nil || there {
			return err
		}
		return p.repo.Blobs().Push(ctx, desc, open())
	})
}

// carry makes a layer of the base a layer of the model that is pushed.
func (p *repository) carry(ctx context.Context, base *storedModel, l ocispec.Descriptor) error {
	from := base.repository.repo
	return p.client.Try(ctx, func() error {
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
func (p *repository) manifest(ctx context.Context, m ocispec.Manifest) (ocispec.Descriptor, []byte, error) {
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	b, err := json.Marshal(m) // sorts the annotations
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	desc := content.NewDescriptorFromBytes(m.MediaType, b)
	desc.ArtifactType = m.ArtifactType
	err = p.client.Try(ctx, func() error { return p.repo.Manifests().Push(ctx, desc, bytes.NewReader(b)) })
	return desc, b, err
}

// refer publishes evidence that refers to a manifest. A registry without the
// referrers API gets it in the index that the distribution specification has
// for those.
func (p *repository) refer(ctx context.Context, subject ocispec.Descriptor, e registry.Evidence, created string) error {
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
func (p *pushedModel) Publish(ctx context.Context) error {
	now, err := p.repository.current(ctx)
	switch {
	case err != nil:
		return p.repository.explain("tag", err)
	case now == p.desc.Digest:
		return nil
	case now != p.repository.found:
		return fmt.Errorf("the tag %s moved meanwhile; it stays where it is now", p.repository)
	}
	err = p.repository.client.Try(ctx, func() error {
		return p.repository.repo.PushReference(ctx, p.desc, bytes.NewReader(p.manifest), p.repository.tag)
	})
	return p.repository.explain("tag", err)
}

// Withdraw does nothing: what has no tag is the registry's to collect.
func (p *pushedModel) Withdraw(context.Context) {}
